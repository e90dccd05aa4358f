/* bench_dense.c - the same network trained by dense products: what a step costs if no use is made of
 * the neurons that do not fire, done as well as BLAS allows.
 *
 * Neurons are divided over ranks as in training, one thread a rank. Neurons go in blocks and samples in
 * tiles, so that a tile of pre-activations stays in cache between the product that makes it, the
 * activation, and the product that uses it; a bit a pair remembers for the way back who fired. Samples,
 * their order, start and loss are those of train: the losses agree up to rounding. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_machine.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/random.h"
#include "wingspan/io/dataset.h"
#include "wingspan/linalg/blas.h"
#include "wingspan/model/loss.h"
#include "wingspan/model/net.h"

enum { WIDTH, SECONDS, FORWARD, BACKWARD, EPOCH, FLOOR, TIMES, ACHIEVED, SGEMM, SHARE, BUSY, LOSS };

static const ws_bench_column columns[] = {
    [WIDTH] = {0, "width", "width", 1, 0, WS_BENCH_SAME},
    [SECONDS] = {0, "step ms", "seconds_per_step", 1e-3, 1, WS_BENCH_MOST},
    [FORWARD] = {0, "forward", "seconds_forward", 1e-3, 1, WS_BENCH_MOST},
    [BACKWARD] = {0, "backward", "seconds_update", 1e-3, 1, WS_BENCH_MOST},
    [EPOCH] = {0, "epoch s", "seconds_per_epoch", 1, 1, WS_BENCH_SAME},
    [FLOOR] = {0, "floor ms", "floor_seconds", 1e-3, 1, WS_BENCH_SAME},
    [TIMES] = {0, "/ floor", "times_floor", 1, 0, WS_BENCH_SAME},
    [ACHIEVED] = {0, "GF/s", "flops_per_second", 1e9, 0, WS_BENCH_SAME},
    [SGEMM] = {0, "sgemm", "sgemm_flops_per_second", 1e9, 0, WS_BENCH_SAME},
    [SHARE] = {0, "share %", "share_of_sgemm", 0.01, 0, WS_BENCH_SAME},
    [BUSY] = {0, "busy %", "busy", 0.01, 0, WS_BENCH_SAME},
    [LOSS] = {0, "loss", "loss", 1, 0, WS_BENCH_SAME},
    [LOSS + 1] = {0, NULL, NULL, 0, 0, WS_BENCH_SAME},
};

/* Measured on Zen 4, GF/s a core of 100 that sgemm reaches: blocks of 512, 1024, 2048, 8192 neurons give
 * 86, 91, 89, 87 at batch 128; tiles of 512, 1024, 2048 samples give 95, 96, 97 with blocks of 1024. */
enum { WARM = 2, TILE = 2048, BLOCK = 1024 };

typedef struct dense {
    const ws_comm *comm;
    const ws_bench_options *o;
    ws_dataset *ds;
    ws_net *net;
    ws_targets targets;
    const ws_loss *loss;
    int64_t batch, per_epoch; /* samples a step, steps an epoch */
    int64_t tile;             /* samples */
    int64_t *order;           /* [n] of the samples in the epoch */
    float *x, *z, *f, *g;     /* [batch x d], [tile x BLOCK], [batch x c], [batch x c] */
    uint8_t *fired;           /* [batch x neurons here] bits, tile by tile */
    uint32_t keep[256][8];    /* of a byte of bits: all ones where a bit is set */
    double *out, *grad;       /* [batch x c] */
    double forward, *seconds; /* of the last step; [steps] */
    double last_loss, rate;
} dense;

static void free_all(dense *t)
{
    ws_free(&t->order);
    ws_free(&t->x);
    ws_free(&t->z);
    ws_free(&t->f);
    ws_free(&t->g);
    ws_free(&t->fired);
    ws_free(&t->out);
    ws_free(&t->grad);
    ws_free(&t->seconds);
    ws_net_destroy(&t->net);
    ws_dataset_destroy(&t->ds);
}

/* ---- set up ---- */

static ws_err make_net(dense *t, int64_t width)
{
    const ws_bench_options *o = t->o;
    double shift = isnan(o->shift) ? sqrt(0.4 * ws_log((double)width)) : o->shift;
    ws_net_spec s = {.m = width,
                     .d = t->ds->d,
                     .c = t->targets.c,
                     .phi = ws_activation_find("relu"),
                     .threshold = shift * t->ds->rms,
                     .init_scale = 1,
                     .x_scale = t->ds->max_norm,
                     .seed = (uint64_t)o->seed};

    s.scale = 1 / sqrt((double)width * s.phi->power(t->ds->rms, s.threshold));
    return ws_net_create(t->comm, &s, &t->net);
}

static ws_err load(dense *t, const char *file)
{
    const ws_bench_options *o = t->o;
    ws_dataset_options d = {.need_y = 1,
                            .samples = o->data[0] ? o->samples : 0,
                            .prepare = (ws_prepare)ws_prepare_find(o->prepare)};
    ws_err err = ws_dataset_load(t->comm, file, &d, &t->ds);
    int32_t classes;
    const char *loss = o->loss;

    if (err) return err;
    classes = t->ds->prep.classes;
    if (strcmp(loss, "auto") == 0)
        loss = classes > 2 ? "softmax" : classes == 2 ? "logistic" : "squared";
    t->loss = ws_loss_find(loss);
    t->targets = (ws_targets){.c = t->loss->outputs(classes, t->ds->columns),
                              .label = t->ds->label,
                              .value = t->ds->value,
                              .classes = classes};
    if (t->targets.c < 1)
        return ws_fail(WS_ERR_USAGE, "--loss %s does not fit the y of %s", loss, t->ds->name);
    t->batch = o->batch > 0 && o->batch < t->ds->n ? o->batch : t->ds->n;
    t->per_epoch = (t->ds->n + t->batch - 1) / t->batch;
    return WS_OK;
}

static ws_err alloc_all(dense *t)
{
    int64_t entries = t->batch * t->targets.c, blocks = (t->net->n + BLOCK - 1) / BLOCK;
    ws_err err;

    if ((err = ws_alloc(&t->order, t->ds->n, sizeof *t->order, "order of the samples")) ||
        (err = ws_alloc(&t->x, t->batch * t->ds->d, sizeof *t->x, "batch")) ||
        (err = ws_alloc(&t->z, t->tile * BLOCK, sizeof *t->z, "pre-activations")) ||
        (err = ws_alloc(&t->f, entries, sizeof *t->f, "outputs")) ||
        (err = ws_alloc(&t->g, entries, sizeof *t->g, "gradient")) ||
        (err = ws_alloc(&t->fired, t->batch * blocks * (BLOCK / 8), 1, "bits of who fired")) ||
        (err = ws_alloc(&t->out, entries, sizeof *t->out, "outputs")) ||
        (err = ws_alloc(&t->grad, entries, sizeof *t->grad, "gradient")))
        return err;
    return ws_alloc(&t->seconds, t->o->steps, sizeof *t->seconds, "seconds");
}

/* ---- a step ---- */

/* z - threshold where that is positive, else 0; bit j of fired[j / 8]. n is a multiple of 8. */
static void activate(float *z, int64_t n, float threshold, uint8_t *fired)
{
    for (int64_t i = 0; i < n; i += 64) {
        int64_t k = n - i < 64 ? n - i : 64;
        uint8_t on[64];
        uint64_t word;

        for (int64_t j = 0; j < k; j++) on[j] = z[i + j] > threshold;
        for (int64_t j = 0; j < k; j++) {
            float v = z[i + j] - threshold;

            z[i + j] = v > 0 ? v : 0;
        }
        /* Eight bytes of 0 or 1 into eight bits. */
        for (int64_t j = 0; j < k; j += 8) {
            memcpy(&word, on + j, 8);
            fired[(i + j) / 8] = (uint8_t)((word * 0x0102040810204080u) >> 56);
        }
    }
}

/* 0 where nothing fired: and with all bits set where something did. */
static void mask(float *z, int64_t n, const uint8_t *fired, const uint32_t keep[256][8])
{
    uint32_t bits[8];

    for (int64_t i = 0; i < n; i += 8) {
        memcpy(bits, z + i, sizeof bits);
        for (int j = 0; j < 8; j++) bits[j] &= keep[fired[i / 8]][j];
        memcpy(z + i, bits, sizeof bits);
    }
}

/* The bits of a tile: samples from `at`, the block of neurons that begins at r. */
static uint8_t *bits_of(const dense *t, int64_t r, int64_t at)
{
    return t->fired + (r * t->batch + at * BLOCK) / 8;
}

static void forward_tile(dense *t, int64_t r, int64_t neurons, int64_t at, int64_t samples)
{
    int64_t d = t->ds->d, c = t->targets.c;
    uint8_t *fired = bits_of(t, r, at);

    ws_sgemm(0, 1, samples, neurons, d, 1, t->x + at * d, d, t->net->w + r * d, d, 0, t->z, BLOCK);
    activate(t->z, samples * BLOCK, (float)t->net->spec.threshold, fired);
    ws_sgemm(0, 0, samples, c, neurons, 1, t->z, BLOCK, t->net->a + r * c, c, 1, t->f + at * c, c);
}

static void backward_tile(dense *t, int64_t r, int64_t neurons, int64_t at, int64_t samples)
{
    int64_t d = t->ds->d, c = t->targets.c;

    ws_sgemm(0, 1, samples, neurons, c, 1, t->g + at * c, c, t->net->a + r * c, c, 0, t->z, BLOCK);
    mask(t->z, samples * BLOCK, bits_of(t, r, at), t->keep);
    ws_sgemm(1, 0, neurons, d, samples, (float)-t->rate, t->z, BLOCK, t->x + at * d, d, 1,
             t->net->w + r * d, d);
}

static void over_tiles(dense *t, int64_t n,
                       void (*tile)(dense *, int64_t, int64_t, int64_t, int64_t))
{
    for (int64_t r = 0; r < t->net->n; r += BLOCK) {
        int64_t neurons = t->net->n - r < BLOCK ? t->net->n - r : BLOCK;

        for (int64_t at = 0; at < n; at += t->tile)
            tile(t, r, neurons, at, n - at < t->tile ? n - at : t->tile);
    }
}

/* Samples of step k in the order of train; returns how many. */
static int64_t draw(dense *t, int64_t k, const int64_t **ids)
{
    int64_t d = t->ds->d, at = k % t->per_epoch * t->batch, n = t->ds->n - at;

    if (k % t->per_epoch == 0) {
        ws_key key = {(uint64_t)t->o->seed, WS_STREAM_SHUFFLE, 0};

        if (t->per_epoch > 1)
            ws_random_permutation(&key, (uint64_t)(k / t->per_epoch), t->ds->n, t->order);
        else
            for (int64_t i = 0; i < t->ds->n; i++) t->order[i] = i;
    }
    n = n < t->batch ? n : t->batch;
    *ids = t->order + at;
    for (int64_t i = 0; i < n; i++) ws_samples_row(&t->ds->all, (*ids)[i], t->x + i * d);
    return n;
}

/* Returns the samples in it.  Collective. */
static int64_t step(dense *t, int64_t k)
{
    const int64_t *ids;
    double start = ws_seconds();
    int64_t n = draw(t, k, &ids), entries = n * t->targets.c, correct;

    memset(t->f, 0, (size_t)entries * sizeof *t->f);
    over_tiles(t, n, forward_tile);
    MPI_Allreduce(MPI_IN_PLACE, t->f, ws_int(entries), MPI_FLOAT, MPI_SUM, t->comm->mpi);
    t->forward = ws_seconds() - start;
    for (int64_t i = 0; i < entries; i++) t->out[i] = t->net->spec.scale * (double)t->f[i];
    t->last_loss = ws_loss_batch(t->loss, &t->targets, ids, n, t->out, t->grad, &correct);
    for (int64_t i = 0; i < entries; i++) t->g[i] = (float)(t->net->spec.scale * t->grad[i]);
    over_tiles(t, n, backward_tile);
    return n;
}

/* ---- a row ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median over steps of the slowest rank's seconds; the last batch of an epoch, which is shorter,
 * counts by its samples. Collective. */
static void time_steps(dense *t, double *v)
{
    int64_t steps = t->o->steps;
    double forward = 0, whole = 0, cpu = 0;

    for (int64_t k = 0; k < WARM + steps; k++) {
        double start, seconds;
        int64_t n;

        MPI_Barrier(t->comm->mpi);
        start = ws_seconds();
        n = step(t, k);
        MPI_Barrier(t->comm->mpi);
        seconds = ws_seconds() - start;
        if (k < WARM) {
            cpu = ws_bench_cpu();
            continue;
        }
        t->seconds[k - WARM] = seconds * (double)t->batch / (double)n;
        whole += seconds;
        forward += t->forward;
    }
    MPI_Allreduce(MPI_IN_PLACE, t->seconds, ws_int(steps), MPI_DOUBLE, MPI_MAX, t->comm->mpi);
    qsort(t->seconds, (size_t)steps, sizeof *t->seconds, by_size);
    v[SECONDS] = t->seconds[steps / 2];
    v[FORWARD] = v[SECONDS] * forward / whole;
    v[BACKWARD] = v[SECONDS] - v[FORWARD];
    v[BUSY] = ws_bench_busy(t->comm, ws_bench_cpu() - cpu, whole);
    MPI_Bcast(&v[FORWARD], 2, MPI_DOUBLE, 0, t->comm->mpi);
}

/* The best that sgemm does here: with the shape of a tile, and with one that suits it. */
static ws_err sgemm_rate(const dense *t, double *rate)
{
    double tile = 0, large = 0;
    int64_t d = t->ds->d;
    ws_err err = ws_bench_machine_sgemm(t->comm, t->tile, BLOCK, d, &tile);

    if (!err) err = ws_bench_machine_sgemm(t->comm, 1024, 1024, d, &large);
    *rate = fmax(tile, large);
    return err;
}

static ws_err measure(const ws_comm *comm, const ws_bench_options *o, const char *file,
                      int64_t width, double *v, dense *t)
{
    double flops;
    ws_err err;

    *t = (dense){.comm = comm, .o = o, .rate = isnan(o->rate) ? 1 : o->rate};
    if ((err = load(t, file)) || (err = make_net(t, width))) return err; /* agreed */
    for (int k = 0; k < 256 * 8; k++) t->keep[k / 8][k % 8] = k / 8 >> k % 8 & 1 ? UINT32_MAX : 0;
    t->tile = t->batch < TILE ? t->batch : TILE;
    if ((err = ws_agree(comm, alloc_all(t)))) return err;
    if ((err = sgemm_rate(t, &v[SGEMM]))) return err;
    time_steps(t, v);
    /* A pair costs d multiply-adds in each of the two products; the outputs are not counted. */
    flops = 4.0 * (double)t->batch * (double)t->ds->d * (double)width;
    v[WIDTH] = (double)width;
    v[EPOCH] = v[SECONDS] * (double)t->ds->n / (double)t->batch;
    v[ACHIEVED] = flops / v[SECONDS];
    v[SHARE] = v[ACHIEVED] / v[SGEMM];
    v[FLOOR] = flops / v[SGEMM];
    v[TIMES] = v[SECONDS] / v[FLOOR];
    v[LOSS] = t->last_loss;
    return WS_OK;
}

/* ---- saying ---- */

static void print(const ws_bench_options *o, const dense *t, const ws_bench_rows *rows)
{
    long long d = t->ds->d, n = t->ds->n, batch = t->batch, steps = o->steps;

    if (o->json) {
        printf("{\"bench\":\"dense\",\"ranks\":%d,\"dim\":%lld,\"samples\":%lld,\"batch\":%lld,"
               "\"steps\":%lld,",
               t->comm->size, d, n, batch, steps);
        ws_bench_json(columns, rows);
        ws_bench_json_row(columns, rows->v[rows->n - 1]);
        printf("}\n");
        return;
    }
    printf(
        "dense training by sgemm, %d rank%s, d = %lld, %lld samples, %lld a step, median of %lld "
        "steps\n",
        t->comm->size, t->comm->size > 1 ? "s" : "", d, n, batch, steps);
    ws_bench_table(columns, 0, rows);
    printf(
        "GF/s count the two large products alone; sgemm: its best rate here on all ranks at once; "
        "floor: at that rate\n");
}

ws_err ws_bench_dense(const ws_comm *comm, const ws_bench_options *o)
{
    static ws_bench_rows rows = {.kind = "dense", .exact = 1};
    int64_t width[WS_BENCH_WIDTHS];
    char data[WS_OPT_TEXT];
    dense t = {0};
    int n = 0;
    ws_err err = ws_bench_widths(o->width, width, &n);

    if (err) return err; /* the same on every rank */
    ws_blas_init();
    err = ws_bench_data_open(comm, o, data);
    for (int i = 0; i < n && !err; i++) {
        free_all(&t);
        if (!(err = measure(comm, o, data, width[i], rows.v[rows.n], &t))) rows.n++;
    }
    if (!err && comm->rank == 0) print(o, &t, &rows);
    free_all(&t);
    ws_bench_data_close(comm, o, data);
    return err;
}
