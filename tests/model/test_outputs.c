/* Outputs and derivatives of pairs are the same bits on every vector unit. */
#include <string.h>

#include "ws_test.h"

#include "outputs_simd.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

enum { S = 9, PAIRS = 16, MOST = 140 };

static const char *const units[] = {"portable", "avx2", "avx512"};
static const int32_t columns[] = {1, 2, 3, 4, 7, 8, 9, 10, 15, 17, 64, 129, 136, MOST};

static float a[MOST], number[S * MOST];
static double grad[S * MOST];
static int32_t pos[PAIRS];
static ws_exact_limbs limbs[PAIRS];

/* Signs, of which some are zero; pairs on any sample, some more than once. */
static void fill(uint64_t seed)
{
    ws_key key = {seed, WS_STREAM_TEST, 0};

    ws_random_normal(&key, 0, S * MOST, 1, number);
    for (int i = 0; i < S * MOST; i++) grad[i] = (double)number[i] / 3;
    for (int k = 0; k < MOST; k++) a[k] = number[k] > 0.4f ? 1 : number[k] < -0.4f ? -1 : 0;
    for (int p = 0; p < PAIRS; p++) {
        double v = (double)number[200 + p] * 1e3;

        pos[p] = (int32_t)(((uint64_t)p * 5 + seed) % S);
        limbs[p] = ws_exact_split(v, 6);
    }
}

/* On every unit, for every number of outputs and of pairs. */
static void over_all(void (*check)(int32_t c, int n))
{
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        if (!ws_simd_select(units[u])) continue;
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            for (int n = 0; n <= PAIRS; n++) {
                fill((uint64_t)(100 * i) + (uint64_t)n);
                check(columns[i], n);
            }
    }
}

static void check_outputs(int32_t c, int n)
{
    int64_t hi[S * MOST], lo[S * MOST], high[S * MOST], low[S * MOST];

    for (int k = 0; k < S * MOST; k++) hi[k] = high[k] = lo[k] = low[k] = k - 70;
    for (int p = 0; p < n; p++)
        for (int32_t k = 0; k < c; k++) {
            high[pos[p] * c + k] += (int64_t)a[k] * limbs[p].hi;
            low[pos[p] * c + k] += (int64_t)a[k] * limbs[p].lo;
        }
    ws_outputs_simd()->add(a, c, limbs, pos, n, hi, lo);
    assert_memory_equal(hi, high, sizeof hi);
    assert_memory_equal(lo, low, sizeof lo);
}

static void check_derivatives(int32_t c, int n)
{
    double sum[PAIRS + 1], right;

    sum[n] = 0.25;
    ws_outputs_simd()->back(number, c, grad, pos, n, sum);
    assert_true(sum[n] == 0.25);
    for (int p = 0; p < n; p++) {
        right = 0;
        for (int32_t k = 0; k < c; k++) right += (double)number[k] * grad[pos[p] * c + k];
        assert_memory_equal(&sum[p], &right, sizeof right);
    }
}

static void outputs_are_sums_of_signed_limbs(void **state)
{
    (void)state;
    over_all(check_outputs);
}

static void derivatives_are_added_in_order(void **state)
{
    (void)state;
    over_all(check_derivatives);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(outputs_are_sums_of_signed_limbs),
    cmocka_unit_test(derivatives_are_added_in_order),
};

WS_TEST_MAIN(tests)
