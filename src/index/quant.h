/* quant.h - vectors as bytes, and a bound of what that loses.
 *
 * A row is w = s q + dw with bytes -127 <= q <= 127, a sample x = s' (q' - c) + t' + dx with bytes
 * 0 <= q' <= levels and c the middle of them; zero coordinates lose nothing.  |dw| and |dx| are
 * computed when the bytes are made and rounded up, so that
 *
 *     <w, x>  <=  s s' <q, q' - c> + t' s sum(q) + |dw| ||x|| + |w - dw| |dx|
 *
 * holds for whatever numbers they are.  The sum of products is exact in 32 bits, the right hand
 * side is computed in float32 with its rounding added, and a pair for which it is above the cut of
 * its row is a candidate; ws_dot decides.  A row or sample with a NaN, an infinity or a norm above
 * 1e15 is a candidate of everything.
 *
 * Columns in which the samples are next to zero may be left out, dx being x there.
 *
 * Samples lie in panels of 64, four coordinates of each after the other: a vector of 32-bit sums
 * then holds samples, and candidates come out in ascending order.  Rows are taken six at a time. */
#ifndef WS_INDEX_QUANT_H
#define WS_INDEX_QUANT_H

#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

enum {
    WS_QUANT_LANES = 64,  /* samples a panel */
    WS_QUANT_ROWS = 6,    /* rows a group */
    WS_QUANT_DIM = 131072 /* longest vector: 127 x 128 x d < 2^31 */
};

/* What a row needs besides its bytes. */
typedef struct ws_quant_row {
    float scale;   /* s */
    float sum;     /* s sum(q) */
    float lost;    /* |dw|, rounded up; infinity: propose everything */
    float norm;    /* |w - dw|, rounded up */
    int32_t total; /* sum(q) */
} ws_quant_row;

/* The same of the samples of a panel. */
typedef struct ws_quant_side {
    float scale[WS_QUANT_LANES], centre[WS_QUANT_LANES]; /* s', t' */
    float norm[WS_QUANT_LANES], lost[WS_QUANT_LANES];    /* ||x||; |dx| and rounding */
} ws_quant_side;

/* Samples as panels.  Start from {0}; memory grows and is kept. */
typedef struct ws_quant_samples {
    const struct ws_quant_ops *ops;
    int64_t n, d, kept, stride; /* stride: columns kept, up to a multiple of 4 */
    int32_t *column;            /* [d] those kept, then those left out; NULL: all are kept */
    uint8_t *q;                 /* [panels x 64 stride] */
    ws_quant_side *side;        /* [panels] */
    float *row, *space;         /* [d] a sparse sample written out; a vector by column */
    int64_t q_capacity, side_capacity, row_capacity, space_capacity, column_capacity;
} ws_quant_samples;

/* Up to six rows, each with its cut. */
typedef struct ws_quant_group {
    int n;
    const int8_t *q[WS_QUANT_ROWS]; /* [stride] */
    const ws_quant_row *row[WS_QUANT_ROWS];
    float cut[WS_QUANT_ROWS];
} ws_quant_group;

/** Bytes a row of length d takes. */
int64_t ws_quant_stride(int64_t d);

/** Turn a row into bytes q[stride].  Not collective. */
void ws_quant_row_make(const float *w, int64_t d, int8_t *q, ws_quant_row *row);

/** The cut to give for pairs with <w, x> > above, by ws_dot.  NaN stays: propose all. */
float ws_quant_cut(double above);

/** Leave out columns that hold next to nothing of these samples: they count as lost.  For samples
 *  that many rows will meet; to be called before they are made.  Local.  @return WS_ERR_NOMEM */
ws_err ws_quant_choose_columns(ws_quant_samples *s, const ws_samples *x, const int64_t *ids,
                               int64_t n);

/** As ws_quant_row_make, of the columns kept: q[s->stride]. */
void ws_quant_row_kept(ws_quant_samples *s, const float *w, int8_t *q, ws_quant_row *row);

/** Turn samples into panels: x_{ids[k]}, k < n, or samples 0..n-1 if ids is NULL; d is at most
 *  WS_QUANT_DIM.  Nothing is borrowed.  Local.  @return WS_ERR_NOMEM */
ws_err ws_quant_samples_make(ws_quant_samples *s, const ws_samples *x, const int64_t *ids,
                             int64_t n);

int64_t ws_quant_samples_bytes(const ws_quant_samples *s);
void ws_quant_samples_free(ws_quant_samples *s);

/** Candidates of a group among samples from .. from + n - 1, from a multiple of 64: those of the
 *  group's row k are col[k * room] .. col[k * room + count[k] - 1], ascending; room is at least
 *  n + 64.  Not collective.  Cost: 64 x 6 x stride multiply-adds a panel, also for fewer rows. */
void ws_quant_propose(const ws_quant_samples *s, const ws_quant_group *g, int64_t from, int64_t n,
                      int32_t *col, int64_t room, int64_t count[WS_QUANT_ROWS]);

/** Whether the path that ws_simd_name() names multiplies bytes faster than sgemm does floats. */
int ws_quant_is_fast(void);

/* ---- one table a vector unit (quant_simd.c) ---- */

typedef struct ws_quant_ops {
    int levels; /* sample bytes are 0 .. levels: 255, or 127 where pairs are added in 16 bits */
    int fast;
    /* out[64 k + l] = sum_j q[k][j] x_lj for the six rows; panel is [stride / 4][64][4]. */
    void (*product)(const uint8_t *panel, const int8_t *const q[WS_QUANT_ROWS], int64_t stride,
                    int32_t *out);
    /* Positions base + l of the lanes whose bound is not <= cut, ascending; room for 64. */
    int64_t (*keep)(const int32_t *product, int32_t middle, const ws_quant_row *row, float cut,
                    const ws_quant_side *side, int32_t base, int32_t *col);
} ws_quant_ops;

/** The table for the path that ws_simd_name() names and this processor. */
const ws_quant_ops *ws_quant_path(void);

#endif
