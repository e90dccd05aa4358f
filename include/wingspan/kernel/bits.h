/* bits.h - which samples the neurons of a shard fire on, as bits: one row of them a sample.
 *
 * Two samples fire together as often as their rows have common bits, so the matrix
 *
 *     H_ij = (<x_i, x_j> [+ 1]) (neurons that fire on both) / m
 *
 * of a two-layer relu network, its Gram matrix J J' under --output-scale theory, comes from counting.
 * Counts are integers: H has the same bits on any number of ranks. */
#ifndef WS_KERNEL_BITS_H
#define WS_KERNEL_BITS_H

#include <stdint.h>

#include "wingspan/core/comm.h"
#include "wingspan/core/err.h"

typedef struct ws_bits {
    int64_t n, rows, words; /* samples, neurons here, words of a row */
    uint64_t *word;         /* [n x words] */
} ws_bits;

/** Nothing fires.  Not collective.  @return local: WS_ERR_NOMEM */
ws_err ws_bits_create(int64_t n, int64_t rows, ws_bits *f);
void ws_bits_free(ws_bits *f);
void ws_bits_clear(ws_bits *f);

/** Neuron r of this rank fires on sample i, or does not. */
static inline void ws_bits_set(ws_bits *f, int64_t i, int64_t r, int fires)
{
    f->word[i * f->words + r / 64] |= (uint64_t)(fires != 0) << (r % 64);
}

/** How many rows from i0 on have a lower triangle of at most `most` entries (one row at least): the
 *  row after them.  Not collective. */
int64_t ws_bits_panel(int64_t i0, int64_t n, int64_t most);

/** count = for i in [i0, i1) and j <= i, row by row, the neurons of all ranks that fire on both.
 *  Collective; cannot fail.  Cost: (i1 - i0) n words / 2 operations on each rank, one reduction. */
void ws_bits_count(const ws_comm *comm, const ws_bits *f, int64_t i0, int64_t i1, int64_t *count);

/** Pairs of this rank that fire in one and not in the other; same n and rows.  Not collective. */
int64_t ws_bits_differ(const ws_bits *a, const ws_bits *b);

#endif
