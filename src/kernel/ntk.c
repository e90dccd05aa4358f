/* ntk.c - the bivariate normal tail by quadrature, and the kernel's eigenvalues. */
#include "wingspan/kernel/ntk.h"

#include <math.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/linalg/spd.h"

enum { NODES = 32 };

/* Nodes and weights of Gauss and Legendre on [0, 1], by Newton's method on the polynomial. */
typedef struct rule {
    double x[NODES], w[NODES];
} rule;

static void make_rule(rule *r)
{
    for (int i = 0; i < NODES; i++) {
        double x = cos(3.141592653589793 * (i + 0.75) / (NODES + 0.5)), p, slope;
        for (int k = 0; k < 8; k++) {
            double before = 1;
            p = x;
            for (int j = 2; j <= NODES; j++) {
                double next = ((2 * j - 1) * x * p - (j - 1) * before) / j;
                before = p;
                p = next;
            }
            slope = NODES * (x * p - before) / (x * x - 1);
            x -= p / slope;
        }
        r->x[i] = (1 + x) / 2;
        r->w[i] = 1 / ((1 - x * x) * slope * slope);
    }
}

/* P = Q(b)^2 + 1/(2 pi) int_{acos rho}^{pi/2} exp(-b^2 / (1 + cos u)) du: Plackett's integral from
 * correlation 0, with correlation cos u. Only sums for rho >= 0, so small P are precise there. (From
 * correlation -1, where P = 0, nothing would ever be taken away, but the integrand is not analytic at
 * that end and the rule converges slowly.) */
static double pair_tail(const rule *r, double b, double rho)
{
    const double half = 1.5707963267948966;
    double from = acos(fmax(-1, fmin(1, rho))), sum = 0, q = ws_gauss_tail(b);

    for (int k = 0; k < NODES; k++)
        sum += r->w[k] * ws_exp(-b * b / (1 + cos(from + (half - from) * r->x[k])));
    return fmax(0, q * q + sum * (half - from) / (4 * half));
}

double ws_pair_tail(double b, double rho)
{
    rule r;

    make_rule(&r);
    return pair_tail(&r, b, rho);
}

/* Row i of the kernel as far as its diagonal, on every rank that holds a part of it; off[] gathers
 * sum_j |K_ij| of what is held here. */
static void put_row(ws_spd *k, const ws_samples *x, int64_t i, double b, int biased, const rule *r,
                    float *row, double *off, double *nearest)
{
    ws_samples_row(x, i, row);
    for (int64_t j = 0; j <= i; j++) {
        double inner, v;
        if (!ws_spd_holds(k, i, j)) continue;
        ws_dot_many(row, x, &j, 1, &inner);
        v = (inner + biased) * (i == j ? ws_gauss_tail(b) : pair_tail(r, b, inner));
        ws_spd_put(k, i, j, v);
        if (i == j) {
            off[i] -= v;
            continue;
        }
        off[i] += fabs(v);
        off[j] += fabs(v);
        *nearest = fmax(*nearest, fabs(inner));
    }
}

static ws_err check_unit(const ws_samples *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(ws_samples_norm(x, i) - 1) < 1e-4))
            return ws_fail(
                WS_ERR_DATA,
                "the kernel is for samples of norm 1, but sample %lld has norm %.6g: use "
                "--prepare unit",
                (long long)i, ws_samples_norm(x, i));
    return WS_OK;
}

static ws_err fill(const ws_comm *comm, ws_spd *k, const ws_samples *x, int64_t n, double b,
                   int biased, ws_spectrum *out)
{
    double *off = NULL;
    float *row = NULL;
    rule r;
    ws_err err = ws_alloc(&off, n, sizeof *off, "a kernel");

    if (!err) err = ws_alloc(&row, x->d, sizeof *row, "a kernel");
    if ((err = ws_agree(comm, err))) goto done;
    make_rule(&r);
    for (int64_t i = 0; i < n; i++) put_row(k, x, i, b, biased, &r, row, off, &out->nearest);
    MPI_Allreduce(MPI_IN_PLACE, off, ws_int(n), MPI_DOUBLE, MPI_SUM, comm->mpi);
    MPI_Allreduce(MPI_IN_PLACE, &out->nearest, 1, MPI_DOUBLE, MPI_MAX, comm->mpi);
    out->disc = INFINITY;
    for (int64_t i = 0; i < n; i++) out->disc = fmin(out->disc, -off[i]);
done:
    ws_free(&off);
    ws_free(&row);
    return err;
}

ws_err ws_ntk_spectrum(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                       double *value, ws_spectrum *out)
{
    double *all = NULL;
    ws_spd *k = NULL;
    ws_err err = check_unit(x, n);

    *out = (ws_spectrum){.n = n, .active = ws_gauss_tail(b)};
    if (!err) err = ws_alloc(&all, n, sizeof *all, "a kernel");
    if ((err = ws_agree(comm, err)) || (err = ws_spd_create(comm, n, WS_SPD_SERIAL, &k)) ||
        (err = fill(comm, k, x, n, b, biased, out)) || (err = ws_spd_eigenvalues(k, all)))
        goto done;
    out->least = all[0];
    out->largest = all[n - 1];
    for (int64_t i = 0; value && i < n; i++) value[i] = all[i];
done:
    ws_spd_destroy(&k);
    ws_free(&all);
    return err;
}
