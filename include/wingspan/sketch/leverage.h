/* leverage.h - rows of J' sampled by their ridge leverage scores.
 *
 * Row (r, k) of J' belongs to neuron r and coordinate k: b_i = [r fires on i] x_i[k] over the
 * samples i, s_m and the sign of the output weight apart.  With M = s_m^2 (J J' + u)^-1 its ridge
 * leverage score is b' M b, and those of a neuron add up to p' (M o X X') p over the samples that
 * it fires on: the first index is drawn by these sums, the second by the scores within the neuron.
 * For a trained bias k = d is one more coordinate, the constant 1.
 *
 * A neuron draws a Poisson number of rows with mean s (its sum) / (all sums), with random numbers
 * keyed by its global id; so each row is hit a Poisson number of times, independent of all others,
 * and one with mean v is in the sample with probability 1 - exp(-v), by which its weight is
 * divided.  The sampled matrix is unbiased whatever M is; rows that must be there (v >> 1) come
 * with weight 1.  Ranks exchange the sampled rows in order of neurons and add them up alike: the
 * same bits on any number of ranks, given the bits of M.
 *
 * What it is good for: the scores want M, hence J J' or an estimate of it (a sketch will do: see
 * tests/sketch/test_leverage.c).  Where neurons fire on few samples J J' itself costs sum_r k_r^2 / 2
 * counts, less than the scores, and is the better preconditioner; so `gram` wins on this network,
 * always.  The sample is for coherent rows, where sketches that do not look need more rows.
 *
 * Woodruff and Zandieh (2022); Bharadwaj et al. (2023), for two factors and exact. */
#ifndef WS_SKETCH_LEVERAGE_H
#define WS_SKETCH_LEVERAGE_H

#include <stdint.h>

#include "wingspan/sketch/sketch.h"

typedef struct ws_leverage ws_leverage;

/** Prepare to draw about s rows.
 *
 *  Collective over comm; every argument must be the same on every rank.
 *  @param x     the samples, [n]; borrowed
 *  @param bias  1: one more coordinate, the constant 1
 *  @return agreed: WS_ERR_NOMEM; *out NULL on error */
ws_err ws_leverage_create(const ws_comm *comm, const ws_samples *x, int bias, int64_t s,
                          uint64_t seed, ws_leverage **out);
void ws_leverage_destroy(ws_leverage **l);

/** Draw.
 *
 *  Collective; f is this rank's part of the fired neurons, ranks in order of ids; m and inner must
 *  have the same bits on every rank.
 *  @param m      [n (n + 1) / 2] M, the lower triangle row by row
 *  @param inner  [n (n + 1) / 2] <x_i, x_j>, likewise
 *  @return agreed: WS_ERR_NOMEM
 *
 *  Cost: sum k^2 / 2 products over the fired neurons; k^2 d over those that are drawn. */
ws_err ws_leverage_draw(ws_leverage *l, const ws_fired *f, const double *m, const float *inner);

/** Add the sampled estimate of <p_i, p_j> (<x_i, x_j> + bias), i in [i0, i1), j <= i, to a packed
 *  panel: entry (i, j) at i (i + 1) / 2 - i0 (i0 + 1) / 2 + j.  Not collective. */
void ws_leverage_add(ws_leverage *l, int64_t i0, int64_t i1, double *panel);

/** Rows in the sample; and the sum of all scores, s_u = tr(J J' (J J' + u)^-1) if M was exact. */
int64_t ws_leverage_rows(const ws_leverage *l, double *sum);

/** Bytes for n samples of d coordinates and s rows, about.  Not collective. */
double ws_leverage_bytes(int64_t n, int64_t d, int64_t s);

#endif
