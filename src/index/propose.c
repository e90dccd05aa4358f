/* propose.c - all products of a block of rows with a set of samples by sgemm, of which only those
 * above each row's cut are kept.
 *
 * The product is made in tiles of ROWS rows x COLS samples that are compared while they are still
 * in cache.  Rows that do not lie together and samples that do not (ids, sparse) are gathered:
 * a set of at most HELD bytes once, a larger sparse one tile by tile.  The hits of a block of rows
 * come tile after tile; they are put in row order when the block is done.
 *
 * With bytes (quant.h) a tile is first looked through in bytes, at a quarter of the cost, and only
 * what these cannot exclude is multiplied in float32, pair by pair. With limbs (limbs.h) the products
 * are made of the data's own bytes. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/blas.h"

#include "limbs.h"
#include "propose.h"
#include "quant.h"

/* Fewer samples, or shorter ones, are left to sgemm: a guess.  A tile's floats and bytes about fill
 * a second-level cache: tiles of 128 and 1024 samples were 10 % slower in all, and so was fetching
 * the next pairs ahead. */
enum { BYTES_SAMPLES = 256, BYTES_DIM = 32, BYTES_COLS = 384 };
enum {
    ROWS = 512,
    COLS = 1024,
    LIMB_COLS = 512,
    FEW = 64,
    GATHER_FLOATS = 1 << 23,
    HELD = 1 << 28
};

/* Above it the bound of limbs, a share of ||w|| ||x||, is too wide to be of use. */
static const double most_limb_error = 0x1p-6;

struct ws_proposer {
    const ws_samples *x; /* as set, for samples gathered tile by tile */
    const int64_t *ids;
    const float *dense; /* [n x d] all samples set, or NULL */
    int64_t n;
    double max_norm;

    float *held, *tile_x; /* samples gathered: all, one tile */
    float *tile_w, *tile; /* rows gathered; products [rows x cols] */
    int64_t held_capacity, tile_x_capacity, tile_w_capacity, tile_capacity;

    ws_pairs stage; /* hits of a block, tile by tile */
    int64_t *count; /* [tiles x rows] how many of them each row has in each tile */
    int64_t count_capacity;

    int may_bytes, may_limbs; /* asked for at create */
    int bytes, limbs;         /* in use for the samples set */
    ws_limbs limb;            /* rows of a block */
    ws_quant_samples quant;
    int8_t *block_q; /* rows of a block as bytes */
    ws_quant_row *block_row;
    int32_t *col; /* [6 x (BYTES_COLS + 64)] what bytes propose for a group of rows */
    int64_t *id;  /* [BYTES_COLS] the samples of a row that these are */
    const float **at;
    double *z;
    int64_t q_capacity, row_capacity, col_capacity, id_capacity, at_capacity, z_capacity;
};

/* One block of rows of a call. */
typedef struct block {
    int64_t d, n, rows, cols; /* rows here; tile shape */
    const float *w;           /* [n x d] */
    const float *cut;         /* [n] */
    ws_compress *compress;
} block;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* As many vectors of length d as may be gathered at a time, FEW to most. */
static int64_t tile_side(int64_t most, int64_t d)
{
    int64_t n = GATHER_FLOATS / (d > 0 ? d : 1);

    return n > most ? most : n < FEW ? FEW : n;
}

/* ---- pairs ---- */

void ws_pairs_free(ws_pairs *p)
{
    ws_free(&p->first);
    ws_free(&p->col);
    ws_free(&p->z);
    *p = (ws_pairs){0};
}

static ws_err reserve(ws_pairs *p, int64_t k)
{
    int64_t need = p->n + k, col = p->capacity, z = p->capacity;
    ws_err err;

    if (need <= p->capacity) return WS_OK;
    if ((err = ws_grow(&p->col, &col, need, sizeof *p->col, "proposed pairs")) ||
        (err = ws_grow(&p->z, &z, need, sizeof *p->z, "proposed pairs"))) {
        ws_pairs_free(p);
        return err;
    }
    p->capacity = smaller(col, z);
    return WS_OK;
}

/* ---- samples ---- */

static int worth_bytes(int64_t n, int64_t d)
{
    return n >= BYTES_SAMPLES && d >= BYTES_DIM && d <= WS_QUANT_DIM;
}

ws_err ws_proposer_create(ws_proposer **out)
{
    return ws_alloc(out, 1, sizeof **out, "the proposer of an index");
}

ws_err ws_proposer_create_bytes(ws_proposer **out)
{
    ws_err err = ws_proposer_create(out);

    if (!err) (*out)->may_bytes = 1;
    return err;
}

ws_err ws_proposer_create_few(ws_proposer **out)
{
    ws_err err = ws_proposer_create_bytes(out);

    if (!err) (*out)->may_limbs = 1;
    return err;
}

void ws_proposer_destroy(ws_proposer **out)
{
    ws_proposer *p = *out;

    if (!p) return;
    ws_free(&p->held);
    ws_free(&p->tile_x);
    ws_free(&p->tile_w);
    ws_free(&p->tile);
    ws_free(&p->count);
    ws_pairs_free(&p->stage);
    ws_limbs_free(&p->limb);
    ws_quant_samples_free(&p->quant);
    ws_free(&p->block_q);
    ws_free(&p->block_row);
    ws_free(&p->col);
    ws_free(&p->id);
    ws_free(&p->at);
    ws_free(&p->z);
    ws_free(out);
}

int64_t ws_proposer_bytes_plan(int64_t n, int64_t d)
{
    return worth_bytes(n, d)
               ? n * ws_quant_stride(d) + (n / WS_QUANT_LANES + 1) * (int64_t)sizeof(ws_quant_side)
               : 0;
}

int64_t ws_proposer_bytes(const ws_proposer *p)
{
    int64_t floats, bytes;

    if (!p) return 0;
    bytes = ws_limbs_bytes(&p->limb) + ws_quant_samples_bytes(&p->quant) + p->q_capacity +
            p->row_capacity * (int64_t)sizeof *p->block_row + 4 * p->col_capacity +
            8 * (p->id_capacity + p->at_capacity + p->z_capacity);
    floats = p->held_capacity + p->tile_x_capacity + p->tile_w_capacity + p->tile_capacity;
    return (int64_t)sizeof *p + bytes + 4 * floats + 8 * p->stage.capacity + 8 * p->count_capacity;
}

static void gather(const ws_samples *x, const int64_t *ids, int64_t from, int64_t n, float *to)
{
    for (int64_t k = 0; k < n; k++)
        ws_samples_row(x, ids ? ids[from + k] : from + k, to + k * x->d);
}

ws_err ws_propose_samples(ws_proposer *p, const ws_samples *x, const int64_t *ids, int64_t n)
{
    ws_err err;

    p->x = x;
    p->ids = ids;
    p->n = n;
    p->max_norm = ws_samples_longest(x, ids, n);
    p->dense = ids ? NULL : x->x;
    p->limbs = p->may_limbs && !ids && ws_limbs_apply(x) &&
               ws_limbs_error(x, p->max_norm) < most_limb_error;
    p->bytes = !p->limbs && p->may_bytes && ws_quant_is_fast() && worth_bytes(n, x->d);
    if (p->limbs) return WS_OK;
    if (p->bytes) {
        if ((err = ws_quant_choose_columns(&p->quant, x, ids, n)) ||
            (err = ws_quant_samples_make(&p->quant, x, ids, n)))
            p->n = 0;
        return err;
    }
    if (p->dense || (!x->x && (double)n * (double)x->d * 4 > HELD)) return WS_OK;
    if ((err = ws_grow(&p->held, &p->held_capacity, n * x->d, sizeof *p->held,
                       "samples gathered for an index query"))) {
        p->n = 0;
        return err;
    }
    gather(x, ids, 0, n, p->held);
    p->dense = p->held;
    return WS_OK;
}

double ws_propose_max_norm(const ws_proposer *p)
{
    return p->max_norm;
}

/* Samples from .. from + n - 1, one after the other. */
static ws_err tile_samples(ws_proposer *p, int64_t d, int64_t from, int64_t n, const float **out)
{
    ws_err err;

    if (p->dense) {
        *out = p->dense + from * d;
        return WS_OK;
    }
    if ((err = ws_grow(&p->tile_x, &p->tile_x_capacity, n * d, sizeof *p->tile_x,
                       "samples gathered for an index query")))
        return err;
    gather(p->x, p->ids, from, n, p->tile_x);
    *out = p->tile_x;
    return WS_OK;
}

/* ---- rows ---- */

/* Rows of the block, one after the other. */
static ws_err block_rows(ws_proposer *p, const float *w, const int64_t *row, int64_t from, block *b)
{
    ws_err err;

    b->w = w + from * b->d;
    if (!row) return WS_OK;
    if ((err = ws_grow(&p->tile_w, &p->tile_w_capacity, b->n * b->d, sizeof *p->tile_w,
                       "rows gathered for an index query")))
        return err;
    for (int64_t k = 0; k < b->n; k++)
        memcpy(p->tile_w + k * b->d, w + row[from + k] * b->d, (size_t)b->d * sizeof *w);
    b->w = p->tile_w;
    return WS_OK;
}

/* ---- bytes ---- */

/* The rows of the block as bytes, and room for what a group of them is compared with. */
static ws_err block_bytes(ws_proposer *p, const block *b)
{
    int64_t stride = p->quant.stride;
    const char *what = "candidates of an index query";
    ws_err err;

    if ((err = ws_grow(&p->block_q, &p->q_capacity, b->rows * stride, 1, what)) ||
        (err = ws_grow(&p->block_row, &p->row_capacity, b->rows, sizeof *p->block_row, what)) ||
        (err = ws_grow(&p->col, &p->col_capacity, WS_QUANT_ROWS * (b->cols + WS_QUANT_LANES),
                       sizeof *p->col, what)) ||
        (err = ws_grow(&p->id, &p->id_capacity, b->cols, sizeof *p->id, what)) ||
        (err = ws_grow(&p->at, &p->at_capacity, b->cols, sizeof *p->at, what)) ||
        (err = ws_grow(&p->z, &p->z_capacity, b->cols, sizeof *p->z, what)))
        return err;
    for (int64_t r = 0; r < b->n; r++)
        ws_quant_row_kept(&p->quant, b->w + r * b->d, p->block_q + r * stride, &p->block_row[r]);
    return WS_OK;
}

/* Products of row w with the n samples at positions col, in float32. */
static void multiply_pairs(ws_proposer *p, const float *w, const int32_t *col, int64_t n, float *z)
{
    int64_t d = p->x->d;

    for (int64_t k = 0; k < n; k++) p->id[k] = p->ids ? p->ids[col[k]] : col[k];
    if (p->x->x) {
        for (int64_t k = 0; k < n; k++) p->at[k] = p->x->x + p->id[k] * d;
        ws_propose_dots(w, p->at, n, d, z);
        return;
    }
    ws_dot_many(w, p->x, p->id, n, p->z);
    for (int64_t k = 0; k < n; k++) z[k] = (float)p->z[k];
}

/* Stage those of n candidates of row r that float32 cannot exclude either. */
static ws_err stage_pairs(ws_proposer *p, const block *b, int64_t r, const int32_t *col, int64_t n,
                          int64_t *count)
{
    ws_pairs *s = &p->stage;
    ws_err err = reserve(s, n + 1);
    float *z = s->z + s->n;

    if (err) return err;
    multiply_pairs(p, b->w + r * b->d, col, n, z);
    *count = 0;
    for (int64_t k = 0; k < n; k++) {
        s->col[s->n + *count] = col[k];
        z[*count] = z[k];
        *count += !(z[k] <= b->cut[r]);
    }
    s->n += *count;
    return WS_OK;
}

/* Look through one tile in bytes, six rows at a time, and stage what passes. */
static ws_err stage_bytes(ws_proposer *p, const block *b, int64_t from, int64_t *count)
{
    int64_t n = smaller(b->cols, p->n - from), stride = p->quant.stride;
    int64_t room = b->cols + WS_QUANT_LANES, found[WS_QUANT_ROWS];
    ws_err err = WS_OK;

    for (int64_t r = 0; r < b->n && !err; r += WS_QUANT_ROWS) {
        ws_quant_group g = {.n = (int)smaller(WS_QUANT_ROWS, b->n - r)};

        for (int k = 0; k < g.n; k++) {
            g.q[k] = p->block_q + (r + k) * stride;
            g.row[k] = &p->block_row[r + k];
            g.cut[k] = ws_quant_cut((double)b->cut[r + k]);
        }
        ws_quant_propose(&p->quant, &g, from, n, p->col, room, found);
        for (int k = 0; k < g.n && !err; k++)
            err = stage_pairs(p, b, r + k, p->col + k * room, found[k], &count[r + k]);
    }
    return err;
}

/* ---- limbs ---- */

/* Keep those of n products of a row that are above its cut. */
static ws_err stage_products(ws_proposer *p, const block *b, const float *z, int64_t n, float cut,
                             int64_t from, int64_t *count)
{
    ws_pairs *s = &p->stage;
    ws_err err = reserve(s, n + 16);

    if (err) return err;
    *count = b->compress(z, n, cut, (int32_t)from, s->col + s->n, s->z + s->n);
    s->n += *count;
    return WS_OK;
}

static ws_err stage_limbs(ws_proposer *p, const block *b, int64_t from, int64_t *count)
{
    int64_t n = smaller(b->cols, p->n - from);
    ws_err err = WS_OK;

    for (int64_t r = 0; r < b->n && !err; r += 2) {
        ws_limbs_products(&p->limb, p->x, r, from, n, p->tile);
        for (int64_t k = 0; k < 2 && r + k < b->n && !err; k++)
            err = stage_products(p, b, p->tile + k * n, n, b->cut[r + k], from, &count[r + k]);
    }
    return err;
}

/* ---- blocks ---- */

/* Multiply the block with one tile of samples and stage what passes. */
static ws_err stage_tile(ws_proposer *p, const block *b, int64_t from, int64_t *count)
{
    int64_t n = smaller(b->cols, p->n - from);
    const float *x;
    ws_err err = tile_samples(p, b->d, from, n, &x);

    if (err) return err;
    ws_sgemm_nt(b->n, n, b->d, b->w, b->d, x, b->d, p->tile, n);
    for (int64_t r = 0; r < b->n && !err; r++)
        err = stage_products(p, b, p->tile + r * n, n, b->cut[r], from, &count[r]);
    return err;
}

/* Put the staged hits, tile-major, behind out's in row order.  first[r + 1] first counts row r,
 * then, once summed, walks as the place of its next hit; in the end it is where row r ends. */
static ws_err append_block(const ws_proposer *p, const block *b, int64_t tiles, int64_t *first,
                           ws_pairs *out)
{
    ws_err err = reserve(out, p->stage.n);
    int64_t place = out->n, from = 0;

    if (err) return err;
    for (int64_t r = 0; r < b->n; r++) {
        int64_t sum = 0;

        for (int64_t t = 0; t < tiles; t++) sum += p->count[t * b->rows + r];
        first[r + 1] = place;
        place += sum;
    }
    for (int64_t t = 0; t < tiles; t++) {
        for (int64_t r = 0; r < b->n; r++) {
            int64_t k = p->count[t * b->rows + r];

            if (k == 0) continue;
            memcpy(out->col + first[r + 1], p->stage.col + from, (size_t)k * sizeof *out->col);
            memcpy(out->z + first[r + 1], p->stage.z + from, (size_t)k * sizeof *out->z);
            first[r + 1] += k;
            from += k;
        }
    }
    out->n = place;
    return WS_OK;
}

static ws_err propose_block(ws_proposer *p, const block *b, int64_t *first, ws_pairs *out)
{
    int64_t tiles = 0;
    ws_err err = p->bytes   ? block_bytes(p, b)
                 : p->limbs ? ws_limbs_rows(&p->limb, p->x, b->w, b->n)
                            : WS_OK;

    p->stage.n = 0;
    for (int64_t from = 0; from < p->n && !err; from += b->cols, tiles++)
        err = (p->bytes   ? stage_bytes
               : p->limbs ? stage_limbs
                          : stage_tile)(p, b, from, p->count + tiles * b->rows);
    return err ? err : append_block(p, b, tiles, first, out);
}

/* Room for a tile of products and its counts. */
static ws_err prepare(ws_proposer *p, block *b, int64_t d, int64_t n)
{
    int64_t tiles;
    ws_err err;

    b->d = d;
    b->rows = smaller(n, tile_side(ROWS, d));
    b->cols = p->bytes   ? BYTES_COLS
              : p->limbs ? smaller(p->n, LIMB_COLS)
                         : smaller(p->n, tile_side(COLS, d));
    b->compress = ws_propose_compress();
    tiles = p->n > 0 ? (p->n + b->cols - 1) / b->cols : 0;
    if (!p->bytes && (err = ws_grow(&p->tile, &p->tile_capacity, (p->limbs ? 2 : b->rows) * b->cols,
                                    sizeof *p->tile, "products of an index query")))
        return err;
    return ws_grow(&p->count, &p->count_capacity, tiles * b->rows, sizeof *p->count,
                   "counts of an index query");
}

ws_err ws_propose_rows(ws_proposer *p, const float *w, int64_t d, const int64_t *row, int64_t n,
                       const float *cut, ws_pairs *out)
{
    block b = {0};
    ws_err err;

    out->n = 0;
    if ((err = ws_grow(&out->first, &out->rows_capacity, n + 1, sizeof *out->first,
                       "rows of proposed pairs")) ||
        (err = prepare(p, &b, d, n)))
        return err;
    out->first[0] = 0;
    for (int64_t from = 0; from < n; from += b.rows) {
        b.n = smaller(b.rows, n - from);
        b.cut = cut + from;
        if ((err = block_rows(p, w, row, from, &b)) ||
            (err = propose_block(p, &b, out->first + from, out)))
            return err;
    }
    return WS_OK;
}

/* ---- margins ---- */

double ws_propose_margin(int64_t d)
{
    /* sgemm's bound, and that of ws_dot: d additions at most, in double; and what a packed sample's
     * float32 row is rounded by. */
    return ws_sgemm_error(d) * (1 + WS_PACKED_ERROR) + WS_PACKED_ERROR + (double)(d + 8) * 0x1p-53;
}

double ws_propose_error(const ws_proposer *p)
{
    return p->limbs ? ws_limbs_error(p->x, p->max_norm) : ws_propose_margin(p->x->d);
}

float ws_propose_cut(double above, double wnorm, double xnorm, int64_t d)
{
    double size = wnorm * xnorm, cut;

    /* Partial sums are at most size; far below FLT_MAX none can overflow. */
    if (!(size < 1e37)) return NAN;
    /* 2^-126 for every product and sum that float32 may lose to underflow. */
    cut = above - (ws_propose_margin(d) * size * (1 + 0x1p-40) + (double)(2 * d + 2) * 0x1p-126);
    cut = nextafter(cut, -INFINITY);
    if (cut > (double)FLT_MAX) return FLT_MAX;
    if (cut < -(double)FLT_MAX) return -INFINITY;
    return nextafterf((float)cut, -INFINITY);
}

double ws_propose_norm(const float *w, int64_t d)
{
    return sqrt(ws_norm2(w, d)) * (1 + (double)(d + 8) * 0x1p-52) + 0x1p-500;
}
