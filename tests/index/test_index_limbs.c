/* Limbs: integer products with packed samples against ws_dot, and what a proposer makes of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

#include "limbs.h"
#include "propose.h"

enum { ROWS = 9, LONG = 200, MANY = 1100 }; /* more than one tile of samples */

static const ws_key key = {17, WS_STREAM_TEST, 0};
static float w[ROWS * LONG], scale[MANY];
static uint8_t byte[MANY * LONG];
static double level[LONG];

/* n samples of length d, scaled to about 1; middles are multiples of 2^-14. */
static ws_samples samples_of(int64_t n, int64_t d)
{
    for (int64_t k = 0; k < n * d; k++)
        byte[k] = (uint8_t)(256 * ws_random_uniform(&key, 1, (uint32_t)k));
    for (int64_t j = 0; j < d; j++)
        level[j] =
            WS_PACKED_ZERO + floor(255 * 16384 * ws_random_uniform(&key, 2, (uint32_t)j)) / 16384;
    for (int64_t i = 0; i < n; i++)
        scale[i] = (float)(0.01 / sqrt((double)d) * (1 + (double)(i % 3)));
    return (ws_samples){.n = n, .d = d, .packed = {byte, level, scale, NULL}};
}

/* Rows of all sizes: one is zero, one has a single number. */
static void rows_of(int64_t d)
{
    for (int64_t r = 0; r < ROWS; r++)
        ws_random_normal(&key, 100 + (uint64_t)r, d, pow(10, (double)r - 4), w + r * d);
    memset(w + 3 * d, 0, 2 * (size_t)d * sizeof *w);
    w[4 * d + d / 2] = -7;
}

/* Limbs are for AVX-512 with VNNI. */
static void need_limbs(const ws_samples *x)
{
    if (ws_limbs_apply(x)) return;
    print_message("this processor has no AVX-512 with VNNI: limbs are not used\n");
    skip();
}

static void products_are_within_their_error_at_any_length(void **state)
{
    static const int64_t length[] = {1, 15, 64, 65, 130, LONG};
    static float z[2 * MANY], v[LONG];
    ws_limbs l = {0};
    double worst = 0;

    (void)state;
    for (int k = 0; k < 6; k++) {
        int64_t d = length[k], n = 7 + 30 * k;
        ws_samples x = samples_of(n, d);
        double most = ws_samples_longest(&x, NULL, n), error = ws_limbs_error(&x, most);
        double row_error = ws_limbs_row_error(&x, most);

        need_limbs(&x);
        rows_of(d);
        assert_int_equal(ws_limbs_rows(&l, &x, w, ROWS), WS_OK);
        for (int64_t r = 0; r < ROWS; r += 2) {
            ws_limbs_products(&l, &x, r, 3, n - 3, z);
            for (int64_t i = 0; i < 2 * (n - 3); i++) {
                int64_t row = r + i / (n - 3) < ROWS ? r + i / (n - 3) : r, id = 3 + i % (n - 3);
                double norm = sqrt(ws_norm2(w + row * d, d)), is, is_limbs;

                ws_dot_many(w + row * d, &x, &id, 1, &is);
                assert_true(fabs(is - (double)z[i]) <= error * norm * most);
                ws_limbs_row(&l, row, v);
                ws_dot_many(v, &x, &id, 1, &is_limbs);
                assert_true(fabs(is_limbs - (double)z[i]) <=
                            row_error * sqrt(ws_norm2(v, d)) * most);
                if (norm > 0) worst = fmax(worst, fabs(is - (double)z[i]) / (error * norm * most));
            }
        }
    }
    assert_true(worst > 0.01); /* the bound is of the size of what is lost */
    ws_limbs_free(&l);
}

static void rows_that_are_no_numbers_give_none(void **state)
{
    ws_samples x = samples_of(8, 70);
    ws_limbs l = {0};
    float z[16];

    (void)state;
    need_limbs(&x);
    rows_of(70);
    w[69] = NAN;
    w[70] = INFINITY;
    assert_int_equal(ws_limbs_rows(&l, &x, w, 3), WS_OK);
    ws_limbs_products(&l, &x, 0, 0, 8, z);
    for (int i = 0; i < 16; i++) assert_true(isnan(z[i]));
    assert_true(ws_limbs_bytes(&l) > 3 * 2 * 128);
    ws_limbs_free(&l);
}

/* Every pair above the cut by more than the error is proposed, none below it by more; in order. */
static void a_proposer_for_few_rows_misses_nothing(void **state)
{
    ws_samples x = samples_of(MANY, LONG);
    int64_t row[] = {7, 0, 6, 5, 5};
    float cut[] = {0, 0, 10, -1, INFINITY};
    ws_pairs pairs = {0};
    ws_proposer *p;
    double error;

    (void)state;
    rows_of(LONG);
    assert_int_equal(ws_proposer_create_few(&p), WS_OK);
    assert_int_equal(ws_propose_samples(p, &x, NULL, MANY), WS_OK);
    assert_int_equal(ws_propose_rows(p, w, LONG, row, 5, cut, &pairs), WS_OK);
    error = ws_propose_error(p) * ws_propose_max_norm(p);
    for (int k = 0; k < 5; k++) {
        const float *v = w + row[k] * LONG;
        double away = error * ws_propose_norm(v, LONG), z[MANY];
        int64_t ids[MANY], at = pairs.first[k];

        for (int64_t i = 0; i < MANY; i++) ids[i] = i;
        ws_dot_many(v, &x, ids, MANY, z);
        for (int64_t i = 0; i < MANY; i++) {
            int told = at < pairs.first[k + 1] && pairs.col[at] == i;

            if (z[i] > (double)cut[k] + away) assert_true(told);
            if (z[i] < (double)cut[k] - away) assert_false(told);
            if (told) assert_true(fabs((double)pairs.z[at++] - z[i]) <= away);
        }
        assert_int_equal(at, pairs.first[k + 1]);
    }
    assert_true(pairs.n > MANY && pairs.first[4] == pairs.n);
    /* Nothing is held for the samples where limbs are used. */
    if (ws_limbs_apply(&x)) assert_true(ws_proposer_bytes(p) < MANY * LONG);
    ws_pairs_free(&pairs);
    ws_proposer_destroy(&p);
}

/* Samples so near to the middle that the bound would be of no use are left to other ways. */
static void samples_next_to_the_middle_are_not_for_limbs(void **state)
{
    ws_samples x = samples_of(40, 64);

    (void)state;
    for (int k = 0; k < 64; k++) level[k] = WS_PACKED_ZERO + 7 + 0x1p-14;
    memset(byte, 7, 40 * 64);
    for (int i = 0; i < 40; i++) scale[i] = 1e12f;
    assert_true(ws_limbs_error(&x, ws_samples_longest(&x, NULL, 40)) < 1);
    for (int i = 1; i < 40; i++) scale[i] = 1;
    assert_true(ws_limbs_error(&x, ws_samples_norm(&x, 1)) > 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(products_are_within_their_error_at_any_length),
    cmocka_unit_test(rows_that_are_no_numbers_give_none),
    cmocka_unit_test(a_proposer_for_few_rows_misses_nothing),
    cmocka_unit_test(samples_next_to_the_middle_are_not_for_limbs),
};

WS_TEST_MAIN(tests)
