/* wtree.c - for every neuron of this rank a max-tree over the registered samples.
 *
 * A leaf is a float32 upper bound of z_r(x_i) (leaves.h), an inner node the largest of its at most
 * 8 children, the root the largest of all.  A neuron's nodes lie together, leaves first; the roots
 * of all neurons are an array of their own, which a query reads from end to end.  Below a root that
 * is above the threshold only nodes with a sample asked about are looked at: these are grouped once
 * a query, level by level.  A neuron that moves renews its one tree and no other.
 *
 * Source: Alman, Liang, Song, Zhang, Zhuo, "Bypass exponential time preprocessing", NeurIPS 2023. */
#include <stdlib.h>
#include <string.h>

#include "wingspan/core/alloc.h"

#include "leaves.h"

enum { FAN = 8, LEVELS = 12, BLOCK = 256 };

/* A node of a level with something asked about below it: groups from .. to - 1 of the level below,
 * or, of a leaf, the position `from`. */
typedef struct group {
    int32_t node, from, to;
} group;

typedef struct wtree {
    ws_index base;
    ws_leaves leaves;
    float *root;                          /* [m] */
    float *tree;                          /* [m x width] */
    int levels;                           /* below the root */
    int64_t nodes[LEVELS], first[LEVELS]; /* of each level; where it begins in a neuron's */
    int64_t width, inner;                 /* floats of a neuron; its nodes that are no leaves */

    group *groups; /* the levels' one after the other, leaves first */
    int64_t begin[LEVELS + 1], group_capacity;
    int32_t *pos; /* candidates of a neuron */
    int64_t pos_capacity;
    int ordered;   /* positions ascend with samples */
    float *change; /* [stride] */
} wtree;

/* ---- build ---- */

static void put(ws_index *ix, int64_t r, int64_t a, int64_t n, const float *leaf)
{
    wtree *t = (wtree *)ix;

    memcpy(t->tree + r * t->width + a, leaf, (size_t)n * sizeof *leaf);
}

/* From the leaves of neuron r to its root. */
static void raise(wtree *t, int64_t r)
{
    float *tree = t->tree + r * t->width, top = -INFINITY;

    for (int l = 0; l + 1 < t->levels; l++) {
        const float *v = tree + t->first[l];
        float *up = tree + t->first[l + 1];

        for (int64_t k = 0; k < t->nodes[l + 1]; k++) {
            int64_t from = k * FAN, to = from + FAN < t->nodes[l] ? from + FAN : t->nodes[l];

            up[k] = v[from];
            for (int64_t c = from + 1; c < to; c++) up[k] = v[c] > up[k] ? v[c] : up[k];
        }
    }
    for (int64_t k = 0; t->levels > 0 && k < t->nodes[t->levels - 1]; k++) {
        float v = tree[t->first[t->levels - 1] + k];

        top = v > top ? v : top;
    }
    t->root[r] = top;
}

/* Levels of ever fewer nodes until the root can take them. */
static void shape(wtree *t)
{
    t->levels = 0;
    t->width = 0;
    t->inner = 1 - t->base.samples.n;
    for (int64_t n = t->base.samples.n; n > 0; n = n > FAN ? (n + FAN - 1) / FAN : 0) {
        t->first[t->levels] = t->width;
        t->nodes[t->levels++] = n;
        t->inner += n;
        t->width += (n + 3) / 4 * 4;
    }
}

static int64_t held(const wtree *t)
{
    int64_t m = t->base.shard.n;

    return 4 * (m * (t->width + 1) + t->pos_capacity + t->leaves.stride) +
           (int64_t)sizeof(group) * t->group_capacity + ws_leaves_held(&t->leaves);
}

static ws_err build(ws_index *ix)
{
    wtree *t = (wtree *)ix;
    int64_t m = ix->shard.n;
    ws_err err;

    shape(t);
    if ((err = ws_alloc(&t->tree, m * t->width, sizeof *t->tree, "set of trees of the wtree")) ||
        (err = ws_alloc(&t->root, m, sizeof *t->root, "roots of the wtree index")) ||
        (err = ws_leaves_build(&t->leaves, ix, put)) ||
        (err = ws_alloc(&t->change, t->leaves.stride, sizeof *t->change, "update of the wtree")))
        return err;
    for (int64_t r = 0; r < m; r++) raise(t, r);
    ix->counts.bytes = held(t);
    return WS_OK;
}

/* ---- query ---- */

static int by_node(const void *a, const void *b)
{
    return ((const group *)a)->node - ((const group *)b)->node;
}

/* Group the samples asked about, level by level.  Each level has at most as many groups as the one
 * below. */
static ws_err prepare(wtree *t, const ws_query *q)
{
    int64_t n = q->n;
    ws_err err;

    if ((err = ws_grow(&t->groups, &t->group_capacity, t->levels * n, sizeof *t->groups,
                       "samples asked about")) ||
        (err = ws_grow(&t->pos, &t->pos_capacity, n, sizeof *t->pos, "candidates of a neuron")))
        return err;
    t->ordered = 1;
    for (int64_t k = 0; k < n; k++) {
        t->groups[k] = (group){(int32_t)q->ids[k], (int32_t)k, 0};
        if (k > 0 && q->ids[k] < q->ids[k - 1]) t->ordered = 0;
    }
    if (!t->ordered) qsort(t->groups, (size_t)n, sizeof *t->groups, by_node);
    t->begin[0] = 0;
    t->begin[1] = n;
    for (int l = 1; l < t->levels; l++) {
        int64_t end = t->begin[l];

        for (int64_t k = t->begin[l - 1]; k < t->begin[l]; k++) {
            int32_t node = t->groups[k].node / FAN;

            if (end == t->begin[l] || t->groups[end - 1].node != node)
                t->groups[end++] = (group){node, (int32_t)k, (int32_t)k};
            t->groups[end - 1].to++;
        }
        t->begin[l + 1] = end;
    }
    t->base.counts.bytes = held(t);
    return WS_OK;
}

/* Look at groups from .. to - 1 of a level of one neuron's tree; returns how many candidates there
 * are with these. */
static int64_t descend(wtree *t, const float *tree, float cut, int level, int64_t from, int64_t to,
                       int64_t n)
{
    const float *v = tree + t->first[level];

    t->base.counts.node_visits += to - from;
    for (int64_t k = from; k < to; k++) {
        const group *g = &t->groups[k];
        int above = v[g->node] > cut;

        if (level == 0) {
            t->pos[n] = g->from;
            n += above;
        } else if (above) {
            n = descend(t, tree, cut, level - 1, g->from, g->to, n);
        }
    }
    return n;
}

static int by_value(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

static ws_err ask_neuron(wtree *t, const ws_query *q, float cut, int64_t r, ws_hits *hits)
{
    int64_t n = descend(t, t->tree + r * t->width, cut, t->levels - 1, t->begin[t->levels - 1],
                        t->begin[t->levels], 0);

    if (!t->ordered && n > 1) qsort(t->pos, (size_t)n, sizeof *t->pos, by_value);
    return ws_scan_decide(&t->base, q, r, t->pos, n, hits);
}

/* Neurons from .. from + n - 1 whose root is above the cut. */
static int64_t open_roots(const wtree *t, const ws_query *q, float cut, int64_t from, int64_t n,
                          int64_t *row)
{
    int64_t k = 0;

    for (int64_t r = from; r < from + n; r++) {
        row[k] = r;
        k += (t->root[r] > cut) & (!q->mask || q->mask[r]);
    }
    return k;
}

/* Neurons go in blocks, so that those whose root is open can be fetched ahead. */
static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    enum { AHEAD = 6 };
    wtree *t = (wtree *)ix;
    float cut = ws_leaves_cut(q->threshold);
    int64_t m = ix->shard.n, row[BLOCK + 1];
    ws_err err = ws_scan_prepare(ix, q->n);

    if (!err) err = prepare(t, q);
    for (int64_t from = 0; from < m && !err; from += BLOCK) {
        int64_t n = m - from < BLOCK ? m - from : BLOCK;
        int64_t k = open_roots(t, q, cut, from, n, row);

        ix->counts.node_visits += n;
        for (int64_t i = 0; i < k && !err; i++) {
            int64_t ahead = row[i + AHEAD < k ? i + AHEAD : i];

            _mm_prefetch((const char *)(t->tree + ahead * t->width), _MM_HINT_T0);
            ws_scan_fetch(ix, ahead);
            err = ask_neuron(t, q, cut, row[i], hits);
        }
    }
    return err;
}

/* ---- update ---- */

static ws_err update(ws_index *ix, const ws_moves *v)
{
    wtree *t = (wtree *)ix;

    for (int64_t k = 0; k < v->k; k++) {
        float *leaf = t->tree + v->row[k] * t->width;
        int anew = ws_leaves_change(&t->leaves, v, k, t->change);

        for (int64_t i = 0; i < t->leaves.stride; i += 4) {
            __m128 c = _mm_load_ps(t->change + i);

            _mm_store_ps(leaf + i, anew ? c : ws_leaves_add(_mm_load_ps(leaf + i), c));
        }
        raise(t, v->row[k]);
        ix->counts.node_visits += t->inner;
    }
    return WS_OK;
}

/* ---- the kind ---- */

static void destroy(ws_index *ix)
{
    wtree *t = (wtree *)ix;

    ws_leaves_free(&t->leaves);
    ws_free(&t->root);
    ws_free(&t->tree);
    ws_free(&t->groups);
    ws_free(&t->pos);
    ws_free(&t->change);
    t->group_capacity = t->pos_capacity = 0;
}

static double bytes(const ws_index_plan *p)
{
    double n = (double)p->registered;

    return 4 * (double)p->n * (n * FAN / (FAN - 1) + 8) + ws_leaves_bytes(p);
}

const ws_index_ops ws_index_wtree = {
    .name = "wtree",
    .size = sizeof(wtree),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE,
    .build = build,
    .query = query,
    .update = update,
    .destroy = destroy,
    .bytes = bytes,
};
