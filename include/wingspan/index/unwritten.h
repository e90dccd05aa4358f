/* unwritten.h - who fires at a structured start, block by block, without any row being stored.
 *
 * Rows are those of wingspan/core/blocks.h, samples a fixed set. A transform gives the products of a
 * block with 16 samples at a time in chunks + log2 q operations each, within a bound; a pair that it
 * cannot exclude is computed by ws_dot on its row, made for the purpose.
 *
 *     create -> { list | propose }... -> destroy
 *
 * Rows are named t here: with coupled pairs the neurons 2t and 2t + 1 have row t. */
#ifndef WS_INDEX_UNWRITTEN_H
#define WS_INDEX_UNWRITTEN_H

#include "wingspan/core/blocks.h"
#include "wingspan/index/index.h"

typedef struct ws_unwritten ws_unwritten;

enum { WS_UNWRITTEN_ROWS = 32 * WS_BLOCK_ROWS };

/** Transform the samples.
 *
 *  Not collective.
 *  @param b    copied
 *  @param x    borrowed until destroy; dense or sparse, finite
 *  @param out  [out] owned by the caller; NULL on error
 *  @return local: WS_ERR_NOMEM; WS_ERR_USAGE if scale or samples are so large or so small that float32
 *          might overflow or underflow
 *
 *  Cost: x->n q chunks floats of memory, x->n d log q operations. */
ws_err ws_unwritten_create(const ws_blocks *b, const ws_samples *x, ws_unwritten **out);
void ws_unwritten_destroy(ws_unwritten **u);

/** The pairs with ws_dot(w_t, x_i) > threshold of the n blocks from `block` on.
 *
 *  Not collective.  The set and the bits of z are those of the rows written out.
 *  @param hits  [in,out] start from {0}; row = t, ascending; pos = sample; note is not used
 *  @return local: WS_ERR_NOMEM
 *
 *  Cost: 2 ns a row and chunk for its numbers, 0.25 ns a pair with AVX-512, and d operations a pair that fires.
 *  A few thousand rows at a time keep the answer in cache. */
ws_err ws_unwritten_list(ws_unwritten *u, int64_t block, int64_t n, double threshold,
                         ws_hits *hits);

/** The same pairs, and some below the threshold by at most 2 ws_unwritten_error(), with z as the
 *  transform has it: within ws_unwritten_error().  No row is made. */
ws_err ws_unwritten_propose(ws_unwritten *u, int64_t block, int64_t n, double threshold,
                            ws_hits *hits);

/** Rows of n blocks, at most WS_UNWRITTEN_ROWS rows, on which some sample may fire: all that do,
 *  and few others.
 *
 *  Not collective.
 *  @param offset  [n q] out: t - block q, ascending
 *  @return how many */
int64_t ws_unwritten_rows(ws_unwritten *u, int64_t block, int64_t n, double threshold,
                          uint32_t *offset);

/** The numbers of a block, as ws_blocks_numbers() has them, if it was among the last that were asked
 *  about; else NULL.  Until more is asked. */
const float *ws_unwritten_numbers(const ws_unwritten *u, int64_t block);

/** |z proposed - ws_dot|, for blocks whose numbers have norm at most `norm`; of what was proposed
 *  last if norm is 0. */
double ws_unwritten_error(const ws_unwritten *u, double norm);

/** Bytes held. */
int64_t ws_unwritten_bytes(const ws_unwritten *u);

#endif
