/* fmath_impl.h - kernels shared by the elementary functions and the normal numbers.
 *
 * Coefficients are Chebyshev interpolants computed with 300-bit arithmetic and rounded; the
 * interval and the error of each are beside it. */
#ifndef WS_CORE_FMATH_IMPL_H
#define WS_CORE_FMATH_IMPL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define WS_LN2_HI 0x1.62e42fefa2000p-1 /* 40 bits: k times it is exact */
#define WS_LN2_LO 0x1.9ef35793c7673p-41

static inline uint64_t ws_bits(double x)
{
    uint64_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double ws_from_bits(uint64_t u)
{
    double x;

    memcpy(&x, &u, sizeof x);
    return x;
}

/* Polynomial with coefficients ascending, n of them. */
static inline double ws_poly(const double *c, int n, double x)
{
    double s = c[n - 1];

    for (int i = n - 2; i >= 0; i--) s = s * x + c[i];
    return s;
}

/* (log((1+s)/(1-s)) - 2s) / s^3 by z = s^2, |s| <= 0.1716: error 2^-59 of the logarithm. */
static const double ws_log_coef[8] = {
    0x1.5555555555555p-1, 0x1.9999999999a39p-2, 0x1.2492492476a1ap-2, 0x1.c71c7201a55d7p-3,
    0x1.745cf8e4bba1bp-3, 0x1.3b1c3c1c81c8fp-3, 0x1.0fbde0f4ad17bp-3, 0x1.0c0aff044a970p-3};

static inline double ws_log_tail(double z)
{
    return ws_poly(ws_log_coef, 8, z);
}

/* (sin y - y) / y^3 by z = y^2, |y| <= pi/4: error 2^-57. */
static const double ws_sin_coef[7] = {
    -0x1.5555555555555p-3,  0x1.1111111111110p-7,  -0x1.a01a01a019937p-13, 0x1.71de3a54607a5p-19,
    -0x1.ae64541295cdfp-26, 0x1.61217ee5cca1bp-33, -0x1.ab17bdcbd3414p-41};

static inline double ws_sin_tail(double z)
{
    return ws_poly(ws_sin_coef, 7, z);
}

/* (cos y - 1 + y^2/2) / y^4 by z = y^2, |y| <= pi/4: error 2^-60. */
static const double ws_cos_coef[7] = {
    0x1.5555555555555p-5,  -0x1.6c16c16c16c16p-10, 0x1.a01a01a019d0ap-16, -0x1.27e4fb7712ca2p-22,
    0x1.1eed8deb82809p-29, -0x1.9394b9eb4d56dp-37, 0x1.ab78473be59d7p-45};

static inline double ws_cos_tail(double z)
{
    return ws_poly(ws_cos_coef, 7, z);
}

/* sin and cos of y + low, |y| <= pi/4, low a small correction. */
static inline void ws_sincos_kernel(double y, double low, double *s, double *c)
{
    double z = y * y, half = 0.5 * z, w = 1 - half;

    *s = y + (y * z * ws_sin_tail(z) + low * w);
    *c = w + (((1 - w) - half) + (z * z * ws_cos_tail(z) - y * low));
}

/** e^(x + low) = 2^k (1 + *p), |low| far below |x| < 750; returns k. */
int ws_exp_reduce(double x, double low, double *p);

/** v 2^k with one rounding, into the subnormal range too. */
double ws_scale(double v, int k);

/** x*y as an unevaluated sum of two doubles (Dekker); no overflow expected. */
static inline void ws_two_product(double x, double y, double *p, double *e)
{
    const double split = 134217729.0; /* 2^27 + 1 */
    double t = split * x, xh = t - (t - x), xl = x - xh;
    double u = split * y, yh = u - (u - y), yl = y - yh;

    *p = x * y;
    *e = ((xh * yh - *p) + xh * yl + xl * yh) + xl * yl;
}

#endif
