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
    double deviation;      /* of the share of the n samples that a neuron fires on: by sqrt(m), that
                            * of the share of all pairs that fire in a layer of m */
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

/** Is the kernel singular, as far as samples rounded to float32 tell?  Two of them are then the same or
 *  opposite.  Not collective. */
int ws_spectrum_is_singular(const ws_spectrum *s);

/* Lower bounds of the least eigenvalue of bias-ntk, by d = min |x_i +- x_j| or nearest = 1 - d^2/2. The
 * first is for any data; the others hold where the largest P[z_i > b, z_j > b] bounds what the pairs
 * add up to, and may be negative. */
typedef struct ws_ntk_bounds {
    double worst;  /* e^(-b^2/2) d / (100 n^2) */
    double region; /* max(1/2 - b/sqrt(2 pi), (1/b - 1/b^3) e^(-b^2/2)/sqrt(2 pi))
                    * - e^(-b^2/(2 - d^2/2)) (pi - arctan(d sqrt(1 - d^2/4)/(1 - d^2/2)))/(2 pi) */
    double sharp;  /* Q(b) - P[Z1 > b, Z2 > b] at correlation nearest: both terms exact */
} ws_ntk_bounds;

/** The bounds for n samples, the closest two of |<x_i, x_j>| = nearest.  Not collective. */
ws_ntk_bounds ws_ntk_bounds_of(double b, double nearest, int64_t n);

/** y' K^-1 y: what it takes to fit y.
 *
 *  Collective over comm; arguments must be the same on every rank.
 *  @param y       [n]
 *  @param energy  [out] NaN if K is singular
 *  @return agreed: WS_ERR_DATA (a sample is not of norm 1), WS_ERR_NOMEM
 *
 *  Cost: as ws_ntk_spectrum, n^3 / 3 flops in place of 4 n^3 / 3. */
ws_err ws_ntk_energy(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                     const double *y, double *energy);

/* What a layer of finite width has in place of the limit. */
typedef struct ws_layer_spectrum {
    double least, largest; /* eigenvalues of H */
    double entry;          /* largest |H_ij - K_ij| */
    double distance;       /* |H - K| in the spectral norm */
    double active;         /* share of the pairs that fire */
    double fewest, most;   /* share of the neurons that fire on a sample: over samples */
} ws_layer_spectrum;

/** Compare H_ij = (<x_i, x_j> [+ 1]) (neurons that fire on both) / m with the kernel.
 *
 *  Collective over comm; arguments must be the same on every rank.  The neurons are those that
 *  training starts from with this width, seed and init; firing is counted in integers, so H has the
 *  same bits on any number of ranks.
 *
 *  @param m       neurons over all ranks
 *  @param coupled 1: in equal pairs, as --init coupled
 *  @return agreed: WS_ERR_DATA (a sample is not of norm 1), WS_ERR_NOMEM, WS_ERR_DIVERGED
 *
 *  Cost: m n d multiply-adds and m n^2 / 128 word operations over ranks, n m / 8 bytes over ranks;
 *  n^2 / 2 integers reduced; two eigenvalue problems of order n. */
ws_err ws_ntk_layer(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                    int64_t m, uint64_t seed, int coupled, ws_layer_spectrum *out);

#endif
