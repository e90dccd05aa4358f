/* Neurons that are held as displacements are the neurons of the explicit network. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"
#include "wingspan/model/implicit.h"

enum { N = 11, D = 21, M = 9001, MORE = 5 };

static float x[(N + MORE) * D];
static ws_samples samples = {.n = N + MORE, .d = D, .x = x};
static ws_samples train = {.n = N, .d = D, .x = x};

static int setup(void **state)
{
    ws_key key = {1, WS_STREAM_TEST, 0};

    (void)state;
    for (int i = 0; i < N + MORE; i++) {
        ws_random_normal(&key, (uint64_t)i, D, 1, x + i * D);
        for (int j = 0; j < D; j++) x[i * D + j] /= 4;
    }
    return 0;
}

static ws_net_spec spec_of(ws_init init, int32_t c)
{
    return (ws_net_spec){.m = M,
                         .d = D,
                         .c = c,
                         .phi = ws_activation_find("relu"),
                         .threshold = 2.2,
                         .scale = 0.05,
                         .init_scale = 1.3,
                         .x_scale = 2,
                         .init = init,
                         .seed = 5};
}

/* An implicit network and an explicit one of the same spec. */
typedef struct both {
    ws_net *bare, *net;
    ws_implicit *im;
    ws_implicit_sums sums;
    int64_t hi[N * 3], lo[N * 3], pairs[N * 3 * (N * 3 + 1) / 2];
} both;

static void clear(both *b)
{
    memset(b->hi, 0, sizeof b->hi);
    memset(b->lo, 0, sizeof b->lo);
    memset(b->pairs, 0, sizeof b->pairs);
    b->sums = (ws_implicit_sums){.hi = b->hi, .lo = b->lo, .pairs = b->pairs};
}

static void create(both *b, ws_init init, int32_t c)
{
    ws_net_spec spec = spec_of(init, c);

    assert_int_equal(ws_net_create(&world, &spec, &b->net), WS_OK);
    spec.implicit = 1;
    assert_int_equal(ws_net_create(&world, &spec, &b->bare), WS_OK);
    assert_int_equal(ws_implicit_create(b->bare, &train, N, &b->im), WS_OK);
    clear(b);
}

static void destroy(both *b)
{
    ws_implicit_destroy(&b->im);
    ws_net_destroy(&b->bare);
    ws_net_destroy(&b->net);
}

/* List in three uneven pieces. */
static void list(both *b)
{
    int64_t n = b->bare->n, cut[4] = {0, n / 7, n / 7, n};

    for (int k = 0; k < 3; k++)
        assert_int_equal(ws_implicit_list(b->im, cut[k], cut[k + 1], &b->sums), WS_OK);
}

/* What the rows of b->net fire on: ids of those that fire, outputs and pairs by definition. */
static int64_t by_rows(const both *b, int64_t *id, double *out, int64_t *pairs)
{
    const ws_net *net = b->net;
    int32_t c = net->spec.c;
    int64_t k = 0;

    memset(out, 0, N * 3 * sizeof *out);
    memset(pairs, 0, sizeof b->pairs);
    for (int64_t r = 0; r < net->n; r++) {
        const float *a = net->a + r * c;
        int fires[N], any = 0;

        for (int i = 0; i < N; i++) {
            double v = ws_dot(net->w + r * D, x + i * D, D) - net->spec.threshold;

            fires[i] = v > 0 && a[0] != 0;
            any |= fires[i];
            for (int q = 0; q < c && fires[i]; q++) out[i * c + q] += (double)a[q] * v;
        }
        if (any) id[k++] = net->first + r;
        for (int e = 0; e < N * c; e++)
            for (int f = 0; f <= e; f++)
                if (fires[e / c] && fires[f / c])
                    pairs[e * (e + 1) / 2 + f] += (int64_t)(a[e % c] * a[f % c]);
    }
    return k;
}

static void compare(const both *b, double tolerance)
{
    static int64_t id[M], held[M], pairs[N * 3 * (N * 3 + 1) / 2];
    double out[N * 3];
    int64_t k = by_rows(b, id, out, pairs);

    assert_int_equal(ws_implicit_held(b->im), k);
    ws_implicit_ids(b->im, 0, k, held);
    assert_memory_equal(held, id, (size_t)k * sizeof *id);
    assert_memory_equal(b->pairs, pairs, sizeof pairs);
    for (int e = 0; e < N * b->net->spec.c; e++) {
        double v = ws_exact_value(b->hi[e], b->lo[e], b->bare->exponent);
        assert_true(fabs(v - out[e]) <= tolerance);
    }
}

static void those_that_fire_at_the_start_are_held(void **state)
{
    both b = {0};

    (void)state;
    for (int init = 0; init < WS_INITS; init++) {
        create(&b, (ws_init)init, 1 + init % 2 * 2);
        list(&b);
        compare(&b, 1e-12);
        destroy(&b);
    }
}

static void so_they_are_on_every_vector_unit(void **state)
{
    const char *was = ws_simd_name();
    static const char *const units[] = {"portable", "avx2", "avx512"};

    (void)state;
    for (int k = 0; k < 3; k++)
        if (ws_simd_select(units[k])) those_that_fire_at_the_start_are_held(state);
    assert_true(ws_simd_select(was));
}

static void a_coupled_start_says_nothing(void **state)
{
    static const ws_init inits[] = {WS_INIT_COUPLED, WS_INIT_STRUCTURED_COUPLED};
    both b = {0};

    (void)state;
    for (int k = 0; k < 2; k++) {
        create(&b, inits[k], 3);
        list(&b);
        for (int e = 0; e < N * 3; e++) assert_true(b.hi[e] == 0 && b.lo[e] == 0);
        assert_true(b.bare->n < 100 || b.sums.active > 0);
        destroy(&b);
    }
}

/* The rule on explicit rows: w_r += s_m sum_c a_rc step[j c + c] x_j for every j that fires r. */
static void step_rows(ws_net *net, const double *step)
{
    int32_t c = net->spec.c;

    for (int64_t r = 0; r < net->n; r++) {
        double moved[D];

        for (int j = 0; j < D; j++) moved[j] = (double)net->w[r * D + j];
        for (int i = 0; i < N; i++) {
            double by = 0;

            if (ws_dot(net->w + r * D, x + i * D, D) <= net->spec.threshold) continue;
            for (int q = 0; q < c; q++) by += (double)net->a[r * c + q] * step[i * c + q];
            for (int j = 0; j < D; j++) moved[j] += net->spec.scale * by * (double)x[i * D + j];
        }
        for (int j = 0; j < D; j++) net->w[r * D + j] = (float)moved[j];
    }
}

/* Steps long enough that samples come and go: a displacement stays when its sample fires no more. */
static void steps_are_the_steps_of_the_rows(void **state)
{
    static int64_t id[M], pairs[N * 3 * (N * 3 + 1) / 2];
    double step[N * 3], out[N * 3];
    ws_key key = {2, WS_STREAM_TEST, 0};
    int64_t flips = 0;
    both b = {0};

    (void)state;
    create(&b, WS_INIT_GAUSSIAN, 3);
    list(&b);
    for (uint64_t k = 0; k < 4; k++) {
        for (int e = 0; e < N * 3; e++) step[e] = 8 * ws_random_uniform(&key, k, (uint32_t)e) - 4;
        clear(&b);
        assert_int_equal(ws_implicit_pass(b.im, step, &b.sums), WS_OK);
        ws_implicit_keep(b.im);
        step_rows(b.net, step);
        by_rows(&b, id, out, pairs);
        assert_memory_equal(b.pairs, pairs, sizeof pairs);
        for (int e = 0; e < N * 3; e++)
            assert_true(fabs(ws_exact_value(b.hi[e], b.lo[e], b.bare->exponent) - out[e]) < 1e-3);
        flips += b.sums.flips;
    }
    assert_true(b.bare->n < 100 || flips > 10);
    destroy(&b);
}

/* A pass without a step, and one whose step was not kept, change nothing. */
static void what_is_not_kept_is_forgotten(void **state)
{
    double step[N];
    int64_t hi[N], lo[N];
    both b = {0};

    (void)state;
    for (int e = 0; e < N; e++) step[e] = 0.3 * (e - 4);
    create(&b, WS_INIT_COUPLED, 1);
    list(&b);
    assert_int_equal(ws_implicit_pass(b.im, step, &b.sums), WS_OK);
    ws_implicit_keep(b.im);
    clear(&b);
    assert_int_equal(ws_implicit_pass(b.im, NULL, &b.sums), WS_OK);
    memcpy(hi, b.hi, sizeof hi);
    memcpy(lo, b.lo, sizeof lo);
    clear(&b);
    assert_int_equal(ws_implicit_pass(b.im, step, &b.sums), WS_OK);
    assert_true(ws_implicit_held(b.im) == 0 || memcmp(hi, b.hi, sizeof hi) != 0);
    clear(&b);
    assert_int_equal(ws_implicit_pass(b.im, NULL, &b.sums), WS_OK);
    assert_memory_equal(hi, b.hi, sizeof hi);
    assert_memory_equal(lo, b.lo, sizeof lo);
    destroy(&b);
}

/* Training samples looked at as any others give the same bits, and others what the rows give. */
static void any_sample_may_be_asked_for(void **state)
{
    double step[N];
    int64_t hi[N + MORE] = {0}, lo[N + MORE] = {0};
    ws_probe *probe;
    both b = {0};

    (void)state;
    for (int e = 0; e < N; e++) step[e] = 0.3 * (e - 4);
    create(&b, WS_INIT_GAUSSIAN, 1);
    list(&b);
    clear(&b);
    assert_int_equal(ws_implicit_pass(b.im, step, &b.sums), WS_OK);
    ws_implicit_keep(b.im);
    assert_int_equal(ws_probe_create(&b.bare->spec, &samples, N + MORE, &probe), WS_OK);
    assert_int_equal(ws_implicit_any(b.im, probe, hi, lo), WS_OK);
    assert_memory_equal(hi, b.hi, N * sizeof *hi);
    assert_memory_equal(lo, b.lo, N * sizeof *lo);
    assert_int_equal(ws_implicit_write(b.im, b.net), WS_OK);
    for (int i = N; i < N + MORE; i++) {
        double want = 0;

        for (int64_t r = 0; r < b.net->n; r++) {
            double v = ws_dot(b.net->w + r * D, x + i * D, D) - b.net->spec.threshold;
            if (v > 0) want += (double)b.net->a[r] * v;
        }
        assert_true(fabs(ws_exact_value(hi[i], lo[i], b.bare->exponent) - want) < 1e-3);
    }
    ws_probe_destroy(&probe);
    destroy(&b);
}

/* What is read back is what was held, and nothing that cannot be is taken. */
static void a_state_comes_back_whole_or_not_at_all(void **state)
{
    static int64_t id[M];
    double step[N], bad[N] = {NAN};
    uint16_t one[] = {1}, two[] = {2}, sample[] = {N, 1};
    ws_implicit_view v;
    both b = {0}, c = {0};

    (void)state;
    for (int e = 0; e < N; e++) step[e] = 0.3 * (e - 4);
    create(&b, WS_INIT_GAUSSIAN, 1);
    create(&c, WS_INIT_GAUSSIAN, 1);
    list(&b);
    clear(&b);
    assert_int_equal(ws_implicit_pass(b.im, step, &b.sums), WS_OK);
    ws_implicit_keep(b.im);
    v = ws_implicit_state(b.im);
    ws_implicit_ids(b.im, 0, ws_implicit_held(b.im), id);
    assert_int_equal(ws_implicit_add(c.im, ws_implicit_held(b.im), id, v.count, v.sample, v.alpha),
                     WS_OK);
    assert_int_equal(ws_implicit_pairs(c.im), ws_implicit_pairs(b.im));
    assert_int_equal(ws_implicit_pass(c.im, NULL, &c.sums), WS_OK);
    assert_memory_equal(c.hi, b.hi, sizeof b.hi);
    assert_memory_equal(c.lo, b.lo, sizeof b.lo);
    destroy(&c);
    if (b.bare->n > 1) {
        create(&c, WS_INIT_GAUSSIAN, 1);
        id[0] = b.bare->first;
        assert_int_equal(ws_implicit_add(c.im, 1, id, one, sample + 1, bad), WS_ERR_DATA);
        assert_int_equal(ws_implicit_add(c.im, 1, id, one, sample, step), WS_ERR_DATA);
        assert_int_equal(ws_implicit_add(c.im, 1, id, two, (uint16_t[]){1, 1}, step), WS_ERR_DATA);
        assert_int_equal(ws_implicit_add(c.im, 1, id, one, sample + 1, step), WS_OK);
        assert_int_equal(ws_implicit_add(c.im, 1, id, one, sample + 1, step), WS_ERR_DATA);
        id[0] = b.bare->first + b.bare->n;
        assert_int_equal(ws_implicit_add(c.im, 1, id, one, sample + 1, step), WS_ERR_DATA);
        destroy(&c);
    }
    destroy(&b);
}

/* The state of b in an empty c, which then knows nothing but that. */
static void hand_over(const both *b, both *c)
{
    static int64_t id[M];
    ws_implicit_view v = ws_implicit_state(b->im);

    ws_implicit_ids(b->im, 0, ws_implicit_held(b->im), id);
    assert_int_equal(
        ws_implicit_add(c->im, ws_implicit_held(b->im), id, v.count, v.sample, v.alpha), WS_OK);
}

static void assert_same_state(const both *b, const both *c)
{
    ws_implicit_view v = ws_implicit_state(b->im), w = ws_implicit_state(c->im);
    size_t held = (size_t)ws_implicit_held(b->im), pairs = (size_t)ws_implicit_pairs(b->im);

    assert_int_equal(ws_implicit_pairs(c->im), pairs);
    assert_memory_equal(v.count, w.count, held * sizeof *v.count);
    assert_memory_equal(v.sample, w.sample, pairs * sizeof *v.sample);
    assert_memory_equal(v.alpha, w.alpha, pairs * sizeof *v.alpha);
}

/* Steps from tiny to so large that many neurons come to fire on further samples; each is taken by
 * one that has come all the way and by one that makes every row. */
static void what_is_known_has_the_bits_of_rows(void **state)
{
    double step[N * 3];
    ws_key key = {4, WS_STREAM_TEST, 0};
    int64_t made = 0, all = 0, flips = 0;
    both b = {0};

    (void)state;
    create(&b, WS_INIT_STRUCTURED, 3);
    list(&b);
    for (uint64_t k = 0; k < 8; k++) {
        both c = {0};

        for (int e = 0; e < N * 3; e++)
            step[e] = (ws_random_uniform(&key, k, (uint32_t)e) - 0.5) * pow(4, (double)(k % 5) - 2);
        create(&c, WS_INIT_STRUCTURED, 3);
        hand_over(&b, &c);
        clear(&b);
        assert_int_equal(ws_implicit_pass(b.im, step, &b.sums), WS_OK);
        assert_int_equal(ws_implicit_pass(c.im, step, &c.sums), WS_OK);
        assert_memory_equal(b.hi, c.hi, sizeof b.hi);
        assert_memory_equal(b.lo, c.lo, sizeof b.lo);
        assert_memory_equal(b.pairs, c.pairs, sizeof b.pairs);
        assert_int_equal(b.sums.active, c.sums.active);
        assert_int_equal(b.sums.flips, c.sums.flips);
        assert_int_equal(c.sums.products, N * ws_implicit_held(b.im));
        if (k % 3 != 1) { /* else the step is not kept */
            ws_implicit_keep(b.im);
            ws_implicit_keep(c.im);
        }
        assert_same_state(&b, &c);
        made += b.sums.products;
        all += c.sums.products;
        flips += b.sums.flips;
        destroy(&c);
    }
    assert_true(b.bare->n < 100 || (made > 0 && made < all / 2 && flips > 100));
    destroy(&b);
}

/* The k-th request for memory fails, from the creation to a step. */
static ws_err with_less_memory(both *b, int64_t k)
{
    double step[N] = {0.5};
    ws_err err;

    clear(b);
    ws_alloc_fail_at(k);
    err = ws_implicit_create(b->bare, &train, N, &b->im);
    if (!err) err = ws_implicit_list(b->im, 0, b->bare->n, &b->sums);
    if (!err) err = ws_implicit_pass(b->im, step, &b->sums);
    ws_alloc_fail_at(0);
    ws_implicit_destroy(&b->im);
    return err;
}

static void no_memory_is_said_and_none_is_lost(void **state)
{
    int64_t k = 0, before;
    both b = {0};
    ws_err err;

    (void)state;
    create(&b, WS_INIT_STRUCTURED, 1);
    ws_implicit_destroy(&b.im);
    before = ws_alloc_bytes();
    do {
        err = with_less_memory(&b, ++k);
        assert_true(err == WS_OK || err == WS_ERR_NOMEM);
        assert_int_equal(ws_alloc_bytes(), before);
    } while (err && k < 1000);
    assert_true(k > 30 && k < 1000);
    destroy(&b);
}

static void products_have_the_bits_of_dot(void **state)
{
    const char *was = ws_simd_name();
    static const char *const units[] = {"portable", "avx2", "avx512"};
    static float w[7 * 40];
    ws_key key = {3, WS_STREAM_TEST, 0};

    (void)state;
    for (int d = 1; d <= 37; d += 3)
        for (int k = 0; k < 3; k++) {
            ws_net_spec spec = spec_of(WS_INIT_GAUSSIAN, 1);
            ws_samples s = {.n = 9, .d = d, .x = x};
            double z[7 * 16];
            ws_probe *p;

            if (!ws_simd_select(units[k])) continue;
            spec.d = d;
            ws_random_normal(&key, (uint64_t)d, 7 * d, 1, w);
            assert_int_equal(ws_probe_create(&spec, &s, 9, &p), WS_OK);
            ws_probe_products(p, w, 7, z);
            for (int r = 0; r < 7; r++)
                for (int i = 0; i < 9; i++) {
                    double want = ws_dot(w + r * d, x + i * d, d);
                    assert_memory_equal(&z[r * 16 + i], &want, sizeof want);
                }
            ws_probe_destroy(&p);
        }
    assert_true(ws_simd_select(was));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(those_that_fire_at_the_start_are_held, setup),
    cmocka_unit_test(so_they_are_on_every_vector_unit),
    cmocka_unit_test(a_coupled_start_says_nothing),
    cmocka_unit_test(steps_are_the_steps_of_the_rows),
    cmocka_unit_test(what_is_not_kept_is_forgotten),
    cmocka_unit_test(any_sample_may_be_asked_for),
    cmocka_unit_test(a_state_comes_back_whole_or_not_at_all),
    cmocka_unit_test(what_is_known_has_the_bits_of_rows),
    cmocka_unit_test(no_memory_is_said_and_none_is_lost),
    cmocka_unit_test(products_have_the_bits_of_dot),
};

WS_TEST_MAIN(tests)
