/* propose_floats.c - products by sgemm, in tiles of rows and samples that are compared while they are
 * still in cache. Samples that do not lie together (ids, sparse) are gathered: a set of at most HELD
 * bytes once, a larger sparse one tile by tile. */
#include "propose_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/linalg/blas.h"

enum { COLS = 1024, HELD = 1 << 28 };

static const char what[] = "samples gathered for an index query";

static int applies(const ws_proposer *p)
{
    (void)p;
    return 1;
}

static void gather(const ws_samples *x, const int64_t *ids, int64_t from, int64_t n, float *to)
{
    for (int64_t k = 0; k < n; k++) ws_samples_row(x, ws_sample_at(ids, from + k), to + k * x->d);
}

static ws_err samples(ws_proposer *p)
{
    ws_propose_float_state *f = &p->floats;
    ws_err err;

    f->dense = p->ids ? NULL : p->x->x;
    if (f->dense || (!p->x->x && (double)p->n * (double)p->x->d * 4 > HELD)) return WS_OK;
    if ((err = ws_grow(&f->held, &f->held_capacity, p->n * p->x->d, sizeof *f->held, what)))
        return err;
    gather(p->x, p->ids, 0, p->n, f->held);
    f->dense = f->held;
    return WS_OK;
}

static int64_t cols(const ws_proposer *p)
{
    return ws_smaller(p->n, ws_propose_side(COLS, p->x->d));
}

static int64_t products(const ws_propose_block *b)
{
    return b->rows * b->cols;
}

/* Samples from .. from + n - 1, one after the other. */
static ws_err tile_samples(ws_proposer *p, int64_t d, int64_t from, int64_t n, const float **out)
{
    ws_propose_float_state *f = &p->floats;
    ws_err err;

    if (f->dense) {
        *out = f->dense + from * d;
        return WS_OK;
    }
    if ((err = ws_grow(&f->tile_x, &f->tile_x_capacity, n * d, sizeof *f->tile_x, what)))
        return err;
    gather(p->x, p->ids, from, n, f->tile_x);
    *out = f->tile_x;
    return WS_OK;
}

static ws_err tile(ws_proposer *p, const ws_propose_block *b, int64_t from, int64_t *count)
{
    int64_t n = ws_smaller(b->cols, p->n - from);
    const float *x;
    ws_err err = tile_samples(p, b->d, from, n, &x);

    if (err) return err;
    ws_sgemm_nt(b->n, n, b->d, b->w, b->d, x, b->d, p->tile, n);
    for (int64_t r = 0; r < b->n && !err; r++)
        err = ws_propose_stage(p, b, p->tile + r * n, n, b->cut[r], from, &count[r]);
    return err;
}

const ws_propose_way ws_propose_floats = {applies, samples, cols, products, NULL, tile, NULL};
