/* fmath_log.c - log and log1p.
 *
 * x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2); with s = f / (2 + f),
 * log(1 + f) = log((1+s)/(1-s)) = f - s (f - s^2 tail(s^2)). */
#include "fmath_impl.h"
#include "wingspan/core/fmath.h"

/* k ln 2 + log(1 + f) + low */
static double assemble(int k, double f, double low)
{
    double s = f / (2 + f), z = s * s, bend = s * (f - z * ws_log_tail(z));

    return k * WS_LN2_HI - ((bend - (k * WS_LN2_LO + low)) - f);
}

/* Split a positive normal number. */
static int split(double x, double *f)
{
    uint64_t u = ws_bits(x), mantissa = u & 0xfffffffffffffu;
    int up = mantissa >= 0x6a09e667f3bcdu; /* sqrt(2) */

    *f = ws_from_bits(mantissa | (uint64_t)(1023 - up) << 52) - 1;
    return (int)(u >> 52) - 1023 + up;
}

double ws_log(double x)
{
    int shift = 0, k;
    double f;

    if (x == 0) return -INFINITY;
    if (isnan(x)) return x + x;
    if (x < 0) return NAN;
    if (isinf(x)) return x;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        shift = 54;
    }
    k = split(x, &f);
    return assemble(k - shift, f, 0);
}

double ws_log1p(double x)
{
    double u, f;
    int k;

    if (isnan(x)) return x + x;
    if (x == -1) return -INFINITY;
    if (x < -1) return NAN;
    if (isinf(x)) return x;
    if (fabs(x) < 0x1p-54) return x;
    if (x > -0.2928 && x < 0.4142) return assemble(0, x, 0);
    /* 1 + x rounds: what was lost comes back as a correction. */
    u = 1 + x;
    k = split(u, &f);
    return assemble(k, f, (x >= 1 ? 1 - (u - x) : x - (u - 1)) / u);
}
