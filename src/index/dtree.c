/* dtree.c - for every registered sample a max-tree over the neurons of this rank.
 *
 * Leaf r of sample i is a float32 upper bound of z_r(x_i), an inner node the larger of its two
 * children, so a query walks down only where something may fire, and ws_dot decides at the leaves.
 * A tree is a heap of 2 m floats: node k has children 2k and 2k + 1, leaf r is node m + r, node 1
 * covers all, for any m.  If a neuron moved by sum_p c_p x_p, leaf i moves by sum_p c_p <x_p, x_i>,
 * read from the Gram matrix of the samples; what rounding may have hidden is added to the leaf,
 * and once that is too much the leaf is computed anew.
 *
 * Source: Alman, Liang, Song, Zhang, Zhuo, "Bypass exponential time preprocessing", NeurIPS 2023. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/blas.h"

#include "index_impl.h"
#include "propose.h"

enum { GROUP = 64, PANEL = 256, DIGIT = 11 };

/* A neuron's leaves may lie so far above the truth, in units of ||w|| ||x||, before they are
 * computed anew: a few per cent more candidates at most. */
#define LOOSE 3e-4

typedef struct dtree {
    ws_index base;
    float *tree;  /* [samples x 2 m] */
    float *gram;  /* [samples x samples] */
    double *norm; /* [samples] upper bounds */
    float *loose; /* [m] what updates added to the leaves, for ||x|| = 1 */

    double *change; /* [GROUP x samples] what an update does to the leaves */

    uint32_t *queue; /* nodes above the threshold */
    uint64_t *pair;  /* candidates: row << 32 | position; two halves, for sorting */
    int32_t *pos;
    int64_t queue_capacity, pair_capacity, pos_capacity;
} dtree;

static float larger(float a, float b)
{
    return a > b ? a : b;
}

/* v rounded up to float32, for leaves that are bounds; what float32 cannot hold is no bound, so
 * it becomes infinity and the leaf is always looked at. */
static float leaf_above(double v)
{
    v += fabs(v) * 0x1p-48;
    if (!(fabs(v) < (double)FLT_MAX / 2)) return INFINITY;
    float f = (float)v;
    return (double)f < v ? nextafterf(f, INFINITY) : f;
}

/* ---- build ---- */

/* Float32 products may lose so much to underflow. */
static double underflow(int64_t d)
{
    return (double)(2 * d + 2) * 0x1p-126;
}

/* Samples from .. from + n - 1, one after the other; copied to `space` if sparse. */
static const float *panel(const ws_samples *x, int64_t from, int64_t n, float *space)
{
    if (x->x) return x->x + from * x->d;
    for (int64_t k = 0; k < n; k++) ws_samples_row(x, from + k, space + k * x->d);
    return space;
}

/* From products to bounds, and up to the root. */
static void raise_tree(dtree *t, int64_t i, const double *wnorm, float *tree)
{
    const ws_shard *s = &t->base.shard;
    double margin = ws_propose_margin(s->d) * t->norm[i], tiny = underflow(s->d);

    for (int64_t r = 0; r < s->n; r++)
        tree[s->n + r] =
            leaf_above((double)tree[s->n + r] + (double)s->b[r] + margin * wnorm[r] + tiny);
    for (int64_t k = s->n - 1; k >= 1; k--) tree[k] = larger(tree[2 * k], tree[2 * k + 1]);
}

/* The products of samples a .. a + n - 1 with all neurons and with all samples. */
static void multiply_panel(dtree *t, int64_t a, int64_t n, float *space)
{
    const ws_shard *s = &t->base.shard;
    const ws_samples *x = &t->base.samples;
    const float *xa = panel(x, a, n, space);

    if (s->n > 0)
        ws_sgemm_nt(n, s->n, s->d, xa, s->d, s->w, s->d, t->tree + a * 2 * s->n + s->n, 2 * s->n);
    for (int64_t b = 0; b < x->n; b += PANEL) {
        int64_t k = x->n - b < PANEL ? x->n - b : PANEL;
        const float *xb = panel(x, b, k, space + PANEL * x->d);

        ws_sgemm_nt(n, k, x->d, xa, x->d, xb, x->d, t->gram + a * x->n + b, x->n);
    }
}

static ws_err allocate(dtree *t)
{
    int64_t m = t->base.shard.n, n = t->base.samples.n;
    ws_err err;

    if ((err = ws_alloc(&t->tree, n * 2 * m, sizeof *t->tree, "set of trees of the dtree index")) ||
        (err = ws_alloc(&t->gram, n * n, sizeof *t->gram, "Gram matrix of the dtree index")) ||
        (err = ws_alloc(&t->norm, n, sizeof *t->norm, "norm table of the dtree index")) ||
        (err = ws_alloc(&t->loose, m, sizeof *t->loose, "slack table of the dtree index")) ||
        (err = ws_alloc(&t->change, GROUP * n, sizeof *t->change, "update of the dtree index")))
        return err;
    return WS_OK;
}

static int64_t held(const dtree *t)
{
    int64_t m = t->base.shard.n, n = t->base.samples.n;

    return 4 * (2 * n * m + n * n + m) + 8 * (n + GROUP * n) + 4 * t->queue_capacity +
           16 * t->pair_capacity + 4 * t->pos_capacity;
}

static ws_err build(ws_index *ix)
{
    dtree *t = (dtree *)ix;
    const ws_samples *x = &ix->samples;
    int64_t m = ix->shard.n, d = ix->shard.d;
    double *wnorm = NULL;
    float *space = NULL;
    ws_err err;

    if ((err = allocate(t)) ||
        (err = ws_alloc(&wnorm, m, sizeof *wnorm, "norm table of the dtree index")) ||
        (err = ws_alloc(&space, x->n > 0 && !x->x ? 2 * PANEL * d : 0, sizeof *space,
                        "panel of samples of the dtree index")))
        goto done;
    for (int64_t r = 0; r < m; r++) wnorm[r] = ws_propose_norm(ix->shard.w + r * d, d);
    for (int64_t i = 0; i < x->n; i++) t->norm[i] = ws_samples_norm(x, i);
    for (int64_t a = 0; a < x->n; a += PANEL)
        multiply_panel(t, a, x->n - a < PANEL ? x->n - a : PANEL, space);
    for (int64_t i = 0; i < x->n && m > 0; i++) raise_tree(t, i, wnorm, t->tree + i * 2 * m);
    ix->counts.inner_products += x->n * m + x->n * x->n;
    ix->counts.leaf_writes += x->n * m;
    ix->counts.bytes = held(t);
done:
    ws_free(&space);
    ws_free(&wnorm);
    return err;
}

/* ---- query ---- */

/* Walk down sample i's tree; leaves above the threshold become candidates of position k. */
static ws_err walk(dtree *t, const ws_query *q, int64_t i, int64_t k, int64_t *n)
{
    int64_t m = t->base.shard.n, tail = 0;
    const float *tree = t->tree + i * 2 * m;
    ws_err err =
        ws_grow(&t->queue, &t->queue_capacity, 1, sizeof *t->queue, "queue of a tree walk");

    if (err) return err;
    t->base.counts.node_visits++;
    if ((double)tree[1] > q->threshold) t->queue[tail++] = 1;
    for (int64_t head = 0; head < tail; head++) {
        int64_t node = t->queue[head];

        if (node >= m) {
            if (q->mask && !q->mask[node - m]) continue;
            if ((err = ws_grow(&t->pair, &t->pair_capacity, *n + 1, 2 * sizeof *t->pair,
                               "candidate table of the dtree index")))
                return err;
            t->pair[(*n)++] = (uint64_t)(node - m) << 32 | (uint64_t)k;
            continue;
        }
        if ((err = ws_grow(&t->queue, &t->queue_capacity, tail + 2, sizeof *t->queue,
                           "queue of a tree walk")))
            return err;
        t->base.counts.node_visits += 2;
        for (int64_t child = 2 * node; child <= 2 * node + 1; child++)
            if ((double)tree[child] > q->threshold) t->queue[tail++] = (uint32_t)child;
    }
    return WS_OK;
}

/* Sort n pairs by row: counting sorts by digit, the lowest first; positions come ascending and
 * stay so.  Returns where the result lies: a or b. */
static uint64_t *sort_by_row(uint64_t *a, uint64_t *b, int64_t n, int64_t rows)
{
    int64_t count[1 << DIGIT];

    for (int shift = 32; rows > 0; shift += DIGIT, rows >>= DIGIT) {
        int64_t place = 0;
        uint64_t mask = (1u << DIGIT) - 1, *swap = a;

        memset(count, 0, sizeof count);
        for (int64_t k = 0; k < n; k++) count[a[k] >> shift & mask]++;
        for (int64_t c = 0; c < 1 << DIGIT; c++) {
            int64_t here = count[c];

            count[c] = place;
            place += here;
        }
        for (int64_t k = 0; k < n; k++) b[count[a[k] >> shift & mask]++] = a[k];
        a = b;
        b = swap;
    }
    return a;
}

static ws_err decide_pairs(dtree *t, const ws_query *q, const uint64_t *pair, int64_t n,
                           ws_hits *hits)
{
    ws_err err = WS_OK;

    for (int64_t k = 0; k < n; k++) t->pos[k] = (int32_t)(pair[k] & UINT32_MAX);
    for (int64_t from = 0, to; from < n && !err; from = to) {
        for (to = from + 1; to < n && pair[to] >> 32 == pair[from] >> 32; to++) continue;
        err = ws_scan_decide(&t->base, q, (int64_t)(pair[from] >> 32), t->pos + from, to - from,
                             hits);
    }
    return err;
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    dtree *t = (dtree *)ix;
    uint64_t *sorted;
    int64_t n = 0;
    ws_err err = ws_scan_prepare(ix, q->n);

    for (int64_t k = 0; k < q->n && ix->shard.n > 0 && !err; k++)
        err = walk(t, q, q->ids[k], k, &n);
    if (err || n == 0) return err;
    if ((err = ws_grow(&t->pos, &t->pos_capacity, n, sizeof *t->pos,
                       "candidate table of the dtree index")))
        return err;
    ix->counts.bytes = held(t);
    sorted = sort_by_row(t->pair, t->pair + t->pair_capacity, n, ix->shard.n - 1);
    return decide_pairs(t, q, sorted, n, hits);
}

/* ---- update ---- */

/* What a combination of k samples with sum |c_p| ||x_p|| = size may hide from a leaf, ||x|| = 1:
 * float32 rounding of the row's elements, the Gram matrix, sums in double and ws_dot itself. */
static double hidden(int64_t d, int64_t k, double wnorm, double size)
{
    double row = 0x1.0001p-24 * wnorm + sqrt((double)d) * 0x1p-149;
    double sums = ws_sgemm_error(d) + (double)(k + 8) * 0x1p-52;
    double dot = (double)(d + 8) * 0x1p-52;

    return row + sums * size + dot * (2 * wnorm + size);
}

/* The change of the leaves of move k by the Gram matrix; returns what may be hidden. */
static double combine(dtree *t, const ws_moves *v, int64_t k, double wnorm, double *change)
{
    int64_t n = t->base.samples.n, d = t->base.shard.d;
    double size = 0, sum = 0, db = v->dbias ? v->dbias[k] : 0, slack;

    for (int64_t i = 0; i < n; i++) change[i] = db;
    for (int64_t p = v->first[k]; p < v->first[k + 1]; p++) {
        int64_t id = v->ids[v->pos[p]];
        const float *g = t->gram + id * n;
        double c = (double)v->coef[p];

        for (int64_t i = 0; i < n; i++) change[i] += c * (double)g[i];
        size += fabs(c) * t->norm[id];
        sum += fabs(c);
    }
    slack = hidden(d, v->first[k + 1] - v->first[k], wnorm, size);
    for (int64_t i = 0; i < n; i++)
        change[i] += slack * t->norm[i] + sum * underflow(d) + fabs(db) * 0x1p-48;
    return slack;
}

/* Fill change with what move k does to its neuron's leaves; returns 1 if these are new values. */
static int change_of(dtree *t, const ws_moves *v, int64_t k, double *change)
{
    const ws_shard *s = &t->base.shard;
    int64_t r = v->row[k], n = t->base.samples.n;
    const float *w = s->w + r * s->d;

    if (v->first && v->first[k + 1] - v->first[k] < s->d) {
        double wnorm = ws_propose_norm(w, s->d);
        double loose = (double)t->loose[r] + combine(t, v, k, wnorm, change);

        t->loose[r] = (float)loose;
        if (loose <= LOOSE * wnorm) return 0;
    }
    ws_dot_many(w, &t->base.samples, NULL, n, change);
    for (int64_t i = 0; i < n; i++) change[i] += (double)s->b[r];
    t->loose[r] = 0;
    t->base.counts.inner_products += n;
    return 1;
}

/* Write a leaf and climb until a maximum stays as it is. */
static void write_leaf(dtree *t, float *tree, int64_t node, float value)
{
    tree[node] = value;
    t->base.counts.leaf_writes++;
    for (node /= 2; node >= 1; node /= 2) {
        float top = larger(tree[2 * node], tree[2 * node + 1]);

        t->base.counts.node_visits++;
        if (top == tree[node]) return;
        tree[node] = top;
    }
}

/* Moves go in groups: all of a group's leaves in one tree, then the next tree. */
static ws_err update(ws_index *ix, const ws_moves *v)
{
    dtree *t = (dtree *)ix;
    int64_t m = ix->shard.n, n = ix->samples.n;
    int anew[GROUP];

    for (int64_t from = 0; from < v->k; from += GROUP) {
        int64_t count = v->k - from < GROUP ? v->k - from : GROUP;

        for (int64_t j = 0; j < count; j++) anew[j] = change_of(t, v, from + j, t->change + j * n);
        for (int64_t i = 0; i < n; i++) {
            float *tree = t->tree + i * 2 * m;

            for (int64_t j = 0; j < count; j++) {
                int64_t node = m + v->row[from + j];
                double change = t->change[j * n + i];

                write_leaf(t, tree, node,
                           leaf_above(anew[j] ? change : (double)tree[node] + change));
            }
        }
    }
    return WS_OK;
}

/* ---- the kind ---- */

static void destroy(ws_index *ix)
{
    dtree *t = (dtree *)ix;

    ws_free(&t->tree);
    ws_free(&t->gram);
    ws_free(&t->norm);
    ws_free(&t->loose);
    ws_free(&t->change);
    ws_free(&t->queue);
    ws_free(&t->pair);
    ws_free(&t->pos);
    t->queue_capacity = t->pair_capacity = t->pos_capacity = 0;
}

static double bytes(const ws_index_plan *p)
{
    double m = (double)p->n, n = (double)p->registered;

    return 4 * (2 * n * m + n * n + m) + 8 * n * (GROUP + 1);
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
