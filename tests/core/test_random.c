/* Philox by its published vectors, and the numbers made from it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(philox_gives_its_published_answers),
    cmocka_unit_test(a_coordinate_does_not_depend_on_the_length),
    cmocka_unit_test(streams_seeds_layers_and_ids_differ),
    cmocka_unit_test(normal_numbers_have_the_moments_and_tails_of_the_normal),
    cmocka_unit_test(a_permutation_has_every_number_once_and_no_favourites),
};

WS_TEST_MAIN(tests)
