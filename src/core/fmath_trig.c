/* fmath_trig.c - sin and cos, exact reduction for every double.
 *
 * Payne and Hanek (1983): of x * 2/pi only the bits that matter modulo 4 are computed, from as
 * many bits of 2/pi as the exponent asks for, in integers. */
#include "fmath_impl.h"
#include "wingspan/core/fmath.h"

/* Bits of 2/pi after the point. */
static const uint64_t two_over_pi[] = {
    0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
    0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
    0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d, 0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab, 0xf0cfbc209af4361d};

enum { WORDS = sizeof two_over_pi / sizeof *two_over_pi };

static uint64_t word(int i)
{
    return i < 0 || i >= WORDS ? 0 : two_over_pi[i];
}

/* 64 bits of 2/pi from bit `at` (bit 0 is worth 1/2). */
static uint64_t window(int at)
{
    int i = at >= 0 ? at / 64 : -((63 - at) / 64), shift = at - 64 * i;

    return shift ? word(i) << shift | word(i + 1) >> (64 - shift) : word(i);
}

/* |x| = q pi/2 + (y + low), |y| <= pi/4; returns q mod 4.  x is finite and above pi/4. */
static int reduce(double x, double *y, double *low)
{
    uint64_t u = ws_bits(x), m = (u & 0xfffffffffffffu) | 0x10000000000000u, a, top;
    int e = (int)(u >> 52 & 0x7ff) - 1075, negative, shift;
    /* Three words of 2/pi, the first bit worth 2 after the product with m 2^e. */
    uint64_t w0 = window(e - 2), w1 = window(e + 62), w2 = window(e + 126);
    unsigned __int128 lowest = (unsigned __int128)w2 * m;
    unsigned __int128 middle = (unsigned __int128)w1 * m + (uint64_t)(lowest >> 64);
    uint64_t highest = w0 * m + (uint64_t)(middle >> 64);
    unsigned __int128 f = (unsigned __int128)highest << 64 | (uint64_t)middle, p;
    int q = (int)(highest >> 62);

    /* The fraction as a signed part of a quarter turn. */
    f = f << 2 | (uint64_t)lowest >> 62;
    negative = (int)(f >> 127);
    if (negative) {
        q++;
        f = -f;
    }
    shift = (uint64_t)(f >> 64) ? __builtin_clzll((uint64_t)(f >> 64))
                                : 64 + __builtin_clzll((uint64_t)f | 1);
    a = (uint64_t)(f << shift >> 64);
    p = (unsigned __int128)a * 0xc90fdaa22168c235u; /* pi/2 in units of 2^-63 */
    top = (uint64_t)(p >> 64);
    *y = (double)(top & ~(uint64_t)0x7ff);
    *low = (double)(top & 0x7ff);
    {
        double unit = ws_from_bits((uint64_t)(1023 - 63 - shift) << 52);
        if (negative) unit = -unit;
        *y *= unit;
        *low *= unit;
    }
    return q & 3;
}

void ws_sincos(double x, double *s, double *c)
{
    double a = fabs(x), y = a, low = 0, sy, cy;
    int q = 0;

    if (!isfinite(x)) {
        *s = *c = NAN;
        return;
    }
    if (a > 0x1.921fb54442d18p-1) q = reduce(a, &y, &low);
    ws_sincos_kernel(y, low, &sy, &cy);
    *s = q & 1 ? cy : sy;
    *c = q & 1 ? sy : cy;
    if (q & 2) *s = -*s;
    if ((q + 1) & 2) *c = -*c;
    if (signbit(x)) *s = -*s;
}

double ws_sin(double x)
{
    double s, c;

    if (fabs(x) < 0x1p-27) return x;
    ws_sincos(x, &s, &c);
    return s;
}

double ws_cos(double x)
{
    double s, c;

    ws_sincos(x, &s, &c);
    return c;
}
