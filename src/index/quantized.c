/* quantized.c - any x in high dimension: rows as bytes with a bound of what that loses propose,
 * ws_dot decides.
 *
 * A byte product costs a quarter of a float32 one, and the rows a quarter of the memory traffic.
 * Rows are made bytes at build and again when they move, the samples of a query at each query;
 * what may fire goes to ws_scan_decide().  The bound is that of quant.h: for Gaussian rows at
 * threshold 3 about four candidates a fired pair.  Vectors longer than WS_QUANT_DIM go to scan. */
#include <math.h>

#include "wingspan/core/alloc.h"

#include "index_impl.h"
#include "quant.h"

enum { DIRECT = 2 };

typedef struct quantized {
    ws_index base;
    int64_t stride;
    int8_t *q;         /* [n x stride] */
    ws_quant_row *row; /* [n] */
    ws_quant_samples samples;
    int32_t *col; /* candidates of a group of rows */
    int64_t col_capacity;
} quantized;

static int64_t held(const quantized *z)
{
    return z->base.shard.n * (z->stride + (int64_t)sizeof *z->row) +
           ws_quant_samples_bytes(&z->samples) + 4 * z->col_capacity;
}

static void make(quantized *z, int64_t r)
{
    const ws_shard *s = &z->base.shard;

    ws_quant_row_make(s->w + r * s->d, s->d, z->q + r * z->stride, &z->row[r]);
}

static ws_err build(ws_index *ix)
{
    quantized *z = (quantized *)ix;
    ws_err err;

    if (ix->shard.d > WS_QUANT_DIM) return WS_OK;
    z->stride = ws_quant_stride(ix->shard.d);
    if ((err = ws_alloc(&z->q, ix->shard.n * z->stride, 1, "neurons of an index as bytes")) ||
        (err = ws_alloc(&z->row, ix->shard.n, sizeof *z->row, "neurons of an index as bytes")))
        return err;
    for (int64_t r = 0; r < ix->shard.n; r++) make(z, r);
    ix->counts.bytes = held(z);
    return WS_OK;
}

/* ---- query ---- */

/* The next rows that take part, with what their bias asks of <w, x>; returns where to go on. */
static int64_t gather(const quantized *z, const ws_query *q, int64_t r, ws_quant_group *g,
                      int64_t *row)
{
    const ws_shard *s = &z->base.shard;

    g->n = 0;
    for (; r < s->n && g->n < WS_QUANT_ROWS; r++) {
        if (q->mask && !q->mask[r]) continue;
        row[g->n] = r;
        g->q[g->n] = z->q + r * z->stride;
        g->row[g->n] = &z->row[r];
        g->cut[g->n++] = ws_quant_cut(nextafter(q->threshold - (double)s->b[r], -INFINITY));
    }
    return r;
}

static ws_err query_groups(quantized *z, const ws_query *q, ws_hits *hits)
{
    int64_t room = q->n + 2 * WS_QUANT_LANES, row[WS_QUANT_ROWS], count[WS_QUANT_ROWS];
    ws_err err = WS_OK;

    for (int64_t r = 0; r < z->base.shard.n && !err;) {
        ws_quant_group g;

        r = gather(z, q, r, &g, row);
        if (g.n == 0) break;
        ws_quant_propose(&z->samples, &g, 0, q->n, z->col, room, count);
        z->base.counts.inner_products += g.n * q->n;
        for (int k = 0; k < g.n && !err; k++)
            err = ws_scan_decide(&z->base, q, row[k], z->col + k * room, count[k], hits);
    }
    return err;
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    quantized *z = (quantized *)ix;
    const int64_t *ids;
    const ws_samples *x = ws_query_samples(ix, q, &ids);
    ws_err err;

    if (q->n <= DIRECT || ix->shard.d > WS_QUANT_DIM) return ws_scan_query(ix, NULL, q, hits);
    if ((err = ws_scan_prepare(ix, q->n)) ||
        (err = ws_quant_samples_make(&z->samples, x, ids, q->n)) ||
        (err = ws_grow(&z->col, &z->col_capacity, WS_QUANT_ROWS * (q->n + 2 * WS_QUANT_LANES),
                       sizeof *z->col, "candidates of an index query")))
        return err;
    ix->counts.bytes = held(z);
    return query_groups(z, q, hits);
}

/* ---- the rest ---- */

static ws_err update(ws_index *ix, const ws_moves *moves)
{
    for (int64_t k = 0; k < moves->k && ix->shard.d <= WS_QUANT_DIM; k++)
        make((quantized *)ix, moves->row[k]);
    return WS_OK;
}

static void destroy(ws_index *ix)
{
    quantized *z = (quantized *)ix;

    ws_free(&z->q);
    ws_free(&z->row);
    ws_quant_samples_free(&z->samples);
    ws_free(&z->col);
    z->col_capacity = 0;
}

static double bytes(const ws_index_plan *p)
{
    double row = (double)ws_quant_stride(p->d), side = sizeof(ws_quant_row);

    if (p->d > WS_QUANT_DIM) return 0;
    return (double)p->n * (row + side) + (double)p->batch * (row + 4 * (WS_QUANT_ROWS + 4));
}

const ws_index_ops ws_index_quantized = {
    .name = "quantized",
    .size = sizeof(quantized),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE | 1u << WS_QUERY_NEAR | 1u << WS_QUERY_ANY,
    .build = build,
    .query = query,
    .update = update,
    .destroy = destroy,
    .bytes = bytes,
};
