/* sketch.h - random linear maps of the fired neurons of every sample to a few rows.
 *
 * p_i is the 0/1 vector over all m neurons of who fires on sample i.  A sketch S has s rows, keyed
 * by the global id of a neuron, and E S' S = I.  Apart from one factor (`scale`), S has whole
 * entries; so q_i = S p_i / scale is a vector of integers, shards add up exactly, and q has the same
 * bits on any number of ranks.
 *
 *   kind          a neuron goes to                                   rows of J' that it sketches
 *   countsketch   one row, with a sign                               neurons; coordinates are kept
 *   osnap         8 rows, with signs, one in each eighth             neurons
 *   srht          all rows: a sampled Hadamard transform             neurons
 *   tensorsketch  countsketch of neurons, convolved with that of x   (neuron, coordinate) pairs
 *   tensorsrht    srht of neurons times srht of x, row by row        (neuron, coordinate) pairs
 *
 * Row i of the derivative of a two-layer network is p_i (x) x_i.  The first three give
 * <S p_i, S p_j> <x_i, x_j>, the last two <y_i, y_j> with y = T (p (x) x); either is an unbiased
 * estimate of <p_i, p_j> <x_i, x_j>.
 *
 * Charikar, Chen, Farach-Colton (2002); Nelson, Nguyen (2013); Tropp (2011); Pham, Pagh (2013);
 * Ahle et al. (2020). */
#ifndef WS_SKETCH_SKETCH_H
#define WS_SKETCH_SKETCH_H

#include <stdint.h>

#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

typedef struct ws_sketch ws_sketch;

/* Who fires on what: row k is global neuron id[k], on samples pos[first[k]] .. pos[first[k+1]-1]. */
typedef struct ws_fired {
    int64_t rows;
    const int64_t *id, *first;
    const int32_t *pos;
} ws_fired;

/** Create a sketch of m neurons and n samples to s rows.
 *
 *  Collective over comm; every argument must be the same on every rank.
 *  @param kind  a name of ws_sketch_kinds()
 *  @param x     the samples, [n]; borrowed
 *  @param s     rows, >= 8
 *  @return agreed: WS_ERR_USAGE, WS_ERR_NOMEM; *out NULL on error */
ws_err ws_sketch_create(const ws_comm *comm, const char *kind, const ws_samples *x, int64_t m,
                        int64_t s, uint64_t seed, ws_sketch **out);
void ws_sketch_destroy(ws_sketch **k);

/** Sketch the fired neurons of all ranks.
 *
 *  Collective; f is this rank's part.
 *  @return agreed: WS_ERR_NOMEM
 *
 *  Cost: a pass over the pairs (srht: s n for each 1024 neurons); s n 32-bit integers reduced. */
ws_err ws_sketch_apply(ws_sketch *k, const ws_fired *f);

/** The estimates of <p_i, p_j> <x_i, x_j> for i in [i0, i0 + rows), j in [j0, j0 + cols), into
 *  out[(i - i0) cols + j - j0].  Not collective; at most 64 rows and columns.
 *  The bits depend on BLAS for the tensor kinds.  Cost: 2 rows cols s flops. */
void ws_sketch_gram(ws_sketch *k, int64_t i0, int64_t rows, int64_t j0, int64_t cols, double *out);

/** q, [n x s] integers, as the last apply left them; and S = scale x whole entries. */
const int32_t *ws_sketch_integers(const ws_sketch *k, double *scale);

/** Names, NULL-terminated. */
const char *const *ws_sketch_kinds(void);

/** Bytes for n samples and s rows.  Not collective. */
double ws_sketch_bytes(int64_t n, int64_t s);

#endif
