/* bench_start.c - listing who fires at a structured start: by transforms, beside sgemm of the same
 * products in the same run; and the whole start of the certified index beside a dense one.
 *
 * The dense start multiplies and compares at most DENSE samples, and these seconds grow linearly with
 * the samples from there. To them comes what the index prepares of its samples whoever lists, measured on
 * an index of a few rows. Writing its lists is left out, in its favour. */
#include <math.h>
#include <stdio.h>

#include "bench.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/layout.h"
#include "wingspan/index/unwritten.h"
#include "wingspan/linalg/blas.h"

enum { DENSE = 2048, REPEATS = 3, LISTS = 5, ROWS = 1024, BLOCKS = 16, FEW = 8 };

static const char what[] = "the start of a network";

/* Seconds are the slowest rank's. */
typedef struct result {
    double list, sgemm, compare, rows, build;
    double common;        /* of build and of a dense start: the samples of the index */
    double dense;         /* of all samples, extrapolated */
    double listed, lists; /* pairs of the samples listed; entries of the index */
} result;

typedef struct bench {
    const ws_comm *comm;
    const ws_bench_options *o;
    ws_bench_samples samples;
    ws_samples all, some;
    float *w, *b, *tile, *z;
    int32_t *col;
    uint8_t *moved;
    int64_t n, width; /* neurons here; in all */
    double threshold, slack;
    ws_start start;
    result r;
} bench;

static void free_all(bench *t)
{
    ws_free(&t->w);
    ws_free(&t->b);
    ws_free(&t->tile);
    ws_free(&t->z);
    ws_free(&t->col);
    ws_free(&t->moved);
    ws_bench_samples_free(&t->samples);
}

/* ---- rows ---- */

static ws_err alloc_rows(bench *t)
{
    int64_t d = t->all.d;
    ws_err err;

    if ((err = ws_alloc(&t->w, t->n * d, sizeof *t->w, "weights")) ||
        (err = ws_alloc(&t->b, t->n, sizeof *t->b, what)) ||
        (err = ws_alloc(&t->moved, t->n, sizeof *t->moved, what)) ||
        (err = ws_alloc(&t->tile, ROWS * DENSE, sizeof *t->tile, what)) ||
        (err = ws_alloc(&t->z, DENSE, sizeof *t->z, what)))
        return err;
    return ws_alloc(&t->col, DENSE, sizeof *t->col, what);
}

static ws_err make_rows(bench *t)
{
    ws_layout l = {t->width, t->comm->size};
    int64_t first = ws_layout_first(&l, t->comm->rank);
    double scale = t->samples.rms, s;
    ws_err err;

    t->n = ws_layout_count(&l, t->comm->rank);
    t->threshold =
        scale * (isnan(t->o->shift) ? sqrt(0.4 * ws_log((double)t->width)) : t->o->shift);
    t->slack = scale * t->o->slack;
    if ((err = ws_agree(t->comm, alloc_rows(t)))) return err;
    t->start = (ws_start){.blocks = ws_blocks_of((uint64_t)t->o->seed, t->all.d, 1),
                          .first = first,
                          .moved = t->moved};
    s = ws_seconds();
    ws_blocks_rows(&t->start.blocks, first, t->n, t->w, t->all.d);
    t->r.rows = ws_seconds() - s;
    t->some = t->all;
    if (t->some.n > DENSE) t->some.n = DENSE;
    return WS_OK;
}

/* ---- listing alone ---- */

/* Lists with values of what lies above the threshold less the slack, the samples' transforms
 * included. */
static ws_err list_once(bench *t, double *seconds)
{
    int64_t q = t->start.blocks.q, from = t->start.first / q;
    int64_t end = (t->start.first + t->n + q - 1) / q;
    ws_unwritten *u = NULL;
    ws_hits hits = {0};
    double s = ws_seconds();
    ws_err err = ws_unwritten_create(&t->start.blocks, &t->some, &u);

    t->r.listed = 0;
    for (int64_t k = from; k < end && !err; k += BLOCKS) {
        err = ws_unwritten_propose(u, k, end - k < BLOCKS ? end - k : BLOCKS,
                                   t->threshold - t->slack, &hits);
        t->r.listed += (double)hits.n;
    }
    *seconds = fmin(*seconds, ws_seconds() - s);
    ws_hits_free(&hits);
    ws_unwritten_destroy(&u);
    return err;
}

/* The same products by sgemm, and what lies above picked from them. */
static void multiply(bench *t)
{
    int64_t d = t->all.d, m = t->some.n;
    float cut = (float)(t->threshold - t->slack);
    double product = 0, compare = 0;

    for (int64_t r = 0; r < t->n; r += ROWS) {
        int64_t n = t->n - r < ROWS ? t->n - r : ROWS;
        double s = ws_seconds(), e;

        ws_sgemm_nt(n, m, d, t->w + r * d, d, t->some.x, d, t->tile, m);
        product += (e = ws_seconds()) - s;
        for (int64_t i = 0; i < n; i++) {
            int64_t k = 0;

            for (int64_t j = 0; j < m; j++) {
                if (!(t->tile[i * m + j] > cut)) continue;
                t->col[k] = (int32_t)j;
                t->z[k++] = t->tile[i * m + j];
            }
        }
        compare += ws_seconds() - e;
    }
    t->r.sgemm = fmin(t->r.sgemm, product);
    t->r.compare = fmin(t->r.compare, compare);
    t->r.dense = (t->r.sgemm + t->r.compare) * (double)t->all.n / (double)m;
}

/* ---- the whole start ---- */

/* An index of the first n neurons here, all samples registered. */
static ws_err build(bench *t, int64_t n, const ws_start *start, double *seconds, double *entries)
{
    ws_index_options o = {.slack = t->slack};
    ws_shard shard = {.n = n, .d = t->all.d, .w = t->w, .b = t->b};
    ws_index *ix;
    double s;
    ws_err err = ws_index_create(t->comm, "certified", &o, &ix);

    if (err) return err;
    ws_index_start(ix, start);
    s = ws_seconds();
    err = ws_index_build(ix, &shard, &t->all, t->threshold);
    *seconds = fmin(*seconds, ws_seconds() - s);
    *entries = (double)ws_index_count(ix).leaf_writes;
    ws_index_destroy(&ix);
    return err;
}

static ws_err measure(bench *t)
{
    double unused;
    ws_err err = WS_OK;

    /* In turns, the best of each: none gains if the machine is not quiet. */
    t->r.list = t->r.sgemm = t->r.compare = t->r.common = t->r.build = INFINITY;
    for (int k = 0; k < REPEATS; k++) {
        MPI_Barrier(t->comm->mpi);
        /* A tenth of a second beside four: several times, so that neither is seen by chance. */
        for (int j = 0; j < LISTS && !err; j++) err = list_once(t, &t->r.list);
        if ((err = ws_agree(t->comm, err))) return err;
        multiply(t);
        if ((err = build(t, t->n < FEW ? t->n : FEW, NULL, &t->r.common, &unused)) ||
            (err = build(t, t->n, &t->start, &t->r.build, &t->r.lists)))
            return err; /* agreed */
    }
    t->r.dense += t->r.common;
    MPI_Allreduce(MPI_IN_PLACE, &t->r.list, 7, MPI_DOUBLE, MPI_MAX, t->comm->mpi);
    MPI_Allreduce(MPI_IN_PLACE, &t->r.listed, 2, MPI_DOUBLE, MPI_SUM, t->comm->mpi);
    return WS_OK;
}

/* ---- what is said ---- */

static void print(const bench *t)
{
    const result *r = &t->r;
    const ws_blocks *b = &t->start.blocks;
    double pairs = (double)t->some.n * (double)t->width, cores = t->comm->size;
    double rate = 2 * pairs * (double)t->all.d / r->sgemm * 1e-9;

    printf("structured start (%s), %d rank%s, d = %lld as %lld x %lld, width %lld, threshold %.4g, "
           "slack %.3g\n",
           ws_simd_name(), t->comm->size, t->comm->size > 1 ? "s" : "", (long long)b->d,
           (long long)b->chunks, (long long)b->q, (long long)t->width, t->threshold, t->slack);
    printf(
        "listing %lld samples, with values: %.4f s, %.3f ns a pair and core, %.1f pairs a sample\n",
        (long long)t->some.n, r->list, r->list / pairs * cores * 1e9,
        r->listed / (double)t->some.n);
    printf(
        "sgemm of the same products:        %.4f s, %.3f ns a pair and core, %.1f GF/s; comparing "
        "%.4f s\n",
        r->sgemm, r->sgemm / pairs * cores * 1e9, rate, r->compare);
    printf("listing is %.1f times faster than sgemm alone\n", r->sgemm / r->list);
    printf("whole start, %lld samples: %.2f s, %.2f of them for the samples alone; %.1f entries a "
           "sample; rows written out in %.2f s\n",
           (long long)t->all.n, r->build, r->common, r->lists / (double)t->all.n, r->rows);
    printf(
        "dense start: %.2f s by sgemm and comparing, %s from %lld samples, its lists left out, and "
        "%.2f for the samples alone: %.1f times slower\n",
        r->dense, t->all.n > t->some.n ? "extrapolated linearly" : "measured", (long long)t->some.n,
        r->common, r->dense / r->build);
}

static void print_json(const bench *t)
{
    const result *r = &t->r;

    printf("{\"bench\":\"start\",\"simd\":\"%s\",\"ranks\":%d,\"dim\":%lld,\"width\":%lld,"
           "\"samples\":%lld,\"samples_listed\":%lld,\"threshold\":%.17g,\"slack\":%.17g,",
           ws_simd_name(), t->comm->size, (long long)t->all.d, (long long)t->width,
           (long long)t->all.n, (long long)t->some.n, t->threshold, t->slack);
    printf("\"listing_seconds\":%.6g,\"sgemm_seconds\":%.6g,\"compare_seconds\":%.6g,"
           "\"rows_seconds\":%.6g,\"samples_seconds\":%.6g,\"start_seconds\":%.6g,\"dense_"
           "seconds\":%.6g,\"listed\":%.17g,"
           "\"entries\":%.17g,\"listing_ratio\":%.6g,\"start_ratio\":%.6g}\n",
           r->list, r->sgemm, r->compare, r->rows, r->common, r->build, r->dense, r->listed,
           r->lists, r->sgemm / r->list, r->dense / r->build);
}

ws_err ws_bench_start(const ws_comm *comm, const ws_bench_options *o)
{
    bench t = {.comm = comm, .o = o};
    int64_t width[WS_BENCH_WIDTHS];
    int n;
    ws_err err = ws_bench_widths(o->width, width, &n);

    if (!err && n != 1)
        err = ws_fail(WS_ERR_USAGE, "bench start takes one --width, not %.60s", o->width);
    if (err) return err; /* the same on every rank */
    ws_blas_init();
    t.width = width[0];
    err = ws_bench_samples_get(comm, o, &t.samples);
    t.all = t.samples.x;
    if (!err) err = make_rows(&t);
    if (!err) err = measure(&t);
    if (!err && comm->rank == 0) (o->json ? print_json : print)(&t);
    free_all(&t);
    return err;
}
