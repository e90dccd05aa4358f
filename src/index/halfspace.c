/* halfspace.c - the kind: which rows lie beyond the threshold, for any x.
 *
 * A query goes down level by level.  A node whose upper bound does not exceed the threshold is left,
 * one whose lower bound does is reported as a range of leaves, others are opened; at the bottom
 * rows are tested.  Leaves are multiplied eight rows at a time (rows.h), which gives the z of what
 * is reported as well.
 *
 * What is counted: a box looked at is a node visit; a row that must be tested an inner product; a row
 * whose z was computed, tested or reported with its node, a candidate.
 *
 * Source: Agarwal, Eppstein, Matousek, "Dynamic half-space reporting", FOCS 1992, for the problem;
 * Song, Yang, Zhang, NeurIPS 2021, for its use in training. */
#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"

#include "halfspace.h"

enum { SCALE_SAMPLES = 1024, USUAL = 64, AHEAD = 4, DIGIT = 11 };

/* ---- build ---- */

static int64_t up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit;
}

/* How many nodes a tree over n rows has on each level; returns how many levels. */
static int shape(int64_t n, int64_t *nodes)
{
    int levels = 0;

    for (nodes[levels++] = up(n, WS_LEAF); nodes[levels - 1] > 1; levels++)
        nodes[levels] = up(nodes[levels - 1], WS_FAN);
    return levels;
}

static ws_err allocate_levels(ws_halfspace *h)
{
    const char *what = "nodes of the halfspace index";
    int64_t nodes[WS_LEVELS], d = h->base.shard.d, span = 1;
    ws_err err;

    h->levels = shape(h->base.shard.n, nodes);
    h->leaves = nodes[0];
    for (int l = 0; l < h->levels; l++, span *= WS_FAN) {
        ws_level *v = &h->level[l];

        v->n = nodes[l];
        v->span = span;
        if ((err =
                 ws_alloc(&v->box, up(v->n, WS_FAN) * (d + 1) * 2 * WS_FAN, sizeof(float), what)) ||
            (err = ws_alloc(&v->wide, v->n, sizeof *v->wide, what)) ||
            (err = ws_alloc(&v->sorted, v->n, sizeof *v->sorted, what)) ||
            (err = ws_alloc(&v->moves, v->n, sizeof *v->moves, what)) ||
            (err = ws_alloc(&v->fresh, v->n, sizeof *v->fresh, what)))
            return err;
    }
    return WS_OK;
}

static ws_err allocate(ws_halfspace *h)
{
    const char *what = "tree of the halfspace index";
    int64_t n = h->base.shard.n, d = h->base.shard.d, slots;
    ws_err err = allocate_levels(h);

    slots = h->leaves * WS_LEAF;
    if (err || (err = ws_alloc(&h->leaf, slots * (d + 1), sizeof *h->leaf, what)) ||
        (err = ws_alloc(&h->id, slots, sizeof *h->id, what)) ||
        (err = ws_alloc(&h->slot, n, sizeof *h->slot, what)) ||
        (err = ws_alloc(&h->key, n, sizeof *h->key, what)) ||
        (err = ws_alloc(&h->scale, d + 1, sizeof *h->scale, what)) ||
        (err = ws_alloc(&h->dense, d, sizeof *h->dense, what)) ||
        (err = ws_alloc(&h->x, d, sizeof *h->x, what)) ||
        (err = ws_alloc(&h->leaf_off, d, sizeof(int64_t), what)) ||
        (err = ws_alloc(&h->high_off, d, sizeof(int64_t), what)) ||
        (err = ws_alloc(&h->low_off, d, sizeof(int64_t), what)) ||
        (err = ws_alloc(&h->list[0], h->leaves, sizeof(uint32_t), what)) ||
        (err = ws_alloc(&h->list[1], h->leaves, sizeof(uint32_t), what)) ||
        (err = ws_alloc(&h->todo, h->leaves, sizeof(uint32_t), what)))
        return err;
    return WS_OK;
}

static int64_t held(const ws_halfspace *h)
{
    int64_t d = h->base.shard.d, n = h->base.shard.n, bytes = 0;

    for (int l = 0; l < h->levels; l++)
        bytes += up(h->level[l].n, WS_FAN) * (d + 1) * 2 * WS_FAN * 4 + h->level[l].n * 24;
    return bytes + h->leaves * (WS_LEAF * 4 * (d + 2) + 12) + n * 12 + d * 36 + 4 +
           h->row_capacity * 4 + h->z_capacity * 8 + h->end_capacity * 8 +
           (h->hit_capacity[0] + h->hit_capacity[1]) * (int64_t)sizeof(ws_hit);
}

/* Root mean square of each coordinate over some registered samples; the bias goes with 1. */
static void set_scale(ws_halfspace *h)
{
    const ws_samples *x = &h->base.samples;
    int64_t d = h->base.shard.d, n = ws_smaller(x->n, SCALE_SAMPLES);

    for (int64_t i = 0; i < n; i++) {
        ws_samples_row(x, i * x->n / n, h->dense);
        for (int64_t j = 0; j < d; j++) h->scale[j] += h->dense[j] * h->dense[j] / (float)n;
    }
    for (int64_t j = 0; j <= d; j++) {
        float s = n > 0 && j < d ? sqrtf(h->scale[j]) : 1;

        h->scale[j] = s >= 1e-6f && s <= 1e6f ? s : 1e-6f;
    }
}

static ws_err build(ws_index *ix)
{
    ws_halfspace *h = (ws_halfspace *)ix;
    int64_t n = ix->shard.n, d = ix->shard.d;
    ws_err err;

    if (n == 0) return WS_OK;
    if (n > UINT32_MAX / 2)
        return ws_fail(WS_ERR_SHAPE, "index halfspace: %lld neurons on a rank; at most %lld fit",
                       (long long)n, (long long)(UINT32_MAX / 2));
    if ((err = allocate(h))) return err;
    for (int64_t j = 0; j < d; j++) h->leaf_off[j] = j * WS_LEAF;
    for (int64_t r = 0; r < n; r++) h->id[r] = (uint32_t)r;
    for (int64_t k = (h->leaves - 1) * (d + 1) * WS_LEAF; k < h->leaves * (d + 1) * WS_LEAF; k++)
        h->leaf[k] = NAN; /* slots that stay free */
    for (int l = 0; l < h->levels; l++)
        for (int64_t i = h->level[l].n; i < up(h->level[l].n, WS_FAN) * WS_FAN; i++)
            ws_halfspace_clear(h, l, i);
    set_scale(h);
    ws_halfspace_sort(h, h->levels - 1, 0);
    ix->counts.bytes = held(h);
    return WS_OK;
}

/* ---- a sample goes down the tree ---- */

/* Which corner of a box is largest, which smallest, for this x. */
static void set_sample(ws_halfspace *h, const ws_samples *x, int64_t i)
{

    ws_samples_row(x, i, h->dense);
    for (int64_t j = 0; j < x->d; j++) {
        int positive = h->dense[j] >= 0;

        h->x[j] = (double)h->dense[j];
        h->high_off[j] = (2 * j + positive) * WS_FAN;
        h->low_off[j] = (2 * j + !positive) * WS_FAN;
    }
}

/* All leaves below node i are reported. */
static void report(ws_halfspace *h, const ws_level *v, int64_t i)
{
    int64_t end = ws_smaller((i + 1) * v->span, h->leaves);

    for (int64_t k = i * v->span; k < end; k++) h->todo[h->todo_n++] = (uint32_t)k;
}

/* Look at the eight nodes of one block; those to be opened are appended to `open`. */
static void look(ws_halfspace *h, const ws_rows_ops *o, int level, int64_t block, double threshold,
                 uint32_t *open, int64_t *n)
{
    const ws_level *v = &h->level[level];
    int64_t d = h->base.shard.d, i = block * WS_FAN, end = ws_smaller(i + WS_FAN, v->n);
    const float *box = v->box + block * (d + 1) * 2 * WS_FAN, *bias = box + 2 * d * WS_FAN;
    double high[WS_FAN], low[WS_FAN];

    o->dots(box, h->high_off, bias + WS_FAN, h->x, d, WS_FAN, high);
    o->dots(box, h->low_off, bias, h->x, d, WS_FAN, low);
    h->base.counts.node_visits += end - i;
    for (int64_t k = 0; i < end; i++, k++) {
        if (high[k] <= threshold) continue; /* a NaN goes on */
        if (low[k] > threshold) {
            report(h, v, i);
        } else if (level > 0) {
            open[(*n)++] = (uint32_t)i;
        } else {
            h->base.counts.inner_products += ws_halfspace_below(h, v, i);
            h->todo[h->todo_n++] = (uint32_t)i;
        }
    }
}

/* The first samples after a sorting say what is usual; what later ones cost beyond twice that is
 * put down to rows that have gone far. */
static void weigh(ws_halfspace *h, int64_t work)
{
    if (h->asked < USUAL)
        h->usual += ((double)work - h->usual) / (double)++h->asked;
    else
        h->waste += fmax(0, (double)work - 2 * h->usual);
}

/* Fill todo with the leaves that may have hits. */
static void descend(ws_halfspace *h, const ws_rows_ops *o, double threshold)
{
    int64_t before = h->base.counts.node_visits + h->base.counts.inner_products;
    uint32_t *list = h->list[0], *open = h->list[1];
    int64_t n = 1;

    h->todo_n = 0;
    list[0] = 0;
    for (int l = h->levels - 1; l >= 0; l--) {
        int64_t size = (h->base.shard.d + 1) * 2 * WS_FAN, next = 0;
        uint32_t *swap = list;

        for (int64_t k = 0; k < n; k++) {
            if (k + AHEAD < n)
                for (int64_t j = 0; j < size; j += 16)
                    __builtin_prefetch(h->level[l].box + list[k + AHEAD] * size + j);
            look(h, o, l, list[k], threshold, open, &next);
        }
        list = open;
        open = swap;
        n = next;
    }
    weigh(h, h->base.counts.node_visits + h->base.counts.inner_products - before);
}

/* Multiply the leaves of todo; hits are appended to row and z. */
static ws_err multiply(ws_halfspace *h, const ws_rows_ops *o, double threshold, int64_t *n)
{
    int64_t d = h->base.shard.d, size = (d + 1) * WS_LEAF, need = *n + h->todo_n * WS_LEAF + 8;
    double z[WS_LEAF];
    ws_err err;

    if ((err = ws_grow(&h->row, &h->row_capacity, need, sizeof *h->row, "hits of a query")) ||
        (err = ws_grow(&h->z, &h->z_capacity, need, sizeof *h->z, "hits of a query")))
        return err;
    for (int64_t k = 0; k < h->todo_n; k++) {
        int64_t i = h->todo[k];
        const float *leaf = h->leaf + i * size;

        if (k + AHEAD < h->todo_n)
            for (int64_t j = 0; j < size && j < 512; j += 16)
                __builtin_prefetch(h->leaf + h->todo[k + AHEAD] * size + j);
        o->dots(leaf, h->leaf_off, leaf + d * WS_LEAF, h->x, d, WS_LEAF, z);
        *n += o->keep(h->id + i * WS_LEAF, z, WS_LEAF, threshold, h->row + *n, h->z + *n);
        h->base.counts.candidates += ws_halfspace_below(h, &h->level[0], i);
    }
    return WS_OK;
}

/* ---- in neuron order ---- */

/* One pass of a counting sort by a digit of the row.  Hits come and stay in ascending position. */
static void pass(const ws_hit *from, ws_hit *to, int64_t n, int shift, int64_t *count)
{
    uint32_t mask = (1u << DIGIT) - 1;
    int64_t at = 0;

    memset(count, 0, sizeof *count << DIGIT);
    for (int64_t k = 0; k < n; k++) count[from[k].row >> shift & mask]++;
    for (int64_t c = 0; c <= mask; c++) {
        int64_t here = count[c];

        count[c] = at;
        at += here;
    }
    for (int64_t k = 0; k < n; k++) to[count[from[k].row >> shift & mask]++] = from[k];
}

/* Sort n hits by row; returns where they lie. */
static const ws_hit *sort_hits(ws_halfspace *h, int64_t n, int64_t samples)
{
    int64_t count[1 << DIGIT], k = 0;
    ws_hit *a = h->hit[0], *b = h->hit[1];

    for (int64_t p = 0; p < samples; p++)
        for (; k < h->end[p]; k++) a[k] = (ws_hit){h->row[k], (int32_t)p, h->z[k]};
    for (int shift = 0; (h->base.shard.n - 1) >> shift > 0; shift += DIGIT) {
        ws_hit *swap = a;

        pass(a, b, n, shift, count);
        a = b;
        b = swap;
    }
    return a;
}

static ws_err write_hits(const ws_hit *hit, int64_t n, const uint8_t *mask, ws_hits *out)
{
    ws_err err;

    if ((err = ws_hits_reserve_rows(out, n)) || (err = ws_hits_reserve(out, n))) return err;
    for (int64_t k = 0; k < n; k++) {
        if (mask && !mask[hit[k].row]) continue;
        if (out->rows == 0 || out->row[out->rows - 1] != hit[k].row) {
            out->row[out->rows] = hit[k].row;
            out->first[out->rows++] = out->n;
        }
        out->pos[out->n] = hit[k].pos;
        out->z[out->n] = hit[k].z;
        out->note[out->n++] = 0;
    }
    out->first[out->rows] = out->n;
    return WS_OK;
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    ws_halfspace *h = (ws_halfspace *)ix;
    const ws_rows_ops *o = ws_rows();
    const int64_t *ids;
    const ws_samples *x = ws_query_samples(ix, q, &ids);
    int64_t n = 0;
    ws_err err;

    if (ix->shard.n == 0) return WS_OK;
    /* A sparse sample leaves out the coordinates that it has not; infinity times 0 would be NaN. The
     * tree multiplies float32 rows, which packed samples are not; they are too long for it anyway. */
    if ((h->wild && !x->x) || ws_samples_packed(x)) return ws_scan_query(ix, NULL, q, hits);
    if ((err = ws_grow(&h->end, &h->end_capacity, q->n, sizeof *h->end, "hits of a query")))
        return err;
    for (int64_t p = 0; p < q->n; p++) {
        set_sample(h, x, ws_sample_at(ids, p));
        descend(h, o, q->threshold);
        if ((err = multiply(h, o, q->threshold, &n))) return err;
        h->end[p] = n;
    }
    for (int k = 0; k < 2; k++)
        if ((err = ws_grow(&h->hit[k], &h->hit_capacity[k], n, sizeof(ws_hit), "hits of a query")))
            return err;
    ix->counts.bytes = held(h);
    return write_hits(sort_hits(h, n, q->n), n, q->mask, hits);
}

/* ---- the kind ---- */

static void destroy(ws_index *ix)
{
    ws_halfspace *h = (ws_halfspace *)ix;

    for (int l = 0; l < WS_LEVELS; l++) {
        ws_free(&h->level[l].box);
        ws_free(&h->level[l].wide);
        ws_free(&h->level[l].sorted);
        ws_free(&h->level[l].moves);
        ws_free(&h->level[l].fresh);
    }
    for (int k = 0; k < 2; k++) {
        ws_free(&h->list[k]);
        ws_free(&h->hit[k]);
        h->hit_capacity[k] = 0;
    }
    ws_free(&h->leaf);
    ws_free(&h->id);
    ws_free(&h->slot);
    ws_free(&h->key);
    ws_free(&h->scale);
    ws_free(&h->dense);
    ws_free(&h->x);
    ws_free(&h->leaf_off);
    ws_free(&h->high_off);
    ws_free(&h->low_off);
    ws_free(&h->todo);
    ws_free(&h->row);
    ws_free(&h->z);
    ws_free(&h->end);
    h->row_capacity = h->z_capacity = h->end_capacity = 0;
    h->levels = h->wild = 0;
}

static double bytes(const ws_index_plan *p)
{
    double row = 4 * (double)(p->d + 2) + 12 + 12.0 / WS_LEAF;
    double node = (8 * (double)(p->d + 1) + 24) / WS_LEAF * WS_FAN / (WS_FAN - 1);
    double hits = p->active * (double)p->n * (double)p->batch;

    return (double)p->n * (row + node) + hits * (12 + 2 * sizeof(ws_hit));
}

const ws_index_ops ws_index_halfspace = {
    .name = "halfspace",
    .size = sizeof(ws_halfspace),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE | 1u << WS_QUERY_NEAR | 1u << WS_QUERY_ANY,
    .build = build,
    .query = query,
    .update = ws_halfspace_update,
    .destroy = destroy,
    .bytes = bytes,
};
