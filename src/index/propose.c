/* propose.c - all products of a block of rows with a set of samples, of which only those above each
 * row's cut are kept.
 *
 * Products are made tile by tile of samples, in one of several ways. Rows that do not lie together are
 * gathered. The hits of a block of rows come tile after tile; they are put in row order when the block
 * is done. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "propose_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/blas.h"

enum { ROWS = 512, FEW = 64, GATHER_FLOATS = 1 << 23 };

/* The first that applies. */
static const ws_propose_way *const ways[] = {&ws_propose_limbs, &ws_propose_bytes,
                                             &ws_propose_floats};

int64_t ws_propose_side(int64_t most, int64_t d)
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

ws_err ws_pairs_reserve(ws_pairs *p, int64_t k)
{
    int64_t need = p->n + k, col = p->capacity, z = p->capacity;
    ws_err err;

    if (need <= p->capacity) return WS_OK;
    if ((err = ws_grow(&p->col, &col, need, sizeof *p->col, "proposed pairs")) ||
        (err = ws_grow(&p->z, &z, need, sizeof *p->z, "proposed pairs"))) {
        ws_pairs_free(p);
        return err;
    }
    p->capacity = ws_smaller(col, z);
    return WS_OK;
}

ws_err ws_propose_stage(ws_proposer *p, const ws_propose_block *b, const float *z, int64_t n,
                        float cut, int64_t from, int64_t *count)
{
    ws_pairs *s = &p->stage;
    ws_err err = ws_pairs_reserve(s, n + 16);

    if (err) return err;
    *count = b->compress(z, n, cut, (int32_t)from, s->col + s->n, s->z + s->n);
    s->n += *count;
    return WS_OK;
}

/* ---- samples ---- */

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
    ws_free(&p->tile_w);
    ws_free(&p->tile);
    ws_free(&p->count);
    ws_pairs_free(&p->stage);
    ws_free(&p->floats.held);
    ws_free(&p->floats.tile_x);
    ws_propose_byte_state_free(&p->bytes);
    ws_limbs_free(&p->limbs);
    ws_free(out);
}

int64_t ws_proposer_bytes_plan(int64_t n, int64_t d)
{
    return ws_propose_worth_bytes(n, d)
               ? n * ws_quant_stride(d) + (n / WS_QUANT_LANES + 1) * (int64_t)sizeof(ws_quant_side)
               : 0;
}

int64_t ws_proposer_bytes(const ws_proposer *p)
{
    int64_t floats;

    if (!p) return 0;
    floats =
        p->floats.held_capacity + p->floats.tile_x_capacity + p->tile_w_capacity + p->tile_capacity;
    return (int64_t)sizeof *p + ws_limbs_bytes(&p->limbs) + ws_propose_byte_state_bytes(&p->bytes) +
           4 * floats + 8 * p->stage.capacity + 8 * p->count_capacity;
}

ws_err ws_propose_samples(ws_proposer *p, const ws_samples *x, const int64_t *ids, int64_t n)
{
    size_t k = 0;
    ws_err err = WS_OK;

    p->x = x;
    p->ids = ids;
    p->n = n;
    p->max_norm = ws_samples_longest(x, ids, n);
    while (!ways[k]->applies(p)) k++;
    p->way = ways[k];
    p->error = p->way->error ? p->way->error(p) : ws_propose_margin(x->d);
    if (p->way->samples && (err = p->way->samples(p))) p->n = 0;
    return err;
}

double ws_propose_max_norm(const ws_proposer *p)
{
    return p->max_norm;
}

double ws_propose_error(const ws_proposer *p)
{
    return p->error;
}

/* ---- blocks ---- */

/* Rows of the block, one after the other. */
static ws_err block_rows(ws_proposer *p, const float *w, const int64_t *row, int64_t from,
                         ws_propose_block *b)
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

/* Put the staged hits, tile-major, behind out's in row order.  first[r + 1] first counts row r,
 * then, once summed, walks as the place of its next hit; in the end it is where row r ends. */
static ws_err append_block(const ws_proposer *p, const ws_propose_block *b, int64_t tiles,
                           int64_t *first, ws_pairs *out)
{
    ws_err err = ws_pairs_reserve(out, p->stage.n);
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

static ws_err propose_block(ws_proposer *p, const ws_propose_block *b, int64_t *first,
                            ws_pairs *out)
{
    int64_t tiles = 0;
    ws_err err = p->way->rows ? p->way->rows(p, b) : WS_OK;

    p->stage.n = 0;
    for (int64_t from = 0; from < p->n && !err; from += b->cols, tiles++)
        err = p->way->tile(p, b, from, p->count + tiles * b->rows);
    return err ? err : append_block(p, b, tiles, first, out);
}

/* Room for a tile of products and its counts. */
static ws_err prepare(ws_proposer *p, ws_propose_block *b, int64_t d, int64_t n)
{
    int64_t tiles;
    ws_err err;

    b->d = d;
    b->rows = ws_smaller(n, ws_propose_side(ROWS, d));
    b->cols = p->way->cols(p);
    b->compress = ws_propose_compress();
    tiles = p->n > 0 ? (p->n + b->cols - 1) / b->cols : 0;
    if ((err = ws_grow(&p->tile, &p->tile_capacity, p->way->products(b), sizeof *p->tile,
                       "products of an index query")))
        return err;
    return ws_grow(&p->count, &p->count_capacity, tiles * b->rows, sizeof *p->count,
                   "counts of an index query");
}

ws_err ws_propose_rows(ws_proposer *p, const float *w, int64_t d, const int64_t *row, int64_t n,
                       const float *cut, ws_pairs *out)
{
    ws_propose_block b = {0};
    ws_err err;

    out->n = 0;
    if ((err = ws_grow(&out->first, &out->rows_capacity, n + 1, sizeof *out->first,
                       "rows of proposed pairs")) ||
        (err = prepare(p, &b, d, n)))
        return err;
    out->first[0] = 0;
    for (int64_t from = 0; from < n; from += b.rows) {
        b.n = ws_smaller(b.rows, n - from);
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
