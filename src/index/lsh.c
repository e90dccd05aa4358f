/* lsh.c - APPROXIMATE: the neurons that share a bucket with a sample in one of several hash tables,
 * as SLIDE does it.  What it returns is decided by ws_dot, so nothing is wrong; what shares no
 * bucket is missed.
 *
 * Codes follow the weights on a schedule of steps: at every R-th step the neurons that have moved
 * since are hashed again.  Whether a pair is returned is thus a function of (seed, the neuron's
 * weights at the last such step, the sample), the same on any number of ranks.  The bias is not
 * hashed.
 *
 * One query about a sample in 64, chosen by (seed, step, sample), and at every 64th step the first
 * of a batch, is also scanned: counts.checked pairs fired, counts.found of them were returned.
 *
 * What lost: at d = 64 and shift sqrt(0.4 ln m) a firing neuron is at 73 degrees or so from the
 * sample, where a sign agrees with probability 0.6, against 0.5 for any neuron.  So 50 tables of 6
 * signs find 91 % of the fired pairs, but make more than half of all pairs candidates: a query of 32
 * samples at width 2^20 takes 3.5 times as long as a scan.  Tables pay only where neurons lie much
 * closer to the samples than that; auto never chooses this kind.
 *
 * Source: Chen, Medini, Farwell, Gobriel, Tai, Shrivastava, "SLIDE: in defense of smart algorithms
 * over hardware acceleration for large-scale deep learning systems", MLSys 2020. */
#include "lsh.h"

#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/random.h"

enum { TABLES = 50, BITS = 6, EVERY = 50, CHECK = 64 };

typedef struct lsh {
    ws_index base;
    ws_lsh_tables tables;
    ws_index_options opt; /* defaults filled in */
    uint16_t *sample;     /* [samples x L] codes of the registered samples */
    int64_t step;
    int64_t *moved, moves; /* neurons that moved since the last hashing, in any order */
    uint8_t *has_moved;    /* [m] */

    uint16_t *asked; /* [asked x L] codes of the points of a query */
    uint32_t *seen;  /* [BLOCK] 1 + the position that last met a neuron of the block */
    int32_t *count;  /* [BLOCK + 1] */
    int32_t *pos;    /* candidates of a block, row by row */
    uint64_t *pair;  /* candidates of a block as they are met: position << 16 | neuron */
    int64_t asked_capacity, pos_capacity, pair_capacity;

    int64_t *checked, *at; /* samples to be scanned, and their positions in the query */
    int64_t checked_capacity, at_capacity;
    ws_hits truth;
} lsh;

/* ---- build ---- */

static ws_index_options resolve(const ws_index_options *o)
{
    ws_index_options p = *o;

    if (p.tables <= 0) p.tables = TABLES;
    if (p.bits <= 0) p.bits = BITS;
    if (p.every <= 0) p.every = EVERY;
    return p;
}

static int64_t held(const lsh *t)
{
    int64_t m = t->base.shard.n;

    return ws_lsh_held(&t->tables) + 2 * t->tables.tables * t->base.samples.n + 9 * m +
           8 * t->tables.stride + 2 * t->asked_capacity + 4 * t->pos_capacity +
           8 * t->pair_capacity + 8 * (t->checked_capacity + t->at_capacity) +
           20 * t->truth.capacity;
}

static ws_err build(ws_index *ix)
{
    lsh *t = (lsh *)ix;
    int64_t m = ix->shard.n;
    const char *what = "lsh index";
    ws_err err;

    t->opt = resolve(&ix->opt);
    t->step = t->moves = 0;
    if ((err = ws_lsh_build(&t->tables, &ix->shard, &t->opt)) ||
        (err = ws_alloc(&t->sample, ix->samples.n * t->opt.tables, sizeof *t->sample, what)) ||
        (err = ws_alloc(&t->moved, m, sizeof *t->moved, what)) ||
        (err = ws_alloc(&t->has_moved, m, sizeof *t->has_moved, what)) ||
        (err = ws_alloc(&t->seen, t->tables.stride, sizeof *t->seen, what)) ||
        (err = ws_alloc(&t->count, t->tables.stride + 1, sizeof *t->count, what)))
        return err;
    ws_lsh_samples(&t->tables, &ix->samples, NULL, ix->samples.n, t->sample);
    ix->counts.inner_products += (m + ix->samples.n) * t->opt.tables * t->opt.bits;
    ix->counts.bytes = held(t);
    return WS_OK;
}

/* ---- query ---- */

/* Neurons of a block that share a bucket with position p and were not met for it before. */
static ws_err meet(lsh *t, const ws_query *q, const uint16_t *code, int64_t block, int64_t p,
                   int64_t *n)
{
    const uint8_t *mask = q->mask ? q->mask + block * WS_LSH_BLOCK : NULL;

    for (int64_t k = 0; k < t->opt.tables; k++) {
        int64_t size;
        const uint16_t *row = ws_lsh_bucket(&t->tables, block, k, code[k], &size);
        ws_err err = ws_grow(&t->pair, &t->pair_capacity, *n + size + 1, sizeof *t->pair,
                             "candidates of the lsh index");

        if (err) return err;
        t->base.counts.node_visits += size;
        for (int64_t i = 0; i < size; i++) {
            int fresh = t->seen[row[i]] != (uint32_t)p + 1;

            t->seen[row[i]] = (uint32_t)p + 1;
            t->pair[*n] = (uint64_t)p << 16 | row[i];
            *n += fresh & (!mask || mask[row[i]]);
        }
    }
    return WS_OK;
}

/* Counting sort of a block's pairs by neuron, stable: count[r] is then where neuron r ends. */
static ws_err sort(lsh *t, int64_t rows, int64_t n)
{
    ws_err err = ws_grow(&t->pos, &t->pos_capacity, n, sizeof *t->pos, "candidates of the lsh");

    if (err) return err;
    memset(t->count, 0, (size_t)(rows + 1) * sizeof *t->count);
    for (int64_t k = 0; k < n; k++) t->count[(t->pair[k] & (WS_LSH_BLOCK - 1)) + 1]++;
    for (int64_t r = 0; r < rows; r++) t->count[r + 1] += t->count[r];
    for (int64_t k = 0; k < n; k++) {
        uint64_t pair = t->pair[k];

        t->pos[t->count[pair & (WS_LSH_BLOCK - 1)]++] = (int32_t)(pair >> 16);
    }
    return WS_OK;
}

static ws_err query_block(lsh *t, const ws_query *q, int64_t block, ws_hits *hits)
{
    int64_t rows = ws_lsh_size(&t->tables, block), n = 0, from = 0;
    ws_err err = WS_OK;

    memset(t->seen, 0, (size_t)rows * sizeof *t->seen);
    for (int64_t p = 0; p < q->n && !err; p++) {
        const uint16_t *code = q->kind == WS_QUERY_SAMPLE ? t->sample + q->ids[p] * t->opt.tables
                                                          : t->asked + p * t->opt.tables;

        err = meet(t, q, code, block, p, &n);
    }
    if (!err && n > 0) err = sort(t, rows, n);
    for (int64_t r = 0; r < rows && from < n && !err; r++) {
        err = ws_scan_decide(&t->base, q, block * WS_LSH_BLOCK + r, t->pos + from,
                             t->count[r] - from, hits);
        from = t->count[r];
    }
    return err;
}

/* ---- the check ---- */

/* Samples of the query to be scanned too, in its order. */
static ws_err choose(lsh *t, const ws_query *q, int64_t *n)
{
    const ws_key key = {t->opt.seed, WS_STREAM_HASH, 0xffffff};
    ws_err err;

    *n = 0;
    if ((err = ws_grow(&t->checked, &t->checked_capacity, q->n, sizeof *t->checked, "check")) ||
        (err = ws_grow(&t->at, &t->at_capacity, q->n, sizeof *t->at, "check")))
        return err;
    for (int64_t p = 0; p < q->n; p++) {
        double u = ws_random_uniform(&key, (uint64_t)t->step, (uint32_t)q->ids[p]);

        if (u * CHECK >= 1 && (p > 0 || t->step % CHECK)) continue;
        t->checked[*n] = q->ids[p];
        t->at[(*n)++] = p;
    }
    return WS_OK;
}

/* Is (row, position) among the hits, from row *i on?  Rows are asked for in ascending order. */
static int has(const ws_hits *h, int64_t *i, int64_t row, int64_t pos)
{
    while (*i < h->rows && h->row[*i] < row) (*i)++;
    if (*i == h->rows || h->row[*i] != row) return 0;
    for (int64_t p = h->first[*i]; p < h->first[*i + 1]; p++)
        if (h->pos[p] == pos) return 1;
    return 0;
}

static ws_err check(lsh *t, const ws_query *q, const ws_hits *hits)
{
    ws_query all = *q;
    int64_t n, row = 0, before = t->base.counts.candidates;
    ws_err err = choose(t, q, &n);

    if (err || n == 0) return err;
    all.n = n;
    all.ids = t->checked;
    t->truth.rows = t->truth.n = 0;
    if ((err = ws_scan_query(&t->base, NULL, &all, &t->truth))) return err;
    for (int64_t i = 0; i < t->truth.rows; i++)
        for (int64_t p = t->truth.first[i]; p < t->truth.first[i + 1]; p++)
            t->base.counts.found += has(hits, &row, t->truth.row[i], t->at[t->truth.pos[p]]);
    t->base.counts.checked += t->truth.n;
    t->base.counts.candidates = before; /* those of the check are none of the index's */
    return WS_OK;
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    lsh *t = (lsh *)ix;
    ws_err err = ws_scan_prepare(ix, q->n);

    if (!err && q->kind != WS_QUERY_SAMPLE &&
        !(err = ws_grow(&t->asked, &t->asked_capacity, q->n * t->opt.tables, sizeof *t->asked,
                        "codes of a query"))) {
        ws_lsh_samples(&t->tables, q->x, NULL, q->n, t->asked);
        ix->counts.inner_products += q->n * t->opt.tables * t->opt.bits;
    }
    for (int64_t b = 0; b * WS_LSH_BLOCK < ix->shard.n && !err; b++)
        err = query_block(t, q, b, hits);
    if (!err && q->kind == WS_QUERY_SAMPLE) err = check(t, q, hits);
    ix->counts.bytes = held(t);
    return err;
}

/* ---- update ---- */

static ws_err update(ws_index *ix, const ws_moves *v)
{
    lsh *t = (lsh *)ix;

    for (int64_t k = 0; k < v->k; k++) {
        int64_t r = v->row[k];

        if (!t->has_moved[r]) t->moved[t->moves++] = r;
        t->has_moved[r] = 1;
    }
    return WS_OK;
}

static void tick(ws_index *ix, int64_t step)
{
    lsh *t = (lsh *)ix;

    t->step = step;
    if (step % t->opt.every) return;
    ws_lsh_rehash(&t->tables, t->moved, t->moves);
    for (int64_t k = 0; k < t->moves; k++) t->has_moved[t->moved[k]] = 0;
    ix->counts.relisted += t->moves;
    ix->counts.leaf_writes += t->moves * t->opt.tables;
    ix->counts.inner_products += t->moves * t->opt.tables * t->opt.bits;
    t->moves = 0;
}

/* ---- the kind ---- */

static void destroy(ws_index *ix)
{
    lsh *t = (lsh *)ix;

    ws_lsh_free(&t->tables);
    ws_hits_free(&t->truth);
    ws_free(&t->sample);
    ws_free(&t->moved);
    ws_free(&t->has_moved);
    ws_free(&t->asked);
    ws_free(&t->seen);
    ws_free(&t->count);
    ws_free(&t->pos);
    ws_free(&t->pair);
    ws_free(&t->checked);
    ws_free(&t->at);
    t->asked_capacity = t->pos_capacity = t->pair_capacity = 0;
    t->checked_capacity = t->at_capacity = 0;
}

static double bytes(const ws_index_plan *p)
{
    ws_index_options o = resolve(&p->opt);
    double n = (double)p->n, blocks = ceil(n / WS_LSH_BLOCK), tables = (double)o.tables;

    return blocks * tables * (4 * fmin(n, WS_LSH_BLOCK) + 4 * (double)((int64_t)1 << o.bits)) +
           9 * n + tables * (double)o.bits * (4 * (double)p->d + 8) +
           2 * tables * (double)p->registered;
}

const ws_index_ops ws_index_lsh = {
    .name = "lsh",
    .title = "lsh (approximate)",
    .size = sizeof(lsh),
    .exact = 0,
    .answers = 1u << WS_QUERY_SAMPLE | 1u << WS_QUERY_NEAR | 1u << WS_QUERY_ANY,
    .build = build,
    .query = query,
    .update = update,
    .tick = tick,
    .destroy = destroy,
    .bytes = bytes,
};
