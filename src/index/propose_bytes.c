/* propose_bytes.c - a tile is first looked through in bytes (quant.h), at a quarter of the cost, and
 * only what these cannot exclude is multiplied in float32, pair by pair. */
#include "propose_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

/* Fewer samples, or shorter ones, are left to sgemm: a guess.  A tile's floats and bytes about fill
 * a second-level cache: tiles of 128 and 1024 samples were 10 % slower in all, and so was fetching
 * the next pairs ahead. */
enum { SAMPLES = 256, DIM = 32, COLS = 384 };

static const char what[] = "candidates of an index query";

int ws_propose_worth_bytes(int64_t n, int64_t d)
{
    return n >= SAMPLES && d >= DIM && d <= WS_QUANT_DIM;
}

static int applies(const ws_proposer *p)
{
    return p->may_bytes && ws_quant_is_fast() && ws_propose_worth_bytes(p->n, p->x->d);
}

static ws_err samples(ws_proposer *p)
{
    ws_quant_samples *q = &p->bytes.quant;
    ws_err err = ws_quant_choose_columns(q, p->x, p->ids, p->n);

    return err ? err : ws_quant_samples_make(q, p->x, p->ids, p->n);
}

static int64_t cols(const ws_proposer *p)
{
    (void)p;
    return COLS;
}

static int64_t products(const ws_propose_block *b)
{
    (void)b;
    return 0;
}

/* The rows of the block as bytes, and room for what a group of them is compared with. */
static ws_err rows(ws_proposer *p, const ws_propose_block *b)
{
    ws_propose_byte_state *s = &p->bytes;
    int64_t stride = s->quant.stride;
    ws_err err;

    if ((err = ws_grow(&s->block_q, &s->q_capacity, b->rows * stride, 1, what)) ||
        (err = ws_grow(&s->block_row, &s->row_capacity, b->rows, sizeof *s->block_row, what)) ||
        (err = ws_grow(&s->col, &s->col_capacity, WS_QUANT_ROWS * (b->cols + WS_QUANT_LANES),
                       sizeof *s->col, what)) ||
        (err = ws_grow(&s->id, &s->id_capacity, b->cols, sizeof *s->id, what)) ||
        (err = ws_grow(&s->at, &s->at_capacity, b->cols, sizeof *s->at, what)) ||
        (err = ws_grow(&s->z, &s->z_capacity, b->cols, sizeof *s->z, what)))
        return err;
    for (int64_t r = 0; r < b->n; r++)
        ws_quant_row_kept(&s->quant, b->w + r * b->d, s->block_q + r * stride, &s->block_row[r]);
    return WS_OK;
}

/* Products of row w with the n samples at positions col, in float32. */
static void multiply_pairs(ws_proposer *p, const float *w, const int32_t *col, int64_t n, float *z)
{
    ws_propose_byte_state *s = &p->bytes;
    int64_t d = p->x->d;

    for (int64_t k = 0; k < n; k++) s->id[k] = ws_sample_at(p->ids, col[k]);
    if (p->x->x) {
        for (int64_t k = 0; k < n; k++) s->at[k] = p->x->x + s->id[k] * d;
        ws_propose_dots(w, s->at, n, d, z);
        return;
    }
    ws_dot_many(w, p->x, s->id, n, s->z);
    for (int64_t k = 0; k < n; k++) z[k] = (float)s->z[k];
}

/* Stage those of n candidates of row r that float32 cannot exclude either. */
static ws_err stage_pairs(ws_proposer *p, const ws_propose_block *b, int64_t r, const int32_t *col,
                          int64_t n, int64_t *count)
{
    ws_pairs *s = &p->stage;
    ws_err err = ws_pairs_reserve(s, n + 1);
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
static ws_err tile(ws_proposer *p, const ws_propose_block *b, int64_t from, int64_t *count)
{
    ws_propose_byte_state *s = &p->bytes;
    int64_t n = ws_smaller(b->cols, p->n - from), stride = s->quant.stride;
    int64_t room = b->cols + WS_QUANT_LANES, found[WS_QUANT_ROWS];
    ws_err err = WS_OK;

    for (int64_t r = 0; r < b->n && !err; r += WS_QUANT_ROWS) {
        ws_quant_group g = {.n = (int)ws_smaller(WS_QUANT_ROWS, b->n - r)};

        for (int k = 0; k < g.n; k++) {
            g.q[k] = s->block_q + (r + k) * stride;
            g.row[k] = &s->block_row[r + k];
            g.cut[k] = ws_quant_cut((double)b->cut[r + k]);
        }
        ws_quant_propose(&s->quant, &g, from, n, s->col, room, found);
        for (int k = 0; k < g.n && !err; k++)
            err = stage_pairs(p, b, r + k, s->col + k * room, found[k], &count[r + k]);
    }
    return err;
}

int64_t ws_propose_byte_state_bytes(const ws_propose_byte_state *s)
{
    return ws_quant_samples_bytes(&s->quant) + s->q_capacity +
           s->row_capacity * (int64_t)sizeof *s->block_row + 4 * s->col_capacity +
           8 * (s->id_capacity + s->at_capacity + s->z_capacity);
}

void ws_propose_byte_state_free(ws_propose_byte_state *s)
{
    ws_quant_samples_free(&s->quant);
    ws_free(&s->block_q);
    ws_free(&s->block_row);
    ws_free(&s->col);
    ws_free(&s->id);
    ws_free(&s->at);
    ws_free(&s->z);
}

const ws_propose_way ws_propose_bytes = {applies, samples, cols, products, rows, tile, NULL};
