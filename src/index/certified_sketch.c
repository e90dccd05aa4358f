/* certified_sketch.c - a few coordinates of every sample, along the main directions of the data.
 *
 * P has WS_SKETCH rows, nearly orthonormal, found by orthogonal iteration on some of the samples.
 * Any P would do: s_i is what is stored, q_i = ||x_i - P's_i|| is bounded from it, and what P lacks
 * of orthonormality is measured. A neuron that has moved by C = sum c_p x_p has t = sum c_p s_p and
 * R = sum c_p (x_p - P's_p), so
 *
 *     <C, x_i> = <t, P P's_i> + <P't, x_i - P's_i> + <R, P's_i> + <R, x_i - P's_i>
 *             <= <t, s_i> + skew |t| |s_i| + leak |t| + leak path |s_i| + |R| q_i,
 *     |R|^2   <= |C|^2 - |t|^2 (1 - skew) + 2 |t| leak path,
 *
 * with skew = ||P P' - 1||, leak = max ||P (x_i - P's_i)||, path = sum |c_p|. */
#include <string.h>

#include "certified.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

enum { SAMPLED = 2048, ROUNDS = 5, BLOCK = 8 }; /* of a block, samples stay in the first cache */

typedef struct maker {
    const ws_samples *x;
    int64_t d, n, ids[SAMPLED]; /* samples looked at */
    float *p;                   /* [WS_SKETCH x d] */
    double *sum;                /* [WS_SKETCH x d] */
    double z[SAMPLED];
    double dots[WS_SKETCH][BLOCK];
} maker;

/* p_k from sum_k, orthogonal to the rows before; a direction that is none becomes zero. */
static void orthogonalise(maker *m, int k)
{
    double *v = m->sum + k * m->d;
    float *to = m->p + k * m->d;

    for (int round = 0; round < 3; round++) {
        double norm;

        for (int64_t j = 0; j < m->d; j++) to[j] = (float)v[j];
        for (int i = 0; i < k; i++)
            ws_axpy(v, (float)-ws_dot(m->p + i * m->d, to, m->d), m->p + i * m->d, m->d);
        norm = 0;
        for (int64_t j = 0; j < m->d; j++) norm += v[j] * v[j];
        norm = sqrt(norm);
        for (int64_t j = 0; j < m->d; j++) v[j] = norm > 1e-20 ? v[j] / norm : 0;
    }
    for (int64_t j = 0; j < m->d; j++) to[j] = (float)v[j];
    /* What is left of a dependent direction is not orthogonal. */
    for (int i = 0; i < k; i++)
        if (fabs(ws_dot(m->p + i * m->d, to, m->d)) > 1e-3)
            memset(to, 0, (size_t)m->d * sizeof *to);
}

/* sum_k = sum_i <p_k, x_i> x_i. */
static void iterate(maker *m)
{
    for (int k = 0; k < WS_SKETCH; k++) {
        double *v = m->sum + k * m->d;

        memset(v, 0, (size_t)m->d * sizeof *v);
        ws_dot_many(m->p + k * m->d, m->x, m->ids, m->n, m->z);
        for (int64_t i = 0; i < m->n; i++) ws_axpy_sample(v, (float)m->z[i], m->x, m->ids[i]);
    }
    for (int k = 0; k < WS_SKETCH; k++) orthogonalise(m, k);
}

static void find_directions(maker *m)
{
    const ws_samples *x = m->x;

    m->n = x->n < SAMPLED ? x->n : SAMPLED;
    for (int64_t i = 0; i < m->n; i++) m->ids[i] = i * x->n / m->n;
    for (int64_t i = 0; i < m->n; i++)
        ws_axpy_sample(m->sum + i % WS_SKETCH * m->d, i / WS_SKETCH % 2 ? -1.0f : 1.0f, x,
                       m->ids[i]);
    for (int k = 0; k < WS_SKETCH; k++) orthogonalise(m, k);
    for (int k = 0; k < ROUNDS; k++) iterate(m);
}

/* ||P P' - 1|| over the rows that are not zero: the coordinates of the others always are. */
static double skew_of(const maker *m)
{
    double sum = 0;

    for (int i = 0; i < WS_SKETCH; i++)
        for (int j = 0; j < WS_SKETCH; j++) {
            double dot = ws_dot(m->p + i * m->d, m->p + j * m->d, m->d);
            double off = i == j && dot == 0 ? 0 : dot - (i == j);
            sum += off * off;
        }
    return sqrt(sum) + (double)(m->d + 8) * 0x1p-46;
}

/* s and q of samples from .. from + n - 1. */
static void sketch_block(ws_sketch *k, maker *m, int64_t from, int64_t n)
{
    int64_t ids[BLOCK];

    for (int64_t i = 0; i < n; i++) ids[i] = from + i;
    for (int c = 0; c < WS_SKETCH; c++) ws_dot_many(m->p + c * m->d, m->x, ids, n, m->dots[c]);
    for (int64_t i = 0; i < n; i++) {
        float *s = k->s + (from + i) * WS_SKETCH;
        double norm = ws_samples_norm(m->x, from + i), s2 = 0, left;

        for (int c = 0; c < WS_SKETCH; c++) {
            s[c] = (float)m->dots[c][i];
            s2 += (double)s[c] * (double)s[c];
        }
        /* |x - P's|^2 = |x|^2 - 2 <Px, s> + <s, P P's> with |Px - s| and P P' - 1 small. */
        left = norm * norm - s2 * (1 - k->skew - 0x1p-22) + 1e-9 * norm * norm;
        k->q[from + i] = ws_round_up(sqrt(fmax(left, 0)) * (1 + 1e-9));
    }
}

/* The sketches once more in 16 bits. */
static void fix_all(ws_sketch *k, int64_t n)
{
    double top = 0;

    k->most = k->lost = 0;
    for (int64_t i = 0; i < n * WS_SKETCH; i++) top = fmax(top, fabs((double)k->s[i]));
    k->unit = top / WS_FIXED;
    for (int64_t i = 0; i < n; i++) {
        double lost = 0;

        for (int64_t j = i * WS_SKETCH; j < (i + 1) * WS_SKETCH; j++) {
            long q = top > 0 ? lrint((double)k->s[j] / k->unit) : 0;
            double off = (double)k->s[j] - k->unit * (double)q;

            k->fixed[j] = (int16_t)q;
            lost += off * off;
        }
        k->lost = fmax(k->lost, sqrt(lost) * (1 + 1e-9));
        k->most = fmax(k->most, sqrt(ws_norm2(k->s + i * WS_SKETCH, WS_SKETCH)) * (1 + 1e-9));
    }
}

static ws_err sketch_all(ws_sketch *k, maker *m, double max_norm)
{
    ws_err err;

    if ((err = ws_alloc(&m->p, WS_SKETCH * m->d, sizeof *m->p, "directions of the samples")) ||
        (err = ws_alloc(&m->sum, WS_SKETCH * m->d, sizeof *m->sum, "directions of the samples")) ||
        (err = ws_alloc(&k->s, m->x->n * WS_SKETCH, sizeof *k->s, "sketches of the samples")) ||
        (err = ws_alloc(&k->q, m->x->n, sizeof *k->q, "sketches of the samples")) ||
        (err =
             ws_alloc(&k->fixed, m->x->n * WS_SKETCH, sizeof *k->fixed, "sketches of the samples")))
        return err;
    find_directions(m);
    k->skew = skew_of(m);
    k->leak = (k->skew + 0x1p-22) * 1.1 * max_norm;
    for (int64_t i = 0; i < m->x->n; i += BLOCK)
        sketch_block(k, m, i, m->x->n - i < BLOCK ? m->x->n - i : BLOCK);
    fix_all(k, m->x->n);
    k->on = k->skew < 1e-3;
    return WS_OK;
}

ws_err ws_sketch_build(ws_sketch *k, const ws_samples *x, double max_norm)
{
    maker *m = NULL;
    ws_err err;

    /* Where float32 could overflow or underflow the first bound must do. */
    if (!(max_norm < 1e6 && max_norm > 1e-6)) return WS_OK;
    if ((err = ws_alloc(&m, 1, sizeof *m, "directions of the samples"))) return err;
    m->x = x;
    m->d = x->d;
    err = sketch_all(k, m, max_norm);
    ws_free(&m->p);
    ws_free(&m->sum);
    ws_free(&m);
    return err;
}

void ws_sketch_free(ws_sketch *k)
{
    ws_free(&k->s);
    ws_free(&k->q);
    ws_free(&k->fixed);
    *k = (ws_sketch){0};
}
