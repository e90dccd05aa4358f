/* Philox by its published vectors, and the numbers made from it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

/* Known answers of Random123 1.09, file kat_vectors, philox 4 32 10. */
static const struct {
    uint32_t ctr[4], key[2], out[4];
} known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void philox_gives_its_published_answers(void **state)
{
    uint32_t out[4];

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ws_philox(known[i].ctr, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void a_coordinate_does_not_depend_on_the_length(void **state)
{
    ws_key key = {9, WS_STREAM_TEST, 0};
    float a[300], b[300];

    (void)state;
    ws_random_normal(&key, 77, 300, 2.5, a);
    for (int64_t d = 1; d < 300; d += 13) {
        ws_random_normal(&key, 77, d, 2.5, b);
        assert_memory_equal(a, b, (size_t)d * sizeof *a);
    }
}

static void streams_seeds_layers_and_ids_differ(void **state)
{
    ws_key keys[] = {{1, WS_STREAM_TEST, 0},
                     {2, WS_STREAM_TEST, 0},
                     {1, WS_STREAM_SIGN, 0},
                     {1, WS_STREAM_TEST, 1},
                     {(uint64_t)1 << 32 | 1, WS_STREAM_TEST, 0}};
    uint32_t first[4], out[4];

    (void)state;
    ws_random_block(&keys[0], 5, 0, first);
    for (int i = 1; i < 5; i++) {
        ws_random_block(&keys[i], 5, 0, out);
        assert_memory_not_equal(first, out, sizeof out);
    }
    ws_random_block(&keys[0], (uint64_t)5 << 32, 0, out);
    assert_memory_not_equal(first, out, sizeof out);
}

static void normal_numbers_have_the_moments_and_tails_of_the_normal(void **state)
{
    enum { N = 400, D = 1000 };
    ws_key key = {4, WS_STREAM_TEST, 0};
    static float row[D];
    double sum[5] = {0};
    int beyond[4] = {0};

    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        ws_random_normal(&key, i, D, 1, row);
        for (int j = 0; j < D; j++) {
            double v = (double)row[j], p = 1;
            for (int k = 1; k < 5; k++) sum[k] += p *= v;
            for (int k = 1; k < 4; k++) beyond[k] += v > k;
        }
    }
    assert_true(fabs(sum[1] / (N * D)) < 0.008);
    assert_true(fabs(sum[2] / (N * D) - 1) < 0.012);
    assert_true(fabs(sum[3] / (N * D)) < 0.03);
    assert_true(fabs(sum[4] / (N * D) - 3) < 0.08);
    assert_true(abs(beyond[1] - 63462) < 1300);
    assert_true(abs(beyond[2] - 9100) < 500);
    assert_true(abs(beyond[3] - 540) < 120);
}

static void a_permutation_has_every_number_once_and_no_favourites(void **state)
{
    ws_key key = {4, WS_STREAM_SHUFFLE, 0};
    int64_t p[97];
    int seen[97], first[7] = {0};

    (void)state;
    for (uint64_t e = 0; e < 7000; e++) {
        memset(seen, 0, sizeof seen);
        ws_random_permutation(&key, e, 97, p);
        for (int i = 0; i < 97; i++) seen[p[i]]++;
        for (int i = 0; i < 97; i++) assert_int_equal(seen[i], 1);
        ws_random_permutation(&key, e, 7, p);
        first[p[0]]++;
    }
    for (int i = 0; i < 7; i++) assert_true(abs(first[i] - 1000) < 150);
}

/* On each vector unit; ids beyond 32 bits, and lengths and counts that fill no vector. */
static void rows_of_many_ids_have_the_bits_of_one(void **state)
{
    static const char *const units[] = {"portable", "avx2", "avx512"};
    const char *was = ws_simd_name();
    ws_key key = {77, WS_STREAM_TEST, 3};
    enum { MOST = 21 };
    int64_t id[MOST];
    float rows[MOST * 40], row[40];
    uint32_t blocks[4 * MOST], block[4];

    (void)state;
    for (int i = 0; i < MOST; i++) id[i] = (int64_t)i * 987654321 + 5;
    for (int k = 0; k < 3; k++)
        for (int64_t d = 1; d <= 40 && ws_simd_select(units[k]); d += 3) {
            int64_t n = 1 + d % MOST;

            ws_random_normal_rows(&key, id, n, d, 1.7, rows);
            ws_random_blocks(&key, id, n, (uint32_t)d, blocks);
            for (int64_t i = 0; i < n; i++) {
                ws_random_normal(&key, (uint64_t)id[i], d, 1.7, row);
                assert_memory_equal(rows + i * d, row, (size_t)d * sizeof *row);
                ws_random_block(&key, (uint64_t)id[i], (uint32_t)d, block);
                assert_memory_equal(blocks + 4 * i, block, sizeof block);
            }
        }
    assert_true(ws_simd_select(was));
}

/* Proposals rest on the bound; words near 0 and 2^32 are the worst, and 2^21 draws meet some. */
static void check_near(void)
{
    enum { LENGTH = 30, WIDE = 32 };
    ws_key key = {5, WS_STREAM_TEST, 0};
    static float cols[WIDE * 16], row[LENGTH];
    double most = 0;

    for (uint64_t k = 0; k < 4096; k++) {
        int step = 1 + (int)(k % 2);
        uint64_t first = (k << 32) + 32 * k;

        if (!ws_random_normal_near(&key, first, step, LENGTH, cols)) return;
        for (uint64_t l = 0; l < 16; l++) {
            ws_random_normal(&key, first + l * (uint64_t)step, LENGTH, 1, row);
            for (int j = 0; j < LENGTH; j++)
                most = fmax(most, fabs((double)row[j] - (double)cols[16 * j + (int)l]));
        }
    }
    assert_true(most <= WS_RANDOM_NEAR);
    assert_true(most > WS_RANDOM_NEAR / 100);
}

static void near_numbers_are_as_near_as_promised(void **state)
{
    static const char *const units[] = {"avx2", "avx512"};
    const char *was = ws_simd_name();
    float cols[4 * 16];
    ws_key key = {5, WS_STREAM_TEST, 0};

    (void)state;
    for (int k = 0; k < 2; k++)
        if (ws_simd_select(units[k])) check_near();
    assert_int_equal(ws_simd_select("portable"), 1);
    assert_int_equal(ws_random_normal_near(&key, 0, 1, 4, cols), 0);
    assert_true(ws_simd_select(was));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_of_many_ids_have_the_bits_of_one),
    cmocka_unit_test(near_numbers_are_as_near_as_promised),
    cmocka_unit_test(philox_gives_its_published_answers),
    cmocka_unit_test(a_coordinate_does_not_depend_on_the_length),
    cmocka_unit_test(streams_seeds_layers_and_ids_differ),
    cmocka_unit_test(normal_numbers_have_the_moments_and_tails_of_the_normal),
    cmocka_unit_test(a_permutation_has_every_number_once_and_no_favourites),
};

WS_TEST_MAIN(tests)
