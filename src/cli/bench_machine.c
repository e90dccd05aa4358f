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

/* Bytes: of the arrays that are copied; of a piece, large enough to be written past the caches; of
 * what lies in the first cache. Samples of a row at most; flops between two looks at the clock. */
enum { COPIED = 1 << 27, PIECE = 1 << 25, CACHE = 24 << 10, MOST = 8, LOOK = 100000, TRIES = 4 };

enum { COPY, DOT, UPDATE, KINDS };

/* Of one kind: what was done, in how many seconds, and the best rate of a sample. */
typedef struct sampled {
    double done, seconds, best;
} sampled;

struct ws_bench_machine {
    int64_t d, n; /* row length; samples */
    float *from, *to, *row;
    void *sample; /* [n x d] float32 or bytes */
    double *scratch, *level, z[MOST];
    ws_samples x;
    int64_t at;    /* byte that is copied next */
    int64_t bytes; /* held */
    sampled kind[KINDS];
};

/* ---- one call of each: returns bytes or flops ---- */

static double copy(ws_bench_machine *m)
{
    memcpy((char *)m->to + m->at, (const char *)m->from + m->at, PIECE);
    m->at = (m->at + PIECE) % COPIED;
    return 2.0 * PIECE;
}

static double flops(const ws_bench_machine *m)
{
    return 2.0 * (double)(m->n * m->d);
}

static double dot(ws_bench_machine *m)
{
    double done = 0;

    for (; done < LOOK; done += flops(m)) ws_dot_many(m->row, &m->x, NULL, m->n, m->z);
    return done;
}

static double update(ws_bench_machine *m)
{
    static const int32_t pos[MOST] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const float coef[MOST] = {1e-6f, -1e-6f, 1e-6f, -1e-6f, 1e-6f, -1e-6f, 1e-6f, -1e-6f};
    double done = 0;

    for (; done < LOOK; done += flops(m))
        ws_row_combine(m->row, coef, &m->x, NULL, pos, m->n, m->scratch, NULL);
    return done;
}

/* ---- samples ---- */

void ws_bench_machine_sample(ws_bench_machine *m, double seconds)
{
    static double (*const call[KINDS])(ws_bench_machine *) = {copy, dot, update};
    double start = ws_seconds(), now = start;

    for (int k = 0; k < KINDS; k++) {
        double from, done = 0;

        if (k > 0) call[k](m); /* what was copied has filled the caches */
        from = now = ws_seconds();
        do {
            done += call[k](m);
            now = ws_seconds();
        } while (now < start + seconds * (k + 1) / KINDS);
        m->kind[k].done += done;
        m->kind[k].seconds += now - from;
        m->kind[k].best = fmax(m->kind[k].best, done / (now - from));
    }
}

void ws_bench_machine_rates(const ws_comm *comm, const ws_bench_machine *m, ws_bench_rates *mean,
                            ws_bench_rates *best)
{
    double v[2 * KINDS];

    for (int k = 0; k < KINDS; k++) {
        v[k] = m->kind[k].done / m->kind[k].seconds;
        v[KINDS + k] = m->kind[k].best;
    }
    MPI_Allreduce(MPI_IN_PLACE, v, 2 * KINDS, MPI_DOUBLE, MPI_SUM, comm->mpi);
    *mean = (ws_bench_rates){v[COPY], v[DOT], v[UPDATE]};
    *best = (ws_bench_rates){v[KINDS + COPY], v[KINDS + DOT], v[KINDS + UPDATE]};
}

static void fill(float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) v[i] = (float)(i % 17 - 8) * 0.01f;
}

/* As many samples as stay in the first cache with the row and the sums, or the levels of bytes. */
static ws_err make(ws_bench_machine *m, int64_t d, int packed)
{
    static const float scale[MOST] = {1, 1, 1, 1, 1, 1, 1, 1};
    static const char what[] = "measuring the machine";
    int64_t fit = (CACHE - 12 * d) / (packed ? d : 4 * d), n = COPIED / (int64_t)sizeof(float);
    ws_err err;

    m->d = d;
    m->n = fit < 1 ? 1 : fit > MOST ? MOST : fit;
    if ((err = ws_alloc(&m->from, n, sizeof *m->from, what)) ||
        (err = ws_alloc(&m->to, n, sizeof *m->to, what)) ||
        (err = ws_alloc(&m->row, d, sizeof *m->row, what)) ||
        (err = ws_alloc(&m->sample, m->n * d, sizeof(float), what)) ||
        (err = ws_alloc(&m->scratch, d + MOST, sizeof *m->scratch, what)) ||
        (err = ws_alloc(&m->level, d, sizeof *m->level, what)))
        return err;
    fill(m->from, n);
    memset(m->to, 0, COPIED);
    fill(m->row, d);
    fill(m->sample, m->n * d);
    for (int64_t j = 0; j < d; j++) m->level[j] = WS_PACKED_ZERO + 33;
    m->x = (ws_samples){.n = m->n, .d = d, .x = packed ? NULL : m->sample};
    if (packed) m->x.packed = (ws_packed){m->sample, m->level, scale, NULL};
    return WS_OK;
}

ws_err ws_bench_machine_open(const ws_comm *comm, int64_t d, int packed, ws_bench_machine **out)
{
    int64_t before = ws_alloc_bytes();
    ws_err err = ws_alloc(out, 1, sizeof **out, "measuring the machine");

    if (!err) err = make(*out, d, packed);
    if (!err) (*out)->bytes = ws_alloc_bytes() - before;
    return ws_agree(comm, err);
}

int64_t ws_bench_machine_bytes(const ws_bench_machine *m)
{
    return m->bytes;
}

void ws_bench_machine_close(ws_bench_machine **m)
{
    if (!*m) return;
    ws_free(&(*m)->from);
    ws_free(&(*m)->to);
    ws_free(&(*m)->row);
    ws_free(&(*m)->sample);
    ws_free(&(*m)->scratch);
    ws_free(&(*m)->level);
    ws_free(m);
}

/* ---- sgemm ---- */

typedef struct matrices {
    int64_t m, n, k;
    float *a, *b, *c;
} matrices;

/* For a tenth of a second at least, begun by all at once; the best of a few tries, added over ranks.
 * Collective. */
static double sgemm_rate(const ws_comm *comm, const matrices *s)
{
    double each = 2.0 * (double)s->m * (double)s->n * (double)s->k, best = 0, sum;

    for (int t = 0; t <= TRIES; t++) {
        double start, seconds;
        int64_t calls = 0;

        MPI_Barrier(comm->mpi);
        start = ws_seconds();
        do {
            for (int k = 0; k < (each < 1e6 ? 100 : 1); k++, calls++)
                ws_sgemm(0, 1, s->m, s->n, s->k, 1, s->a, s->k, s->b, s->k, 0, s->c, s->n);
            seconds = ws_seconds() - start;
        } while (seconds < 0.1 && t > 0);
        if (t > 0) best = fmax(best, each * (double)calls / seconds); /* the first warms up */
    }
    MPI_Allreduce(&best, &sum, 1, MPI_DOUBLE, MPI_SUM, comm->mpi);
    return sum;
}

ws_err ws_bench_machine_sgemm(const ws_comm *comm, int64_t m, int64_t n, int64_t k, double *rate)
{
    matrices s = {.m = m, .n = n, .k = k};
    ws_err err = ws_alloc(&s.a, m * k, sizeof *s.a, "matrix");

    if (!err) err = ws_alloc(&s.b, n * k, sizeof *s.b, "matrix");
    if (!err) err = ws_alloc(&s.c, m * n, sizeof *s.c, "matrix");
    if (!err) {
        fill(s.a, m * k);
        fill(s.b, n * k);
    }
    if (!(err = ws_agree(comm, err))) *rate = sgemm_rate(comm, &s);
    ws_free(&s.a);
    ws_free(&s.b);
    ws_free(&s.c);
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
