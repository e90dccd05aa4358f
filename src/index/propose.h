/* propose.h - float32 products propose pairs (row, sample) with a margin above their rounding error;
 * ws_dot decides.  Shared by scan (all rows x a batch), certified (lists) and dtree (leaves). */
#ifndef WS_INDEX_PROPOSE_H
#define WS_INDEX_PROPOSE_H

#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

typedef struct ws_proposer ws_proposer;

/* Proposed pairs by row: row k's are col[first[k]] .. col[first[k+1]-1], ascending.  z is the
 * float32 product <w, x> without the bias.  Start from {0}; memory grows and is kept. */
typedef struct ws_pairs {
    int64_t n, capacity, rows_capacity;
    int64_t *first; /* [rows + 1] */
    int32_t *col;   /* [n] position among the samples set */
    float *z;       /* [n] */
} ws_pairs;

ws_err ws_proposer_create(ws_proposer **out); /* local: WS_ERR_NOMEM */

/** A proposer for samples that many rows will be multiplied with: where that is faster it holds
 *  them as bytes too (quant.h, n x d bytes), and multiplies in float32 only the pairs that bytes
 *  cannot exclude.  Same promises.  Local.  @return WS_ERR_NOMEM */
ws_err ws_proposer_create_bytes(ws_proposer **out);

/** A proposer for a few rows now and then: packed samples are multiplied as they lie (limbs.h), and
 *  nothing is made or held for them; others are as ws_proposer_create_bytes() has them. z is then
 *  within ws_propose_error(), not within ws_propose_margin().  Local.  @return WS_ERR_NOMEM */
ws_err ws_proposer_create_few(ws_proposer **out);
void ws_proposer_destroy(ws_proposer **p);
int64_t ws_proposer_bytes(const ws_proposer *p);

/** What a proposer with bytes holds, at most, of n samples of length d. */
int64_t ws_proposer_bytes_plan(int64_t n, int64_t d);

/** Set the samples to multiply with: x_{ids[k]}, k < n, or samples 0..n-1 if ids is NULL (dense
 *  ones are then borrowed, not copied).  x and ids must live as long as they are set.
 *  Local.  @return WS_ERR_NOMEM */
ws_err ws_propose_samples(ws_proposer *p, const ws_samples *x, const int64_t *ids, int64_t n);

/** Largest norm, rounded up, of the samples set. */
double ws_propose_max_norm(const ws_proposer *p);

/** Pairs whose float32 product is greater than cut[k], for n rows of length d: consecutive from
 *  w, or rows row[0..n) of w if row is not NULL.  Any n: works in tiles that stay in cache.
 *  A NaN, product or cut, is proposed: what float32 cannot tell, ws_dot shall decide.
 *  Local.  @return WS_ERR_NOMEM.  Cost: 2 n x samples x d flops at sgemm's rate. */
ws_err ws_propose_rows(ws_proposer *p, const float *w, int64_t d, const int64_t *row, int64_t n,
                       const float *cut, ws_pairs *out);

/** |float32 product - ws_dot| <= ws_propose_margin(d) x ||w|| x ||x||, unless it overflows or is
 *  so small that float32 underflows; ws_propose_cut() sees to both. */
double ws_propose_margin(int64_t d);

/** |z - ws_dot| <= ws_propose_error(p) x ||w|| x ws_propose_max_norm(p) for what p proposes of the
 *  samples set, with the exceptions of ws_propose_margin(). */
double ws_propose_error(const ws_proposer *p);

/** The cut above which the float32 product stands for every <w, x> > above, by ws_dot, with
 *  ||w|| <= wnorm and ||x|| <= xnorm; NaN (propose all) where float32 could overflow. */
float ws_propose_cut(double above, double wnorm, double xnorm, int64_t d);

/** An upper bound of ||w||: ws_norm2 and its rounding. */
double ws_propose_norm(const float *w, int64_t d);

void ws_pairs_free(ws_pairs *p);

/* Write the positions base + j and values of all j < n with not z[j] <= cut; col and out have
 * room for n + 16.  Returns how many there are.  (propose_simd.c) */
typedef int64_t ws_compress(const float *z, int64_t n, float cut, int32_t base, int32_t *col,
                            float *out);

/** The routine for the path that ws_simd_name() names. */
ws_compress *ws_propose_compress(void);

/** z[k] = <w, x[k]> for n dense vectors in float32: within ws_sgemm_error() as sgemm's, in some
 *  order of the sum.  (propose_simd.c) */
void ws_propose_dots(const float *w, const float *const *x, int64_t n, int64_t d, float *z);

#endif
