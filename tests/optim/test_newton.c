/* A Gauss-Newton step against the dense least squares problem that it solves. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "newton_impl.h"
#include "newton_kernel.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"
#include "wingspan/linalg/lapack.h"
#include "wingspan/model/net64.h"

enum { SAMPLES = 12, D = 23, M = 30, MOST_C = 3, ROWS = SAMPLES * MOST_C, COLS = M * (D + 1) };

static float x[SAMPLES * D];
static const ws_samples samples = {.n = SAMPLES, .d = D, .x = x};
static ws_comm self;

/* A network with everything that a step needs. */
typedef struct made {
    ws_net *net;
    ws_optim *o;
    ws_newton *nt;
    ws_index *ix;
    ws_hits hits;
    double r[ROWS];
} made;

static int setup(void **state)
{
    ws_key key = {4, WS_STREAM_TEST, 0};

    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        float *row = x + i * D;
        ws_random_normal(&key, (uint64_t)i, D, 1, row);
        double norm = sqrt(ws_norm2(row, D));
        for (int j = 0; j < D; j++) row[j] = (float)((double)row[j] / norm);
    }
    ws_comm_create(MPI_COMM_SELF, &self);
    return 0;
}

static void look(made *t)
{
    int64_t ids[200];
    ws_query q = {.n = t->nt->spec.n, .ids = ids, .threshold = t->net->spec.threshold};

    for (int i = 0; i < q.n; i++) ids[i] = i;
    assert_int_equal(ws_index_query(t->ix, &q, &t->hits), WS_OK);
    for (int64_t i = 0; i < t->hits.rows && t->net->f64; i++)
        for (int64_t p = t->hits.first[i]; p < t->hits.first[i + 1]; p++)
            ws_net64_z(t->net, t->hits.row[i], &samples, &ids[t->hits.pos[p]], 1, &t->hits.z[p]);
}

static void make_on(const ws_comm *comm, const ws_samples *x_of, int64_t m, int c, int bias,
                    double ridge, int64_t serial, int float64, made *t)
{
    ws_net_spec spec = {.m = m,
                        .d = D,
                        .c = c,
                        .phi = ws_activation_find("relu"),
                        .threshold = 0.3,
                        .scale = 0.25,
                        .init_scale = 1,
                        .x_scale = 2,
                        .seed = 5,
                        .train_bias = bias,
                        .keep_start = ridge > 0,
                        .float64 = float64};
    ws_optim_spec os = {.name = "gauss-newton", .ridge = ridge / (double)x_of->n};
    ws_newton_spec ns = {x_of->n, ridge, 1e-12, 500, serial, NULL, 0};
    ws_shard shard;

    memset(t, 0, sizeof *t);
    assert_int_equal(ws_net_create(comm, &spec, &t->net), WS_OK);
    assert_int_equal(ws_optim_create(&os, t->net, &t->o), WS_OK);
    assert_int_equal(ws_newton_create(&ns, t->o, x_of, &t->nt), WS_OK);
    assert_int_equal(ws_index_create(comm, "scan", NULL, &t->ix), WS_OK);
    shard = ws_net_shard(t->net);
    assert_int_equal(ws_index_build(t->ix, &shard, x_of, spec.threshold), WS_OK);
    look(t);
}

static void make(const ws_comm *comm, int c, int bias, double ridge, int64_t serial, made *t)
{
    make_on(comm, &samples, M, c, bias, ridge, serial, 0, t);
    for (int k = 0; k < SAMPLES * c; k++) t->r[k] = sin(3.0 * k + 1);
}

static void make64(int c, int bias, double ridge, made *t)
{
    make_on(&self, &samples, M, c, bias, ridge, 100, 1, t);
    for (int k = 0; k < SAMPLES * c; k++) t->r[k] = sin(3.0 * k + 1);
}

static void end(made *t)
{
    ws_newton_destroy(&t->nt);
    ws_index_destroy(&t->ix);
    ws_optim_destroy(&t->o);
    ws_net_destroy(&t->net);
    ws_hits_free(&t->hits);
}

/* J, [n c x m (d + 1)] column-major, of a network that is whole on this rank. */
static void jacobian(const made *t, double *j)
{
    const ws_net_spec *s = &t->net->spec;
    int64_t rows = SAMPLES * s->c;

    memset(j, 0, (size_t)(rows * COLS) * sizeof *j);
    for (int64_t i = 0; i < t->hits.rows; i++)
        for (int64_t p = t->hits.first[i]; p < t->hits.first[i + 1]; p++)
            for (int c = 0; c < s->c; c++) {
                int64_t row = t->hits.row[i], at = t->hits.pos[p] * s->c + c;
                double a = s->scale * (double)t->net->a[row * s->c + c];
                for (int k = 0; k < D; k++)
                    j[(row * (D + 1) + k) * rows + at] = a * (double)x[t->hits.pos[p] * D + k];
                j[(row * (D + 1) + D) * rows + at] = s->train_bias ? a : 0;
            }
}

static double theta(const made *t, int64_t k, int start)
{
    int64_t row = k / (D + 1), at = k % (D + 1);
    const float *w = start ? t->net->w0 : t->net->w, *b = start ? t->net->b0 : t->net->b;
    const ws_net64 *f = start ? NULL : t->net->f64;

    if (f) return at == D ? f->b[row] : f->w[row * D + at];
    return at == D ? (double)b[row] : (double)w[row * D + at];
}

static void a_product_is_that_of_the_dense_matrix(void **state)
{
    static double j[ROWS * COLS];
    double v[ROWS], out[ROWS];

    (void)state;
    for (int path = 0; path < 2; path++) {
        made t;
        int64_t rows = SAMPLES * MOST_C;
        make(&self, MOST_C, 1, 0, 100, &t);
        if (path) ws_free(&t.nt->inner); /* then by way of the coordinates */
        assert_int_equal(ws_newton_linearise(t.nt, &t.hits), WS_OK);
        assert_true(ws_newton_by_inner(t.nt, 2) == !path);
        jacobian(&t, j);
        for (int k = 0; k < rows; k++) v[k] = cos(5.0 * k);
        assert_int_equal(ws_newton_product(t.nt, v, out), WS_OK);
        for (int64_t a = 0; a < rows; a++) {
            double want = 0;
            for (int64_t b = 0; b < rows; b++)
                for (int64_t k = 0; k < COLS; k++) want += j[k * rows + a] * j[k * rows + b] * v[b];
            assert_true(fabs(out[a] - want) < 2e-7);
        }
        end(&t);
    }
}

static void a_triangle_multiplies_as_its_matrix(void **state)
{
    enum { MOST = 37 };
    float g[MOST * (MOST + 1) / 2];
    double coef[MOST], image[MOST], portable[MOST];

    (void)state;
    for (int e = 0; e < MOST * (MOST + 1) / 2; e++) g[e] = (float)sin(7.0 * e + 1);
    for (int p = 0; p < MOST; p++) coef[p] = cos(3.0 * p);
    for (int k = 1; k <= MOST; k++) {
        const char *was = ws_simd_name();
        ws_simd_select("portable");
        ws_newton_kernels()->triangle(g, k, coef, portable);
        ws_simd_select(was);
        ws_newton_kernels()->triangle(g, k, coef, image);
        assert_memory_equal(image, portable, (size_t)k * sizeof *image);
        for (int p = 0; p < k; p++) {
            double want = 0;
            for (int q = 0; q < k; q++)
                want += coef[q] *
                        (double)(q <= p ? g[ws_newton_packed(p) + q] : g[ws_newton_packed(q) + p]);
            assert_true(fabs(image[p] - want) < 1e-13);
        }
    }
}

/* Ranks, vector units, triangles kept or put together when needed. */
static void a_product_has_one_value(void **state)
{
    static const char *const units[] = {"portable", "avx2", "avx512"};
    double v[ROWS], first[ROWS], out[ROWS];

    (void)state;
    for (int k = 0; k < ROWS; k++) v[k] = cos(5.0 * k);
    for (int run = 0; run < 5; run++) {
        const char *was = ws_simd_name();
        made t;
        if (run < 3) ws_simd_select(units[run]);
        make(run == 3 ? &self : &world, MOST_C, 1, 0, 100, &t);
        assert_all(ws_newton_linearise(t.nt, &t.hits) == WS_OK);
        for (int64_t i = 0; i < t.hits.rows && run == 4; i++) {
            assert_true(t.nt->pack_at[i] >= 0);
            t.nt->pack_at[i] = -1;
        }
        assert_all(ws_newton_product(t.nt, v, out) == WS_OK);
        if (run == 0) memcpy(first, out, sizeof first);
        assert_memory_equal(first, out, sizeof out);
        end(&t);
        ws_simd_select(was);
    }
}

/* 1/2 |r + J s|^2 + L/2 |D + s|^2 + u/2 |s|^2, doubled. */
static double objective(const made *t, const double *j, const double *s, const double *start,
                        double damping)
{
    int64_t rows = SAMPLES * t->net->spec.c;
    double sum = 0;

    for (int64_t a = 0; a < rows; a++) {
        double e = t->r[a];
        for (int64_t k = 0; k < COLS; k++) e += j[k * rows + a] * s[k];
        sum += e * e;
    }
    for (int64_t k = 0; k < COLS; k++)
        sum += t->nt->spec.ridge * (start[k] + s[k]) * (start[k] + s[k]) + damping * s[k] * s[k];
    return sum;
}

/* The step taken is the minimum: no direction leads lower; and what was promised is kept by the
 * linear model. */
static void check_step(made *t, double within)
{
    static double j[ROWS * COLS], before[COLS], distance[COLS], s[COLS], gradient[COLS];
    int64_t rows = SAMPLES * t->net->spec.c;
    double penalty = 0, damping = 0.02, largest = 0, zero[COLS] = {0}, u, gain;
    ws_newton_step step;
    ws_moves moves;

    for (int64_t k = 0; k < COLS; k++) {
        before[k] = theta(t, k, 0);
        distance[k] = t->nt->spec.ridge > 0 ? before[k] - theta(t, k, 1) : 0;
        penalty += distance[k] * distance[k];
    }
    look(t);
    assert_int_equal(ws_newton_linearise(t->nt, &t->hits), WS_OK);
    jacobian(t, j);
    u = damping * t->nt->diagonal;
    assert_int_equal(ws_newton_solve(t->nt, t->r, penalty, damping, &step), WS_OK);
    assert_true(step.ok && (step.iterations > 0) == (t->net->spec.c > 1));
    assert_int_equal(ws_newton_apply(t->nt, &moves), WS_OK);
    assert_int_equal(ws_index_update(t->ix, &moves), WS_OK);
    for (int64_t k = 0; k < COLS; k++) {
        s[k] = theta(t, k, 0) - before[k];
        gradient[k] = t->nt->spec.ridge * (distance[k] + s[k]) + u * s[k];
        largest = fmax(largest, fabs(s[k]));
    }
    for (int64_t a = 0; a < rows; a++) {
        double e = t->r[a];
        for (int64_t k = 0; k < COLS; k++) e += j[k * rows + a] * s[k];
        for (int64_t k = 0; k < COLS; k++) gradient[k] += j[k * rows + a] * e;
    }
    for (int64_t k = 0; k < COLS; k++) assert_true(fabs(gradient[k]) < within);
    assert_true(largest > 1e-2);
    gain = (objective(t, j, zero, distance, 0) - objective(t, j, s, distance, 0)) / 2;
    assert_true(fabs(gain - step.predicted) < 1e-5 * gain);
}

static void a_step_is_the_minimum_of_its_model(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        made t;
        make(&self, k % 2 ? MOST_C : 1, k % 3 == 1, k >= 3 ? 0.3 : 0, 100, &t);
        check_step(&t, 2e-6);
        /* Once more, now away from the start, where ridge pulls. */
        check_step(&t, 2e-6);
        end(&t);
    }
}

/* One output: nothing on the way to the weights is float32. Several: products are, to 1e-7. */
static void float64_weights_take_the_step_to_their_last_bits(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        double within = k % 2 ? 2e-6 : 1e-13;
        made t;
        make64(k % 2 ? MOST_C : 1, k % 3 == 1, k >= 3 ? 0.3 : 0, &t);
        check_step(&t, within);
        check_step(&t, within);
        end(&t);
    }
}

static void undo_gives_the_bits_of_float64_weights_back(void **state)
{
    (void)state;
    for (int ridge = 0; ridge < 2; ridge++) {
        static double w[M * D], b[M];
        ws_newton_step step;
        ws_moves moves;
        made t;

        make64(2, 1, ridge, &t);
        check_step(&t, 2e-6);
        look(&t);
        memcpy(w, t.net->f64->w, sizeof w);
        memcpy(b, t.net->f64->b, sizeof b);
        assert_int_equal(ws_newton_linearise(t.nt, &t.hits), WS_OK);
        assert_int_equal(ws_newton_solve(t.nt, t.r, 0, 0.1, &step), WS_OK);
        assert_int_equal(ws_newton_apply(t.nt, &moves), WS_OK);
        assert_true(memcmp(w, t.net->f64->w, sizeof w) != 0);
        assert_true(memcmp(b, t.net->f64->b, sizeof b) != 0);
        ws_newton_undo(t.nt, &moves);
        assert_memory_equal(w, t.net->f64->w, sizeof w);
        assert_memory_equal(b, t.net->f64->b, sizeof b);
        for (int k = 0; k < M; k++) assert_true(t.net->b[k] == (float)b[k]);
        end(&t);
    }
}

static void undo_gives_the_bits_back(void **state)
{
    (void)state;
    for (int ridge = 0; ridge < 2; ridge++) {
        static float w[M * D], b[M];
        ws_newton_step step;
        ws_moves moves;
        ws_exact_limbs penalty;
        made t;

        make(&self, 2, 1, ridge, 100, &t);
        for (int k = 0; k < 2; k++) {
            look(&t);
            memcpy(w, t.net->w, sizeof w);
            memcpy(b, t.net->b, sizeof b);
            penalty = ws_optim_penalty(t.o);
            assert_int_equal(ws_newton_linearise(t.nt, &t.hits), WS_OK);
            assert_int_equal(ws_newton_solve(t.nt, t.r, 0, 0.1, &step), WS_OK);
            assert_int_equal(ws_newton_apply(t.nt, &moves), WS_OK);
            assert_true(memcmp(w, t.net->w, sizeof w) != 0);
            assert_int_equal(ws_index_update(t.ix, &moves), WS_OK);
            if (k == 1) break;
        }
        ws_newton_undo(t.nt, &moves);
        assert_memory_equal(w, t.net->w, sizeof w);
        assert_memory_equal(b, t.net->b, sizeof b);
        assert_true(ws_optim_penalty(t.o).hi == penalty.hi &&
                    ws_optim_penalty(t.o).lo == penalty.lo);
        assert_true(moves.k > 0 && !moves.first);
        end(&t);
    }
}

/* Three blocks of 64 a side, so that every rank of a grid holds some. */
static void a_grid_of_ranks_and_one_rank_take_the_same_step(void **state)
{
    enum { MANY = 150, WIDE = 600 };
    static float y[MANY * D];
    static double r[MANY * MOST_C], one[MANY * MOST_C];
    ws_samples many = {.n = MANY, .d = D, .x = y};
    ws_key key = {6, WS_STREAM_TEST, 0};

    (void)state;
    for (int i = 0; i < MANY; i++) ws_random_normal(&key, (uint64_t)i, D, 0.2, y + i * D);
    for (int k = 0; k < MANY * MOST_C; k++) r[k] = sin(3.0 * k + 1);
    for (int c = 1; c <= MOST_C; c += MOST_C - 1) {
        for (int64_t serial = MANY; serial >= 0; serial -= MANY) {
            double error = 0, size = 0;
            ws_newton_step step;
            made t;
            make_on(&world, &many, WIDE, c, 0, 0, serial, 0, &t);
            assert_all(ws_newton_linearise(t.nt, &t.hits) == WS_OK);
            assert_all(ws_newton_solve(t.nt, r, 0, 0.01, &step) == WS_OK && step.ok);
            if (serial) memcpy(one, t.nt->z, (size_t)(MANY * c) * sizeof *one);
            for (int k = 0; k < MANY * c; k++) {
                error += (t.nt->z[k] - one[k]) * (t.nt->z[k] - one[k]);
                size += one[k] * one[k];
            }
            assert_true(size > 0 && sqrt(error / size) <= 1e-8);
            end(&t);
        }
    }
}

static void other_networks_are_refused(void **state)
{
    ws_newton_spec ns = {SAMPLES, 0, 1e-3, 100, 100, NULL, 0};
    ws_newton *nt;
    made t;

    (void)state;
    make(&world, 1, 0, 0, 100, &t);
    t.net->spec.train_output = 1;
    assert_all(ws_newton_create(&ns, t.o, &samples, &nt) == WS_ERR_USAGE && !nt);
    t.net->spec.train_output = 0;
    t.net->spec.phi = ws_activation_find("tanh");
    assert_all(ws_newton_create(&ns, t.o, &samples, &nt) == WS_ERR_USAGE && !nt);
    t.net->spec.phi = ws_activation_find("relu");
    /* No memory on one rank is known to all. */
    if (world.rank == world.size - 1) ws_alloc_fail_at(5);
    assert_all(ws_newton_create(&ns, t.o, &samples, &nt) == WS_ERR_NOMEM && !nt);
    ws_alloc_fail_at(0);
    end(&t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(a_product_is_that_of_the_dense_matrix, setup),
    cmocka_unit_test(a_triangle_multiplies_as_its_matrix),
    cmocka_unit_test(a_product_has_one_value),
    cmocka_unit_test(a_step_is_the_minimum_of_its_model),
    cmocka_unit_test(undo_gives_the_bits_back),
    cmocka_unit_test(float64_weights_take_the_step_to_their_last_bits),
    cmocka_unit_test(undo_gives_the_bits_of_float64_weights_back),
    cmocka_unit_test(a_grid_of_ranks_and_one_rank_take_the_same_step),
    cmocka_unit_test(other_networks_are_refused),
};

WS_TEST_MAIN(tests)
