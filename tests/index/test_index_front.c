/* The front: what it refuses, and what it forwards.  Every rank has
 * the same two neurons of length 2. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/index/index.h"

static const float w[] = {1, 0, 0, 1}, b[] = {0, 0.5f}, x[] = {1, 0, 0, 1, 1, 1};
static const ws_shard shard = {2, 2, w, b};
static const ws_samples samples = {.n = 3, .d = 2, .x = x};
static ws_hits hits;

static int setup(void **state)
{
    return ws_index_create(&world, "scan", NULL, (ws_index **)state) ||
           ws_index_build(*state, &shard, &samples, 0.25);
}

static int teardown(void **state)
{
    ws_index_destroy((ws_index **)state);
    ws_hits_free(&hits);
    return *state != NULL;
}

static ws_err ask(ws_index *ix, ws_query q)
{
    return ws_index_query(ix, &q, &hits);
}

static void an_unknown_kind_is_refused_with_the_names_there_are(void **state)
{
    ws_index *ix = NULL;

    (void)state;
    assert_all(ws_index_create(&world, "magic", NULL, &ix) == WS_ERR_USAGE);
    assert_null(ix);
    assert_non_null(strstr(ws_err_text(), "'magic'"));
    for (const char *const *k = ws_index_kinds(); *k; k++) {
        assert_non_null(strstr(ws_err_text(), *k));
        assert_all(ws_index_create(&world, *k, NULL, &ix) == WS_OK);
        assert_string_equal(ws_index_kind(ix), *k);
        ws_index_destroy(&ix);
    }
    ws_index_destroy(&ix);
}

static void ranks_that_ask_for_different_kinds_are_told(void **state)
{
    ws_index *ix = NULL;
    int last = world.size > 1 && world.rank == world.size - 1;
    ws_err expected = world.size > 1 ? WS_ERR_MISMATCH : WS_OK;

    (void)state;
    assert_all(ws_index_create(&world, last ? "dtree" : "scan", NULL, &ix) == expected);
    assert_all((ix == NULL) == (world.size > 1));
    ws_index_destroy(&ix);
    assert_all(ws_index_create(&world, last ? "magic" : "scan", NULL, &ix) ==
               (world.size > 1 ? WS_ERR_USAGE : WS_OK));
    ws_index_destroy(&ix);
}

static void shards_and_samples_of_the_wrong_shape_are_refused(void **state)
{
    ws_shard bad[] = {{-1, 2, w, b}, {2, 0, w, b}, {2, 2, NULL, b}, {2, 2, w, NULL}, {1, 3, w, b}};
    ws_samples none = {.n = 3, .d = 2};

    for (int k = 0; k < 5; k++)
        assert_all(ws_index_build(*state, &bad[k], &samples, 0) == WS_ERR_SHAPE);
    assert_all(ws_index_build(*state, &shard, &none, 0) == WS_ERR_SHAPE);
    assert_all(ws_index_build(*state, &shard, &samples, 0.25) == WS_OK);
}

static void questions_that_make_no_sense_are_refused(void **state)
{
    int64_t twice[] = {1, 1}, beyond[] = {0, 3}, below[] = {-1, 0}, good[] = {2, 0};
    double radius[] = {0.1, 0.1}, negative[] = {0.1, -0.1}, nan[] = {NAN, 0};
    ws_samples two = {.n = 2, .d = 2, .x = x}, thin = {.n = 2, .d = 1, .x = x};
    const ws_query bad[] = {
        {.n = -1, .ids = good},
        {.n = 2},
        {.n = 2, .ids = twice},
        {.n = 2, .ids = beyond},
        {.n = 2, .ids = below},
        {.n = 2, .ids = good, .copy = &samples},
        {.n = 2, .ids = good, .copy = &thin},
        {.kind = WS_QUERY_ANY, .n = 2},
        {.kind = WS_QUERY_ANY, .n = 2, .x = &samples},
        {.kind = WS_QUERY_ANY, .n = 2, .x = &thin},
        {.kind = WS_QUERY_NEAR, .n = 2, .ids = good, .x = &two},
        {.kind = WS_QUERY_NEAR, .n = 2, .ids = good, .x = &two, .radius = negative},
        {.kind = WS_QUERY_NEAR, .n = 2, .ids = good, .x = &two, .radius = nan},
        {.kind = WS_QUERY_NEAR, .n = 2, .ids = beyond, .x = &two, .radius = radius},
    };

    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        assert_int_equal(ask(*state, bad[k]), WS_ERR_SHAPE);
        assert_int_equal(hits.n, 0);
    }
    assert_int_equal(ask(*state, (ws_query){.n = 2, .ids = good}), WS_OK);
    assert_int_equal(hits.n, 4); /* 1 and 1 of neuron 0; 1.5 and the bare bias of neuron 1 */
    assert_int_equal(ask(*state, (ws_query){WS_QUERY_NEAR, 2, twice, &two, radius, 0, NULL, NULL}),
                     WS_OK);
}

static void an_answer_is_in_neuron_order_and_an_empty_one_has_a_shape(void **state)
{
    int64_t ids[] = {1, 2, 0};

    assert_int_equal(ask(*state, (ws_query){.n = 3, .ids = ids, .threshold = 0.5}), WS_OK);
    assert_int_equal(hits.rows, 2);
    assert_int_equal(hits.row[1], 1);
    assert_int_equal(hits.first[1], 2); /* neuron 0: positions 1 and 2; neuron 1: 0 and 1 */
    assert_int_equal(hits.pos[0], 1);
    assert_int_equal(hits.pos[2], 0);
    assert_true(hits.z[2] == 1.5);
    assert_int_equal(ask(*state, (ws_query){.n = 3, .ids = ids, .threshold = 9}), WS_OK);
    assert_int_equal(hits.rows, 0);
    assert_int_equal(hits.first[0], 0);
    assert_int_equal(ask(*state, (ws_query){0}), WS_OK);
}

static void moves_must_name_neurons_of_this_rank_in_order(void **state)
{
    int64_t beyond[] = {0, 2}, unsorted[] = {1, 0}, good[] = {0, 1};
    double norm[] = {0, 0};

    assert_int_equal(ws_index_update(*state, &(ws_moves){2, .row = beyond, .norm = norm}),
                     WS_ERR_SHAPE);
    assert_int_equal(ws_index_update(*state, &(ws_moves){2, .row = unsorted, .norm = norm}),
                     WS_ERR_SHAPE);
    assert_int_equal(ws_index_update(*state, &(ws_moves){2, .row = good, .norm = norm}), WS_OK);
    assert_int_equal(ws_index_update(*state, &(ws_moves){0}), WS_OK);
}

static void memory_is_planned_for_kinds_that_there_are(void **state)
{
    ws_index_plan p = {.n = 65536, .d = 784, .registered = 10000, .batch = 64, .active = 0.001};

    (void)state;
    assert_true(ws_index_bytes("magic", &p) == -1);
    assert_true(ws_index_bytes("dtree", &p) > 4.0 * 4 / 3 * 65536 * 10000);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_unknown_kind_is_refused_with_the_names_there_are),
    cmocka_unit_test(ranks_that_ask_for_different_kinds_are_told),
    FRESH(shards_and_samples_of_the_wrong_shape_are_refused),
    FRESH(questions_that_make_no_sense_are_refused),
    FRESH(an_answer_is_in_neuron_order_and_an_empty_one_has_a_shape),
    FRESH(moves_must_name_neurons_of_this_rank_in_order),
    cmocka_unit_test(memory_is_planned_for_kinds_that_there_are),
};

WS_TEST_MAIN(tests)
