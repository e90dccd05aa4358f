/* fmath_erfc.c - erfc and the Gaussian tail.
 *
 * erfc(x) = exp(-x^2) erfcx(x) with x^2 as an exact sum of two doubles. erfcx is a polynomial on
 * [1/4, 1/2], [1/2, 1], [1, 2], [2, 4] and, beyond 4, x erfcx(x) is one of 1/x^2. */
#include "fmath_impl.h"
#include "wingspan/core/fmath.h"

/* Chebyshev interpolants in t = (x - middle) * slope, with the relative error of each. */
static const struct piece {
    int n;
    double middle, slope, low; /* low: what the first coefficient lost by rounding */
    double c[20];
} pieces[] = {
    /* 0.25..0.5: 2^-57.87 */
    {13,
     0x1.8000000000000p-2,
     0x1.0000000000000p+3,
     -0x1.29d4ae110b505p-57,
     {0x1.5f28ade3ca4acp-1, -0x1.3a5c679d7bb59p-4, 0x1.d28c0e1177cd5p-8, -0x1.2e82dbf847066p-11,
      0x1.611afb945d331p-15, -0x1.7a16147a189eap-19, 0x1.78491fa711f50p-23, -0x1.5f77484b67c33p-27,
      0x1.3662c2d0f919ep-31, -0x1.04ad89e43e5f7p-35, 0x1.a267a95e2b5cep-40, -0x1.444b4dd3e0de1p-44,
      0x1.e05cb0a64c67ep-49}},
    /* 0.5..1.0: 2^-57.37 */
    {15,
     0x1.8000000000000p-1,
     0x1.0000000000000p+2,
     -0x1.ec2134d851665p-55,
     {0x1.038d54ea3d834p-1, -0x1.78cdd551ee51ap-4, 0x1.d90093ae10928p-7, -0x1.09e77d40e01cep-9,
      0x1.1192f5bd6873cp-12, -0x1.054d68296d26ap-15, 0x1.d43a7c7a7c0fap-19, -0x1.8c97dd23cacebp-22,
      0x1.3f818962c9a60p-25, -0x1.ec0d293395f67p-29, 0x1.6b984c0138dd8p-32, -0x1.02a04a14e43aap-35,
      0x1.635d5fe5fc73cp-39, -0x1.e412f7345926ep-43, 0x1.37d7863ebade2p-46}},
    /* 1.0..2.0: 2^-56.19 */
    {18,
     0x1.8000000000000p+0,
     0x1.0000000000000p+1,
     0x1.3a3865ece002dp-56,
     {0x1.494daffa2ad68p-2, -0x1.4f1988444caf7p-4, 0x1.37ea271bc54bcp-6, -0x1.0dc51d2941e6cp-8,
      0x1.b65944f34fbb6p-11, -0x1.513ed7600d3c7p-13, 0x1.ee705e7311a51p-16, -0x1.5b0abfe6309ffp-18,
      0x1.d4509d425f248p-21, -0x1.30c0ec8eebc29p-23, 0x1.7f99660093fdap-26, -0x1.d4155e4da48d2p-29,
      0x1.15709ea561233p-31, -0x1.40090078056f8p-34, 0x1.66d11225ee11dp-37, -0x1.89dc72c25d886p-40,
      0x1.c8ee5d35f0fe6p-43, -0x1.ddfe13df3446dp-46}},
    /* 2.0..4.0: 2^-56.07 */
    {20,
     0x1.8000000000000p+1,
     0x1.0000000000000p+0,
     -0x1.99ac9296879fap-58,
     {0x1.6e9827d229d2dp-3,   -0x1.bd6ae4d14b16fp-5,  0x1.043fe1a98c0d4p-6,
      -0x1.259061ba85698p-8,  0x1.409cc2ed3f027p-10,  -0x1.53dec9d0889cap-12,
      0x1.5e73930542870p-14,  -0x1.6025103cace20p-16, 0x1.595f1b10ffe11p-18,
      -0x1.4b14624a945b9p-20, 0x1.3699168d7bd7ep-22,  -0x1.1d7922347c7aap-24,
      0x1.014e0a0208be0p-26,  -0x1.c74e1c5371149p-29, 0x1.8c2f441a8c0efp-31,
      -0x1.527f395f218fap-33, 0x1.1666810f3d63bp-35,  -0x1.cd539a8193ddep-38,
      0x1.d497f9598b60ap-40,  -0x1.765214aed4921p-42}},
    /* 1/x^2: 2^-60.73 */
    {16,
     0x1p-5,
     32,
     0x1.6eab5ce2f35d5p-57,
     {0x1.1c8c55ad08099p-1, -0x1.088ffc939734fp-7, 0x1.5dcd442df717fp-12, -0x1.6ec49a074cf7cp-16,
      0x1.00fd05d41c565p-19, -0x1.bb483dfe5372ap-23, 0x1.c070e22fe50a3p-26, -0x1.01d4aa3fa903ap-28,
      0x1.49a835a5e0bf1p-31, -0x1.cd2530749f242p-34, 0x1.5cf0849a7ae31p-36, -0x1.1a5c7b7988f57p-38,
      0x1.d65c22ccb9dd2p-41, -0x1.a7ad5effd44bcp-43, 0x1.119ec0ef9d36ap-44,
      -0x1.16028ed3905d5p-46}},
};

/* erfcx(x) = *v + *rest, x >= 1/4. */
static void scaled(double x, double *v, double *rest)
{
    int k = x < 0.5 ? 0 : x < 1 ? 1 : x < 2 ? 2 : x < 4 ? 3 : 4;
    const struct piece *p = &pieces[k];
    double t = ((k == 4 ? 1 / (x * x) : x) - p->middle) * p->slope;
    double r = p->low + t * ws_poly(p->c + 1, p->n - 1, t), q, product, error;

    *v = p->c[0] + r;
    *rest = (p->c[0] - *v) + r;
    if (k < 4) return;
    q = *v / x;
    ws_two_product(q, x, &product, &error);
    *rest = (((*v - product) - error) + *rest) / x;
    *v = q;
}

/* erfc(x + low), x >= 1/4: v e^-x^2 with e^-x^2 = 2^k (1 + p), summed smallest first. */
static double beyond(double x, double low)
{
    double hi, lo, p, v, rest;
    int k;

    if (x > 27.3) return 0;
    ws_two_product(x, x, &hi, &lo);
    k = ws_exp_reduce(-hi, -(lo + 2 * x * low), &p);
    scaled(x, &v, &rest);
    rest += low * (2 * x * v - 0x1.20dd750429b6dp+0); /* erfcx' = 2 x erfcx - 2/sqrt(pi) */
    return ws_scale(v + (v * p + rest), k);
}

/* erf(x) / x by x^2, |x| <= 1/4: error 2^-55. */
static double near_zero(double z)
{
    static const double c[] = {0x1.20dd750429b6dp+0,  -0x1.812746b0379e6p-2, 0x1.ce2f21a0429acp-4,
                               -0x1.b82ce31241ee4p-6, 0x1.565bccc8d8b41p-8,  -0x1.c02d69b1f611ap-11,
                               0x1.f97724147f5c4p-14, -0x1.e736c732456a2p-17};

    return ws_poly(c, 8, z);
}

double ws_erfc(double x)
{
    if (isnan(x)) return x + x;
    if (fabs(x) < 0.25) return 1 - x * near_zero(x * x);
    return x > 0 ? beyond(x, 0) : 2 - beyond(-x, 0);
}

double ws_gauss_tail(double t)
{
    /* t / sqrt(2) as a sum of two doubles, so that the tail keeps its relative accuracy. */
    const double root = 0x1.6a09e667f3bcdp-1, rest = -0x1.bdd3413b26456p-55;
    double x, low;

    if (isnan(t)) return t + t;
    if (fabs(t) > 1e3) return t > 0 ? 0 : 1;
    ws_two_product(t, root, &x, &low);
    low += t * rest;
    if (fabs(x) < 0.25) return 0.5 - 0.5 * x * near_zero(x * x);
    return x > 0 ? 0.5 * beyond(x, low) : 1 - 0.5 * beyond(-x, -low);
}
