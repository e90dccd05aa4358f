/* bench_data.c - samples for a measurement: of --data, random, or a small data set of random ones,
 * written for the purpose and removed again. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"
#include "wingspan/io/dataset.h"
#include "wingspan/io/table.h"

/* Random samples with random targets. */
static void fill(const ws_bench_options *o, float *x, float *y)
{
    ws_key key = {(uint64_t)o->seed, WS_STREAM_TEST, 0};
    int64_t n = o->samples, d = o->dim;

    for (int64_t i = 0; i < n; i++) {
        ws_random_normal(&key, (uint64_t)i, d, 1, x + i * d);
        y[i] = (float)(2 * ws_random_uniform(&key, (uint64_t)(n + i), 0) - 1);
    }
}

ws_err ws_bench_data_make(const ws_comm *comm, const ws_bench_options *o, const char *file)
{
    int64_t n = o->samples, d = o->dim, here = comm->rank == 0 ? n : 0, first = n - here;
    float *x = NULL, *y = NULL;
    ws_err err = ws_alloc(&x, n * d, sizeof *x, "samples");

    if (!err) err = ws_alloc(&y, n, sizeof *y, "targets");
    if (!err) fill(o, x, y);
    if (!(err = ws_agree(comm, err)))
        err = ws_table_write(comm, file,
                             (ws_table_column[2]){{"/x", WS_FLOAT32, n, first, here, d, x},
                                                  {"/y", WS_FLOAT32, n, first, here, 0, y}},
                             2);
    ws_free(&x);
    ws_free(&y);
    return err;
}

void ws_bench_file_name(const ws_comm *comm, const char *ending, char name[WS_BENCH_NAME])
{
    long id = (long)getpid();

    MPI_Bcast(&id, 1, MPI_LONG, 0, comm->mpi);
    snprintf(name, WS_BENCH_NAME, "wingspan-bench-%ld.%s", id, ending);
}

ws_err ws_bench_data_open(const ws_comm *comm, const ws_bench_options *o, char file[WS_OPT_TEXT])
{
    char name[WS_BENCH_NAME];

    if (o->data[0]) {
        snprintf(file, WS_OPT_TEXT, "%s", o->data);
        return WS_OK;
    }
    ws_bench_file_name(comm, "h5", name);
    snprintf(file, WS_OPT_TEXT, "%s", name);
    return ws_bench_data_make(comm, o, file);
}

void ws_bench_data_close(const ws_comm *comm, const ws_bench_options *o, const char *file)
{
    if (comm->rank == 0 && !o->data[0]) unlink(file);
}

/* ---- dense samples in memory ---- */

static ws_err random_samples(const ws_comm *comm, const ws_bench_options *o, ws_bench_samples *s)
{
    ws_key key = {(uint64_t)o->seed, WS_STREAM_TEST, 0};
    int64_t n = o->samples, d = o->dim;
    ws_err err = ws_agree(comm, ws_alloc(&s->own, n * d, sizeof *s->own, "samples"));

    for (int64_t i = 0; i < n && !err; i++) {
        float *x = s->own + i * d;
        double norm;

        ws_random_normal(&key, (uint64_t)i, d, 1, x);
        norm = sqrt(ws_norm2(x, d));
        for (int64_t j = 0; j < d; j++) x[j] = (float)(x[j] / norm);
    }
    s->x = (ws_samples){.n = n, .d = d, .x = s->own};
    s->rms = 1;
    return err;
}

ws_err ws_bench_samples_get(const ws_comm *comm, const ws_bench_options *o, ws_bench_samples *s)
{
    ws_dataset_options load = {.samples = o->samples, .pack = 1}; /* as training has them */
    ws_err err;

    *s = (ws_bench_samples){0};
    if (!o->data[0]) return random_samples(comm, o, s);
    load.prepare = (ws_prepare)ws_prepare_find(o->prepare);
    if ((err = ws_dataset_load(comm, o->data, &load, &s->ds))) return err;
    s->x = s->ds->all;
    s->x.n = s->ds->n;
    s->rms = s->ds->rms;
    if (!s->x.x)
        return ws_fail(WS_ERR_USAGE, "this bench multiplies dense samples: %.100s is sparse",
                       o->data);
    return WS_OK;
}

void ws_bench_samples_free(ws_bench_samples *s)
{
    ws_free(&s->own);
    ws_dataset_destroy(&s->ds);
}
