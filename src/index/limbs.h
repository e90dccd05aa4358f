/* limbs.h - products of rows with packed samples as exact sums of integers.
 *
 * A row is w = s (128 h + l) + dw with bytes h and l, and a packed sample x_i = scale_i (byte_i -
 * middle), so that
 *
 *     <w, x_i> = scale_i s (128 <h, byte_i> + <l, byte_i> - <128 h + l, middle>) + <dw, x_i>,
 *
 * where the first two products are exact in 32 bits and |dw| is at most sqrt(d) s / 2. The samples'
 * bytes are read where they lie: nothing is made for them or held, and what comes out needs no second
 * look. That is right for few rows; many are better looked through in panels (quant.h), which take a
 * third of the time a row and 0.3 s to make. MNIST, 60000 samples, one core: 0.45 ms a row in twos. */
#ifndef WS_INDEX_LIMBS_H
#define WS_INDEX_LIMBS_H

#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

/* Rows as limbs.  Start from {0}; memory grows and is kept. */
typedef struct ws_limbs {
    int64_t n, d, stride; /* stride: d, up to a multiple of 64 */
    int8_t *q;            /* [n][2][stride] h, l; zero from d on */
    double *scale;        /* [n] s; NaN: the row has one, or an infinity */
    double *middle;       /* [n] <128 h + l, middle> */
    int64_t q_capacity, scale_capacity, middle_capacity;
} ws_limbs;

/** Whether the samples are packed, and this processor and path multiply bytes.  Not collective. */
int ws_limbs_apply(const ws_samples *x);

/** |z - <w, x_i>| is at most this x ||w|| x max_norm, the largest norm of the samples, for every
 *  row of numbers and every sample.  Not collective. */
double ws_limbs_error(const ws_samples *x, double max_norm);

/** The same for rows as ws_limbs_row() has them: nothing is left out.  Not collective. */
double ws_limbs_row_error(const ws_samples *x, double max_norm);

/** Turn n consecutive rows [n x d] into limbs, for samples x.  Local.  @return WS_ERR_NOMEM */
ws_err ws_limbs_rows(ws_limbs *l, const ws_samples *x, const float *w, int64_t n);

/** w [d] = row r without dw, every coordinate rounded to float32.  Not collective. */
void ws_limbs_row(const ws_limbs *l, int64_t r, float *w);

/** z[k n + i] = the product of row r + k, k = 0 and 1, with sample from + i, i < n; if there is no row
 *  r + 1 that half is row r again.  NaN where the row is no number.  Not collective. */
void ws_limbs_products(const ws_limbs *l, const ws_samples *x, int64_t r, int64_t from, int64_t n,
                       float *z);

/** Bytes held. */
int64_t ws_limbs_bytes(const ws_limbs *l);
void ws_limbs_free(ws_limbs *l);

#endif
