/* dot.h - the one routine that computes a pre-activation, and the row update.
 *
 * Promise: <w, x> for float32 rows has one value, whatever the caller, the alignment and
 * the vector unit.  Products of two float32 are exact in float64, so only the order of the
 * sum matters: lane l of 16 adds the coordinates j = l (mod 16) in ascending order in
 * float64; then lanes l and l+8 are added, l and l+4, l and l+2, l and l+1.  Fused or not,
 * the result is the same.  A sparse vector gives the same bits as the dense one.
 * With a packed sample x = scale (byte - middle) the lanes add w_j (byte_j - middle_j), again
 * exact products, and the sum is multiplied by scale.
 *
 * The code path is chosen once, from the processor: avx512, avx2 or portable.  The
 * environment variable WINGSPAN_SIMD=portable|avx2|avx512 asks for a lesser one. */
#ifndef WS_CORE_DOT_H
#define WS_CORE_DOT_H

#include <stdint.h>

#include "wingspan/core/samples.h"

/** <w, x> over d coordinates.  Not collective.  Cost: about d/8 cycles with AVX-512. */
double ws_dot(const float *w, const float *x, int64_t d);

/** z[k] = <w, x_{ids[k]}> for k < n, samples of any form; ids NULL means 0..n-1.
 *  Not collective.  Each value is that of its pair alone; several samples are taken at a time so
 *  that w is read from L1 once for all of them.
 *  Cost: 1 ns for 10 coordinates of a packed sample on Zen 4, from whatever cache. */
void ws_dot_many(const float *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z);

/** The same, and fetch row `soon` [d], which need not be used, into the second cache meanwhile. */
void ws_dot_many_ahead(const float *w, const ws_samples *s, const int64_t *ids, int64_t n,
                       double *z, const float *soon);

/** acc[j] += (double)c * x[j].  The product is exact, so the bits do not depend on fusing.
 *  Not collective. */
void ws_axpy(double *acc, float c, const float *x, int64_t d);

/** acc += c * x_i for a sample of any form; of a packed one c * scale_i is rounded to float32 first.
 *  Not collective. */
void ws_axpy_sample(double *acc, float c, const ws_samples *s, int64_t i);

/** w[j] = (float)(w[j] + delta[j]).  Returns sum_j delta[j]^2, added in the lanes of ws_dot
 *  (uncontracted).  Not collective. */
double ws_row_add(float *w, const double *delta, int64_t d);

/** w += sum_{p<n} coef[p] x_{ids[pos[p]]}, summed in float64 in this order, then added and rounded
 *  once: the bits, of w and of what is returned, of ws_axpy_sample() on zeros and ws_row_add().
 *  Not collective.
 *  @param ids      NULL: 0, 1, ...
 *  @param scratch  [d], of packed samples [d + n]
 *  @param soon     a row [d] to fetch meanwhile, as ws_dot_many_ahead() does; NULL: none */
double ws_row_combine(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                      const int32_t *pos, int64_t n, double *scratch, const float *soon);

/* Rows of w and what is added to each: w_{row[i]} += sum of coef[p] x_{ids[pos[p]]} over p from
 * first[i] to first[i + 1] - 1. */
typedef struct ws_combination {
    float *w;             /* row-major, d of the samples */
    int64_t k;            /* rows */
    const int64_t *row;   /* [k] distinct */
    const int64_t *first; /* [k + 1] */
    const int32_t *pos;   /* [first[k]] ascending in each row */
    const float *coef;    /* [first[k]] */
    const int64_t *ids;   /* NULL: 0, 1, ... */
} ws_combination;

/** Numbers of work space that ws_rows_combine() needs.  Not collective. */
int64_t ws_combine_scratch(const ws_combination *m, const ws_samples *s);

/** ws_row_combine() on every row, with its bits.  Samples too many for a cache are taken a line of
 *  64 bytes of all of them at a time.  Not collective.
 *  @param scratch  [ws_combine_scratch(m, s)]
 *  @param square   [k] what ws_row_combine() returns */
void ws_rows_combine(const ws_combination *m, const ws_samples *s, double *scratch, double *square);

/** sum_j w[j]^2 in ws_dot's order: ws_dot(w, w, d).  Not collective. */
double ws_norm2(const float *w, int64_t d);

/** The path in use: "avx512", "avx2" or "portable".  Not collective. */
const char *ws_simd_name(void);

/** Choose a path by name, for tests and benches; returns 0 if this processor lacks it.
 *  Not collective; not while another thread computes. */
int ws_simd_select(const char *name);

#endif
