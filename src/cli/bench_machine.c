/* bench_machine.c - the rates that a step is held against: copying, the exact routine and the update
 * on data in the first cache, sgemm.
 *
 * Every rank does the same at the same time, as in a step: cores share bandwidth, caches and clock. */
#include "bench_machine.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/blas.h"

enum { COPIED = 1 << 27, TRIES = 4, CACHE = 24 << 10, MOST = 8 };

typedef struct work {
    int64_t d, n, m, k; /* row length; samples; sgemm: m x n x k */
    float *a, *b, *c;   /* copied arrays; row and samples; matrices */
    double *scratch, *level, z[MOST];
    ws_samples x;
    double each; /* of what a call does */
} work;

static void copy(work *w)
{
    memcpy(w->a, w->b, COPIED);
}

static void dot(work *w)
{
    ws_dot_many(w->a, &w->x, NULL, w->n, w->z);
}

static void update(work *w)
{
    static const int64_t ids[MOST] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const int32_t pos[MOST] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const float coef[MOST] = {1e-6f, -1e-6f, 1e-6f, -1e-6f, 1e-6f, -1e-6f, 1e-6f, -1e-6f};

    ws_row_combine(w->a, coef, &w->x, ids, pos, w->n, w->scratch, NULL);
}

static void sgemm(work *w)
{
    ws_sgemm(0, 1, w->m, w->n, w->k, 1, w->a, w->k, w->b, w->k, 0, w->c, w->n);
}

/* Calls for a tenth of a second at least, begun by all at once; the best rate of a few tries, added
 * over ranks.  Collective. */
static double rate_of(const ws_comm *comm, void (*call)(work *), work *w)
{
    double best = 0, sum;

    call(w);
    for (int t = 0; t < TRIES; t++) {
        double start, seconds;
        int64_t calls = 0;

        MPI_Barrier(comm->mpi);
        start = ws_seconds();
        do {
            for (int k = 0; k < (w->each < 1e6 ? 100 : 1); k++, calls++) call(w);
            seconds = ws_seconds() - start;
        } while (seconds < 0.1);
        best = fmax(best, w->each * (double)calls / seconds);
    }
    MPI_Allreduce(&best, &sum, 1, MPI_DOUBLE, MPI_SUM, comm->mpi);
    return sum;
}

static void work_free(work *w)
{
    ws_free(&w->a);
    ws_free(&w->b);
    ws_free(&w->c);
    ws_free(&w->scratch);
    ws_free(&w->level);
}

static void fill(float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) v[i] = (float)(i % 17 - 8) * 0.01f;
}

static ws_err measure_copy(const ws_comm *comm, double *rate)
{
    work w = {.each = 2.0 * COPIED};
    int64_t n = COPIED / (int64_t)sizeof(float);
    ws_err err = ws_alloc(&w.a, n, sizeof *w.a, "copied array");

    if (!err) err = ws_alloc(&w.b, n, sizeof *w.b, "copied array");
    if (!err) fill(w.b, n);
    if (!(err = ws_agree(comm, err))) *rate = rate_of(comm, copy, &w);
    work_free(&w);
    return err;
}

/* As many samples as stay in the first cache with the row and the sums, or the levels of bytes. */
static ws_err measure_rows(const ws_comm *comm, int64_t d, int packed, ws_bench_machine *m)
{
    static const float scale[MOST] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t fit = (CACHE - 12 * d) / (packed ? d : 4 * d);
    work w = {.d = d, .n = fit < 1 ? 1 : fit > MOST ? MOST : fit};
    ws_err err = ws_alloc(&w.a, d, sizeof *w.a, "row");

    w.each = 2.0 * (double)(w.n * d);
    if (!err) err = ws_alloc(&w.b, w.n * d, sizeof *w.b, "samples");
    if (!err) err = ws_alloc(&w.scratch, d + MOST, sizeof *w.scratch, "sums");
    if (!err) err = ws_alloc(&w.level, d, sizeof *w.level, "levels");
    if ((err = ws_agree(comm, err))) goto done;
    fill(w.a, d);
    fill(w.b, w.n * d);
    for (int64_t j = 0; j < d; j++) w.level[j] = WS_PACKED_ZERO + 33;
    w.x = (ws_samples){.n = w.n, .d = d, .x = packed ? NULL : w.b};
    if (packed) w.x.packed = (ws_packed){(const uint8_t *)w.b, w.level, scale, NULL};
    m->dot = rate_of(comm, dot, &w);
    m->update = rate_of(comm, update, &w);
done:
    work_free(&w);
    return err;
}

ws_err ws_bench_machine_measure(const ws_comm *comm, int64_t d, int packed, ws_bench_machine *m)
{
    ws_err err = measure_copy(comm, &m->copy);

    return err ? err : measure_rows(comm, d, packed, m);
}

ws_err ws_bench_machine_sgemm(const ws_comm *comm, int64_t m, int64_t n, int64_t k, double *rate)
{
    work w = {.m = m, .n = n, .k = k, .each = 2.0 * (double)m * (double)n * (double)k};
    ws_err err = ws_alloc(&w.a, m * k, sizeof *w.a, "matrix");

    if (!err) err = ws_alloc(&w.b, n * k, sizeof *w.b, "matrix");
    if (!err) err = ws_alloc(&w.c, m * n, sizeof *w.c, "matrix");
    if (!err) {
        fill(w.a, m * k);
        fill(w.b, n * k);
    }
    if (!(err = ws_agree(comm, err))) *rate = rate_of(comm, sgemm, &w);
    work_free(&w);
    return err;
}

double ws_bench_cpu(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

double ws_bench_busy(const ws_comm *comm, double cpu, double seconds)
{
    double share = cpu / seconds;

    MPI_Allreduce(MPI_IN_PLACE, &share, 1, MPI_DOUBLE, MPI_MIN, comm->mpi);
    return share;
}
