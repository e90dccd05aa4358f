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
 * with skew = ||P P' - 1||, leak = max ||P (x_i - P's_i)||, path = sum |c_p|.
 *
 * Packed samples are multiplied as bytes (limbs.h): P is then what its limbs stand for. MNIST, 60000
 * samples, one core: 0.06 s instead of 0.24. */
#include <string.h>

#include "certified.h"
#include "limbs.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/blas.h"

enum { SAMPLED = 2048, ROUNDS = 5, BLOCK = 32 }; /* of a block, samples stay in the first cache */

typedef double square[WS_SKETCH][WS_SKETCH];

typedef struct maker {
    const ws_samples *x;
    int64_t d, n, ids[SAMPLED]; /* samples looked at */
    float *p;                   /* [WS_SKETCH x d] */
    double *sum;                /* [WS_SKETCH x d] */
    float *row, *next, *dots;   /* [n x d], [WS_SKETCH x d], [WS_SKETCH x n], if not sparse */
    double z[SAMPLED];
    float s[WS_SKETCH * BLOCK]; /* [WS_SKETCH x n] of a block */
    square a, b;
    ws_limbs limbs;
    int by_limbs;
    double off; /* ||P x - s|| is at most this x the largest norm */
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

/* sum_k = sum_i <p_k, x_i> x_i of samples that are long: those that are sparse. */
static void multiply_sparse(maker *m)
{
    for (int k = 0; k < WS_SKETCH; k++) {
        double *v = m->sum + k * m->d;

        memset(v, 0, (size_t)m->d * sizeof *v);
        ws_dot_many(m->p + k * m->d, m->x, m->ids, m->n, m->z);
        for (int64_t i = 0; i < m->n; i++) ws_axpy_sample(v, (float)m->z[i], m->x, m->ids[i]);
    }
}

static void multiply_dense(maker *m)
{
    ws_sgemm_nt(WS_SKETCH, m->n, m->d, m->p, m->d, m->row, m->d, m->dots, m->n);
    ws_sgemm(0, 0, WS_SKETCH, m->d, m->n, 1, m->dots, m->n, m->row, m->d, 0, m->next, m->d);
    for (int64_t j = 0; j < WS_SKETCH * m->d; j++) m->sum[j] = (double)m->next[j];
}

static void iterate(maker *m)
{
    if (m->x->ptr)
        multiply_sparse(m);
    else
        multiply_dense(m);
    for (int k = 0; k < WS_SKETCH; k++) orthogonalise(m, k);
}

static void find_directions(maker *m)
{
    const ws_samples *x = m->x;

    for (int64_t i = 0; i < m->n; i++) {
        m->ids[i] = i * x->n / m->n;
        ws_axpy_sample(m->sum + i % WS_SKETCH * m->d, i / WS_SKETCH % 2 ? -1.0f : 1.0f, x,
                       m->ids[i]);
        if (!x->ptr) ws_samples_row(x, m->ids[i], m->row + i * m->d);
    }
    for (int k = 0; k < WS_SKETCH; k++) orthogonalise(m, k);
    for (int k = 0; k < ROUNDS; k++) iterate(m);
}

/* P as what its limbs stand for. */
static ws_err make_limbs(maker *m, double max_norm)
{
    ws_err err = ws_limbs_rows(&m->limbs, m->x, m->p, WS_SKETCH);

    for (int k = 0; k < WS_SKETCH && !err; k++) ws_limbs_row(&m->limbs, k, m->p + k * m->d);
    m->off = sqrt(WS_SKETCH) * 1.01 * ws_limbs_row_error(m->x, max_norm);
    return err;
}

/* A bound of ||P P' - 1|| over the rows that are not zero, the coordinates of the others being zero
 * always: for a = P P' - 1 the root of what the elements of a a have as norm. */
static double skew_of(maker *m)
{
    double sum = 0;

    for (int i = 0; i < WS_SKETCH; i++)
        for (int j = 0; j < WS_SKETCH; j++) {
            double dot = ws_dot(m->p + i * m->d, m->p + j * m->d, m->d);

            m->a[i][j] = i == j && dot == 0 ? 0 : dot - (i == j);
            m->b[i][j] = 0;
        }
    for (int i = 0; i < WS_SKETCH; i++)
        for (int k = 0; k < WS_SKETCH; k++)
            for (int j = 0; j < WS_SKETCH; j++) m->b[i][j] += m->a[i][k] * m->a[k][j];
    for (int i = 0; i < WS_SKETCH; i++)
        for (int j = 0; j < WS_SKETCH; j++) sum += m->b[i][j] * m->b[i][j];
    return sqrt(sqrt(sum)) * (1 + 1e-9) + (double)(m->d + 8) * 0x1p-46;
}

/* s of samples from .. from + n - 1, coordinate by coordinate. */
static void multiply_block(maker *m, int64_t from, int64_t n)
{
    int64_t ids[BLOCK];

    if (m->by_limbs) {
        for (int c = 0; c < WS_SKETCH; c += 2)
            ws_limbs_products(&m->limbs, m->x, c, from, n, m->s + c * n);
        return;
    }
    for (int64_t i = 0; i < n; i++) ids[i] = from + i;
    for (int c = 0; c < WS_SKETCH; c++) {
        ws_dot_many(m->p + c * m->d, m->x, ids, n, m->z);
        for (int64_t i = 0; i < n; i++) m->s[c * n + i] = (float)m->z[i];
    }
}

/* s and q of samples from .. from + n - 1. */
static void sketch_block(ws_sketch *k, maker *m, int64_t from, int64_t n, double max_norm)
{
    multiply_block(m, from, n);
    for (int64_t i = 0; i < n; i++) {
        float *s = k->s + (from + i) * WS_SKETCH;
        double norm = ws_samples_norm(m->x, from + i), s2 = 0, left;

        for (int c = 0; c < WS_SKETCH; c++) {
            s[c] = m->s[c * n + i];
            s2 += (double)s[c] * (double)s[c];
        }
        /* |x - P's|^2 = |x|^2 - 2 <Px, s> + <s, P P's> with |Px - s| and P P' - 1 small. */
        left = norm * norm - s2 * (1 - k->skew) + 2 * m->off * max_norm * sqrt(s2) +
               1e-9 * norm * norm;
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

static ws_err alloc_all(ws_sketch *k, maker *m)
{
    int64_t d = m->d, rows = m->x->ptr ? 0 : m->n, all = m->x->n;
    const char *some = "directions of the samples", *what = "sketches of the samples";
    ws_err err;

    if ((err = ws_alloc(&m->p, WS_SKETCH * d, sizeof *m->p, some)) ||
        (err = ws_alloc(&m->sum, WS_SKETCH * d, sizeof *m->sum, some)) ||
        (err = ws_alloc(&m->row, rows * d, sizeof *m->row, some)) ||
        (err = ws_alloc(&m->next, WS_SKETCH * d, sizeof *m->next, some)) ||
        (err = ws_alloc(&m->dots, WS_SKETCH * rows, sizeof *m->dots, some)) ||
        (err = ws_alloc(&k->s, all * WS_SKETCH, sizeof *k->s, what)) ||
        (err = ws_alloc(&k->q, all, sizeof *k->q, what)))
        return err;
    return ws_alloc(&k->fixed, all * WS_SKETCH, sizeof *k->fixed, what);
}

static ws_err sketch_all(ws_sketch *k, maker *m, double max_norm)
{
    int64_t n = m->x->n;
    ws_err err = alloc_all(k, m);

    if (err) return err;
    find_directions(m);
    m->off = sqrt(WS_SKETCH) * 0x1p-24;
    m->by_limbs = ws_limbs_apply(m->x);
    if (m->by_limbs && (err = make_limbs(m, max_norm))) return err;
    k->skew = skew_of(m);
    k->leak = (k->skew + m->off) * 1.1 * max_norm;
    for (int64_t i = 0; i < n; i += BLOCK)
        sketch_block(k, m, i, n - i < BLOCK ? n - i : BLOCK, max_norm);
    fix_all(k, n);
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
    m->n = x->n < SAMPLED ? x->n : SAMPLED;
    err = sketch_all(k, m, max_norm);
    ws_free(&m->p);
    ws_free(&m->sum);
    ws_free(&m->row);
    ws_free(&m->next);
    ws_free(&m->dots);
    ws_limbs_free(&m->limbs);
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
