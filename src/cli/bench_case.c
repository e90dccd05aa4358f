/* bench_case.c - rows, samples and steps for the benches. Rows and samples are the same on any
 * number of ranks. */
#include <math.h>
#include <string.h>

#include "bench.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"

/* One pair in FLIPPED is pushed below the threshold; one neuron in AWAKENED that moves is one
 * that did not fire. */
enum { FLIPPED = 16, AWAKENED = 64 };

static ws_err alloc_all(ws_bench_case *c)
{
    int64_t samples = c->o->samples, d = c->o->dim;
    ws_err err;

    if ((err = ws_alloc(&c->w, c->n * d, sizeof *c->w, "weights")) ||
        (err = ws_alloc(&c->b, c->n, sizeof *c->b, "biases")) ||
        (err = ws_alloc(&c->x, samples * d, sizeof *c->x, "samples")) ||
        (err = ws_alloc(&c->ids, samples, sizeof *c->ids, "samples")) ||
        (err = ws_alloc(&c->delta, d, sizeof *c->delta, "step of a neuron")))
        return err;
    return WS_OK;
}

static void fill(ws_bench_case *c)
{
    ws_key weights = {(uint64_t)c->o->seed, WS_STREAM_WEIGHT, 0};
    ws_key samples = {(uint64_t)c->o->seed, WS_STREAM_TEST, 0};
    int64_t d = c->o->dim;

    for (int64_t r = 0; r < c->n; r++)
        ws_random_normal(&weights, (uint64_t)(c->first + r), d, 1, c->w + r * d);
    for (int64_t i = 0; i < c->o->samples; i++) {
        float *x = c->x + i * d;
        double norm;

        ws_random_normal(&samples, (uint64_t)i, d, 1, x);
        norm = sqrt(ws_norm2(x, d));
        for (int64_t j = 0; j < d; j++) x[j] = (float)(x[j] / norm);
        c->ids[i] = i;
    }
}

ws_err ws_bench_case_make(const ws_comm *comm, const ws_bench_options *o, int64_t width,
                          ws_bench_case *c)
{
    ws_layout l = {width, comm->size};
    ws_err err;

    *c = (ws_bench_case){.o = o,
                         .width = width,
                         .first = ws_layout_first(&l, comm->rank),
                         .n = ws_layout_count(&l, comm->rank)};
    c->threshold = isnan(o->shift) ? sqrt(0.4 * ws_log((double)width)) : o->shift;
    if ((err = ws_agree(comm, alloc_all(c)))) return err;
    fill(c);
    c->samples = (ws_samples){.n = o->samples, .d = o->dim, .x = c->x};
    c->shard = (ws_shard){c->n, o->dim, c->w, c->b};
    return WS_OK;
}

static void free_moves(ws_bench_moves *m)
{
    ws_free(&m->row);
    ws_free(&m->first);
    ws_free(&m->pos);
    ws_free(&m->norm);
    ws_free(&m->z);
    ws_free(&m->coef);
    ws_free(&m->note);
    m->k = 0;
}

void ws_bench_case_free(ws_bench_case *c)
{
    ws_free(&c->w);
    ws_free(&c->b);
    ws_free(&c->x);
    ws_free(&c->ids);
    ws_free(&c->delta);
    free_moves(&c->moved[0]);
    free_moves(&c->moved[1]);
}

/* ---- a step ---- */

/* Room for k neurons and n pairs. */
static ws_err open_moves(ws_bench_moves *m, int64_t k, int64_t n)
{
    const char *what = "moves of neurons";
    ws_err err;

    free_moves(m);
    if ((err = ws_alloc(&m->row, k, sizeof *m->row, what)) ||
        (err = ws_alloc(&m->first, k + 1, sizeof *m->first, what)) ||
        (err = ws_alloc(&m->pos, n, sizeof *m->pos, what)) ||
        (err = ws_alloc(&m->norm, k, sizeof *m->norm, what)) ||
        (err = ws_alloc(&m->z, n, sizeof *m->z, what)) ||
        (err = ws_alloc(&m->coef, n, sizeof *m->coef, what)) ||
        (err = ws_alloc(&m->note, n, sizeof *m->note, what)))
        return err;
    return WS_OK;
}

/* How far a pair's sample moves its neuron: mostly a hundredth, up or down. */
static double coefficient(const ws_bench_case *c, int64_t r, int64_t step, int64_t p, double z)
{
    ws_key key = {(uint64_t)c->o->seed, WS_STREAM_TEST, 1 + (uint32_t)step};
    double u = ws_random_uniform(&key, (uint64_t)(c->first + r), 2 * (uint32_t)p);
    double v = ws_random_uniform(&key, (uint64_t)(c->first + r), 2 * (uint32_t)p + 1);

    return v * FLIPPED < 1 ? (c->threshold - z) * (1 + 0.1 * u) : 0.02 * (u - 0.5);
}

/* Add pair (m->pos, m->z known at `at`) with its coefficient to the step of the last neuron. */
static void add_pair(ws_bench_case *c, ws_bench_moves *m, int64_t at, double coef)
{
    m->coef[at] = (float)coef;
    ws_axpy(c->delta, m->coef[at], c->x + m->pos[at] * c->o->dim, c->o->dim);
    m->first[m->k + 1] = at + 1;
}

static void open_row(ws_bench_case *c, ws_bench_moves *m, int64_t r)
{
    m->row[m->k] = r;
    m->first[m->k + 1] = m->first[m->k];
    memset(c->delta, 0, (size_t)c->o->dim * sizeof *c->delta);
}

/* Carry the step out. */
static void close_row(ws_bench_case *c, ws_bench_moves *m)
{
    float *w = c->w + m->row[m->k] * c->o->dim;

    m->norm[m->k++] = sqrt(ws_row_add(w, c->delta, c->o->dim)) * (1 + 1e-12);
}

/* Neurons of the answer, k of them, evenly spread. */
static void step_fired(ws_bench_case *c, const ws_hits *h, int64_t k, int64_t step)
{
    ws_bench_moves *m = &c->moved[0];

    for (int64_t j = 0; j < k; j++) {
        int64_t i = j * h->rows / k, r = h->row[i];

        open_row(c, m, r);
        for (int64_t p = h->first[i]; p < h->first[i + 1]; p++) {
            int64_t at = m->first[m->k + 1];

            m->pos[at] = h->pos[p];
            m->z[at] = h->z[p];
            m->note[at] = h->note[p];
            add_pair(c, m, at, coefficient(c, r, step, p - h->first[i], h->z[p]));
        }
        close_row(c, m);
    }
}

/* Any neurons, k of them, each moved along a sample until that fires it. */
static void step_others(ws_bench_case *c, int64_t k, int64_t step)
{
    ws_key key = {(uint64_t)c->o->seed, WS_STREAM_TEST, 1001 + (uint32_t)step};
    ws_bench_moves *m = &c->moved[1];
    int64_t d = c->o->dim;

    for (int64_t j = 0; j < k; j++) {
        int64_t from = j * c->n / k, count = (j + 1) * c->n / k - from;
        double u = ws_random_uniform(&key, (uint64_t)j, 0);
        double v = ws_random_uniform(&key, (uint64_t)j, 1);
        int64_t r = from + (int64_t)(u * (double)count);
        int64_t i = (int64_t)(v * (double)c->o->samples);
        double z = ws_dot(c->w + r * d, c->x + i * d, d) + (double)c->b[r];

        open_row(c, m, r);
        m->pos[j] = (int32_t)i;
        m->z[j] = z;
        add_pair(c, m, j, (c->threshold - z) * 1.01 + 0.001);
        close_row(c, m);
    }
}

/* How many neurons of the answer move. */
static int64_t movers(const ws_bench_case *c, const ws_hits *hits)
{
    double share = isnan(c->o->updates) ? (double)hits->rows
                                        : ceil(c->o->updates * (double)c->n / (double)c->width);

    return share < (double)hits->rows ? (int64_t)share : hits->rows;
}

ws_err ws_bench_case_step(ws_bench_case *c, const ws_hits *hits, int64_t step, int group)
{
    int64_t k = movers(c, hits), others = (k + AWAKENED - 1) / AWAKENED;
    ws_err err = group == 0 ? open_moves(&c->moved[0], k, hits->n)
                            : open_moves(&c->moved[1], others, others);

    if (err) return err;
    if (group == 0)
        step_fired(c, hits, k, step);
    else
        step_others(c, others, step);
    return WS_OK;
}

ws_moves ws_bench_case_moves(const ws_bench_case *c, int group)
{
    const ws_bench_moves *m = &c->moved[group];

    return (ws_moves){.k = m->k,
                      .row = m->row,
                      .norm = m->norm,
                      .first = m->first,
                      .pos = m->pos,
                      .ids = c->ids,
                      .coef = m->coef,
                      .z = group == 0 ? m->z : NULL,
                      .note = group == 0 ? m->note : NULL};
}
