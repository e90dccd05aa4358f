/* Who owns which neurons. */
#include "ws_test.h"

#include "wingspan/core/layout.h"

static void blocks_cover_all_neurons_with_even_boundaries(void **state)
{
    (void)state;
    for (int64_t m = 1; m < 60; m++)
        for (int size = 1; size < 9; size++) {
            ws_layout l = {m, size};
            int64_t sum = 0, least = m, most = 0;

            assert_true(ws_layout_first(&l, 0) == 0 && ws_layout_first(&l, size) == m);
            for (int k = 0; k < size; k++) {
                int64_t first = ws_layout_first(&l, k), n = ws_layout_count(&l, k);
                assert_true(first % 2 == 0 || n == 0);
                assert_true(n >= 0);
                sum += n;
                least = n < least ? n : least;
                most = n > most ? n : most;
                for (int64_t r = first; r < first + n; r++)
                    assert_int_equal(ws_layout_owner(&l, r), k);
            }
            assert_true(sum == m);
            assert_true(most - least <= 3); /* a pair, and the odd last neuron */
        }
}

static void widths_beyond_32_bits_are_dealt_out(void **state)
{
    ws_layout l = {((int64_t)1 << 40) + 1, 7};

    (void)state;
    assert_true(ws_layout_first(&l, 7) == l.m);
    assert_int_equal(ws_layout_owner(&l, l.m - 1), 6);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_cover_all_neurons_with_even_boundaries),
    cmocka_unit_test(widths_beyond_32_bits_are_dealt_out),
};

WS_TEST_MAIN(tests)
