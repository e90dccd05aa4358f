/* --precision float64: the same bits whatever the ranks, the index and the stops; residuals far below
 * what float32 weights allow. */
#include "train_util.h"

#include "wingspan/core/dot.h"

#define RUN "width=301 shift=0.8 precision=float64"

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3) || make_data(&world, "real.h5", 0);
}

static const char *const runs[] = {
    "data=classes.h5 optimizer=gd steps=7 rate=0.5",
    "data=classes.h5 optimizer=sgd batch=8 steps=14 rate=0.5 bias=trained output-weights=trained",
    "data=classes.h5 optimizer=sgd batch=8 steps=14 rate=0.1 momentum=0.9 weight-decay=0.01",
    "data=real.h5 optimizer=sgd batch=8 steps=14 ridge=0.01 bias=trained init=coupled",
    "data=classes.h5 optimizer=adam batch=8 steps=14 rate=0.01 bias=trained prepare=center-unit",
    "data=classes.h5 optimizer=gauss-newton loss=squared steps=4",
    "data=real.h5 optimizer=gauss-newton steps=6 ridge=0.01 damping=1e-7 bias=trained",
};

static void any_ranks_and_index_give_the_same_bits(void **state)
{
    static const char *const kinds[] = {"scan",      "dtree",     "wtree",
                                        "halfspace", "certified", "quantized"};

    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char words[500];
        uint64_t want;

        snprintf(words, sizeof words, RUN " %s index=scan", runs[i]);
        want = run_on(1, words, "one.h5");
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            snprintf(words, sizeof words, RUN " %s index=%s slack=0.05 verify-index=20", runs[i],
                     kinds[k]);
            assert_int_equal(run_on(world.size, words, "all.h5"), want);
        }
    }
}

static void so_they_do_for_smooth_activations(void **state)
{
    const char *words = "data=classes.h5 width=101 activation=tanh optimizer=sgd batch=8 steps=9 "
                        "rate=0.05 bias=trained precision=float64 verify-index=5";

    (void)state;
    assert_int_equal(run_on(world.size, words, "all.h5"), run_on(1, words, "one.h5"));
}

static void vector_units_give_the_same_bits(void **state)
{
    const char *words = RUN " data=classes.h5 batch=8 steps=12 rate=0.5";
    const char *was = ws_simd_name();
    uint64_t want = run_on(world.size, words, "all.h5");

    (void)state;
    assert_true(ws_simd_select("portable"));
    assert_int_equal(run_on(world.size, words, "all.h5"), want);
    if (ws_simd_select("avx2")) assert_int_equal(run_on(world.size, words, "all.h5"), want);
    assert_true(ws_simd_select(was));
}

/* 20 steps at once on one rank, against `first` steps on all and the rest on fewer. */
static void stop_and_resume(const char *more, int first)
{
    char words[500];
    int fewer = world.size > 1 ? world.size - 1 : 1;
    uint64_t want;

    snprintf(words, sizeof words, RUN " data=classes.h5 %s steps=20", more);
    want = run_on(1, words, "whole.h5");
    snprintf(words, sizeof words, RUN " data=classes.h5 %s steps=%d", more, first);
    run_on(world.size, words, "part.h5");
    assert_int_equal(run_on(fewer, "resume=part.h5 precision=float64 steps=20", "part.h5"), want);
}

static void a_stop_changes_nothing(void **state)
{
    (void)state;
    stop_and_resume("batch=8 rate=0.4 index=certified slack=0.05", 9);
    stop_and_resume("batch=8 rate=0.1 momentum=0.9 weight-decay=0.01 bias=trained", 10);
    stop_and_resume("batch=8 optimizer=adam rate=0.01 output-weights=trained", 3);
    stop_and_resume("batch=8 ridge=0.05 rate=0.3 checkpoint-dense=0 shift=2.6", 12);
    stop_and_resume("optimizer=gauss-newton", 1);
    stop_and_resume("optimizer=gauss-newton ridge=0.02 bias=trained", 2);
}

static void another_precision_is_refused_and_both_are_named(void **state)
{
    ws_train_result result;

    (void)state;
    run_on(world.size, RUN " data=classes.h5 batch=8 steps=4 rate=0.5", "part.h5");
    assert_all(train_on(&world, "resume=part.h5 precision=float32 steps=8", "part.h5", &result) ==
               WS_ERR_USAGE);
    assert_non_null(strstr(ws_err_text(), "--precision float32"));
    assert_non_null(strstr(ws_err_text(), "--precision float64"));
    assert_all(train_on(&world, "resume=part.h5 steps=8", "part.h5", &result) == WS_OK);
    assert_int_equal(result.step, 8);
}

static void the_checkpoint_holds_float64_weights(void **state)
{
    double *w = NULL;
    int64_t beyond = 0;
    ws_ckpt *c;

    (void)state;
    run_on(world.size, RUN " data=classes.h5 batch=8 steps=4 rate=0.5", "part.h5");
    assert_all(ws_ckpt_open(&world, "part.h5", 0, &c) == WS_OK);
    assert_all(ws_alloc(&w, 301 * D, sizeof *w, "test") == WS_OK);
    assert_all(ws_ckpt_get_array(c, "/model/w", WS_FLOAT64, 301 * D, w) == WS_OK);
    for (int k = 0; k < 301 * D; k++) beyond += w[k] != (double)(float)w[k];
    assert_true(beyond > 301);
    ws_free(&w);
    ws_ckpt_close(&c);
}

static void the_predictor_gives_the_outputs_of_the_run(void **state)
{
    ws_train_result result;
    ws_predictor *p;
    ws_score score;

    (void)state;
    assert_all(train_on(&world, RUN " data=real.h5 optimizer=gd steps=30", "run.h5", &result) ==
               WS_OK);
    assert_all(ws_predictor_open(&world, "run.h5", &p) == WS_OK);
    assert_all(ws_predictor_run(p, "real.h5", "test", "pred.h5", &score) == WS_OK);
    assert_true(score.n == N_TEST && fabs(score.rmse / result.test_rmse - 1) < 1e-14);
    ws_predictor_close(&p);
}

/* |residual| by that of the start, from the loss of every step and of outputs 0. */
static double relative_residual(const char *words, int steps)
{
    ws_train_result result;
    char run[300];
    double first;

    snprintf(run, sizeof run, "%s precision=float64 init=coupled optimizer=gd rate=1e-300 steps=1",
             words);
    assert_all(train_on(&world, run, "run.h5", &result) == WS_OK);
    first = result.loss;
    snprintf(run, sizeof run,
             "%s precision=float64 init=coupled optimizer=gauss-newton loss=squared steps=%d",
             words, steps);
    assert_all(train_on(&world, run, "run.h5", &result) == WS_OK);
    return sqrt(result.loss / first);
}

static void gauss_newton_reaches_1e_12_in_six_steps(void **state)
{
    (void)state;
    assert_true(relative_residual("data=real.h5 samples=20 width=8192 loss=squared", 6) < 1e-12);
    assert_true(relative_residual("data=real.h5 samples=20 width=8192 bias=trained", 6) < 1e-12);
}

/* Several outputs: conjugate gradients to 1e-3 a step, so a few more steps. */
static void so_it_does_with_several_outputs(void **state)
{
    const char *words = "data=classes.h5 samples=20 width=8192 loss=squared";

    (void)state;
    assert_true(relative_residual(words, 8) < 1e-12);
    assert_true(relative_residual("data=classes.h5 samples=20 width=8192 loss=squared "
                                  "cg-tolerance=1e-7",
                                  6) < 1e-12);
}

static void float32_does_not(void **state)
{
    ws_train_result result;

    (void)state;
    assert_all(train_on(&world,
                        "data=real.h5 samples=20 width=8192 optimizer=gauss-newton steps=20",
                        "run.h5", &result) == WS_OK);
    assert_true(result.loss > 1e-18);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(any_ranks_and_index_give_the_same_bits, setup),
    cmocka_unit_test(so_they_do_for_smooth_activations),
    cmocka_unit_test(vector_units_give_the_same_bits),
    cmocka_unit_test(a_stop_changes_nothing),
    cmocka_unit_test(another_precision_is_refused_and_both_are_named),
    cmocka_unit_test(the_checkpoint_holds_float64_weights),
    cmocka_unit_test(the_predictor_gives_the_outputs_of_the_run),
    cmocka_unit_test(gauss_newton_reaches_1e_12_in_six_steps),
    cmocka_unit_test(so_it_does_with_several_outputs),
    cmocka_unit_test(float32_does_not),
};

WS_TEST_MAIN(tests)
