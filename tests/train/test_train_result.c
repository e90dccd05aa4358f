/* What a run learns, says and predicts. */
#include "train_util.h"

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3) || make_data(&world, "real.h5", 0);
}

static void classes_are_learned(void **state)
{
    ws_train_result result;

    (void)state;
    assert_all(train_on(&world, "data=classes.h5 width=1001 batch=8 epochs=20", "run.h5",
                        &result) == WS_OK);
    assert_true(result.accuracy > 0.95);
    assert_true(result.test_accuracy > 0.6);
}

static void the_predictor_gives_the_outputs_of_the_run(void **state)
{
    ws_train_result result;
    ws_predictor *p;
    ws_score score;

    (void)state;
    assert_all(train_on(&world, "data=classes.h5 width=1001 batch=8 epochs=3", "run.h5", &result) ==
               WS_OK);
    assert_all(ws_predictor_open(&world, "run.h5", &p) == WS_OK);
    assert_all(ws_predictor_run(p, "classes.h5", "test", "pred.h5", &score) == WS_OK);
    assert_true(score.n == N_TEST && score.accuracy == result.test_accuracy);
    ws_predictor_close(&p);
}

static void real_targets_come_back_in_the_users_units(void **state)
{
    ws_train_result result;
    ws_predictor *p;
    ws_score score;

    (void)state;
    assert_all(train_on(&world,
                        "data=real.h5 width=1001 optimizer=gd steps=60 prepare=none shift=0",
                        "run.h5", &result) == WS_OK);
    assert_true(result.test_rmse > 5 && result.test_rmse < 80);
    assert_all(ws_predictor_open(&world, "run.h5", &p) == WS_OK);
    assert_all(ws_predictor_run(p, "real.h5", "test", "", &score) == WS_OK);
    assert_true(fabs(score.rmse - result.test_rmse) < 1e-9);
    ws_predictor_close(&p);
}

/* With coupled pairs f(x) is exactly 0, so the first loss is exactly the loss of zeros. */
static void a_coupled_start_outputs_exactly_zero(void **state)
{
    ws_train_result result;

    (void)state;
    assert_all(train_on(&world,
                        "data=classes.h5 width=400 optimizer=gd steps=1 init=coupled loss=squared",
                        "run.h5", &result) == WS_OK);
    assert_true(fabs(result.loss - 0.5 * (4.0 / 9 + 2.0 / 9)) < 1e-12);
}

static void the_automatic_rate_of_gd_lowers_the_loss_every_step(void **state)
{
    ws_train_result result;
    double last = INFINITY;

    (void)state;
    for (int steps = 1; steps < 8; steps++) {
        char words[200];
        snprintf(words, sizeof words,
                 "data=classes.h5 width=1001 shift=0.5 optimizer=gd steps=%d loss=squared", steps);
        assert_all(train_on(&world, words, "run.h5", &result) == WS_OK);
        assert_true(result.loss < last);
        last = result.loss;
    }
}

/* Narrow networks with hardly any damping, where many a full step would raise it. */
static void gauss_newton_never_raises_the_loss(void **state)
{
    (void)state;
    for (int width = 9; width < 60; width += 7) {
        double history[40];
        int64_t dims[2] = {0, 0};
        ws_train_result result;
        ws_ckpt *c;
        char words[200];
        int ndims;

        snprintf(words, sizeof words,
                 "data=%s width=%d shift=0.8 optimizer=gauss-newton loss=squared damping=1e-8 "
                 "steps=20",
                 width % 2 ? "classes.h5" : "real.h5", width);
        assert_all(train_on(&world, words, "run.h5", &result) == WS_OK);
        assert_all(ws_ckpt_open(&world, "run.h5", 0, &c) == WS_OK);
        assert_int_equal(ws_ckpt_shape(c, "/progress/loss_history", &ndims, dims), WS_OK);
        assert_true(dims[0] >= 2 && dims[0] <= 20 && dims[0] == result.step);
        assert_int_equal(
            ws_ckpt_get_array(c, "/progress/loss_history", WS_FLOAT64, dims[0], history), WS_OK);
        for (int64_t k = 1; k < dims[0]; k++) assert_true(history[k] < history[k - 1]);
        assert_true(history[dims[0] - 1] == result.loss);
        ws_ckpt_close(&c);
    }
}

static void gauss_newton_needs_a_handful_of_steps(void **state)
{
    ws_train_result result;

    (void)state;
    assert_all(train_on(&world,
                        "data=classes.h5 width=4001 shift=0.5 optimizer=gauss-newton steps=4",
                        "run.h5", &result) == WS_OK);
    assert_true(result.loss < 1e-8 && result.accuracy == 1);
}

static void a_gauss_newton_run_that_cannot_move_still_tells_its_loss(void **state)
{
    ws_train_result result;

    (void)state;
    assert_all(train_on(&world,
                        "data=classes.h5 width=2 shift=9 output-scale=1 optimizer=gauss-newton",
                        "run.h5", &result) == WS_OK);
    assert_true(result.step == 0 && fabs(result.loss - 0.5 * (4.0 / 9 + 2.0 / 9)) < 1e-12);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(classes_are_learned, setup),
    cmocka_unit_test(the_predictor_gives_the_outputs_of_the_run),
    cmocka_unit_test(real_targets_come_back_in_the_users_units),
    cmocka_unit_test(a_coupled_start_outputs_exactly_zero),
    cmocka_unit_test(the_automatic_rate_of_gd_lowers_the_loss_every_step),
    cmocka_unit_test(gauss_newton_never_raises_the_loss),
    cmocka_unit_test(gauss_newton_needs_a_handful_of_steps),
    cmocka_unit_test(a_gauss_newton_run_that_cannot_move_still_tells_its_loss),
};

WS_TEST_MAIN(tests)
