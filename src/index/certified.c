/* certified.c - the kind: build, bytes, destroy. What it promises is in certified.h. */
#include "certified.h"

#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/fmath.h"

/* Of a neuron, and of a sample's sketch. */
static const int64_t row_bytes = sizeof(ws_row) + sizeof(ws_upkeep) +
                                 WS_SKETCH * (sizeof(float) + sizeof(int16_t)) + 16,
                     sketch_bytes = (WS_SKETCH + 1) * sizeof(float) + WS_SKETCH * sizeof(int16_t);

static ws_err alloc_rows(ws_certified *c)
{
    int64_t n = c->base.shard.n;
    const char *what = "lists of neurons";
    ws_err err;

    if ((err = ws_alloc(&c->row, n, sizeof *c->row, what)) ||
        (err = ws_alloc(&c->upkeep, n, sizeof *c->upkeep, what)) ||
        (err = ws_alloc(&c->t, n * WS_SKETCH, sizeof *c->t, what)) ||
        (err = ws_alloc(&c->t_fixed, n * WS_SKETCH, sizeof *c->t_fixed, what)) ||
        (err = ws_alloc(&c->queue, n, sizeof *c->queue, what)) ||
        (err = ws_alloc(&c->block_cut, n, sizeof *c->block_cut, what)) ||
        (err = ws_alloc(&c->at, n, sizeof *c->at, what)))
        return err;
    c->base.counts.bytes += n * row_bytes;
    return WS_OK;
}

/* List everything, a segment at a time. */
static ws_err list_all(ws_certified *c)
{
    int64_t n = c->base.shard.n;
    ws_err err = WS_OK;

    for (int64_t from = 0; from < n && !err; from += WS_SEGMENT_ROWS) {
        int64_t k = n - from < WS_SEGMENT_ROWS ? n - from : WS_SEGMENT_ROWS;

        for (int64_t i = 0; i < k; i++) c->queue[i] = from + i;
        err = ws_certified_list(c, c->queue, k);
    }
    return err;
}

static int always(const ws_certified *c)
{
    (void)c;
    return 1;
}

/* Who makes the first lists: the first that applies. */
static const struct {
    const char *name;
    int (*applies)(const ws_certified *c);
    ws_err (*list)(ws_certified *c);
} first_lists[] = {{"blocks", ws_certified_start_applies, ws_certified_start_list},
                   {"products", always, list_all}};

static ws_err list_first(ws_certified *c)
{
    size_t k = 0;

    while (!first_lists[k].applies(c)) k++;
    return first_lists[k].list(c);
}

static ws_err build(ws_index *ix)
{
    ws_certified *c = (ws_certified *)ix;
    int64_t n = ix->shard.n;
    ws_err err = alloc_rows(c);

    if (err || n == 0) return err;
    c->loops = ws_certified_simd();
    c->slack = ix->opt.slack > 0 ? ix->opt.slack : WS_CERTIFIED_SLACK;
    for (int64_t r = 0; r < n; r++) {
        c->upkeep[r].rho = (float)c->slack;
        c->row[r].segment = -1;
    }
    c->max_norm = ws_samples_longest(&ix->samples, NULL, ix->samples.n);
    if ((err = ws_sketch_build(&c->sketch, &ix->samples, c->max_norm)) || (err = list_first(c)))
        return err;
    if (c->sketch.s) ix->counts.bytes += ix->samples.n * sketch_bytes;
    /* The room for the pairs of a segment is not needed again: later listings are small. */
    ws_pairs_free(&c->pairs);
    ws_certified_no_proposer(c);
    return WS_OK;
}

static void destroy(ws_index *ix)
{
    ws_certified *c = (ws_certified *)ix;

    for (int64_t k = 0; k < c->segments; k++) ws_segment_free(&c->segment[k]);
    ws_free(&c->segment);
    c->segments = c->segment_capacity = c->queue_n = 0;
    ws_certified_no_proposer(c);
    ws_pairs_free(&c->pairs);
    ws_sketch_free(&c->sketch);
    ws_certified_query_free(c);
    ws_free(&c->row);
    ws_free(&c->upkeep);
    ws_free(&c->t);
    ws_free(&c->t_fixed);
    ws_free(&c->queue);
    ws_free(&c->block_cut);
    ws_free(&c->at);
}

static double bytes(const ws_index_plan *p)
{
    double slack = p->opt.slack > 0 ? p->opt.slack : WS_CERTIFIED_SLACK;
    double share = p->spread > 0 ? ws_gauss_tail((p->threshold - slack) / p->spread) : 1;
    double n = (double)p->n, samples = (double)p->registered, list = samples * fmin(share, 1);
    double parts = ceil(n / WS_SEGMENT_ROWS);

    /* Lists; the pairs of one segment while it is made, which is also the room that the longer
     * lists of moved neurons will take; what a row, a sample and a segment have. */
    return n * list * sizeof(uint32_t) + fmin(n, WS_SEGMENT_ROWS) * list * 16 +
           n * (double)row_bytes + samples * (double)sketch_bytes +
           parts * samples * sizeof(uint32_t) + (double)ws_proposer_bytes_plan(p->registered, p->d);
}

static double moved(const ws_index *ix, int64_t row)
{
    return sqrt(((const ws_certified *)ix)->row[row].moved2);
}

const ws_index_ops ws_index_certified = {
    .name = "certified",
    .size = sizeof(ws_certified),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE | 1u << WS_QUERY_NEAR,
    .build = build,
    .query = ws_certified_query,
    .update = ws_certified_update,
    .moved = moved,
    .destroy = destroy,
    .bytes = bytes,
};
