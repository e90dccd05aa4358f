/* implicit.h - a very wide network of which only the neurons that ever fire are held.
 *
 * With all samples in every step, relu, fixed biases and output weights and no penalty, a neuron
 * that fires on no training sample has gradient zero: it does not move, so it never will fire. The
 * neurons that fire at the start are all that training ever sees. A held neuron r is its id and
 * its displacement,
 *
 *     w_r = w_r(0) + sum_j alpha_rj x_j,     j over the samples that ever fired it,
 *
 * with w_r(0) made anew from the seed when it is needed (source.h). Its products are
 *
 *     z_ri = <w_r(0), x_i>  +  sum_j alpha_rj <x_j, x_i>,     j ascending,
 *
 * the first term by the routine of core/dot.h on the float32 row, everything else in float64: so
 * training goes down to residuals of 1e-13, where float32 rows stall at 1e-6.
 *
 *   create -> list ... -> { pass -> keep | another pass ... } -> destroy
 *
 * A pass sees every held neuron once: its products, with a step its displacement after that step,
 * and what the network then gives. The step is kept or forgotten as the caller decides; meanwhile
 * both are held: 10 bytes a pair (neuron, sample that fired it) each.  Products of the start row with
 * the samples of a pair are kept too, and how far the others are from firing: unless they might by
 * now, the row is not made again.  In all 28 bytes a pair and 12 a neuron.
 *
 * Width 2^30, 16 samples, shift 2.884: 32 M neurons and 34 M pairs held, 1.3 GB. */
#ifndef WS_MODEL_IMPLICIT_H
#define WS_MODEL_IMPLICIT_H

#include <stddef.h>
#include <stdint.h>

#include "wingspan/model/net.h"
#include "wingspan/model/source.h"

enum { WS_IMPLICIT_SAMPLES = 2048 }; /* the most */

typedef struct ws_implicit ws_implicit;

/** Hold nothing yet of this rank's shard.
 *
 *  Not collective.
 *  @param net  made with spec.implicit; relu; borrowed
 *  @param x    samples; 0 .. n - 1 are those of training; borrowed
 *  @return local: WS_ERR_NOMEM; *out NULL then */
ws_err ws_implicit_create(const ws_net *net, const ws_samples *x, int64_t n, ws_implicit **out);
void ws_implicit_destroy(ws_implicit **im);

/* What a listing or a pass adds up, over the held neurons of this rank. */
typedef struct ws_implicit_sums {
    int64_t *hi, *lo; /* [n x c] limbs of the outputs at scale 2^net->exponent */
    int64_t *pairs;   /* [e (e + 1) / 2], e = n c: sum of a_rc a_rc' over neurons that fire on both
                         i and j, at row i c + c, column j c + c' <= row; or NULL */
    int64_t products; /* with start rows */
    int64_t active;   /* pairs that fire */
    int64_t fired;    /* neurons that fire on something */
    int64_t flips;    /* pairs that the step changed */
} ws_implicit_sums;

/** Hold those of the shard's neurons [from, to), counted from its first, that fire on a sample, and
 *  add up what they give: the first pass is then done.
 *  Not collective; pieces in ascending order.
 *  @return local: WS_ERR_NOMEM, WS_ERR_DIVERGED
 *
 *  Cost: d numbers and n d multiply-adds a neuron, see source.h. */
ws_err ws_implicit_list(ws_implicit *im, int64_t from, int64_t to, ws_implicit_sums *sums);

/** Add up what the network gives; with a step, after it.
 *
 *  Not collective.
 *  @param step  [n x c] or NULL: alpha_rj grows by s_m sum_c a_rc step[j c + c] for every sample j
 *               that fires r now
 *  @param sums  hi, lo, pairs set to zero by the caller; carried on return
 *  @return local: WS_ERR_NOMEM, WS_ERR_DIVERGED
 *
 *  Cost: the pairs of a held neuron; in the first pass after ws_implicit_add(), and for those few
 *  that might fire on another sample, their rows (d numbers) and n d multiply-adds. */
ws_err ws_implicit_pass(ws_implicit *im, const double *step, ws_implicit_sums *sums);

/** The step of the last pass is taken for good.  Not collective. */
void ws_implicit_keep(ws_implicit *im);

/** Neurons held here; displacements of them, in pairs (neuron, sample).  Not collective. */
int64_t ws_implicit_held(const ws_implicit *im);
int64_t ws_implicit_pairs(const ws_implicit *im);

/** Add this shard's share of the outputs on any samples: all neurons, also those not held.
 *
 *  Not collective.
 *  @param probe  of those samples, with the network's spec
 *  @param hi, lo [probe->n x c], set to zero by the caller; carried on return
 *  @return local: WS_ERR_NOMEM, WS_ERR_DIVERGED
 *
 *  Cost: that of a listing of the shard. */
ws_err ws_implicit_any(ws_implicit *im, const ws_probe *probe, int64_t *hi, int64_t *lo);

/** Move the rows of an explicit network at its start, of the same shard, to where they are:
 *  (float)(w(0) + sum_j alpha_j x_j), and mark them touched.  Not collective. */
ws_err ws_implicit_write(ws_implicit *im, ws_net *to);

/* ---- the state, for checkpoints ---- */

/** Global ids of held neurons from .. from + k - 1, ascending.  Not collective. */
void ws_implicit_ids(const ws_implicit *im, int64_t from, int64_t k, int64_t *id);

/** Memory where a pass puts its step, for any use until the next one; a step that was not kept is
 *  lost.  NULL if it is less than n * size bytes.  Not collective. */
void *ws_implicit_spare(ws_implicit *im, int64_t n, size_t size);

/* Displacements: count[h] pairs of held neuron h, one after the other in sample and alpha. */
typedef struct ws_implicit_view {
    const uint16_t *count;  /* [held] */
    const uint16_t *sample; /* [pairs] ascending in each neuron */
    const double *alpha;    /* [pairs] */
} ws_implicit_view;
ws_implicit_view ws_implicit_state(const ws_implicit *im);

/** Hold k more neurons, ids ascending and above all held, with these displacements.  Not
 *  collective.  @return local: WS_ERR_NOMEM, WS_ERR_DATA (out of range, not ascending, not finite) */
ws_err ws_implicit_add(ws_implicit *im, int64_t k, const int64_t *id, const uint16_t *count,
                       const uint16_t *sample, const double *alpha);

/** Bytes of their displacements in a checkpoint.  Not collective. */
double ws_implicit_saved_bytes(int64_t n, double neurons, double active);

/** Bytes a rank needs for `neurons` of its shard, if a share `active` of them fires on a sample.
 *  Not collective. */
double ws_implicit_bytes(const ws_net_spec *s, int64_t n, double neurons, double active);

#endif
