/* ntk.c - the bivariate normal tail by quadrature, the kernel's eigenvalues and their bounds. */
#include "ntk_impl.h"

#include <math.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/linalg/spd.h"

enum { NODES = WS_NTK_NODES };

/* By Newton's method on the polynomial. */
void ws_ntk_make_rule(ws_ntk_rule *r)
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
double ws_ntk_tail(const ws_ntk_rule *r, double b, double rho)
{
    const double half = 1.5707963267948966;
    double from = acos(fmax(-1, fmin(1, rho))), sum = 0, q = ws_gauss_tail(b);

    for (int k = 0; k < NODES; k++)
        sum += r->w[k] * ws_exp(-b * b / (1 + cos(from + (half - from) * r->x[k])));
    return fmax(0, q * q + sum * (half - from) / (4 * half));
}

double ws_pair_tail(double b, double rho)
{
    ws_ntk_rule r;

    ws_ntk_make_rule(&r);
    return ws_ntk_tail(&r, b, rho);
}

double ws_ntk_entry(const ws_ntk_rule *r, double b, int biased, double inner, int diagonal)
{
    return (inner + biased) * (diagonal ? ws_gauss_tail(b) : ws_ntk_tail(r, b, inner));
}

/* Rounding the samples by e moves an angle near 0 or pi, and so an eigenvalue, by sqrt(e). */
int ws_spectrum_is_singular(const ws_spectrum *s)
{
    return !(s->least > 1e-12 * s->largest) ||
           (s->nearest > 1 - 1e-6 && s->least < 1e-4 * s->largest);
}

ws_ntk_bounds ws_ntk_bounds_of(double b, double nearest, int64_t n)
{
    const double root = 2.5066282746310002, pi = 3.141592653589793;
    double delta = sqrt(fmax(0, 2 - 2 * nearest)), density = ws_exp(-b * b / 2) / root;
    double near = 0.5 - b / root, far = b > 0 ? (1 / b - 1 / (b * b * b)) * density : near;

    /* With d = delta: d sqrt(1 - d^2/4) / (1 - d^2/2) is the tangent of acos(nearest), and
     * 2 - d^2/2 is 1 + nearest. */
    return (ws_ntk_bounds){.worst = ws_exp(-b * b / 2) * delta / (100 * (double)n * (double)n),
                           .region = fmax(near, far) - ws_exp(-b * b / (1 + nearest)) *
                                                           (pi - acos(fmin(1, nearest))) / (2 * pi),
                           .sharp = ws_gauss_tail(b) - ws_pair_tail(b, nearest)};
}

typedef struct sums {
    double *off;     /* [n] sum_j |K_ij| of what is held here, less the diagonal */
    double nearest;  /* largest |<x_i, x_j>| */
    double together; /* sum_ij P[both fire] */
} sums;

/* Row i of the kernel as far as its diagonal, on every rank that holds a part of it. */
static void put_row(ws_spd *k, const ws_samples *x, int64_t i, double b, int biased,
                    const ws_ntk_rule *r, float *row, sums *s)
{
    ws_samples_row(x, i, row);
    for (int64_t j = 0; j <= i; j++) {
        double inner, p;
        if (!ws_spd_holds(k, i, j)) continue;
        ws_dot_many(row, x, &j, 1, &inner);
        p = i == j ? ws_gauss_tail(b) : ws_ntk_tail(r, b, inner);
        ws_spd_put(k, i, j, (inner + biased) * p);
        s->together += i == j ? p : 2 * p;
        if (i == j) {
            s->off[i] -= (inner + biased) * p;
            continue;
        }
        s->off[i] += fabs((inner + biased) * p);
        s->off[j] += fabs((inner + biased) * p);
        s->nearest = fmax(s->nearest, fabs(inner));
    }
}

ws_err ws_ntk_check_unit(const ws_samples *x, int64_t n)
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
    double q = ws_gauss_tail(b), size = (double)n;
    float *row = NULL;
    ws_ntk_rule r;
    sums s = {0};
    ws_err err = ws_alloc(&s.off, n, sizeof *s.off, "a kernel");

    if (!err) err = ws_alloc(&row, x->d, sizeof *row, "a kernel");
    if ((err = ws_agree(comm, err))) goto done;
    ws_ntk_make_rule(&r);
    for (int64_t i = 0; i < n; i++) put_row(k, x, i, b, biased, &r, row, &s);
    MPI_Allreduce(MPI_IN_PLACE, s.off, ws_int(n), MPI_DOUBLE, MPI_SUM, comm->mpi);
    MPI_Allreduce(MPI_IN_PLACE, &s.together, 1, MPI_DOUBLE, MPI_SUM, comm->mpi);
    MPI_Allreduce(&s.nearest, &out->nearest, 1, MPI_DOUBLE, MPI_MAX, comm->mpi);
    out->disc = INFINITY;
    for (int64_t i = 0; i < n; i++) out->disc = fmin(out->disc, -s.off[i]);
    out->deviation = sqrt(fmax(0, s.together / (size * size) - q * q));
done:
    ws_free(&s.off);
    ws_free(&row);
    return err;
}

/* The kernel as a system; *k is to be destroyed also after an error. */
static ws_err make(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                   ws_spectrum *s, ws_spd **k)
{
    ws_err err = ws_agree(comm, ws_ntk_check_unit(x, n));

    *k = NULL;
    *s = (ws_spectrum){.n = n, .active = ws_gauss_tail(b)};
    if (err || (err = ws_spd_create(comm, n, WS_SPD_SERIAL, k))) return err;
    return fill(comm, *k, x, n, b, biased, s);
}

ws_err ws_ntk_spectrum(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                       double *value, ws_spectrum *out)
{
    double *all = NULL;
    ws_spd *k = NULL;
    ws_err err = ws_agree(comm, ws_alloc(&all, n, sizeof *all, "a kernel"));

    if (err || (err = make(comm, x, n, b, biased, out, &k)) || (err = ws_spd_eigenvalues(k, all)))
        goto done;
    out->least = all[0];
    out->largest = all[n - 1];
    for (int64_t i = 0; value && i < n; i++) value[i] = all[i];
done:
    ws_spd_destroy(&k);
    ws_free(&all);
    return err;
}

ws_err ws_ntk_energy(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                     const double *y, double *energy)
{
    double *z = NULL;
    ws_spectrum s;
    ws_spd *k = NULL;
    int ok;
    ws_err err = ws_agree(comm, ws_alloc(&z, n, sizeof *z, "a kernel"));

    *energy = NAN;
    if (err || (err = make(comm, x, n, b, biased, &s, &k)) || (err = ws_spd_factor(k, 0, &ok)))
        goto done;
    for (int64_t i = 0; i < n; i++) z[i] = y[i];
    if (ok && !(err = ws_spd_solve(k, 1, z))) {
        *energy = 0;
        for (int64_t i = 0; i < n; i++) *energy += y[i] * z[i];
    }
done:
    ws_spd_destroy(&k);
    ws_free(&z);
    return err;
}
