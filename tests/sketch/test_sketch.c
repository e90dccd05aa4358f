/* Every kind of sketch: unbiased, the same on any number of ranks, and good as a preconditioner. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"
#include "wingspan/linalg/lapack.h"
#include "wingspan/sketch/sketch.h"

enum { N = 48, D = 64, M = 3000, PAIRS = M * N };

static float x[N * D];
static const ws_samples samples = {.n = N, .d = D, .x = x};
static ws_comm self;

/* Who fires on what: all of it, and this rank's part. */
static int64_t id[M], first[M + 1];
static int32_t pos[PAIRS];

static int setup(void **state)
{
    ws_key key = {4, WS_STREAM_TEST, 0};
    int64_t n = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        float *row = x + i * D;
        ws_random_normal(&key, (uint64_t)i, D, 1, row);
        row[0] += 4; /* samples that resemble each other */
        double norm = sqrt(ws_norm2(row, D));
        for (int j = 0; j < D; j++) row[j] = (float)((double)row[j] / norm);
    }
    for (int r = 0; r < M; r++) {
        float w[D];
        ws_random_normal(&key, (uint64_t)(1000 + r), D, 1, w);
        id[r] = r;
        first[r] = n;
        for (int i = 0; i < N; i++)
            if (ws_dot(w, x + i * D, D) > 0.5) pos[n++] = i;
    }
    first[M] = n;
    ws_comm_create(MPI_COMM_SELF, &self);
    return 0;
}

static ws_fired part(const ws_comm *c)
{
    ws_layout l = {M, c->size};
    int64_t from = ws_layout_first(&l, c->rank);

    return (ws_fired){ws_layout_count(&l, c->rank), id + from, first + from, pos};
}

/* <p_i, p_j> <x_i, x_j>. */
static void gram_of_all(double *g)
{
    memset(g, 0, N * N * sizeof *g);
    for (int r = 0; r < M; r++)
        for (int64_t p = first[r]; p < first[r + 1]; p++)
            for (int64_t q = first[r]; q < first[r + 1]; q++) g[pos[p] * N + pos[q]]++;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) g[i * N + j] *= ws_dot(x + i * D, x + j * D, D);
}

static void sketched(const ws_comm *c, const char *kind, int64_t s, uint64_t seed, double *g)
{
    ws_fired f = part(c);
    ws_sketch *k;

    assert_int_equal(ws_sketch_create(c, kind, &samples, M, s, seed, &k), WS_OK);
    assert_int_equal(ws_sketch_apply(k, &f), WS_OK);
    ws_sketch_gram(k, 0, N, 0, N, g);
    ws_sketch_destroy(&k);
}

static void every_kind_is_unbiased(void **state)
{
    static double g[N * N], one[N * N], mean[N * N];

    (void)state;
    gram_of_all(g);
    for (int k = 0; ws_sketch_kinds()[k]; k++) {
        enum { DRAWS = 100, S = 64 };
        double error = 0, size = 0, single = 0;
        memset(mean, 0, sizeof mean);
        for (int t = 0; t < DRAWS; t++) {
            sketched(&self, ws_sketch_kinds()[k], S, (uint64_t)t + 1, one);
            for (int e = 0; e < N * N; e++) mean[e] += one[e] / DRAWS;
        }
        for (int e = 0; e < N * N; e++) {
            error += (mean[e] - g[e]) * (mean[e] - g[e]);
            single += (one[e] - g[e]) * (one[e] - g[e]);
            size += g[e] * g[e];
        }
        /* The error of the mean of 100 is a tenth of that of one: a bias would stay. */
        assert_true(sqrt(single / size) > 0.02);
        assert_true(sqrt(error) < 0.2 * sqrt(single));
    }
}

static void ranks_do_not_matter(void **state)
{
    (void)state;
    for (int k = 0; ws_sketch_kinds()[k]; k++) {
        ws_fired all = part(&self), here = part(&world);
        const char *kind = ws_sketch_kinds()[k];
        const int32_t *a, *b;
        ws_sketch *one, *many;
        double scale;

        assert_all(ws_sketch_create(&self, kind, &samples, M, 200, 5, &one) == WS_OK);
        assert_all(ws_sketch_create(&world, kind, &samples, M, 200, 5, &many) == WS_OK);
        assert_all(ws_sketch_apply(one, &all) == WS_OK && ws_sketch_apply(many, &here) == WS_OK);
        a = ws_sketch_integers(one, &scale);
        b = ws_sketch_integers(many, &scale);
        assert_memory_equal(a, b, N * 200 * sizeof *a);
        assert_true(scale > 0 && scale <= 1);
        ws_sketch_destroy(&one);
        ws_sketch_destroy(&many);
    }
}

/* Largest by least eigenvalue of R^-T G R^-1, R the triangle of the sketched Gram matrix. */
static double condition(const char *kind, int64_t s, uint64_t seed)
{
    static double g[N * N], l[N * N], t[N * N], value[N];

    gram_of_all(g);
    sketched(&self, kind, s, seed, l);
    if (!ws_cholesky(N, l)) return INFINITY;
    /* The upper triangle R = L^T, to solve R^T T = G, then R^T (R^-T G)^T. */
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N; j++) l[j * N + i] = l[i * N + j];
    for (int turn = 0; turn < 2; turn++) {
        ws_triangle_solve(N, l, 1, N, g);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) t[i * N + j] = g[j * N + i];
        memcpy(g, t, sizeof g);
    }
    assert_int_equal(ws_eigenvalues(N, g, value), WS_OK);
    return value[0] > 0 ? value[N - 1] / value[0] : INFINITY;
}

static void every_kind_preconditions(void **state)
{
    (void)state;
    for (int k = 0; ws_sketch_kinds()[k]; k++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            double many = condition(ws_sketch_kinds()[k], 8 * N, seed);
            double few = condition(ws_sketch_kinds()[k], 4 * N, seed);
            print_message("%s: %.2f at 8 n, %.2f at 4 n\n", ws_sketch_kinds()[k], many, few);
            assert_true(many <= 6);
            assert_true(few <= 15);
        }
}

static void an_unknown_kind_is_refused(void **state)
{
    ws_sketch *k;

    (void)state;
    assert_all(ws_sketch_create(&world, "gauss", &samples, M, 64, 1, &k) == WS_ERR_USAGE && !k);
    assert_all(ws_sketch_create(&world, "srht", &samples, M, 7, 1, &k) == WS_ERR_USAGE && !k);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(every_kind_is_unbiased, setup),
    cmocka_unit_test(ranks_do_not_matter),
    cmocka_unit_test(every_kind_preconditions),
    cmocka_unit_test(an_unknown_kind_is_refused),
};

WS_TEST_MAIN(tests)
