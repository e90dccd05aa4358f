/* conform_index.h - one suite that every kind of index runs.
 *
 * The oracle is ws_dot over every neuron and sample, in the test itself.  A driver names its kind:
 *
 *     static int use(void **state) { (void)state; return conform_index_use(&world, "scan"); }
 *     static const struct CMUnitTest tests[] = {CONFORM_INDEX(use)};
 *     WS_TEST_MAIN(tests) */
#ifndef CONFORM_INDEX_H
#define CONFORM_INDEX_H

#include "ws_test.h"

#include "wingspan/index/index.h"

/** The kind that the tests below are about.  Returns 0. */
int conform_index_use(const ws_comm *comm, const char *kind);

void every_query_of_every_shape_gives_the_pairs_and_bits_of_brute_force(void **state);
void ties_duplicates_and_zero_vectors_are_decided_exactly(void **state);
void sparse_samples_answer_as_dense_ones(void **state);
void any_sequence_of_moves_and_queries_stays_exact(void **state);
void large_rates_and_long_rows_stay_exact(void **state);
void numbers_beyond_float_range_are_decided_by_the_exact_product(void **state);
void counters_cover_what_was_done(void **state);
void a_repeated_query_allocates_nothing(void **state);
void an_allocation_that_fails_anywhere_is_an_error_and_no_more(void **state);
void a_build_that_fails_on_one_rank_fails_on_all(void **state);

#define CONFORM_ONE(f, use) cmocka_unit_test_setup(f, use)
#define CONFORM_INDEX(use)                                                                         \
    CONFORM_ONE(every_query_of_every_shape_gives_the_pairs_and_bits_of_brute_force, use),          \
        CONFORM_ONE(ties_duplicates_and_zero_vectors_are_decided_exactly, use),                    \
        CONFORM_ONE(sparse_samples_answer_as_dense_ones, use),                                     \
        CONFORM_ONE(any_sequence_of_moves_and_queries_stays_exact, use),                           \
        CONFORM_ONE(large_rates_and_long_rows_stay_exact, use),                                    \
        CONFORM_ONE(numbers_beyond_float_range_are_decided_by_the_exact_product, use),             \
        CONFORM_ONE(counters_cover_what_was_done, use),                                            \
        CONFORM_ONE(a_repeated_query_allocates_nothing, use),                                      \
        CONFORM_ONE(an_allocation_that_fails_anywhere_is_an_error_and_no_more, use),               \
        CONFORM_ONE(a_build_that_fails_on_one_rank_fails_on_all, use)

#endif
