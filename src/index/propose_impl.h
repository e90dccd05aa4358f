/* propose_impl.h - what the ways of making products have in common. */
#ifndef WS_INDEX_PROPOSE_IMPL_H
#define WS_INDEX_PROPOSE_IMPL_H

#include "limbs.h"
#include "propose.h"
#include "quant.h"

/* One block of rows of a call. */
typedef struct ws_propose_block {
    int64_t d, n, rows, cols; /* n rows here, of at most `rows`; cols: samples of a tile */
    const float *w;           /* [n x d] */
    const float *cut;         /* [n] */
    ws_compress *compress;
} ws_propose_block;

/* A way of making products. */
typedef struct ws_propose_way {
    /* May it, does it pay, for the samples that are set? */
    int (*applies)(const ws_proposer *p);
    /* Take them; NULL: as they are.  Local: WS_ERR_NOMEM. */
    ws_err (*samples)(ws_proposer *p);
    /* Samples of a tile; how many products of it are held for a block of `rows`. */
    int64_t (*cols)(const ws_proposer *p);
    int64_t (*products)(const ws_propose_block *b);
    /* Take the rows of a block; NULL: as they are.  Local: WS_ERR_NOMEM. */
    ws_err (*rows)(ws_proposer *p, const ws_propose_block *b);
    /* Stage what of the tile of samples from .. is above its cut; count[r]: of row r. */
    ws_err (*tile)(ws_proposer *p, const ws_propose_block *b, int64_t from, int64_t *count);
    /* |z - ws_dot| as a share of ||w|| max||x||; NULL: ws_propose_margin(). */
    double (*error)(const ws_proposer *p);
} ws_propose_way;

/* By sgemm (propose_floats.c); by bytes, then pair by pair (propose_bytes.c); by the data's own bytes
 * (propose_limbs.c). */
extern const ws_propose_way ws_propose_floats, ws_propose_bytes, ws_propose_limbs;

typedef struct ws_propose_float_state {
    const float *dense;   /* [n x d] all samples set, or NULL */
    float *held, *tile_x; /* samples gathered: all, one tile */
    int64_t held_capacity, tile_x_capacity;
} ws_propose_float_state;

typedef struct ws_propose_byte_state {
    ws_quant_samples quant;
    int8_t *block_q; /* rows of a block as bytes */
    ws_quant_row *block_row;
    int32_t
        *col; /* [WS_QUANT_ROWS x (cols + WS_QUANT_LANES)] what they propose for a group of rows */
    int64_t *id; /* [cols] the samples of a row that these are */
    const float **at;
    double *z;
    int64_t q_capacity, row_capacity, col_capacity, id_capacity, at_capacity, z_capacity;
} ws_propose_byte_state;

struct ws_proposer {
    const ws_samples *x; /* as set */
    const int64_t *ids;
    int64_t n;
    double max_norm, error;
    const ws_propose_way *way;
    int may_bytes, may_limbs; /* asked for at create */

    float *tile_w, *tile; /* rows gathered; products */
    int64_t tile_w_capacity, tile_capacity;
    ws_pairs stage; /* hits of a block, tile by tile */
    int64_t *count; /* [tiles x rows] how many of them each row has in each tile */
    int64_t count_capacity;

    ws_propose_float_state floats;
    ws_propose_byte_state bytes;
    ws_limbs limbs; /* rows of a block */
};

/** Room for k more pairs.  Local: WS_ERR_NOMEM; *p is empty then. */
ws_err ws_pairs_reserve(ws_pairs *p, int64_t k);

/** Stage those of n products of a row with the samples from .. that are above its cut.
 *  Local: WS_ERR_NOMEM. */
ws_err ws_propose_stage(ws_proposer *p, const ws_propose_block *b, const float *z, int64_t n,
                        float cut, int64_t from, int64_t *count);

/** As many vectors of length d as may be gathered at a time, 64 to most. */
int64_t ws_propose_side(int64_t most, int64_t d);

/** Bytes for samples of this number and length: are they worth it? */
int ws_propose_worth_bytes(int64_t n, int64_t d);

int64_t ws_propose_byte_state_bytes(const ws_propose_byte_state *s);
void ws_propose_byte_state_free(ws_propose_byte_state *s);

static inline int64_t ws_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
