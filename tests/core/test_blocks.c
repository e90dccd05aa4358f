/* Rows in blocks: the definition, entry by entry; their products by one transform; their moments. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/blocks.h"

static const int64_t lengths[] = {1, 2, 3, 7, 8, 15, 16, 31, 100, 511, 512, 513, 784, 3072};

enum { LENGTHS = sizeof lengths / sizeof *lengths, LONGEST = 3072 };

static void a_block_is_the_largest_power_of_two_that_fits(void **state)
{
    (void)state;
    for (int k = 0; k < LENGTHS; k++) {
        int64_t d = lengths[k];
        ws_blocks b = ws_blocks_of(1, d, 1);

        assert_true((b.q & (b.q - 1)) == 0 && b.q <= 512 && b.q <= d);
        assert_true(b.q == 512 || 2 * b.q > d);
        assert_true((b.chunks - 1) * b.q < d && d <= b.chunks * b.q);
    }
}

static void a_row_is_an_xor_shift_with_signs(void **state)
{
    static float w[LONGEST], g[LONGEST + 512], sign[LONGEST + 512];

    (void)state;
    for (int k = 0; k < LENGTHS; k++) {
        ws_blocks b = ws_blocks_of(7, lengths[k], 2.5);
        int64_t t = 3 * b.q + 77 % b.q;

        ws_blocks_numbers(&b, 3, 1, g);
        ws_blocks_signs(&b, sign);
        ws_blocks_rows(&b, t, 1, w, b.d);
        for (int64_t j = 0; j < b.d; j++) {
            assert_true(fabsf(sign[j]) == 1);
            assert_true(w[j] == sign[j] * g[j / b.q * b.q + ((77 % b.q) ^ (j % b.q))]);
        }
        memset(w, 0, sizeof w);
        ws_blocks_row(&b, g, sign, t, w);
        for (int64_t j = 0; j < b.d; j++)
            assert_true(w[j] == sign[j] * g[j / b.q * b.q + ((77 % b.q) ^ (j % b.q))]);
    }
}

static void a_row_does_not_depend_on_its_company(void **state)
{
    static float many[40 * 20], one[20];

    (void)state;
    for (int64_t d = 1; d <= 17; d += 4) {
        ws_blocks b = ws_blocks_of(7, d, 1);

        ws_blocks_rows(&b, 5, 40, many, 20);
        for (int64_t t = 0; t < 40; t++) {
            ws_blocks_rows(&b, 5 + t, 1, one, 20);
            assert_memory_equal(one, many + 20 * t, (size_t)d * sizeof *one);
        }
    }
    for (int64_t d = 1; d < 20; d++) {
        ws_blocks b = ws_blocks_of(7, d, 1);
        int64_t t[31];
        float sign[32];

        ws_blocks_signs(&b, sign);
        for (int k = 0; k < 31; k++) t[k] = k < 11 ? 9 * k % 40 : 100 + 7 * k / 4; /* some share */
        ws_blocks_some(&b, sign, t, 31, many);
        for (int k = 0; k < 31; k++) {
            ws_blocks_rows(&b, t[k], 1, one, 20);
            assert_memory_equal(one, many + k * d, (size_t)d * sizeof *one);
        }
    }
    ws_blocks b = ws_blocks_of(7, 17, 1), far = b;
    ws_blocks_rows(&b, 5, 40, many, 20);
    ws_blocks_rows(&far, (int64_t)1 << 36, 1, one, 20);
    assert_memory_not_equal(one, many, 17 * sizeof *one);
    far.seed = 8;
    ws_blocks_rows(&far, 5, 1, one, 20);
    assert_memory_not_equal(one, many, 17 * sizeof *one);
}

/* (H v)_i, by its definition. */
static double hadamard(const double *v, int64_t q, int64_t i)
{
    double sum = 0;

    for (int64_t j = 0; j < q; j++) sum += __builtin_parityll((uint64_t)(i & j)) ? -v[j] : v[j];
    return sum;
}

static void the_products_of_a_block_are_one_transform(void **state)
{
    enum { D = 50 }; /* q = 32 and a chunk that is cut */
    ws_blocks b = ws_blocks_of(3, D, 1);
    float w[D], g[64], sign[64], x[64] = {0};
    double sum[32] = {0};

    (void)state;
    for (int j = 0; j < D; j++) x[j] = (float)cos(j * j);
    ws_blocks_numbers(&b, 9, 1, g);
    ws_blocks_signs(&b, sign);
    for (int c = 0; c < b.chunks; c++) {
        double gd[32], xd[32];

        for (int k = 32 * c; k < 32 * c + 32; k++) gd[k % 32] = (double)g[k] / 32;
        for (int k = 32 * c; k < 32 * c + 32; k++) xd[k % 32] = (double)(sign[k] * x[k]);
        for (int k = 0; k < 32; k++) sum[k] += hadamard(gd, 32, k) * hadamard(xd, 32, k);
    }
    for (int64_t i = 0; i < 32; i++) {
        double z = 0;

        ws_blocks_rows(&b, 9 * 32 + i, 1, w, D);
        for (int j = 0; j < D; j++) z += (double)w[j] * (double)x[j];
        assert_true(fabs(hadamard(sum, 32, i) - z) < 1e-12);
    }
}

/* 4000 rows of each kind of position: mean, variance, and products of different entries. */
static void rows_are_normal_and_blocks_independent(void **state)
{
    enum { D = 24, ROWS = 4000 };
    ws_blocks b = ws_blocks_of(5, D, 3);
    double mean = 0, square = 0, fourth = 0, next = 0;
    float *w = malloc(sizeof *w * D * ROWS * 16);

    (void)state;
    ws_blocks_rows(&b, 0, ROWS * 16, w, D);
    for (int r = 0; r < ROWS; r++) { /* one row of each block */
        const float *v = w + (16 * r + r % 16) * D, *u = v + 16 * D;

        for (int j = 0; j < D; j++) {
            double a = (double)v[j] / 3;

            mean += a / (D * ROWS);
            square += a * a / (D * ROWS);
            fourth += a * a * a * a / (D * ROWS);
            if (r + 1 < ROWS) next += a * (double)u[j] / 3 / (D * ROWS);
        }
    }
    free(w);
    assert_true(fabs(mean) < 0.016 && fabs(square - 1) < 0.023);
    assert_true(fabs(fourth - 3) < 0.16 && fabs(next) < 0.016);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_block_is_the_largest_power_of_two_that_fits),
    cmocka_unit_test(a_row_is_an_xor_shift_with_signs),
    cmocka_unit_test(a_row_does_not_depend_on_its_company),
    cmocka_unit_test(the_products_of_a_block_are_one_transform),
    cmocka_unit_test(rows_are_normal_and_blocks_independent),
};

WS_TEST_MAIN(tests)
