/* bench_index.c - an index on Gaussian rows and random unit samples: build, query, update, and
 * the machine's own sgemm for the same product in the same run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"
#include "wingspan/index/index.h"
#include "wingspan/linalg/blas.h"

enum { WIDTHS = 40, REPEATS = 3 };

typedef struct row {
    double width, active, work, build, query, update, bytes, sgemm, candidates;
} row;

typedef struct bench {
    const ws_comm *comm;
    const ws_bench_options *o;
    int64_t first, n, batch; /* neurons here; samples a query */
    float *w, *b, *x, *tile;
    int64_t *ids;
    double threshold;
    ws_index *ix;
    ws_hits hits;
} bench;

static ws_err alloc_all(bench *t)
{
    const ws_bench_options *o = t->o;
    ws_err err;

    if ((err = ws_alloc(&t->w, t->n * o->dim, sizeof *t->w, "weights")) ||
        (err = ws_alloc(&t->b, t->n, sizeof *t->b, "biases")) ||
        (err = ws_alloc(&t->x, o->samples * o->dim, sizeof *t->x, "samples")) ||
        (err = ws_alloc(&t->tile, t->batch * 1024, sizeof *t->tile, "products")) ||
        (err = ws_alloc(&t->ids, t->batch, sizeof *t->ids, "samples")))
        return err;
    return WS_OK;
}

static void free_all(bench *t)
{
    ws_index_destroy(&t->ix);
    ws_hits_free(&t->hits);
    ws_free(&t->w);
    ws_free(&t->b);
    ws_free(&t->x);
    ws_free(&t->tile);
    ws_free(&t->ids);
}

static void fill(bench *t)
{
    const ws_bench_options *o = t->o;
    ws_key weights = {(uint64_t)o->seed, WS_STREAM_WEIGHT, 0};
    ws_key samples = {(uint64_t)o->seed, WS_STREAM_TEST, 0};
    int64_t d = o->dim;

    for (int64_t r = 0; r < t->n; r++)
        ws_random_normal(&weights, (uint64_t)(t->first + r), d, 1, t->w + r * d);
    for (int64_t i = 0; i < o->samples; i++) {
        float *x = t->x + i * d;
        double norm;
        ws_random_normal(&samples, (uint64_t)i, d, 1, x);
        norm = sqrt(ws_norm2(x, d));
        for (int64_t j = 0; j < d; j++) x[j] = (float)(x[j] / norm);
    }
    for (int64_t k = 0; k < t->batch; k++) t->ids[k] = k;
}

/* Seconds of the bare product of all rows here with the batch: the best of a few. */
static double time_sgemm(const bench *t)
{
    double best = INFINITY;

    for (int k = 0; k < REPEATS; k++) {
        double s = ws_seconds();
        for (int64_t r = 0; r < t->n; r += 1024) {
            int64_t n = t->n - r < 1024 ? t->n - r : 1024;
            ws_sgemm_nt(n, t->batch, t->o->dim, t->w + r * t->o->dim, t->o->dim, t->x, t->o->dim,
                        t->tile, t->batch);
        }
        best = fmin(best, ws_seconds() - s);
    }
    return best;
}

static ws_err time_query(bench *t, row *q)
{
    ws_query query = {
        .kind = WS_QUERY_SAMPLE, .n = t->batch, .ids = t->ids, .threshold = t->threshold};
    ws_err err = ws_index_query(t->ix, &query, &t->hits); /* buffers grow in the first one */

    q->query = INFINITY;
    for (int k = 0; k < REPEATS && !err; k++) {
        ws_index_counts before = ws_index_count(t->ix), after;
        double s = ws_seconds();
        err = ws_index_query(t->ix, &query, &t->hits);
        q->query = fmin(q->query, ws_seconds() - s);
        after = ws_index_count(t->ix);
        q->work = (double)(after.inner_products + after.node_visits - before.inner_products -
                           before.node_visits);
        q->candidates = (double)(after.candidates - before.candidates);
    }
    q->active = (double)t->hits.n;
    q->bytes = (double)ws_index_count(t->ix).bytes;
    return err;
}

/* Move neurons by a multiple of one sample each, and tell the index. */
static ws_err time_update(bench *t, row *q)
{
    ws_key key = {(uint64_t)t->o->seed, WS_STREAM_TEST, 1};
    int64_t d = t->o->dim, first[2] = {0, 1};
    double *delta = NULL;
    ws_err err = ws_alloc(&delta, d, sizeof *delta, "step");

    q->update = 0;
    for (int64_t u = 0; u < t->o->updates && t->n > 0 && !err; u++) {
        int64_t r = (int64_t)(ws_random_uniform(&key, (uint64_t)u, 0) * (double)t->n);
        int64_t i = (int64_t)(ws_random_uniform(&key, (uint64_t)u, 1) * (double)t->o->samples);
        float coef = (float)(0.1 * ws_random_uniform(&key, (uint64_t)u, 2));
        int32_t pos = 0;
        double norm, s;

        memset(delta, 0, (size_t)d * sizeof *delta);
        ws_axpy(delta, coef, t->x + i * d, d);
        norm = sqrt(ws_row_add(t->w + r * d, delta, d)) * (1 + 1e-12);
        s = ws_seconds();
        err = ws_index_update(t->ix, &(ws_moves){.k = 1,
                                                 .row = &r,
                                                 .norm = &norm,
                                                 .first = first,
                                                 .pos = &pos,
                                                 .ids = &i,
                                                 .coef = &coef});
        q->update += ws_seconds() - s;
    }
    ws_free(&delta);
    return err;
}

static ws_err measure_here(bench *t, row *q)
{
    ws_err err = time_query(t, q);

    q->sgemm = time_sgemm(t);
    return err ? err : time_update(t, q);
}

/* One width.  Collective; agreed. */
static ws_err measure(const ws_comm *comm, const ws_bench_options *o, int64_t width, row *q)
{
    ws_layout l = {width, comm->size};
    bench t = {.comm = comm,
               .o = o,
               .first = ws_layout_first(&l, comm->rank),
               .n = ws_layout_count(&l, comm->rank),
               .batch = o->batch < o->samples ? o->batch : o->samples,
               .threshold = isnan(o->shift) ? sqrt(0.4 * ws_log((double)width)) : o->shift};
    ws_samples x = {.n = o->samples, .d = o->dim};
    ws_shard shard;
    double s;
    ws_err err = ws_agree(comm, alloc_all(&t));

    if (!err) {
        fill(&t);
        x.x = t.x;
        shard = (ws_shard){t.n, o->dim, t.w, t.b};
        err = ws_index_create(comm, o->kind, NULL, &t.ix);
        s = ws_seconds();
        if (!err) err = ws_index_build(t.ix, &shard, &x, t.threshold);
        q->build = ws_seconds() - s;
    }
    if (!err) err = ws_agree(comm, measure_here(&t, q));
    if (!err) {
        double sums[4] = {q->active, q->work, q->bytes, q->candidates};
        double most[4] = {q->build, q->query, q->update, q->sgemm};
        MPI_Allreduce(MPI_IN_PLACE, sums, 4, MPI_DOUBLE, MPI_SUM, comm->mpi);
        MPI_Allreduce(MPI_IN_PLACE, most, 4, MPI_DOUBLE, MPI_MAX, comm->mpi);
        *q = (row){.width = (double)width,
                   .active = sums[0] / (double)t.batch,
                   .work = sums[1] / (double)t.batch,
                   .bytes = sums[2],
                   .candidates = sums[3] / (double)t.batch,
                   .build = most[0],
                   .query = most[1],
                   .update = most[2],
                   .sgemm = most[3]};
    }
    free_all(&t);
    return err;
}

/* "65536" or "2^12..2^20". */
static ws_err widths_of(const char *text, int64_t *list, int *n)
{
    ws_opt one = {.name = "width", .type = WS_OPT_INT, .range = "[1,2^40]"};
    const char *dots = strstr(text, "..");
    char low[100];
    int64_t lo, hi;
    ws_err err;

    snprintf(low, sizeof low, "%.*s", dots ? (int)(dots - text) : 90, text);
    if ((err = ws_option_set(&one, low, &lo))) return err;
    hi = lo;
    if (dots && (err = ws_option_set(&one, dots + 2, &hi))) return err;
    for (*n = 0; lo <= hi && *n < WIDTHS; lo *= 2) list[(*n)++] = lo;
    return *n ? WS_OK
              : ws_fail(WS_ERR_USAGE, "--width %.60s: the range is empty, write 2^12..2^16", text);
}

/* Exponent of y in the width, by least squares in logarithms. */
static double exponent(const row *q, int n, size_t field)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;

    for (int i = 0; i < n; i++) {
        double x = log(q[i].width), v, y;
        memcpy(&v, (const char *)&q[i] + field, sizeof v);
        y = log(v);
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    return n > 1 ? (n * sxy - sx * sy) / (n * sxx - sx * sx) : NAN;
}

static void print_number(const char *key, double v, const char *end)
{
    if (isfinite(v))
        printf("\"%s\":%.9g%s", key, v, end);
    else
        printf("\"%s\":null%s", key, end);
}

static void print_json(const ws_bench_options *o, int ranks, const row *q, int n)
{
    printf("{\"bench\":\"index\",\"kind\":\"%s\",\"simd\":\"%s\",\"ranks\":%d,\"rows\":[", o->kind,
           ws_simd_name(), ranks);
    for (int i = 0; i < n; i++) {
        printf("%s{", i ? "," : "");
        print_number("width", q[i].width, ",");
        print_number("active", q[i].active, ",");
        print_number("work", q[i].work, ",");
        print_number("candidates", q[i].candidates, ",");
        print_number("build_seconds", q[i].build, ",");
        print_number("query_seconds", q[i].query, ",");
        print_number("update_seconds", q[i].update, ",");
        print_number("sgemm_seconds", q[i].sgemm, ",");
        print_number("bytes", q[i].bytes, "}");
    }
    printf("],\"exponents\":{");
    print_number("active", exponent(q, n, offsetof(row, active)), ",");
    print_number("work", exponent(q, n, offsetof(row, work)), ",");
    print_number("query_seconds", exponent(q, n, offsetof(row, query)), "}}\n");
}

static void print_table(const ws_bench_options *o, int ranks, const row *q, int n)
{
    double batch = (double)(o->batch < o->samples ? o->batch : o->samples);

    printf("index %s (%s), %d rank%s, d = %lld, %lld samples, %.0f a query, %lld updates\n",
           o->kind, ws_simd_name(), ranks, ranks > 1 ? "s" : "", (long long)o->dim,
           (long long)o->samples, batch, (long long)o->updates);
    printf("%10s %9s %10s %10s %9s %9s %9s %9s %8s %8s %6s\n", "width", "active", "work",
           "candidates", "build s", "query s", "update s", "MB", "GF/s", "sgemm", "%");
    for (int i = 0; i < n; i++) {
        double flops = 2 * q[i].width * batch * (double)o->dim;
        printf("%10.0f %9.1f %10.0f %10.1f %9.3g %9.3g %9.3g %9.1f %8.1f %8.1f %6.1f\n", q[i].width,
               q[i].active, q[i].work, q[i].candidates, q[i].build, q[i].query, q[i].update,
               q[i].bytes / 1e6, flops / q[i].query / 1e9, flops / q[i].sgemm / 1e9,
               100 * q[i].sgemm / q[i].query);
    }
    if (n > 1)
        printf("exponents in the width: active %.3f, work %.3f, query seconds %.3f\n",
               exponent(q, n, offsetof(row, active)), exponent(q, n, offsetof(row, work)),
               exponent(q, n, offsetof(row, query)));
    printf(
        "GF/s: 2 x width x samples x d over the query's seconds; sgemm: the bare product in this "
        "run\n");
}

ws_err ws_bench_index(const ws_comm *comm, const ws_bench_options *o)
{
    int64_t width[WIDTHS];
    row q[WIDTHS] = {{0}};
    int n = 0;
    ws_err err = widths_of(o->width, width, &n);

    ws_blas_init();
    for (int i = 0; i < n && !err; i++) err = measure(comm, o, width[i], &q[i]);
    if (err || comm->rank != 0) return err;
    if (o->json)
        print_json(o, comm->size, q, n);
    else
        print_table(o, comm->size, q, n);
    return WS_OK;
}
