/* bench_overlap.c - how far the fired sets of a start are from their limit: neurons that fire on both of
 * two samples, counted for all pairs, by the width, against P[z_i > b, z_j > b] of normal z.
 *
 * The error is relative, in the Frobenius norm, and its root mean square over seeds is said for rows
 * drawn independently and for rows in blocks: how much a structured start costs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/layout.h"
#include "wingspan/kernel/ntk.h"
#include "wingspan/linalg/blas.h"
#include "wingspan/model/net.h"

enum { ROWS = 512 };

static const ws_init starts[] = {WS_INIT_GAUSSIAN, WS_INIT_STRUCTURED};
static const char *const names[] = {"gaussian", "structured"};

typedef struct bench {
    const ws_comm *comm;
    const ws_samples *x; /* of norm 1 */
    int64_t k, width;    /* samples; neurons over all ranks */
    double shift;
    double *limit, *count; /* [k x k] */
    float *w, *z;          /* [ROWS x d], [ROWS x k] */
    int64_t *fired;        /* [k] */
} bench;

static void free_all(bench *t)
{
    ws_free(&t->limit);
    ws_free(&t->count);
    ws_free(&t->w);
    ws_free(&t->z);
    ws_free(&t->fired);
}

static ws_err make(bench *t)
{
    int64_t k = t->k, d = t->x->d;
    const char *what = "pairs of samples";
    ws_err err;

    if ((err = ws_alloc(&t->limit, k * k, sizeof *t->limit, what)) ||
        (err = ws_alloc(&t->count, k * k, sizeof *t->count, what)) ||
        (err = ws_alloc(&t->w, ROWS * d, sizeof *t->w, "rows")) ||
        (err = ws_alloc(&t->z, ROWS * k, sizeof *t->z, "products")) ||
        (err = ws_alloc(&t->fired, k, sizeof *t->fired, what)))
        return err;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j <= i; j++) {
            double rho = i == j ? 1 : ws_dot(t->x->x + i * d, t->x->x + j * d, d);

            t->limit[i * k + j] = t->limit[j * k + i] = ws_pair_tail(t->shift, fmin(rho, 1));
        }
    return WS_OK;
}

/* Count the pairs of samples that fire each of n neurons from `id` on. */
static void count_rows(bench *t, const ws_net_spec *s, int64_t id, int64_t n)
{
    int64_t k = t->k;

    ws_net_start_rows(s, id, n, t->w);
    ws_sgemm_nt(n, k, s->d, t->w, s->d, t->x->x, s->d, t->z, k);
    for (int64_t r = 0; r < n; r++) {
        int64_t f = 0;

        for (int64_t i = 0; i < k; i++)
            if ((double)t->z[r * k + i] > t->shift) t->fired[f++] = i;
        for (int64_t a = 0; a < f; a++)
            for (int64_t b = 0; b < f; b++) t->count[t->fired[a] * k + t->fired[b]]++;
    }
}

/* Square of the relative error of one start.  Collective. */
static double error2(bench *t, ws_init init, uint64_t seed)
{
    ws_net_spec s = {
        .m = t->width, .d = t->x->d, .c = 1, .init_scale = 1, .init = init, .seed = seed};
    ws_layout l = {t->width, t->comm->size};
    int64_t first = ws_layout_first(&l, t->comm->rank), n = ws_layout_count(&l, t->comm->rank);
    double wrong = 0, size = 0;

    memset(t->count, 0, (size_t)(t->k * t->k) * sizeof *t->count);
    for (int64_t r = 0; r < n; r += ROWS) count_rows(t, &s, first + r, n - r < ROWS ? n - r : ROWS);
    MPI_Allreduce(MPI_IN_PLACE, t->count, ws_int(t->k * t->k), MPI_DOUBLE, MPI_SUM, t->comm->mpi);
    for (int64_t e = 0; e < t->k * t->k; e++) {
        double off = t->count[e] / (double)t->width - t->limit[e];

        wrong += off * off;
        size += t->limit[e] * t->limit[e];
    }
    return wrong / size;
}

static ws_err measure(bench *t, const ws_bench_options *o)
{
    int64_t width[WS_BENCH_WIDTHS];
    int n = 0, rank0 = t->comm->rank == 0;
    ws_err err = ws_bench_widths(o->width, width, &n);

    if (!err) err = ws_agree(t->comm, make(t));
    if (err) return err;
    if (rank0 && o->json) printf("{\"bench\":\"overlap\",\"rows\":[");
    for (int w = 0; w < n; w++) {
        double e[2] = {0, 0};

        t->width = width[w];
        for (int k = 0; k < 2; k++) {
            for (int64_t s = 0; s < o->seeds; s++)
                e[k] += error2(t, starts[k], (uint64_t)(o->seed + s)) / (double)o->seeds;
            e[k] = sqrt(e[k]);
        }
        if (rank0 && o->json)
            printf("%s{\"width\":%lld,\"samples\":%lld,\"shift\":%.17g,\"seeds\":%lld,\"%s\":%.6g,"
                   "\"%s\":%.6g,\"ratio\":%.6g}",
                   w ? "," : "", (long long)width[w], (long long)t->k, t->shift,
                   (long long)o->seeds, names[0], e[0], names[1], e[1], e[1] / e[0]);
        else if (rank0)
            printf("width %9lld, shift %g, %lld samples, %lld seeds: error of intersection counts "
                   "%.4f "
                   "%s, %.4f %s, ratio %.3f\n",
                   (long long)width[w], t->shift, (long long)t->k, (long long)o->seeds, e[0],
                   names[0], e[1], names[1], e[1] / e[0]);
    }
    if (rank0 && o->json) printf("]}\n");
    return WS_OK;
}

ws_err ws_bench_overlap(const ws_comm *comm, const ws_bench_options *o)
{
    bench t = {.comm = comm, .shift = isnan(o->shift) ? 2.5 : o->shift};
    ws_bench_samples x;
    ws_err err;

    ws_blas_init();
    if (!(err = ws_bench_samples_get(comm, o, &x))) {
        t.x = &x.x;
        t.k = x.x.n;
        err = measure(&t, o);
    }
    ws_bench_samples_free(&x);
    free_all(&t);
    return err;
}
