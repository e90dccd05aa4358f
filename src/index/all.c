/* all.c - every neuron with every sample, whatever the threshold: for activations that are
 * nowhere zero.  There is nothing to find, so nothing to keep up to date. */
#include "wingspan/core/dot.h"

#include "index_impl.h"

/* So many samples stay in cache while rows pass by. */
enum { ROWS = 64, SAMPLES = 64 };

static ws_err build(ws_index *ix)
{
    (void)ix;
    return WS_OK;
}

/* Pre-activations of rows i .. i + n - 1 of the answer, samples in cache-sized groups. */
static void fill(const ws_index *ix, const ws_query *q, int64_t i, int64_t n, ws_hits *hits)
{
    const int64_t *ids, d = ix->shard.d;
    const ws_samples *x = ws_query_samples(ix, q, &ids);

    for (int64_t from = 0; from < q->n; from += SAMPLES) {
        int64_t count = q->n - from < SAMPLES ? q->n - from : SAMPLES, id[SAMPLES];

        for (int64_t k = 0; k < count; k++) id[k] = ws_sample_at(ids, from + k);
        for (int64_t k = i; k < i + n; k++) {
            int64_t r = hits->row[k];
            double *z = hits->z + hits->first[k] + from;

            ws_dot_many(ix->shard.w + r * d, x, id, count, z);
            for (int64_t p = 0; p < count; p++) z[p] += (double)ix->shard.b[r];
        }
    }
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    ws_err err;

    for (int64_t r = 0; r < ix->shard.n; r++) {
        if (q->n == 0 || (q->mask && !q->mask[r])) continue;
        if ((err = ws_hits_row(hits, r)) || (err = ws_hits_reserve(hits, q->n))) return err;
        for (int64_t k = 0; k < q->n; k++) {
            hits->pos[hits->n] = (int32_t)k;
            hits->note[hits->n++] = 0;
        }
        ws_hits_close(hits);
    }
    for (int64_t i = 0; i < hits->rows; i += ROWS)
        fill(ix, q, i, hits->rows - i < ROWS ? hits->rows - i : ROWS, hits);
    ix->counts.inner_products += hits->n;
    ix->counts.candidates += hits->n;
    return WS_OK;
}

static void destroy(ws_index *ix)
{
    (void)ix;
}

static double bytes(const ws_index_plan *p)
{
    (void)p;
    return 0;
}

const ws_index_ops ws_index_all = {
    .name = "all",
    .size = sizeof(ws_index),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE | 1u << WS_QUERY_NEAR | 1u << WS_QUERY_ANY,
    .build = build,
    .query = query,
    .destroy = destroy,
    .bytes = bytes,
};
