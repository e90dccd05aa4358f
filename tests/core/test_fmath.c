/* Elementary functions within 2 ulp of values rounded from long arithmetic, and Annex F. */
#include <math.h>

#include "ws_test.h"

#include "wingspan/core/fmath.h"

#include "fmath_table.h"

static double ulp(double y)
{
    int e;

    if (fabs(y) < 0x1p-1022) return 0x1p-1074;
    frexp(y, &e);
    return ldexp(1, e - 53);
}

static void every_value_is_within_two_ulp(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double error = fabs(table[i].f(table[i].x) - table[i].y) / ulp(table[i].y);
        /* the table itself is off by half an ulp at most */
        if (error > 2) print_message("%s(%a) is off by %g ulp\n", table[i].name, table[i].x, error);
        assert_true(error <= 2);
    }
}

static void infinities_zeros_and_nan_are_as_annex_f_says(void **state)
{
    (void)state;
    assert_true(ws_exp(-INFINITY) == 0 && isinf(ws_exp(INFINITY)) && ws_exp(0) == 1);
    assert_true(ws_expm1(-INFINITY) == -1 && isinf(ws_expm1(INFINITY)));
    assert_true(signbit(ws_expm1(-0.0)) && ws_expm1(-0.0) == 0);
    assert_true(ws_log(0) == -INFINITY && isnan(ws_log(-1)) && ws_log(1) == 0);
    assert_true(ws_log1p(-1) == -INFINITY && isnan(ws_log1p(-2)) && signbit(ws_log1p(-0.0)));
    assert_true(ws_tanh(INFINITY) == 1 && ws_tanh(-INFINITY) == -1 && signbit(ws_tanh(-0.0)));
    assert_true(ws_erfc(INFINITY) == 0 && ws_erfc(-INFINITY) == 2 && ws_erfc(0) == 1);
    assert_true(isnan(ws_sin(INFINITY)) && isnan(ws_cos(-INFINITY)) && signbit(ws_sin(-0.0)));
    assert_true(isnan(ws_exp(NAN)) && isnan(ws_expm1(NAN)) && isnan(ws_log(NAN)));
    assert_true(isnan(ws_log1p(NAN)) && isnan(ws_tanh(NAN)) && isnan(ws_erfc(NAN)));
    assert_true(isnan(ws_sin(NAN)) && isnan(ws_cos(NAN)) && isnan(ws_gauss_tail(NAN)));
    assert_true(ws_gauss_tail(INFINITY) == 0 && ws_gauss_tail(-INFINITY) == 1);
}

static void the_smallest_and_largest_results_are_reached(void **state)
{
    (void)state;
    assert_true(ws_exp(-745.13) == 0x1p-1074);
    assert_true(ws_exp(709.78) < INFINITY && ws_exp(709.79) == INFINITY);
    assert_true(ws_log(0x1p-1074) < -744.4 && ws_log(0x1.fffffffffffffp1023) < 709.8);
}

static void both_together_are_the_single_ones(void **state)
{
    (void)state;
    for (double x = -30; x < 30; x += 0.37) {
        double s, c;
        ws_sincos(x, &s, &c);
        assert_true(s == ws_sin(x) && c == ws_cos(x));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_value_is_within_two_ulp),
    cmocka_unit_test(infinities_zeros_and_nan_are_as_annex_f_says),
    cmocka_unit_test(the_smallest_and_largest_results_are_reached),
    cmocka_unit_test(both_together_are_the_single_ones),
};

WS_TEST_MAIN(tests)
