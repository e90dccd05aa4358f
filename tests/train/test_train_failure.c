/* Memory that runs out on one rank, at any moment, ends the run on all with the same words. */
#include "train_util.h"

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3);
}

static void memory_that_runs_out_on_the_last_rank_ends_the_run_on_all(void **state)
{
    const char *words = "data=classes.h5 width=203 shift=0.7 batch=8 steps=3 rate=0.5";
    ws_train_result result;
    int failed = 0, ended = 0;

    (void)state;
    for (int64_t k = 1; k < 400 && !ended; k++) {
        ws_err err;
        char text[64] = "";

        if (world.rank == world.size - 1) ws_alloc_fail_at(k);
        err = train_on(&world, words, "failed.h5", &result);
        ws_alloc_fail_at(0);
        assert_all(err == WS_OK || err == WS_ERR_NOMEM);
        if (world.rank == 0) snprintf(text, sizeof text, "%.60s", err ? ws_err_text() : "");
        MPI_Bcast(text, sizeof text, MPI_CHAR, 0, world.mpi);
        assert_all(!err || strncmp(text, ws_err_text(), 60) == 0);
        failed += err != WS_OK;
        ended = err == WS_OK;
    }
    assert_true(ended);
    assert_true(failed > 10);
}

static void a_run_that_blows_up_says_so_on_all_ranks(void **state)
{
    ws_train_result result;
    ws_err err = train_on(&world,
                          "data=classes.h5 width=203 shift=0 batch=8 steps=200 rate=1e30 "
                          "loss=squared",
                          "diverged.h5", &result);

    (void)state;
    assert_all(err == WS_ERR_DIVERGED);
    assert_non_null(strstr(ws_err_text(), "--rate"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(memory_that_runs_out_on_the_last_rank_ends_the_run_on_all, setup),
    cmocka_unit_test(a_run_that_blows_up_says_so_on_all_ranks),
};

WS_TEST_MAIN(tests)
