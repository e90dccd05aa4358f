/* blocks.h - random rows in blocks, whose products with a vector are one fast transform.
 *
 * Row t lies in block t / q at i = t mod q. With independent normal numbers g_c of the block, q of
 * them for each of `chunks` pieces of a row, and one sign for each column,
 *
 *     w_t[c q + k] = sign[c q + k] g_c[i XOR k],       columns from d on left out:
 *
 * d different normal numbers times signs, so each row alone is exactly normal, and rows of
 * different blocks are independent given the signs. The float32 row is the definition; any row can
 * be had alone. For all rows of a block at once, with H the Walsh-Hadamard matrix of order q,
 *
 *     (<w_t, x>)_i = H sum_c (H g_c / q) o (H (sign o x)_c):
 *
 * Fastfood (Le, Sarlos, Smola, 2013) without its permutation, folded, with signs that blocks share.
 * Without the signs fired sets would be far from those of independent rows (1.5 times the error of
 * intersection counts at shift 2.5); fresh ones for every block gain nothing.
 *
 * Blocks follow the ids of rows, never ranks. */
#ifndef WS_CORE_BLOCKS_H
#define WS_CORE_BLOCKS_H

#include <stdint.h>

enum { WS_BLOCK_ROWS = 512 }; /* most rows of a block */

typedef struct ws_blocks {
    uint64_t seed;
    double scale; /* standard deviation of an entry */
    int64_t d;
    int64_t q;      /* rows of a block: the largest power of two <= d, at most WS_BLOCK_ROWS */
    int64_t chunks; /* ceil(d / q) */
} ws_blocks;

/** Blocks of rows of length d.  Not collective. */
ws_blocks ws_blocks_of(uint64_t seed, int64_t d, double scale);

/** Write the numbers of n blocks from `block` on, normal with deviation scale, g [n x chunks x q].
 *  Not collective. */
void ws_blocks_numbers(const ws_blocks *b, int64_t block, int64_t n, float *g);

/** Write all signs, 1 or -1, sign [chunks x q].  Not collective. */
void ws_blocks_signs(const ws_blocks *b, float *sign);

/** Write the rows t .. t + n - 1, row t + k from w + k * stride on.  Not collective; the bits of a
 *  row do not depend on which others are asked for.
 *
 *  Cost: d numbers and the numbers and signs of each block that takes part. */
void ws_blocks_rows(const ws_blocks *b, int64_t t, int64_t n, float *w, int64_t stride);

/** Write k rows t[0..k), one after the other, w [k x d], with the signs at hand.  Not collective.
 *
 *  Cost: the numbers of each block, 2.0 ns each with AVX-512; rows of a block together share them. */
void ws_blocks_some(const ws_blocks *b, const float *sign, const int64_t *t, int64_t k, float *w);

/** Write one row, whose block's numbers are at hand: g [chunks x q], sign [chunks x q]. */
void ws_blocks_row(const ws_blocks *b, const float *g, const float *sign, int64_t t, float *w);

#endif
