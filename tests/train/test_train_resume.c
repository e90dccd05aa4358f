/* Stopped and resumed, on another number of ranks too, a run is the run that was not stopped. */
#include "train_util.h"

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3);
}

/* 20 steps at once on all ranks, against `first` steps there and the rest on fewer ranks. */
static void stop_and_resume(const char *more, int first)
{
    char words[500];
    int fewer = world.size > 1 ? world.size - 1 : 1;
    uint64_t want;

    snprintf(words, sizeof words, "data=classes.h5 width=203 shift=0.7 %s steps=20", more);
    want = run_on(1, words, "whole.h5");
    snprintf(words, sizeof words, "data=classes.h5 width=203 shift=0.7 %s steps=%d", more, first);
    run_on(world.size, words, "part.h5");
    assert_int_equal(run_on(fewer, "resume=part.h5 steps=20", "part.h5"), want);
}

static void a_stop_in_the_middle_of_an_epoch_changes_nothing(void **state)
{
    (void)state;
    stop_and_resume("batch=8 rate=0.4", 9);
    stop_and_resume("batch=8 rate=0.1 momentum=0.9 weight-decay=0.01 bias=trained", 10);
    stop_and_resume("batch=8 optimizer=adam rate=0.01 output-weights=trained", 3);
    stop_and_resume("batch=8 ridge=0.05 schedule=step rate=0.3", 12);
    stop_and_resume("optimizer=gd", 1);
}

static void a_stop_between_gauss_newton_steps_changes_nothing(void **state)
{
    (void)state;
    stop_and_resume("optimizer=gauss-newton", 1);
    stop_and_resume("optimizer=gauss-newton ridge=0.02 bias=trained", 2);
    stop_and_resume("optimizer=gauss-newton checkpoint-dense=0 shift=2.6", 1);
    /* Past the step after which nothing lowers the loss. */
    stop_and_resume("optimizer=gauss-newton samples=9", 15);
}

static void a_stop_at_the_end_of_an_epoch_changes_nothing(void **state)
{
    (void)state;
    stop_and_resume("batch=8 rate=0.4 index=certified slack=0.05", 12);
    stop_and_resume("batch=8 rate=0.4 index=dtree", 6);
}

/* The approximate index too, if the stop is at a step at which it hashes anew. */
static void a_stop_where_lsh_hashes_changes_nothing(void **state)
{
    (void)state;
    stop_and_resume("batch=8 rate=0.4 index=lsh lsh-tables=4 lsh-every=4", 8);
    stop_and_resume("batch=8 rate=0.4 index=lsh lsh-tables=4 lsh-every=1", 9);
}

static void a_checkpoint_of_moved_rows_only_changes_nothing(void **state)
{
    (void)state;
    stop_and_resume("batch=8 rate=0.4 checkpoint-dense=0 shift=2.6", 2);
    stop_and_resume("batch=8 optimizer=adam rate=0.01 bias=trained checkpoint-dense=0 shift=2.6",
                    9);
}

/* What has not moved is made anew from its blocks, what has is read, also inside of a block. */
static void a_stop_of_a_structured_start_changes_nothing(void **state)
{
    (void)state;
    stop_and_resume("init=structured batch=8 rate=0.4 shift=2.2 index=certified", 2);
    stop_and_resume("init=structured batch=8 rate=0.4 shift=2.2 checkpoint-dense=0", 3);
    stop_and_resume("init=structured-coupled batch=8 rate=0.4 bias=trained shift=2.2 "
                    "checkpoint-dense=0 index=certified slack=0.05",
                    2);
    stop_and_resume("init=structured-coupled optimizer=gauss-newton index=certified shift=1.5", 1);
}

static void another_value_is_refused_and_both_are_named(void **state)
{
    ws_train_result result;

    (void)state;
    run_on(world.size, "data=classes.h5 width=203 batch=8 steps=4 rate=0.5", "part.h5");
    assert_all(train_on(&world, "resume=part.h5 rate=0.25 steps=8", "part.h5", &result) ==
               WS_ERR_USAGE);
    assert_non_null(strstr(ws_err_text(), "0.25"));
    assert_non_null(strstr(ws_err_text(), "0.5"));
    assert_all(train_on(&world, "resume=part.h5 rate=0.5 steps=8", "part.h5", &result) == WS_OK);
    assert_int_equal(result.step, 8);
}

static void other_data_is_refused(void **state)
{
    ws_train_result result;

    (void)state;
    run_on(world.size, "data=classes.h5 width=203 batch=8 steps=4 rate=0.5", "part.h5");
    assert_int_equal(make_data(&world, "other.h5", 2), WS_OK);
    assert_all(train_on(&world, "resume=part.h5 data=other.h5 steps=8", "part.h5", &result) ==
               WS_ERR_USAGE);
}

static void resume_auto_starts_fresh_only_if_there_is_nothing(void **state)
{
    const char *words = "data=classes.h5 width=203 batch=8 rate=0.5 steps=4 resume=auto";
    ws_train_result result;

    (void)state;
    if (world.rank == 0) {
        remove("auto.h5");
        remove("auto.h5.1");
    }
    MPI_Barrier(world.mpi);
    assert_all(train_on(&world, words, "auto.h5", &result) == WS_OK);
    assert_all(train_on(&world, "data=classes.h5 resume=auto steps=6", "auto.h5", &result) ==
               WS_OK);
    assert_int_equal(result.step, 6);
}

static void a_request_on_one_rank_stops_all_at_the_same_step(void **state)
{
    ws_train_result result;
    ws_err err;

    (void)state;
    if (world.rank == world.size - 1) ws_train_request_stop();
    err = train_on(&world, "data=classes.h5 width=203 batch=8 rate=0.4 shift=0.7 steps=20",
                   "part.h5", &result);
    assert_all(err == WS_ERR_STOPPED && result.stopped && result.step == 1);
    assert_int_equal(
        run_on(world.size, "resume=part.h5", "part.h5"),
        run_on(1, "data=classes.h5 width=203 batch=8 rate=0.4 shift=0.7 steps=20", "whole.h5"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(a_stop_in_the_middle_of_an_epoch_changes_nothing, setup),
    cmocka_unit_test(a_stop_between_gauss_newton_steps_changes_nothing),
    cmocka_unit_test(a_stop_at_the_end_of_an_epoch_changes_nothing),
    cmocka_unit_test(a_stop_where_lsh_hashes_changes_nothing),
    cmocka_unit_test(a_checkpoint_of_moved_rows_only_changes_nothing),
    cmocka_unit_test(a_stop_of_a_structured_start_changes_nothing),
    cmocka_unit_test(another_value_is_refused_and_both_are_named),
    cmocka_unit_test(other_data_is_refused),
    cmocka_unit_test(resume_auto_starts_fresh_only_if_there_is_nothing),
    cmocka_unit_test(a_request_on_one_rank_stops_all_at_the_same_step),
};

WS_TEST_MAIN(tests)
