/* cg.c - conjugate gradients: plain loops in a fixed order, so that all ranks do the same. */
#include "wingspan/linalg/cg.h"

#include <math.h>
#include <string.h>

static double product(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static ws_err apply(const ws_cg_system *s, const double *r, double *z)
{
    if (s->precondition) return s->precondition(s->of, r, z);
    memcpy(z, r, (size_t)s->n * sizeof *z);
    return WS_OK;
}

ws_err ws_cg(const ws_cg_system *s, const double *b, double tolerance, int most, double *x,
             double *rest, double *work, int *iterations)
{
    int64_t n = s->n;
    double *z = work, *p = work + n, *ap = work + 2 * n;
    double rz = 0, stop = tolerance * sqrt(product(b, b, n));
    ws_err err;

    memset(x, 0, (size_t)n * sizeof *x);
    memset(p, 0, (size_t)n * sizeof *p);
    memcpy(rest, b, (size_t)n * sizeof *rest);
    for (*iterations = 0; *iterations < most && sqrt(product(rest, rest, n)) > stop;) {
        double old = rz, beta, curve, alpha;

        if ((err = apply(s, rest, z))) return err;
        rz = product(rest, z, n);
        beta = *iterations > 0 ? rz / old : 0;
        for (int64_t i = 0; i < n; i++) p[i] = z[i] + beta * p[i];
        if ((err = s->product(s->of, p, ap))) return err;
        ++*iterations;
        curve = product(p, ap, n);
        /* Rounding has the last word: nothing more can be gained along p. */
        if (!(curve > 0) || !(rz > 0)) break;
        alpha = rz / curve;
        for (int64_t i = 0; i < n; i++) x[i] += alpha * p[i];
        for (int64_t i = 0; i < n; i++) rest[i] -= alpha * ap[i];
    }
    return WS_OK;
}
