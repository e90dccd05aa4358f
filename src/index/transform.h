/* transform.h - products of blocks of rows (wingspan/core/blocks.h) with samples, 16 at a time, of
 * which those above a cut are kept.
 *
 * A tile is 16 samples, lane by lane: u = H (sign o x) of each chunk. A panel is at most WS_PANEL
 * rows of consecutive blocks: G = H g / q of each chunk. Both are made in float64 and rounded once;
 * then, in float32, z = H sum_c G_c o u_c: chunks + log2 q operations a product.
 *
 * Blocks shorter than 16 rows are taken together, so that 16 rows are the least. */
#ifndef WS_INDEX_TRANSFORM_H
#define WS_INDEX_TRANSFORM_H

#include "wingspan/core/blocks.h"
#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

enum { WS_TILE = 16, WS_PANEL = WS_BLOCK_ROWS, WS_PANEL_HITS = WS_PANEL * WS_TILE + WS_TILE };

typedef struct ws_transform {
    ws_blocks b;
    int64_t unit;   /* rows that one transform multiplies: q, or 16 */
    int64_t blocks; /* of a panel: WS_PANEL rows */
    int64_t tile;   /* floats of a tile */
    int64_t panel;  /* floats of a panel */
    float *sign;    /* [chunks x q] */
    float *row;     /* [16 x d] samples */
    float *side;    /* [q x 16] what is transformed side by side */
    double *wide;   /* [q x 16] */
    float *work;
} ws_transform;

/** Get ready.  Local: WS_ERR_NOMEM; free it in any case. */
ws_err ws_transform_make(ws_transform *t, const ws_blocks *b);
void ws_transform_free(ws_transform *t);
int64_t ws_transform_bytes(const ws_transform *t);

/** Samples from .. from + n - 1, n at most 16, as a tile: u [t->tile], zeros in the other lanes. */
void ws_transform_tile(const ws_transform *t, const ws_samples *x, int64_t from, int64_t n,
                       float *u);

/** n blocks, at most t->blocks, as a panel: g [t->panel]; rows beyond are zero.
 *  numbers [n x chunks x q]: those of the blocks, from ws_blocks_numbers(). */
void ws_transform_panel(const ws_transform *t, int64_t n, const float *numbers, float *g);

/** Products of the first `rows` rows of a panel with a tile: those greater than cut, which are
 *  at most WS_PANEL_HITS - 16; at = 16 x row of the panel + lane, in no promised order.
 *  @return how many */
int64_t ws_transform_list(const ws_transform *t, const float *u, const float *g, int64_t rows,
                          float cut, uint32_t *at, float *z);

/** |product - <w, x>| <= ws_transform_margin() x ||numbers of the block|| x ||x||, ws_dot's own
 *  rounding included, for numbers of usual size (ws_transform_usual()). */
double ws_transform_margin(const ws_blocks *b);

/** Neither so large nor so small that float32 might overflow or underflow on the way. */
static inline int ws_transform_usual(double scale, double norm)
{
    return scale > 1e-8 && scale < 1e8 && norm > 1e-8 && norm < 1e8;
}

/* ---- the loops (transform_simd.c) ---- */

typedef struct ws_transform_job {
    const float *u, *g;
    int64_t chunks, q, unit, units;
    float cut;
    float *work; /* [(unit + 16) x 16] */
    uint32_t *at;
    float *z;
} ws_transform_job;

typedef struct ws_transform_loops {
    int64_t (*list)(const ws_transform_job *j);
    /* side = H side for q rows of 16, in float64, rounded once */
    void (*hadamard)(float *side, double *wide, int64_t q);
    /* out = scale H in for one chunk, likewise; scale a power of two */
    void (*chunk)(const float *in, float *out, int64_t q, double scale);
} ws_transform_loops;

/** The loops for the path that ws_simd_name() names.  All give the same pairs and bits. */
const ws_transform_loops *ws_transform_simd(void);

#endif
