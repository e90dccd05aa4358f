/* fmath_exp.c - exp, expm1, tanh.
 *
 * x = k ln 2 + r with |r| <= ln 2 / 2; e^r = 1 + r + r^2 g(r), g a polynomial. */
#include "fmath_impl.h"
#include "wingspan/core/fmath.h"

/* (e^r - 1 - r) / r^2 for |r| <= 0.347: error 2^-61. */
static double tail(double r)
{
    static const double c[] = {0x1.0000000000000p-1,  0x1.5555555555557p-3,  0x1.5555555555556p-5,
                               0x1.11111111100bep-7,  0x1.6c16c16c162c3p-10, 0x1.a01a01abf85abp-13,
                               0x1.a01a01a6e1e2ap-16, 0x1.71de01fdbf9cap-19, 0x1.27e4db46cddd1p-22,
                               0x1.af4e554377204p-26, 0x1.1f7340dbc337ep-29};

    return ws_poly(c, 11, r);
}

int ws_exp_reduce(double x, double low, double *p)
{
    double k = floor(x * 0x1.71547652b82fep+0 + 0.5);
    double hi = x - k * WS_LN2_HI, lo = k * WS_LN2_LO - low;
    double r = hi - lo, rest = (hi - r) - lo;

    *p = r + (r * r * tail(r) + rest);
    return (int)k;
}

static double power_of_two(int k)
{
    return ws_from_bits((uint64_t)(1023 + k) << 52);
}

double ws_scale(double v, int k)
{
    if (k > 1023) return v * 2 * power_of_two(k - 1);
    if (k < -1022) return v * power_of_two(k + 64) * 0x1p-64;
    return v * power_of_two(k);
}

double ws_exp(double x)
{
    double p;
    int k;

    if (isnan(x)) return x + x;
    if (x > 709.79) return INFINITY;
    if (x < -745.2) return 0;
    k = ws_exp_reduce(x, 0, &p);
    return ws_scale(1 + p, k);
}

double ws_expm1(double x)
{
    double p;
    int k;

    if (isnan(x)) return x + x;
    if (fabs(x) < 0x1p-54) return x;
    if (x > 42) return ws_exp(x);
    if (x < -40) return -1;
    if (fabs(x) < 0.34) return x + x * x * tail(x);
    k = ws_exp_reduce(x, 0, &p);
    return power_of_two(k) * p + (power_of_two(k) - 1);
}

double ws_tanh(double x)
{
    /* (tanh y - y) / y^3 by z = y^2, |y| <= 0.5625: error 2^-57. */
    static const double c[] = {
        -0x1.5555555555555p-2,  0x1.1111111111105p-3,   -0x1.ba1ba1ba19d5dp-5,
        0x1.664f4881ec346p-6,   -0x1.226e352b6a427p-7,  0x1.d6d3c26abcbe7p-9,
        -0x1.7da216499f72dp-10, 0x1.354431e18ea6cp-11,  -0x1.f3e303d937561p-13,
        0x1.8b6e011d560bfp-14,  -0x1.1798f633d339fp-15, 0x1.002b1e55e95d8p-17};
    double a = fabs(x), t;

    if (isnan(x)) return x + x;
    if (a < 0x1p-28) return x;
    if (a < 0.5625) return x + x * (x * x) * ws_poly(c, 12, x * x);
    t = a > 22 ? 1 : 1 - 2 / (ws_expm1(2 * a) + 2);
    return x < 0 ? -t : t;
}
