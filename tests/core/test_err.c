/* Ranks that fail alone, and what the others learn. */
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

static void an_error_on_one_rank_is_the_verdict_of_all(void **state)
{
    (void)state;
    for (int bad = 0; bad < world.size; bad++) {
        ws_err err = world.rank == bad ? ws_fail(WS_ERR_IO, "rank %d says so", bad) : WS_OK;
        char text[40];

        snprintf(text, sizeof text, "rank %d says so", bad);
        assert_all(ws_agree(&world, err) == WS_ERR_IO);
        assert_all(strcmp(ws_err_text(), text) == 0);
    }
    assert_all(ws_agree(&world, WS_OK) == WS_OK);
}

static void the_lowest_rank_with_the_worst_code_is_heard(void **state)
{
    ws_err err = world.rank == 0 ? ws_fail(WS_ERR_USAGE, "mild")
                                 : ws_fail(WS_ERR_DATA, "worse on %d", world.rank);

    (void)state;
    assert_all(ws_agree(&world, err) == (world.size > 1 ? WS_ERR_DATA : WS_ERR_USAGE));
    assert_all(strcmp(ws_err_text(), world.size > 1 ? "worse on 1" : "mild") == 0);
}

static void a_value_that_differs_is_found_on_every_rank(void **state)
{
    int last = world.rank == world.size - 1;
    ws_err want = world.size > 1 ? WS_ERR_MISMATCH : WS_OK;

    (void)state;
    assert_all(ws_same(&world, "width", 7) == WS_OK);
    assert_all(ws_same(&world, "width", last ? INT64_MIN : 7) == want);
    assert_all(ws_same(&world, "width", last ? INT64_MAX : -1) == want);
}

static void a_text_may_quote_the_text_before_it(void **state)
{
    (void)state;
    ws_fail(WS_ERR_IO, "inner");
    ws_fail(WS_ERR_IO, "outer (%s)", ws_err_text());
    assert_string_equal(ws_err_text(), "outer (inner)");
}

static void nodes_can_be_rehearsed_on_one_machine(void **state)
{
    ws_comm node, leaders;

    (void)state;
    setenv("WINGSPAN_RANKS_PER_NODE", "2", 1);
    ws_comm_node(&world, &node);
    ws_comm_leaders(&world, &node, &leaders);
    unsetenv("WINGSPAN_RANKS_PER_NODE");
    assert_all(node.rank == world.rank % 2);
    assert_all(node.size == (world.rank / 2 * 2 + 1 < world.size ? 2 : 1));
    assert_all((leaders.size > 0) == (node.rank == 0));
    assert_all(leaders.size == 0 || leaders.size == (world.size + 1) / 2);
    ws_comm_destroy(&leaders);
    ws_comm_destroy(&node);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_error_on_one_rank_is_the_verdict_of_all),
    cmocka_unit_test(the_lowest_rank_with_the_worst_code_is_heard),
    cmocka_unit_test(a_value_that_differs_is_found_on_every_rank),
    cmocka_unit_test(a_text_may_quote_the_text_before_it),
    cmocka_unit_test(nodes_can_be_rehearsed_on_one_machine),
};

WS_TEST_MAIN(tests)
