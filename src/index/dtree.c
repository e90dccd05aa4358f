/* dtree.c - for every registered sample a max-tree over the neurons of this rank.
 *
 * The tree has fan-out 4: a leaf is a float32 upper bound of z_r(x_i) (leaves.h), an inner node the
 * largest of its children.  All samples' trees lie together: nodes 4 k .. 4 k + 3 of a level are
 * block k, and a block is [samples][4], so that one sample's four are looked at together and one
 * neuron's leaves lie close together.  4/3 of a float a neuron and sample, for any m.
 *
 * A query walks down where something may fire, all samples at once: at each block it finds out
 * which samples go on to which child.  So it meets the neurons in ascending order and each one's
 * samples in ascending position, and nothing is sorted; ws_dot decides.  A node counts as visited
 * if it was compared.  (Fan-out 2 visits 1.1 times as many, 8 visits 1.25 times, 16 1.7 times as
 * many at width 2^20; the time is that of the lines fetched, which 4 and 16 share.)
 *
 * Source: Alman, Liang, Song, Zhang, Zhuo, "Bypass exponential time preprocessing", NeurIPS 2023. */
#include <string.h>

#include "wingspan/core/alloc.h"

#include "dtree.h"
#include "leaves.h"

enum { LEVELS = 24, ROWS = 512, PAIRS = 4096 };

typedef struct dtree {
    ws_index base;
    ws_leaves leaves;
    int levels;
    int64_t nodes[LEVELS]; /* of each level; 0 is that of the leaves, the last has one */
    float *level[LEVELS];  /* [blocks x stride x 4], into tree */
    float *tree;
    int64_t stride, floats; /* samples rounded up to 4; all of the trees */

    int32_t *list; /* [levels x 4 x samples asked about] who goes on to each child */
    int32_t *pos;  /* candidates not yet decided, row by row */
    int64_t list_capacity, pos_capacity;

    ws_dtree_move *move;
    float *change;  /* [4 x stride] what an update does to the leaves of a block */
    int64_t *dirty; /* blocks whose largest nodes may have changed */
    int64_t dirty_capacity;
} dtree;

/* ---- build ---- */

static float *block_of(const dtree *t, int level, int64_t block)
{
    return t->level[level] + block * t->stride * 4;
}

static void put(ws_index *ix, int64_t r, int64_t a, int64_t n, const float *leaf)
{
    dtree *t = (dtree *)ix;
    float *to = block_of(t, 0, r >> 2) + 4 * a + (r & 3);

    for (int64_t i = 0; i < n; i++) to[4 * i] = leaf[i];
}

/* Change the leaves of block `block` of a level, if any moved, and write the largest of each four
 * into the level above; did any of these change? */
static int renew(dtree *t, int level, int64_t block, unsigned moved, unsigned anew)
{
    ws_dtree_block b = {.node = block_of(t, level, block),
                        .up = level + 1 < t->levels ? block_of(t, level + 1, block >> 2) : NULL,
                        .lane = (int)(block & 3),
                        .moved = moved,
                        .anew = anew,
                        .change = t->change,
                        .stride = t->stride};

    return t->move(&b);
}

/* Levels of ever fewer nodes until one is left.  Nodes that only fill a block are minus infinity. */
static ws_err allocate(dtree *t)
{
    int64_t m = t->base.shard.n, at = 0;
    ws_err err;

    t->stride = (t->base.samples.n + 3) / 4 * 4;
    t->move = ws_dtree_mover();
    t->floats = 0;
    for (t->levels = 0; m > 0; m = m > 1 ? (m + 3) / 4 : 0) {
        t->nodes[t->levels++] = m;
        t->floats += (m + 3) / 4 * t->stride * 4;
    }
    if ((err = ws_alloc(&t->tree, t->floats, sizeof *t->tree, "set of trees of the dtree index")))
        return err;
    for (int64_t k = 0; k < t->floats; k++) t->tree[k] = -INFINITY;
    for (int l = 0; l < t->levels; l++) {
        t->level[l] = t->tree + at;
        at += (t->nodes[l] + 3) / 4 * t->stride * 4;
    }
    return ws_alloc(&t->change, 4 * t->stride, sizeof *t->change, "update of the dtree index");
}

static int64_t held(const dtree *t)
{
    return 4 * (t->floats + 4 * t->stride + t->list_capacity + t->pos_capacity) +
           8 * t->dirty_capacity + ws_leaves_held(&t->leaves);
}

static ws_err build(ws_index *ix)
{
    dtree *t = (dtree *)ix;
    ws_err err;

    if ((err = allocate(t)) || (err = ws_leaves_build(&t->leaves, ix, put))) return err;
    for (int l = 0; l + 1 < t->levels; l++)
        for (int64_t k = 0; k < t->nodes[l + 1]; k++) renew(t, l, k, 0, 0);
    ix->counts.bytes = held(t);
    return WS_OK;
}

/* ---- query ---- */

typedef struct walker {
    dtree *t;
    const ws_query *q;
    ws_hits *hits;
    float cut;           /* a greater node is gone on with */
    int64_t rows, pairs; /* candidates not yet decided */
    int64_t row[ROWS], end[ROWS];
    ws_err err;
} walker;

/* Candidates are decided some hundred rows at a time, so that rows can be fetched ahead. */
static void decide(walker *w)
{
    enum { AHEAD = 8 };
    int64_t from = 0;

    for (int64_t k = 0; k < w->rows && !w->err; k++) {
        ws_scan_fetch(&w->t->base, w->row[k + AHEAD < w->rows ? k + AHEAD : k]);
        w->err = ws_scan_decide(&w->t->base, w->q, w->row[k], w->t->pos + from, w->end[k] - from,
                                w->hits);
        from = w->end[k];
    }
    w->rows = w->pairs = 0;
}

static void keep(walker *w, int64_t r, const int32_t *pos, int64_t n)
{
    if (w->q->mask && !w->q->mask[r]) return;
    if (w->rows == ROWS || w->pairs >= PAIRS) decide(w);
    memcpy(w->t->pos + w->pairs, pos, (size_t)n * sizeof *pos);
    w->row[w->rows] = r;
    w->end[w->rows++] = w->pairs += n;
}

/* A child block is about to be looked at. */
static void fetch(const walker *w, int level, int64_t block, const int32_t *pos, int64_t n)
{
    const float *v = block_of(w->t, level, block);

    for (int64_t k = 0; k < n; k++)
        _mm_prefetch((const char *)(v + 4 * w->q->ids[pos[k]]), _MM_HINT_T0);
}

/* Look at a block for n samples: which of them may fire below which child? */
static void descend(walker *w, int level, int64_t block, const int32_t *pos, int64_t n)
{
    dtree *t = w->t;
    const float *nodes = block_of(t, level, block);
    int64_t wide = w->q->n, here = t->nodes[level] - 4 * block, got[4] = {0};
    int32_t *child = t->list + level * 4 * wide;

    for (int64_t k = 0; k < n; k++) {
        const float *v = nodes + 4 * w->q->ids[pos[k]];

        for (int c = 0; c < 4; c++) { /* without a branch */
            child[c * wide + got[c]] = pos[k];
            got[c] += v[c] > w->cut;
        }
    }
    t->base.counts.node_visits += n * (here < 4 ? here : 4);
    for (int c = 0; c < 4 && level > 0; c++)
        fetch(w, level - 1, 4 * block + c, child + c * wide, got[c]);
    for (int c = 0; c < 4; c++) {
        if (got[c] == 0) continue;
        if (level > 0)
            descend(w, level - 1, 4 * block + c, child + c * wide, got[c]);
        else
            keep(w, 4 * block + c, child + c * wide, got[c]);
    }
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    dtree *t = (dtree *)ix;
    walker w = {.t = t, .q = q, .hits = hits, .cut = ws_leaves_cut(q->threshold)};
    int32_t *all;
    ws_err err = ws_scan_prepare(ix, q->n);

    if (err || ix->shard.n == 0) return err;
    if ((err = ws_grow(&t->list, &t->list_capacity, (4 * t->levels + 1) * q->n, sizeof *t->list,
                       "walk through the dtree index")) ||
        (err = ws_grow(&t->pos, &t->pos_capacity, PAIRS + q->n, sizeof *t->pos,
                       "candidates of the dtree index")))
        return err;
    ix->counts.bytes = held(t);
    all = t->list + t->levels * 4 * q->n;
    for (int64_t k = 0; k < q->n; k++) all[k] = (int32_t)k;
    descend(&w, t->levels - 1, 0, all, q->n);
    decide(&w);
    return w.err;
}

/* ---- update ---- */

/* Move the neurons of one block from move *k on; their leaves' block is `block`. */
static int move_block(dtree *t, const ws_moves *v, int64_t *k, int64_t block)
{
    unsigned moved = 0, anew = 0;

    for (; *k < v->k && v->row[*k] >> 2 == block; (*k)++) {
        int lane = (int)(v->row[*k] & 3);

        moved |= 1u << lane;
        if (ws_leaves_change(&t->leaves, v, *k, t->change + lane * t->stride)) anew |= 1u << lane;
    }
    return renew(t, 0, block, moved, anew);
}

/* Add the parent of a block, if it is not there yet; blocks come ascending. */
static int64_t note(dtree *t, int64_t block, int64_t n)
{
    if (n == 0 || t->dirty[n - 1] != block >> 2) t->dirty[n++] = block >> 2;
    return n;
}

/* All leaves first; then level by level the blocks below which a maximum changed. */
static ws_err update(ws_index *ix, const ws_moves *v)
{
    dtree *t = (dtree *)ix;
    int64_t n = 0, count;
    ws_err err =
        ws_grow(&t->dirty, &t->dirty_capacity, v->k, sizeof *t->dirty, "update of the dtree index");

    if (err) return err;
    for (int64_t k = 0; k < v->k;) {
        int64_t block = v->row[k] >> 2;

        ix->counts.node_visits += ix->samples.n;
        if (move_block(t, v, &k, block)) n = note(t, block, n);
    }
    for (int l = 1; l + 1 < t->levels && n > 0; l++) {
        count = n;
        ix->counts.node_visits += n * ix->samples.n;
        for (int64_t k = n = 0; k < count; k++) {
            int64_t block = t->dirty[k];

            if (renew(t, l, block, 0, 0)) n = note(t, block, n);
        }
    }
    ix->counts.bytes = held(t);
    return WS_OK;
}

/* ---- the kind ---- */

static void destroy(ws_index *ix)
{
    dtree *t = (dtree *)ix;

    ws_leaves_free(&t->leaves);
    ws_free(&t->tree);
    ws_free(&t->list);
    ws_free(&t->pos);
    ws_free(&t->change);
    ws_free(&t->dirty);
    t->list_capacity = t->pos_capacity = t->dirty_capacity = 0;
}

static double bytes(const ws_index_plan *p)
{
    return 16.0 / 3 * (double)p->n * (double)((p->registered + 3) / 4 * 4) + ws_leaves_bytes(p);
}

const ws_index_ops ws_index_dtree = {
    .name = "dtree",
    .size = sizeof(dtree),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE,
    .build = build,
    .query = query,
    .update = update,
    .destroy = destroy,
    .bytes = bytes,
};
