/* leaves.c - float32 upper bounds of pre-activations, made by sgemm and moved by the Gram matrix.
 *
 * If a neuron moved by sum_p c_p x_p, its leaf of sample i moves by sum_p c_p <x_p, x_i>, read from
 * the Gram matrix of the samples.  All this is float32: whatever rounding may have hidden is added
 * to the leaf, and once a neuron's leaves may lie too far above the truth they are computed anew by
 * ws_dot. */
#include "leaves.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/blas.h"

#include "propose.h"

enum { PANEL = 256, ROWS = 1024, SOME = 64 };

/* A neuron's leaves may lie so far above the truth, in units of ||w|| ||x||, before they are
 * computed anew: a few per cent more candidates at most. */
#define LOOSE 3e-4

/* v rounded up to float32, by two ulps at most and without a branch; what float32 cannot hold is no
 * bound, so it becomes infinity. */
static float above(double v)
{
    float f = (float)(v + fabs(v) * 0x1.1p-23 + 0x1p-148);

    return fabs(v) < (double)FLT_MAX / 2 ? f : INFINITY;
}

/* Underflow may cost a float32 product of length d so much. */
static double underflow(int64_t d)
{
    return (double)(2 * d + 2) * 0x1p-126;
}

/* ---- build ---- */

/* Row r is measured: its leaves are about to be computed. */
static void measure(ws_leaves *v, int64_t r)
{
    const ws_shard *s = &v->ix->shard;
    double norm = ws_propose_norm(s->w + r * s->d, s->d);

    v->row[r] = (ws_leaves_row){above(norm), 0, (float)(LOOSE * norm)};
}

/* Samples from .. from + n - 1, one after the other; copied to `space` if sparse. */
static const float *panel(const ws_samples *x, int64_t from, int64_t n, float *space)
{
    if (x->x) return x->x + from * x->d;
    for (int64_t k = 0; k < n; k++) ws_samples_row(x, from + k, space + k * x->d);
    return space;
}

/* The products of samples a .. a + n - 1 with all samples. */
static void multiply_samples(ws_leaves *v, const float *xa, int64_t a, int64_t n, float *space)
{
    const ws_samples *x = &v->ix->samples;

    for (int64_t b = 0; b < x->n; b += PANEL) {
        int64_t k = x->n - b < PANEL ? x->n - b : PANEL;

        ws_sgemm_nt(n, k, x->d, xa, x->d, panel(x, b, k, space), x->d, v->gram + a * v->stride + b,
                    v->stride);
    }
}

/* The leaves of all rows with samples a .. a + n - 1; tile [ROWS x n]. */
static void multiply_rows(ws_leaves *v, const float *xa, int64_t a, int64_t n, float *tile,
                          ws_leaves_put *put)
{
    const ws_shard *s = &v->ix->shard;
    double margin = ws_propose_margin(s->d), tiny = underflow(s->d);

    for (int64_t from = 0; from < s->n; from += ROWS) {
        int64_t k = s->n - from < ROWS ? s->n - from : ROWS;

        ws_sgemm_nt(k, n, s->d, s->w + from * s->d, s->d, xa, s->d, tile, n);
        for (int64_t r = from; r < from + k; r++) {
            double b = (double)s->b[r], wide = margin * (double)v->row[r].norm;
            float *z = tile + (r - from) * n;

            for (int64_t i = 0; i < n; i++)
                z[i] = above((double)z[i] + b + wide * (double)v->norm[a + i] + tiny);
            put(v->ix, r, a, n, z);
        }
    }
}

static ws_err allocate(ws_leaves *v)
{
    int64_t n = v->ix->samples.n;
    ws_err err;

    v->stride = (n + 3) / 4 * 4;
    if ((err = ws_alloc(&v->gram, n * v->stride, sizeof *v->gram, "Gram matrix of an index")) ||
        (err = ws_alloc(&v->norm, v->stride, sizeof *v->norm, "norm table of an index")))
        return err;
    return ws_alloc(&v->row, v->ix->shard.n, sizeof *v->row, "norm table of an index");
}

ws_err ws_leaves_build(ws_leaves *v, ws_index *ix, ws_leaves_put *put)
{
    const ws_samples *x = &ix->samples;
    int64_t d = ix->shard.d, wide = x->n < PANEL ? x->n : PANEL;
    float *space = NULL, *tile = NULL;
    ws_err err;

    v->ix = ix;
    if ((err = allocate(v)) ||
        (err = ws_alloc(&tile, ROWS * wide, sizeof *tile, "products of an index")) ||
        (err = ws_alloc(&space, x->x ? 0 : 2 * wide * d, sizeof *space, "panel of samples")))
        goto done;
    for (int64_t i = 0; i < x->n; i++) v->norm[i] = above(ws_samples_norm(x, i));
    for (int64_t r = 0; r < ix->shard.n; r++) measure(v, r);
    for (int64_t a = 0; a < x->n; a += PANEL) {
        int64_t n = x->n - a < PANEL ? x->n - a : PANEL;
        const float *xa = panel(x, a, n, space);

        multiply_samples(v, xa, a, n, space ? space + wide * d : NULL);
        multiply_rows(v, xa, a, n, tile, put);
    }
    ix->counts.inner_products += x->n * ix->shard.n + x->n * x->n;
    ix->counts.leaf_writes += x->n * ix->shard.n;
done:
    ws_free(&space);
    ws_free(&tile);
    return err;
}

void ws_leaves_free(ws_leaves *v)
{
    ws_free(&v->gram);
    ws_free(&v->norm);
    ws_free(&v->row);
}

int64_t ws_leaves_held(const ws_leaves *v)
{
    return 4 * v->stride * (v->ix->samples.n + 1) + (int64_t)sizeof *v->row * v->ix->shard.n;
}

double ws_leaves_bytes(const ws_index_plan *p)
{
    double n = (double)p->registered;

    return 4 * (n + 3) * (n + 1) + (double)sizeof(ws_leaves_row) * (double)p->n;
}

/* ---- moves ---- */

/* What a combination of k samples with sum |c_p| ||x_p|| = size may hide from a leaf, ||x|| = 1:
 * float32 rounding of the row's elements, the Gram matrix and the k + 4 float32 operations of the
 * sum below, ws_dot itself; of packed samples, both rounded in the Gram matrix, and coefficients times
 * scales. */
static double hidden(int64_t d, int64_t k, double wnorm, double size)
{
    double row = 0x1.0001p-24 * wnorm + sqrt((double)d) * 0x1p-149;
    double sums = ws_sgemm_error(d) + (double)(k + 6) * 0x1.01p-24 + 4 * WS_PACKED_ERROR;
    double dot = (double)(d + 8) * 0x1p-52;

    return (row + sums * size + dot * (2 * wnorm + size)) * (1 + (double)(k + 6) * 0x1p-22);
}

/* The change common to all leaves of move k's neuron, and in *slack that for each ||x||: what may
 * be hidden.  How far the leaves may then lie above the truth is added up in the row. */
static float begin(ws_leaves *v, const ws_moves *m, int64_t k, float *slack)
{
    ws_leaves_row *row = &v->row[m->row[k]];
    int64_t d = v->ix->shard.d, pairs = m->first[k + 1] - m->first[k];
    double size = 0, sum = 0, db = m->dbias ? m->dbias[k] : 0, lost;

    for (int64_t p = m->first[k]; p < m->first[k + 1]; p++) {
        double c = fabs((double)m->coef[p]);

        size += c * (double)v->norm[m->ids[m->pos[p]]];
        sum += c;
    }
    row->norm = above(((double)row->norm + m->norm[k]) * (1 + 0x1p-23) + 0x1p-120);
    lost = hidden(d, pairs, (double)row->norm, size);
    row->loose += (float)(2 * lost + 2 * (double)WS_LEAVES_ROOM * (double)row->norm);
    *slack = above(lost);
    return above(db + fabs(db) * (double)(pairs + 6) * 0x1p-22 + (sum + 1) * underflow(d));
}

/* The change of the leaves of move k by the Gram matrix. */
static void combine(ws_leaves *v, const ws_moves *m, int64_t k, float *change)
{
    float slack, all = begin(v, m, k, &slack);

    for (int64_t i = 0; i < v->stride; i++) change[i] = all + slack * v->norm[i];
    for (int64_t p = m->first[k]; p < m->first[k + 1]; p++) {
        const float *g = v->gram + m->ids[m->pos[p]] * v->stride;
        float c = m->coef[p];

        for (int64_t i = 0; i < v->stride; i++) change[i] += c * g[i];
    }
}

static void compute(ws_leaves *v, int64_t r, float *leaf)
{
    const ws_shard *s = &v->ix->shard;
    int64_t n = v->ix->samples.n, id[SOME];
    double z[SOME];

    measure(v, r);
    for (int64_t a = 0; a < n; a += SOME) {
        int64_t k = n - a < SOME ? n - a : SOME;

        for (int64_t i = 0; i < k; i++) id[i] = a + i;
        ws_dot_many(s->w + r * s->d, &v->ix->samples, id, k, z);
        for (int64_t i = 0; i < k; i++) leaf[a + i] = above(z[i] + (double)s->b[r]);
    }
    v->ix->counts.inner_products += n;
}

int ws_leaves_change(ws_leaves *v, const ws_moves *m, int64_t k, float *change)
{
    int64_t r = m->row[k];

    v->ix->counts.leaf_writes += v->ix->samples.n;
    if (m->first && m->first[k + 1] - m->first[k] < v->ix->shard.d) {
        combine(v, m, k, change);
        if (v->row[r].loose <= v->row[r].limit) return 0; /* not so if it is a NaN */
    }
    compute(v, r, change);
    return 1;
}
