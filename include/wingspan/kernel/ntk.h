/* ntk.h - the kernel that a two-layer relu network has in the limit of infinite width.
 *
 * With rows w ~ N(0, I), a shift b (in deviations of z) and unit samples,
 *
 *     ntk        K_ij = <x_i, x_j> P[z_i > b, z_j > b]
 *     bias-ntk   K_ij = (<x_i, x_j> + 1) P[z_i > b, z_j > b]      biases are trained too
 *
 * where z_i = <w, x_i>: the limit of J J' under --output-scale theory.  The closed form of the
 * probability is Plackett's (1954) integral; bias-ntk is Yang, Jiang, Zhang, Liang, Wang (JMLR 2024). */
#ifndef WS_KERNEL_NTK_H
#define WS_KERNEL_NTK_H

#include <stdint.h>

#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

/** P[Z1 > b, Z2 > b] for standard normal numbers of correlation rho, b >= 0.  Not collective.
 *  Relative error below 1e-12 for rho >= 0 and b <= 6; absolutely below 1e-11 elsewhere. */
double ws_pair_tail(double b, double rho);

typedef struct ws_spectrum {
    int64_t n;
    double least, largest; /* eigenvalues */
    double active;         /* Q(b): share of the neurons that fire on a sample */
    double disc;           /* min_i K_ii - sum_j |K_ij|: a lower bound of the least (Gershgorin) */
    double nearest;        /* largest |<x_i, x_j>|, i != j */
} ws_spectrum;

/** Eigenvalues of the kernel of n unit samples.
 *
 *  Collective over comm; arguments must be the same on every rank.
 *  @param biased  1: bias-ntk
 *  @param value   [n] all eigenvalues, ascending, or NULL
 *  @return agreed: WS_ERR_DATA (a sample is not of norm 1), WS_ERR_NOMEM, WS_ERR_DIVERGED
 *
 *  Cost: n^2 / 2 entries over ranks, of d + 500 flops each; then 4 n^3 / 3 on rank 0 up to n = 2048,
 *  on the grid beyond. */
ws_err ws_ntk_spectrum(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                       double *value, ws_spectrum *out);

#endif
