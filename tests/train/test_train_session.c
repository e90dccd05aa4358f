/* A session takes the steps of train, counts what they did, and may be driven in any pieces. */
#include "wingspan/train/session.h"

#include <time.h>

#include "train_util.h"
#include "wingspan/core/clock.h"

static const char words[] = "data=session.h5 width=301 shift=0.5 batch=7 epochs=3 rate=2 "
                            "schedule=cosine index=certified";

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "session.h5", 3);
}

/* The loss of the last step and the test accuracy after `total` steps, in pieces of k. */
static ws_session_sums drive(const char *text, int64_t k, int64_t total, double *accuracy)
{
    ws_train_options o = options(text);
    ws_session_sums s = {0};
    ws_session *run;

    assert_all(ws_session_open(&world, &o, &run) == WS_OK);
    for (int64_t at = 0; at < total; at += k) assert_all(ws_session_steps(run, k, &s) == WS_OK);
    assert_all(ws_session_test(run, accuracy) == WS_OK);
    ws_session_close(&run);
    assert_null(run);
    return s;
}

static void the_steps_are_those_of_train(void **state)
{
    ws_train_options o = options(words);
    ws_train_result t;
    ws_session_sums one;
    double accuracy;

    (void)state;
    assert_all(ws_train(&world, &o, NULL, &t) == WS_OK);
    one = drive(words, 1, t.step, &accuracy);
    assert_all(one.loss == t.loss && accuracy == t.test_accuracy);
    drive(words, 7, t.step, &accuracy);
    assert_all(accuracy == t.test_accuracy);
}

static void sums_are_over_all_ranks(void **state)
{
    double accuracy;
    ws_session_sums s = drive(words, 14, 14, &accuracy);

    (void)state;
    assert_all(s.steps == 14 && s.samples == 2 * N);
    assert_all(s.meetings == 14 && s.bytes_reduced > 0);
    /* About a third of the neurons fire on a sample at shift 0.5. */
    assert_all(s.pairs > 0.15 * 301 * 2 * N && s.pairs < 0.5 * 301 * 2 * N);
    assert_all(s.rows > 14 * 150 && s.rows <= 14 * 301);
    assert_all(s.candidates >= s.pairs && s.memory > 0);
    assert_all(s.seconds >= s.query + s.forward + s.reduce + s.update + s.index);
}

static void displacement_is_that_of_the_middle_neuron(void **state)
{
    ws_train_options o = options(words);
    ws_session_sums s;
    ws_session *run;
    double before, after;

    (void)state;
    assert_all(ws_session_open(&world, &o, &run) == WS_OK);
    before = ws_session_moved(run);
    assert_all(ws_session_steps(run, 1, &s) == WS_OK);
    after = ws_session_moved(run);
    ws_session_close(&run);
    assert_all(before == 0);
    /* A step of mean coefficients below rate x scale, on at most 7 samples of norm 1. */
    assert_all(after > 0 && after < 2 * 0.15);
    snprintf(o.index, sizeof o.index, "scan");
    assert_all(ws_session_open(&world, &o, &run) == WS_OK);
    assert_all(isnan(ws_session_moved(run)));
    ws_session_close(&run);
}

/* Takes long enough to be seen in the seconds of seven steps. */
static void pause_once(void *calls)
{
    struct timespec t = {.tv_nsec = 20000000};

    nanosleep(&t, NULL);
    ++*(int *)calls;
}

static void what_runs_between_steps_is_not_counted(void **state)
{
    ws_train_options o = options(words);
    ws_session_sums s;
    ws_session *run;
    double start, seconds;
    int calls = 0;

    (void)state;
    assert_all(ws_session_open(&world, &o, &run) == WS_OK);
    ws_session_between(run, pause_once, &calls);
    start = ws_seconds();
    assert_all(ws_session_steps(run, 7, &s) == WS_OK);
    seconds = ws_seconds() - start;
    assert_all(calls == 7 && s.seconds > 0 && s.seconds <= seconds - 7 * 0.02);
    ws_session_between(run, NULL, NULL);
    assert_all(ws_session_steps(run, 1, &s) == WS_OK && calls == 7);
    ws_session_close(&run);
}

/* The steps after it are those of a run that was never measured. */
static void the_reach_is_measured_and_changes_nothing(void **state)
{
    static const char *const more[] = {"", " batch=0", " momentum=0.9", " width=2"};
    double seconds, accuracy;
    ws_session_sums s, whole;
    ws_session *run;

    (void)state;
    for (int k = 0; k < 4; k++) {
        char text[200];
        ws_train_options o;

        snprintf(text, sizeof text, "%s%s", words, more[k]);
        o = options(text);
        whole = drive(text, 1, 6, &accuracy);
        assert_all(ws_session_open(&world, &o, &run) == WS_OK);
        assert_all(ws_session_reach(run, &seconds) == WS_OK && isnan(seconds));
        for (int i = 0; i < 6; i++) {
            assert_all(ws_session_steps(run, 1, &s) == WS_OK);
            assert_all(ws_session_reach(run, &seconds) == WS_OK && seconds > 0);
        }
        assert_all(s.loss == whole.loss && s.pairs == whole.pairs);
        ws_session_close(&run);
    }
}

static void files_and_gauss_newton_are_refused(void **state)
{
    static const char *more[] = {" metrics=x.jsonl", " checkpoint=x.h5", " resume=x.h5"};
    ws_train_options o = options("data=session.h5 width=30 optimizer=gauss-newton");
    ws_session *run;
    char text[300];

    (void)state;
    assert_all(ws_session_open(&world, &o, &run) == WS_ERR_USAGE && !run);
    for (int k = 0; k < 3; k++) {
        snprintf(text, sizeof text, "%s%s", words, more[k]);
        o = options(text);
        assert_all(ws_session_open(&world, &o, &run) == WS_ERR_USAGE && !run);
    }
}

static void a_failure_leaves_nothing(void **state)
{
    ws_train_options o = options("data=missing.h5 width=30");
    ws_session *run;

    (void)state;
    assert_all(ws_session_open(&world, &o, &run) != WS_OK && !run);
    ws_session_close(&run);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(the_steps_are_those_of_train, setup),
    cmocka_unit_test(sums_are_over_all_ranks),
    cmocka_unit_test(displacement_is_that_of_the_middle_neuron),
    cmocka_unit_test(what_runs_between_steps_is_not_counted),
    cmocka_unit_test(the_reach_is_measured_and_changes_nothing),
    cmocka_unit_test(files_and_gauss_newton_are_refused),
    cmocka_unit_test(a_failure_leaves_nothing),
};

WS_TEST_MAIN(tests)
