/* One value of <w, x> for a float64 row, whatever the vector unit, the alignment, the form of the
 * sample; nothing fused. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/dot64.h"
#include "wingspan/core/random.h"

enum { D = 83, N = 5 };

static const char *const paths[] = {"portable", "avx2", "avx512"};
static double w[D + 8];
static float x[N * D];
static int32_t col[N * D];
static float val[N * D];
static int64_t ptr[N + 1];

/* Doubles with all their bits, and samples with zeros of both signs. */
static int setup(void **state)
{
    ws_key key = {5, WS_STREAM_TEST, 0};
    int64_t n = 0;

    (void)state;
    for (int j = 0; j < D + 8; j++) w[j] = ws_random_uniform(&key, (uint64_t)j, 0) - 0.5;
    ws_random_normal(&key, 1000, N * D, 1, x);
    for (int i = 0; i < N * D; i++) {
        if (i % 3 == 0) x[i] = i % 2 ? -0.0f : 0.0f;
        if (i % D == 0) ptr[i / D] = n;
        col[n] = i % D;
        val[n] = x[i];
        n += x[i] != 0;
    }
    ptr[N] = n;
    return 0;
}

/* The definition: 16 lanes in ascending order, then the tree. */
static double define(const double *a, const float *b, int64_t d)
{
    volatile double lane[16] = {0};

    for (int64_t j = 0; j < d; j++) {
        volatile double product = a[j] * (double)b[j];
        lane[j % 16] += product;
    }
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

static int same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void every_path_length_and_alignment_gives_the_defined_bits(void **state)
{
    const char *was = ws_simd_name();

    (void)state;
    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(paths[k])) continue;
        for (int64_t d = 1; d <= D; d++)
            for (int shift = 0; shift < 3; shift++) {
                ws_samples s = {.n = 1, .d = d, .x = x + 2 * shift};
                double z;
                ws_dot64_many(w + shift, &s, NULL, 1, &z);
                assert_true(same(z, define(w + shift, x + 2 * shift, d)));
            }
    }
    assert_true(ws_simd_select(was));
}

/* As many as share a row, and those left over. */
static void many_at_once_give_the_bits_of_one(void **state)
{
    const char *was = ws_simd_name();
    int64_t ids[] = {3, 0, 4, 4, 2, 1, 3};

    (void)state;
    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(paths[k])) continue;
        for (int64_t d = 1; d <= D; d++)
            for (int64_t n = 0; n <= 7; n++) {
                ws_samples s = {.n = N, .d = d, .x = x};
                double z[7];
                ws_dot64_many(w, &s, ids, n, z);
                for (int i = 0; i < n; i++) assert_true(same(z[i], define(w, x + ids[i] * d, d)));
            }
    }
    assert_true(ws_simd_select(was));
}

static void sparse_samples_give_the_bits_of_dense_ones(void **state)
{
    ws_samples dense = {.n = N, .d = D, .x = x};
    ws_samples sparse = {.n = N, .d = D, .ptr = ptr, .col = col, .val = val};
    int64_t ids[] = {3, 0, 4, 4};
    int32_t pos[] = {0, 1, 2};
    double a[4], b[4], u[D], v[D];

    (void)state;
    ws_dot64_many(w, &dense, ids, 4, a);
    ws_dot64_many(w, &sparse, ids, 4, b);
    assert_memory_equal(a, b, sizeof a);
    for (int k = 0; k < 4; k++) assert_true(same(a[k], define(w, x + ids[k] * D, D)));
    ws_combine64(u, w, &dense, ids, pos, 3);
    ws_combine64(v, w, &sparse, ids, pos, 3);
    assert_memory_equal(u, v, sizeof u);
}

static void steps_round_each_product(void **state)
{
    const char *was = ws_simd_name();
    int64_t ids[] = {3, 0, 4, 1};
    int32_t pos[] = {1, 2, 0, 3};

    (void)state;
    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(paths[k])) continue;
        for (int64_t d = 1; d <= D; d++) {
            ws_samples s = {.n = N, .d = d, .x = x};
            double to[D];
            ws_combine64(to, w + 7, &s, ids, pos, 4);
            for (int64_t j = 0; j < d; j++) {
                volatile double sum = 0;
                for (int p = 0; p < 4; p++) {
                    volatile double product = w[7 + p] * (double)x[ids[pos[p]] * d + j];
                    sum += product;
                }
                assert_true(same(to[j], sum));
            }
        }
    }
    assert_true(ws_simd_select(was));
}

static void the_error_is_within_its_bound(void **state)
{
    ws_samples s = {.n = N, .d = D, .x = x};
    double z[N], norm = 0;
    int inexact = 0;

    (void)state;
    for (int j = 0; j < D; j++) norm += w[j] * w[j];
    ws_dot64_many(w, &s, NULL, N, z);
    for (int i = 0; i < N; i++) {
        long double sum = 0;
        double most = sqrt(norm) * ws_samples_norm(&s, i) * ws_dot64_error(D);
        for (int j = 0; j < D; j++) sum += (long double)w[j] * (long double)x[i * D + j];
        assert_true(fabsl((long double)z[i] - sum) < (long double)most);
        inexact += (long double)z[i] != sum;
    }
    assert_true(inexact > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(every_path_length_and_alignment_gives_the_defined_bits, setup),
    cmocka_unit_test(many_at_once_give_the_bits_of_one),
    cmocka_unit_test(sparse_samples_give_the_bits_of_dense_ones),
    cmocka_unit_test(steps_round_each_product),
    cmocka_unit_test(the_error_is_within_its_bound),
};

WS_TEST_MAIN(tests)
