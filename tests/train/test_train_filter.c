/* In a float64 network exactly those neurons fire that float64 says, whatever index proposes them on
 * float32 rows: at the threshold, where float32 would decide otherwise, and after many steps too
 * small for float32 to see. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"
#include "wingspan/model/net64.h"

enum { M = 120, D = 7, S = 25 };

static float x[S * D];
static int64_t ids[S];
static const ws_samples samples = {.n = S, .d = D, .x = x};
static const char *const kinds[] = {"scan",      "dtree",     "wtree",
                                    "halfspace", "certified", "quantized"};

typedef struct made {
    ws_net *net;
    ws_index *ix;
    ws_filter filter;
    ws_hits hits;
} made;

static int setup(void **state)
{
    ws_key key = {9, WS_STREAM_TEST, 0};

    (void)state;
    ws_random_normal(&key, 0, S * D, 0.4, x);
    for (int i = 0; i < S; i++) ids[i] = i;
    return 0;
}

static double norm2(const float *v)
{
    double sum = 0;

    for (int j = 0; j < D; j++) sum += (double)v[j] * (double)v[j];
    return sum;
}

static void make(const char *kind, made *t)
{
    ws_index_options o = {.slack = 0.3};
    ws_net_spec spec = {.m = M,
                        .d = D,
                        .c = 1,
                        .phi = ws_activation_find("relu"),
                        .threshold = 0.7,
                        .scale = 0.1,
                        .init_scale = 1,
                        .seed = 5,
                        .train_bias = 1,
                        .float64 = 1};

    for (int i = 0; i < S; i++) spec.x_scale = fmax(spec.x_scale, ws_samples_norm(&samples, i));
    *t = (made){0};
    assert_all(ws_net_create(&world, &spec, &t->net) == WS_OK);
    assert_all(ws_index_create(&world, kind, &o, &t->ix) == WS_OK);
}

static void build(made *t)
{
    ws_shard shard = ws_net_shard(t->net);

    assert_all(ws_index_build(t->ix, &shard, &samples, ws_fired_threshold(t->net)) == WS_OK);
}

static void end(made *t)
{
    ws_index_destroy(&t->ix);
    ws_net_destroy(&t->net);
    ws_filter_free(&t->filter);
    ws_hits_free(&t->hits);
}

/* By the definition, written out: returns how many pairs of all fire; *wrong of them, or of those
 * that do not, float32 rows would decide otherwise. */
static int64_t by_definition(const made *t, uint8_t *fires, int64_t *wrong)
{
    const ws_net *net = t->net;
    int64_t n = 0;

    *wrong = 0;
    for (int64_t r = 0; r < net->n; r++)
        for (int i = 0; i < S; i++) {
            double z = 0, rounded = 0;
            for (int j = 0; j < D; j++) {
                z += net->f64->w[r * D + j] * (double)x[i * D + j];
                rounded += (double)net->w[r * D + j] * (double)x[i * D + j];
            }
            z += net->f64->b[r];
            rounded += (double)net->b[r];
            fires[r * S + i] = z > net->spec.threshold;
            n += fires[r * S + i];
            *wrong += (z > net->spec.threshold) != (rounded > net->spec.threshold);
        }
    return n;
}

static void ask(made *t, ws_query_kind kind)
{
    ws_query q = {.kind = kind,
                  .n = S,
                  .ids = ids,
                  .x = kind == WS_QUERY_ANY ? &samples : NULL,
                  .threshold = t->net->spec.threshold};

    assert_int_equal(ws_fired(t->net, t->ix, &samples, &q, &t->filter, &t->hits), WS_OK);
}

/* Beside the hits lies what the float32 rows have, for the index. */
static void check_rounded(const made *t)
{
    const ws_net *net = t->net;

    for (int64_t i = 0; i < t->hits.rows; i++)
        for (int64_t p = t->hits.first[i]; p < t->hits.first[i + 1]; p++) {
            int64_t r = t->hits.row[i];
            double z = ws_dot(net->w + r * D, x + t->hits.pos[p] * D, D) + (double)net->b[r];
            assert_true(t->filter.z[p] == z);
        }
}

/* The answer is the definition's, and verification finds it right. */
static int64_t check(made *t, ws_query_kind kind)
{
    static uint8_t fires[M * S];
    int32_t pos[S];
    int64_t wrong, n = by_definition(t, fires, &wrong);
    ws_query q = {.n = S, .ids = ids, .threshold = t->net->spec.threshold};
    ws_difference d;

    ask(t, kind);
    assert_int_equal(t->hits.n, n);
    check_rounded(t);
    for (int64_t i = 0; i < t->hits.rows; i++) {
        assert_true(t->hits.first[i + 1] > t->hits.first[i]);
        for (int64_t p = t->hits.first[i]; p < t->hits.first[i + 1]; p++)
            assert_true(fires[t->hits.row[i] * S + t->hits.pos[p]]);
    }
    for (int i = 0; i < S; i++) pos[i] = i;
    assert_int_equal(ws_fired_verify(t->net, t->ix, &samples, &q, &t->hits, pos, S, &d), WS_OK);
    assert_true(d.pairs == n && d.missed + d.extra + d.changed == 0);
    return wrong;
}

/* Every neuron within 1e-9 of the threshold on some sample, by turns above and below. */
static void place(ws_net *net)
{
    for (int64_t r = 0; r < net->n; r++) {
        int64_t id = net->first + r, i = id % S;
        double *w = net->f64->w + r * D, z = 0, want;

        net->f64->b[r] = id % 3 ? 1e-3 * (double)(id % 7) + 1e-10 : 0;
        for (int j = 0; j < D; j++) z += w[j] * (double)x[i * D + j];
        want = net->spec.threshold - net->f64->b[r] + (id % 2 ? 1e-9 : -1e-9) - z;
        for (int j = 0; j < D; j++) w[j] += want * (double)x[i * D + j] / norm2(x + i * D);
    }
    ws_net64_round(net);
}

static void at_the_threshold_float64_decides(void **state)
{
    int64_t wrong = 0;

    (void)state;
    for (int k = 0; k < 6; k++) {
        made t;

        make(kinds[k], &t);
        place(t.net);
        build(&t);
        wrong = check(&t, WS_QUERY_SAMPLE);
        check(&t, WS_QUERY_ANY);
        end(&t);
    }
    /* float32 would get a third of them wrong. */
    MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_INT64_T, MPI_SUM, world.mpi);
    assert_true(wrong > M / 8);
}

/* Rows that float32 cannot follow: it would stand still. */
static void float32_rows_are_rounded_anew_before_they_are_too_far_off(void **state)
{
    ws_optim_spec spec = {.name = "gd"};

    (void)state;
    for (int k = 0; k < 6; k++) {
        double grad[S], off = 0;
        int64_t rounded, wrong = 0;
        ws_moves moves;
        ws_optim *o;
        made t;

        make(kinds[k], &t);
        build(&t);
        assert_all(ws_optim_create(&spec, t.net, &o) == WS_OK);
        for (int i = 0; i < S; i++) grad[i] = 1 + i % 3;
        for (int step = 0; step < 1200; step++) {
            ask(&t, WS_QUERY_SAMPLE);
            assert_int_equal(ws_optim_step(o, &t.hits, &samples, ids, grad, 1.5e-7, &moves), WS_OK);
            assert_true(moves.first != NULL);
            ws_filter_moves(t.net, &t.filter, &moves);
            assert_true(moves.z == t.filter.z);
            assert_int_equal(ws_index_update(t.ix, &moves), WS_OK);
            if (step % 100 == 99) wrong += check(&t, WS_QUERY_SAMPLE);
        }
        for (int64_t r = 0; r < t.net->n; r++) {
            double e = 0;
            for (int j = 0; j < D; j++)
                e += pow(t.net->f64->w[r * D + j] - (double)t.net->w[r * D + j], 2);
            off = fmax(off, sqrt(e));
        }
        assert_true(t.net->n == 0 || (off > 0 && off <= t.net->f64->loose * (1 + 1e-9)));
        rounded = t.net->f64->row_capacity;
        MPI_Allreduce(MPI_IN_PLACE, &rounded, 1, MPI_INT64_T, MPI_MAX, world.mpi);
        assert_true(rounded > 0);
        ws_optim_destroy(&o);
        end(&t);
    }
}

/* Rows and biases that outgrow every bound they started with. */
static void bounds_grow_with_the_weights(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        double grad[S], was;
        ws_optim_spec spec = {.name = "sgd", .momentum = 0.5};
        ws_moves moves;
        ws_optim *o;
        made t;

        make(kinds[k], &t);
        build(&t);
        was = t.net->f64->size;
        assert_all(ws_optim_create(&spec, t.net, &o) == WS_OK);
        for (int i = 0; i < S; i++) grad[i] = sin(i);
        for (int step = 0; step < 40; step++) {
            ask(&t, WS_QUERY_SAMPLE);
            assert_int_equal(ws_optim_step(o, &t.hits, &samples, ids, grad, 40, &moves), WS_OK);
            ws_filter_moves(t.net, &t.filter, &moves);
            assert_int_equal(ws_index_update(t.ix, &moves), WS_OK);
            check(&t, WS_QUERY_SAMPLE);
        }
        assert_true(t.net->n == 0 || t.net->f64->size > was);
        for (int64_t r = 0; r < t.net->n; r++)
            assert_true(fabs(t.net->f64->b[r]) <= t.net->f64->bias);
        ws_optim_destroy(&o);
        end(&t);
    }
}

/* An answer with a pair too few, one too many, or another z is found out. */
static void verification_sees_what_is_amiss(void **state)
{
    int32_t pos[S];
    ws_query q = {.n = S, .ids = ids, .threshold = 0.7};
    ws_difference d;
    made t;

    (void)state;
    make("scan", &t);
    build(&t);
    ask(&t, WS_QUERY_SAMPLE);
    for (int i = 0; i < S; i++) pos[i] = i;
    if (t.hits.n > 0) {
        t.hits.z[0] = nextafter(t.hits.z[0], 9);
        t.hits.n--;
        t.hits.first[t.hits.rows]--;
        assert_int_equal(ws_fired_verify(t.net, t.ix, &samples, &q, &t.hits, pos, S, &d), WS_OK);
        assert_true(d.missed == 1 && d.changed == 1 && d.extra == 0);
        t.net->spec.threshold = 100;
        assert_int_equal(ws_fired_verify(t.net, t.ix, &samples, &q, &t.hits, pos, S, &d), WS_OK);
        assert_true(d.pairs == 0 && d.extra == t.hits.n);
    }
    end(&t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(at_the_threshold_float64_decides, setup),
    cmocka_unit_test(float32_rows_are_rounded_anew_before_they_are_too_far_off),
    cmocka_unit_test(bounds_grow_with_the_weights),
    cmocka_unit_test(verification_sees_what_is_amiss),
};

WS_TEST_MAIN(tests)
