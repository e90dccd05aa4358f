/* Bytes and their bound: whatever the numbers, no pair above its cut is left out, on every path. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

#include "quant.h"

enum { SHAPES = 14, COUNT = 3 * SHAPES, LONG = WS_QUANT_DIM };

static const ws_key key = {5, WS_STREAM_TEST, 0};
static const char *const paths[] = {"portable", "avx2", "avx512"};

/* Vector k of length d: the ordinary, and everything that is not. */
static void awkward(uint64_t k, int64_t d, float *v)
{
    float tail = (float)(0.1 * (double)(k / SHAPES));

    ws_random_normal(&key, k, d, 1, v);
    for (int64_t j = 0; j < d; j++) {
        static const float wild[] = {0, 1, -1, 1e-42f, 1e-30f, 3e12f};
        uint64_t shape = k % SHAPES;

        if (shape < 6) v[j] = wild[shape] * (1 + tail);
        if (shape == 6) v[j] = j == d / 2 ? 1e6f : v[j] * 1e-3f; /* one huge coordinate */
        if (shape == 7) v[j] = j % 2 ? 1 : -1;
        if (shape == 8) v[j] = (float)(int64_t)(j % 255 - 127) + 0.5f; /* between the bytes */
        if (shape == 9) v[j] = j == d - 1 ? 1 : 0;
        if (shape == 10) v[j] = fabsf(v[j]);
        if (shape == 11) v[j] *= 1e-40f;
    }
    if (k == 12) v[0] = NAN;
    if (k == 12 + SHAPES) v[d - 1] = INFINITY;
    if (k == 12 + 2 * SHAPES) v[d / 2] = 1e20f;
}

static int has(const int32_t *col, int64_t n, int64_t i)
{
    for (int64_t k = 0; k < n; k++)
        if (col[k] == i) return 1;
    return 0;
}

/* Ask with each pair's own product just above the cut; returns how many columns were kept. */
static int64_t none_is_missing(const float *w, const float *x, int64_t d, int choose)
{
    int64_t stride, kept, count[WS_QUANT_ROWS], room = COUNT + WS_QUANT_LANES;
    int8_t *q = calloc((size_t)(COUNT * ws_quant_stride(d)), 1);
    int32_t *col = calloc((size_t)(WS_QUANT_ROWS * room), sizeof *col);
    ws_quant_row row[COUNT];
    ws_quant_samples s = {0};
    ws_samples samples = {.n = COUNT, .d = d, .x = x};

    if (choose) assert_int_equal(ws_quant_choose_columns(&s, &samples, NULL, COUNT), WS_OK);
    assert_int_equal(ws_quant_samples_make(&s, &samples, NULL, COUNT), WS_OK);
    stride = s.stride;
    kept = s.kept;
    for (int64_t r = 0; r < COUNT; r++)
        if (choose)
            ws_quant_row_kept(&s, w + r * d, q + r * stride, &row[r]);
        else
            ws_quant_row_make(w + r * d, d, q + r * stride, &row[r]);
    for (int64_t r = 0; r < COUNT; r += WS_QUANT_ROWS)
        for (int64_t i = 0; i < COUNT; i++) {
            ws_quant_group g = {.n = WS_QUANT_ROWS};

            for (int64_t k = 0; k < WS_QUANT_ROWS; k++) {
                double z = ws_dot(w + (r + k) * d, x + i * d, d);

                g.q[k] = q + (r + k) * stride;
                g.row[k] = &row[r + k];
                g.cut[k] = ws_quant_cut(nextafter(z, -INFINITY));
            }
            ws_quant_propose(&s, &g, 0, COUNT, col, room, count);
            for (int64_t k = 0; k < WS_QUANT_ROWS; k++)
                assert_true(has(col + k * room, count[k], i));
        }
    ws_quant_samples_free(&s);
    free(q);
    free(col);
    return kept;
}

static void no_pair_is_missing_whatever_the_numbers(void **state)
{
    static const int64_t length[] = {1, 2, 3, 4, 5, 31, 63, 64, 65, 100, 784};

    (void)state;
    for (size_t k = 0; k < sizeof length / sizeof *length; k++) {
        int64_t d = length[k];
        float *w = calloc((size_t)(COUNT * d), sizeof *w), *x = calloc((size_t)(COUNT * d), 4);

        for (int64_t r = 0; r < COUNT; r++) awkward((uint64_t)r, d, w + r * d);
        for (int64_t i = 0; i < COUNT; i++) awkward((uint64_t)i, d, x + i * d);
        for (int p = 0; p < 3; p++)
            if (ws_simd_select(paths[p])) assert_int_equal(none_is_missing(w, x, d, 0), d);
        free(w);
        free(x);
    }
}

/* A third of the columns is next to zero, though not for every sample, and rows are what they are:
 * a NaN, too, may lie in a column that is left out. */
static void columns_left_out_count_as_lost(void **state)
{
    enum { D = 90 };
    static float w[COUNT * D], x[COUNT * D];

    (void)state;
    for (uint64_t r = 0; r < COUNT; r++) awkward(r, D, w + r * D);
    for (uint64_t i = 0; i < COUNT; i++) ws_random_normal(&key, 500 + i, D, 1, x + i * D);
    for (int64_t k = 0; k < COUNT * D; k++)
        if (k % 3 == 0) x[k] *= k / D == 7 ? 3e-2f : 1e-4f;
    for (int64_t j = 0; j < D; j += 3) w[13 * D + j] = 100 * x[7 * D + j];
    w[12 * D] = w[(12 + SHAPES) * D + D - 1] = 1;
    w[12 * D + 3] = NAN;
    w[(12 + SHAPES) * D + 6] = INFINITY;
    for (int p = 0; p < 3; p++)
        if (ws_simd_select(paths[p])) assert_int_equal(none_is_missing(w, x, D, 1), D - D / 3);
}

/* The bound is no vacuous one: Gaussian pairs three per cent of the norms below the cut are out,
 * and lanes beyond the last sample are never in. */
static void ordinary_pairs_below_the_cut_are_excluded(void **state)
{
    enum { D = 784, N = 70 };
    static float w[D], x[N * D];
    static int8_t q[D];
    int32_t col[N + 2 * WS_QUANT_LANES];
    int64_t count[WS_QUANT_ROWS];
    ws_samples samples = {.n = N, .d = D, .x = x};
    ws_quant_row row;

    (void)state;
    ws_random_normal(&key, 1000, D, 1, w);
    for (uint64_t i = 0; i < N; i++) ws_random_normal(&key, 2000 + i, D, 1, x + i * D);
    ws_quant_row_make(w, D, q, &row);
    for (int p = 0; p < 3; p++) {
        ws_quant_group g = {.n = 1, .q = {q}, .row = {&row}};
        ws_quant_samples s = {0};

        if (!ws_simd_select(paths[p])) continue;
        assert_int_equal(ws_quant_samples_make(&s, &samples, NULL, N), WS_OK);
        for (int64_t i = 0; i < N; i++) {
            double slack = 0.03 * sqrt(ws_norm2(w, D) * ws_norm2(x + i * D, D));

            g.cut[0] = ws_quant_cut(ws_dot(w, x + i * D, D) + slack);
            ws_quant_propose(&s, &g, 0, N, col, N + 2 * WS_QUANT_LANES, count);
            assert_false(has(col, count[0], i));
        }
        g.cut[0] = -INFINITY;
        ws_quant_propose(&s, &g, WS_QUANT_LANES, N - WS_QUANT_LANES, col, N, count);
        assert_int_equal(count[0], N - WS_QUANT_LANES);
        for (int i = 0; i < count[0]; i++) assert_int_equal(col[i], WS_QUANT_LANES + i);
        ws_quant_samples_free(&s);
    }
}

/* Every byte at its largest: the sum of the longest vector just fits. */
static void the_longest_vectors_do_not_overflow(void **state)
{
    float *v = calloc(LONG, sizeof *v), *minus = calloc(LONG, sizeof *minus);
    int8_t *q = calloc(2 * LONG, 1);
    int32_t col[2 * WS_QUANT_LANES];
    int64_t count[WS_QUANT_ROWS];
    ws_samples samples = {.n = 1, .d = LONG, .x = v};
    ws_quant_row row[2];

    (void)state;
    for (int j = 0; j < LONG; j++) minus[j] = -(v[j] = 1);
    ws_quant_row_make(v, LONG, q, &row[0]);
    ws_quant_row_make(minus, LONG, q + LONG, &row[1]);
    for (int p = 0; p < 3; p++) {
        ws_quant_group g = {2, {q, q + LONG}, {&row[0], &row[1]}, {LONG * 0.99f, LONG * -0.99f}};
        ws_quant_samples s = {0};

        if (!ws_simd_select(paths[p])) continue;
        for (int sign = 0; sign < 2; sign++) {
            samples.x = sign ? minus : v;
            assert_int_equal(ws_quant_samples_make(&s, &samples, NULL, 1), WS_OK);
            ws_quant_propose(&s, &g, 0, 1, col, WS_QUANT_LANES, count);
            assert_int_equal(count[0], !sign);
            assert_int_equal(count[1], sign);
        }
        ws_quant_samples_free(&s);
    }
    free(v);
    free(minus);
    free(q);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_pair_is_missing_whatever_the_numbers),
    cmocka_unit_test(columns_left_out_count_as_lost),
    cmocka_unit_test(ordinary_pairs_below_the_cut_are_excluded),
    cmocka_unit_test(the_longest_vectors_do_not_overflow),
};

WS_TEST_MAIN(tests)
