/* Values, verdicts and extremes of the losses. */
#include <math.h>

#include "ws_test.h"

#include "wingspan/model/activation.h"
#include "wingspan/model/loss.h"

static int32_t label[] = {1};
static float value[] = {0, 1};

static void losses_have_their_values(void **state)
{
    ws_targets t = {.c = 3, .label = label, .classes = 3};
    double f[] = {1, 2, 0.5}, grad[3];
    int right;

    (void)state;
    assert_true(fabs(ws_loss_find("softmax")->eval(&t, 0, f, grad, &right) -
                     log(1 + exp(-1) + exp(-1.5))) < 1e-14);
    assert_true(right == 1 && fabs(grad[0] + grad[1] + grad[2]) < 1e-15);
    assert_true(fabs(ws_loss_find("squared")->eval(&t, 0, f, grad, &right) -
                     ((4.0 / 3) * (4.0 / 3) * 2 + (2.5 / 3) * (2.5 / 3)) / 2) < 1e-14);
    t = (ws_targets){.c = 1, .label = label, .classes = 2};
    assert_true(fabs(ws_loss_find("logistic")->eval(&t, 0, f, grad, &right) - log(1 + exp(-1))) <
                1e-14);
    f[0] = -1;
    ws_loss_find("squared")->eval(&t, 0, f, grad, &right);
    assert_true(right == 0 && grad[0] == -2);
}

static void large_outputs_do_not_overflow(void **state)
{
    ws_targets t = {.c = 2, .label = label, .classes = 2}, v = {.c = 2, .value = value};
    double f[] = {1e300, -1e300}, grad[2];
    int right;

    (void)state;
    assert_true(ws_loss_find("softmax")->eval(&t, 0, f, grad, &right) == 2e300);
    assert_true(grad[0] == 1 && grad[1] == -1 && right == 0);
    assert_true(ws_loss_find("logistic")->eval(&v, 0, f, grad, &right) == 2e300);
    assert_true(grad[0] == 1 && grad[1] == -1 && right == 0);
}

static void a_loss_says_how_many_outputs_it_needs(void **state)
{
    (void)state;
    assert_int_equal(ws_loss_find("softmax")->outputs(10, 0), 10);
    assert_int_equal(ws_loss_find("softmax")->outputs(0, 3), 0);
    assert_int_equal(ws_loss_find("logistic")->outputs(2, 0), 1);
    assert_int_equal(ws_loss_find("logistic")->outputs(5, 0), 0);
    assert_int_equal(ws_loss_find("logistic")->outputs(0, 7), 7);
    assert_int_equal(ws_loss_find("squared")->outputs(2, 0), 1);
    assert_int_equal(ws_loss_find("squared")->outputs(0, 4), 4);
    assert_null(ws_loss_find("hinge"));
}

static void powers_are_mean_squares(void **state)
{
    (void)state;
    assert_true(fabs(ws_activation_find("quadratic")->power(1, 0) - 0.75) < 1e-12);
    assert_true(fabs(ws_activation_find("relu")->power(1, 0) - 0.5) < 1e-15);
    assert_true(fabs(ws_activation_find("relu")->power(2, 4) - 0.022750131948179) < 1e-14);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(losses_have_their_values),
    cmocka_unit_test(large_outputs_do_not_overflow),
    cmocka_unit_test(a_loss_says_how_many_outputs_it_needs),
    cmocka_unit_test(powers_are_mean_squares),
};

WS_TEST_MAIN(tests)
