/* bench_newton.c - seconds of a Gauss-Newton step of train by part, beside the same step done densely.
 *
 * The sparse side is a real run of ws_train, its seconds are those of its own metrics.  The dense side
 * is the same algorithm without any use of the neurons that do not fire: pre-activations Z = W X', the
 * shared matrix from the product of who fires with itself, and in every product with J J'
 *
 *     coef = fired o (A V'),  U = coef X,  image = fired o (U X'),  out = image' A
 *
 * are products of all neurons by sgemm on the same ranks; factorisation, conjugate gradients and
 * targets are the very same.  It starts from the weights of train: with --whole it takes the whole
 * first step, and its loss and iterations are to be those of train; otherwise PROBE of its products are
 * timed and multiplied by the iterations that train needs. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/io/dataset.h"
#include "wingspan/linalg/blas.h"
#include "wingspan/linalg/cg.h"
#include "wingspan/linalg/spd.h"
#include "wingspan/model/loss.h"
#include "wingspan/model/net.h"
#include "wingspan/train/train.h"

enum {
    WIDTH,
    SAMPLES,
    SECONDS,
    INDEX,
    FORWARD,
    GRAM,
    PACK,
    FACTOR,
    CG,
    UPDATE,
    ITERATIONS,
    MEMORY,
    LOSS, /* after the first step */
    DENSE,
    DENSE_Z,
    DENSE_GRAM,
    DENSE_FACTOR,
    DENSE_CG,
    DENSE_UPDATE,
    DENSE_LOSS,
    DENSE_ITERATIONS,
    RATIO
};

static const ws_bench_column columns[] = {
    [WIDTH] = {0, "width", "width", 1, 0, WS_BENCH_SAME},
    [SAMPLES] = {0, "samples", "samples", 1, 0, WS_BENCH_SAME},
    [SECONDS] = {0, "step s", "seconds_per_step", 1, 1, WS_BENCH_SAME},
    [INDEX] = {0, "index", "seconds_index", 1, 1, WS_BENCH_SAME},
    [FORWARD] = {0, "outputs", "seconds_forward", 1, 1, WS_BENCH_SAME},
    [GRAM] = {0, "gram", "seconds_gram", 1, 1, WS_BENCH_SAME},
    [PACK] = {0, "pack", "seconds_pack", 1, 1, WS_BENCH_SAME},
    [FACTOR] = {0, "factor", "seconds_factor", 1, 1, WS_BENCH_SAME},
    [CG] = {0, "cg", "seconds_cg", 1, 1, WS_BENCH_SAME},
    [UPDATE] = {0, "update", "seconds_update", 1, 1, WS_BENCH_SAME},
    [ITERATIONS] = {0, "cg its", "cg_iterations", 1, 0, WS_BENCH_SAME},
    [MEMORY] = {0, "MB held", "memory_bytes", 1e6, 1, WS_BENCH_SAME},
    [LOSS] = {0, "loss 1", "first_loss", 1, 0, WS_BENCH_SAME},
    [DENSE] = {1, "step s", "dense_seconds_per_step", 1, 1, WS_BENCH_SAME},
    [DENSE_Z] = {1, "Z", "dense_seconds_z", 1, 1, WS_BENCH_SAME},
    [DENSE_GRAM] = {1, "gram", "dense_seconds_gram", 1, 1, WS_BENCH_SAME},
    [DENSE_FACTOR] = {1, "factor", "dense_seconds_factor", 1, 1, WS_BENCH_SAME},
    [DENSE_CG] = {1, "cg", "dense_seconds_cg", 1, 1, WS_BENCH_SAME},
    [DENSE_UPDATE] = {1, "update", "dense_seconds_update", 1, 1, WS_BENCH_SAME},
    [DENSE_LOSS] = {1, "loss 1", "dense_first_loss", 1, 0, WS_BENCH_SAME},
    [DENSE_ITERATIONS] = {1, "cg its", "dense_cg_iterations", 1, 0, WS_BENCH_SAME},
    [RATIO] = {1, "/ sparse", "dense_by_sparse", 1, 1, WS_BENCH_SAME},
    [RATIO + 1] = {0, NULL, NULL, 0, 0, WS_BENCH_SAME},
};

/* Neurons of a block; rows of a panel of the shared matrix; products timed. */
enum { BLOCK = 1024, PANEL = 512, PROBE = 2 };

/* ---- sparse: train ---- */

static ws_err train(const ws_comm *comm, const ws_bench_options *o, const char *data, int64_t width,
                    const char *metrics, ws_train_options *t)
{
    ws_train_result result;
    ws_err err = ws_train_defaults(t);

    if ((err = ws_agree(comm, err))) return err;
    snprintf(t->data, sizeof t->data, "%s", data);
    snprintf(t->metrics, sizeof t->metrics, "%s", metrics);
    snprintf(t->prepare, sizeof t->prepare, "%s", o->prepare);
    snprintf(t->optimizer, sizeof t->optimizer, "gauss-newton");
    snprintf(t->init, sizeof t->init, "coupled");
    snprintf(t->loss, sizeof t->loss, "squared");
    snprintf(t->index, sizeof t->index, "%s", o->kind);
    t->samples = o->data[0] ? o->samples : 0;
    t->width = width;
    t->shift = o->shift;
    t->steps = o->steps;
    t->seed = o->seed;
    t->log_every = t->quiet = 1;
    return ws_train(comm, t, NULL, &result);
}

static double number(const cJSON *line, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(line, key);

    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static void add_line(const cJSON *line, double *v)
{
    v[INDEX] += number(line, "seconds_query") + number(line, "seconds_index");
    v[FORWARD] += number(line, "seconds_forward") + number(line, "seconds_reduce");
    v[GRAM] += number(line, "seconds_gram");
    v[PACK] += number(line, "seconds_pack");
    v[FACTOR] += number(line, "seconds_factor");
    v[CG] += number(line, "seconds_solve") - number(line, "seconds_gram") -
             number(line, "seconds_pack") - number(line, "seconds_factor");
    v[UPDATE] += number(line, "seconds_update");
    v[ITERATIONS] += number(line, "cg_iterations");
    v[MEMORY] = number(line, "memory_bytes");
    if (number(line, "step") == 1) v[LOSS] = number(line, "loss");
}

/* Means over the steps. */
static ws_err read_metrics(const char *name, double *v)
{
    FILE *file = fopen(name, "r");
    char *text = NULL;
    size_t room = 0;
    int steps = 0;

    if (!file) return ws_fail(WS_ERR_IO, "%s cannot be read", name);
    while (getline(&text, &room, file) > 0) {
        cJSON *line = cJSON_Parse(text);

        if (number(line, "step") > 0 && strstr(text, "\"type\":\"step\"")) {
            add_line(line, v);
            steps++;
        }
        cJSON_Delete(line);
    }
    free(text);
    fclose(file);
    if (steps == 0) return ws_fail(WS_ERR_USAGE, "no step lowered the loss: use a smaller --shift");
    for (int k = INDEX; k <= ITERATIONS; k++) v[k] /= steps;
    for (int k = INDEX; k <= UPDATE; k++) v[SECONDS] += v[k];
    return WS_OK;
}

/* ---- dense ---- */

typedef struct dense {
    const ws_comm *comm;
    ws_dataset *ds;
    ws_net *net;
    ws_targets targets;
    ws_spd *gram;
    int64_t n, d, c, entries;
    float *x, *z, *u;      /* [n x d], [BLOCK x n], [BLOCK x d] */
    float *v, *f, *counts; /* [n x c], [n x c], [n x n] */
    uint8_t *fired;        /* [neurons here x n] */
    int64_t *ids;          /* [n] 0, 1, ... */
    double *out, *residual, *turned, *solution, *rest, *work;
    double product, shared; /* seconds */
    double shift;           /* of the system */
    int products;
} dense;

static void free_dense(dense *t)
{
    ws_free(&t->x);
    ws_free(&t->z);
    ws_free(&t->u);
    ws_free(&t->v);
    ws_free(&t->f);
    ws_free(&t->counts);
    ws_free(&t->fired);
    ws_free(&t->ids);
    ws_free(&t->out);
    ws_free(&t->residual);
    ws_free(&t->turned);
    ws_free(&t->solution);
    ws_free(&t->rest);
    ws_free(&t->work);
    ws_spd_destroy(&t->gram);
    ws_net_destroy(&t->net);
    ws_dataset_destroy(&t->ds);
}

static ws_err alloc_dense(dense *t)
{
    const char *what = "a dense step";
    int64_t n = t->n, e = t->entries;
    ws_err err;

    if ((err = ws_alloc(&t->x, n * t->d, sizeof *t->x, what)) ||
        (err = ws_alloc(&t->z, BLOCK * n, sizeof *t->z, what)) ||
        (err = ws_alloc(&t->u, BLOCK * t->d, sizeof *t->u, what)) ||
        (err = ws_alloc(&t->v, e, sizeof *t->v, what)) ||
        (err = ws_alloc(&t->f, e, sizeof *t->f, what)) ||
        (err = ws_alloc(&t->counts, n * n, sizeof *t->counts, what)) ||
        (err = ws_alloc(&t->fired, t->net->n * n, 1, what)) ||
        (err = ws_alloc(&t->ids, n, sizeof *t->ids, what)) ||
        (err = ws_alloc(&t->out, e, sizeof *t->out, what)) ||
        (err = ws_alloc(&t->residual, e, sizeof *t->residual, what)) ||
        (err = ws_alloc(&t->turned, e, sizeof *t->turned, what)) ||
        (err = ws_alloc(&t->solution, e, sizeof *t->solution, what)) ||
        (err = ws_alloc(&t->rest, e, sizeof *t->rest, what)))
        return err;
    return ws_alloc(&t->work, 3 * e, sizeof *t->work, what);
}

/* The network of train. */
static ws_err make_net(dense *t, const ws_train_options *o)
{
    double shift = isnan(o->shift) ? sqrt(0.4 * ws_log((double)o->width)) : o->shift;
    ws_net_spec s = {.m = o->width,
                     .d = t->d,
                     .c = (int32_t)t->c,
                     .phi = ws_activation_find("relu"),
                     .threshold = shift * t->ds->rms,
                     .init_scale = 1,
                     .x_scale = t->ds->max_norm,
                     .init = WS_INIT_COUPLED,
                     .seed = (uint64_t)o->seed};

    s.scale = 1 / sqrt((double)s.m * s.phi->power(t->ds->rms, s.threshold));
    return ws_net_create(t->comm, &s, &t->net);
}

static ws_err make_dense(dense *t, const ws_comm *comm, const ws_train_options *o)
{
    ws_dataset_options d = {
        .need_y = 1, .samples = o->samples, .prepare = (ws_prepare)ws_prepare_find(o->prepare)};
    ws_err err;

    *t = (dense){.comm = comm};
    if ((err = ws_dataset_load(comm, o->data, &d, &t->ds))) return err;
    t->n = t->ds->n;
    t->d = t->ds->d;
    t->c = ws_loss_find("squared")->outputs(t->ds->prep.classes, t->ds->columns);
    t->entries = t->n * t->c;
    t->targets = (ws_targets){.c = (int32_t)t->c,
                              .label = t->ds->label,
                              .value = t->ds->value,
                              .classes = t->ds->prep.classes};
    if ((err = make_net(t, o)) || (err = ws_agree(comm, alloc_dense(t)))) return err;
    for (int64_t i = 0; i < t->n; i++) {
        t->ids[i] = i;
        ws_samples_row(&t->ds->all, i, t->x + i * t->d);
    }
    return ws_spd_create(comm, t->n, WS_SPD_SERIAL, &t->gram);
}

/* Neurons of the block that begins at r. */
static int64_t block_at(const dense *t, int64_t r)
{
    return t->net->n - r < BLOCK ? t->net->n - r : BLOCK;
}

/* Who fires, and the loss: collective. */
static double look(dense *t)
{
    int64_t n = t->n, c = t->c, correct;
    float threshold = (float)t->net->spec.threshold;
    double scale = t->net->spec.scale, loss;

    memset(t->f, 0, (size_t)t->entries * sizeof *t->f);
    for (int64_t r = 0; r < t->net->n; r += BLOCK) {
        int64_t k = block_at(t, r);
        uint8_t *fired = t->fired + r * n;

        ws_sgemm(0, 1, k, n, t->d, 1, t->net->w + r * t->d, t->d, t->x, t->d, 0, t->z, n);
        for (int64_t e = 0; e < k * n; e++) {
            float over = t->z[e] - threshold;
            fired[e] = over > 0;
            t->z[e] = over > 0 ? over : 0;
        }
        ws_sgemm(1, 0, n, c, k, 1, t->z, n, t->net->a + r * c, c, 1, t->f, c);
    }
    MPI_Allreduce(MPI_IN_PLACE, t->f, ws_int(t->entries), MPI_FLOAT, MPI_SUM, t->comm->mpi);
    for (int64_t e = 0; e < t->entries; e++) t->out[e] = scale * (double)t->f[e];
    loss = ws_loss_batch(ws_loss_find("squared"), &t->targets, t->ids, n, t->out, t->residual,
                         &correct);
    for (int64_t e = 0; e < t->entries; e++) t->residual[e] *= (double)n;
    return loss;
}

/* The shared matrix, half of it by panels; returns the mean of its diagonal.  Collective. */
static double make_gram(dense *t)
{
    int64_t n = t->n;
    double s2 = t->net->spec.scale * t->net->spec.scale, sum = 0;

    memset(t->counts, 0, (size_t)(n * n) * sizeof *t->counts);
    for (int64_t r = 0; r < t->net->n; r += BLOCK) {
        int64_t k = block_at(t, r);

        for (int64_t e = 0; e < k * n; e++) t->z[e] = t->fired[r * n + e];
        for (int64_t i = 0; i < n; i += PANEL) {
            int64_t rows = n - i < PANEL ? n - i : PANEL;
            ws_sgemm(1, 0, rows, i + rows, k, 1, t->z + i, n, t->z, n, 1, t->counts + i * n, n);
        }
    }
    MPI_Allreduce(MPI_IN_PLACE, t->counts, ws_int(n * n), MPI_FLOAT, MPI_SUM, t->comm->mpi);
    for (int64_t i = 0; i < n; i++) {
        const float *xi = t->x + i * t->d;

        sum += s2 * (double)t->counts[i * n + i] * ws_norm2(xi, t->d);
        for (int64_t j = 0; j <= i; j++)
            if (ws_spd_holds(t->gram, i, j))
                ws_spd_put(t->gram, i, j,
                           s2 * (double)t->counts[i * n + j] * ws_dot(xi, t->x + j * t->d, t->d));
    }
    return sum / (double)n;
}

/* coef = fired o (A V') of a block into z, then u = coef X. */
static void to_rows(dense *t, int64_t r, int64_t k)
{
    int64_t n = t->n, c = t->c;
    const uint8_t *fired = t->fired + r * n;

    ws_sgemm(0, 1, k, n, c, 1, t->net->a + r * c, c, t->v, c, 0, t->z, n);
    for (int64_t e = 0; e < k * n; e++) t->z[e] = fired[e] ? t->z[e] : 0;
    ws_sgemm(0, 0, k, t->d, n, 1, t->z, n, t->x, t->d, 0, t->u, t->d);
}

static ws_err product(void *of, const double *v, double *out)
{
    dense *t = of;
    int64_t n = t->n, c = t->c;
    double start = ws_seconds(), s2 = t->net->spec.scale * t->net->spec.scale;

    for (int64_t e = 0; e < t->entries; e++) t->v[e] = (float)v[e];
    memset(t->f, 0, (size_t)t->entries * sizeof *t->f);
    for (int64_t r = 0; r < t->net->n; r += BLOCK) {
        int64_t k = block_at(t, r);
        const uint8_t *fired = t->fired + r * n;

        to_rows(t, r, k);
        ws_sgemm(0, 1, k, n, t->d, 1, t->u, t->d, t->x, t->d, 0, t->z, n);
        for (int64_t e = 0; e < k * n; e++) t->z[e] = fired[e] ? t->z[e] : 0;
        ws_sgemm(1, 0, n, c, k, 1, t->z, n, t->net->a + r * c, c, 1, t->f, c);
    }
    MPI_Allreduce(MPI_IN_PLACE, t->f, ws_int(t->entries), MPI_FLOAT, MPI_SUM, t->comm->mpi);
    for (int64_t e = 0; e < t->entries; e++) out[e] = s2 * (double)t->f[e] + t->shift * v[e];
    t->product += ws_seconds() - start;
    t->products++;
    return WS_OK;
}

static ws_err precondition(void *of, const double *r, double *z)
{
    dense *t = of;
    double start = ws_seconds();
    ws_err err;

    for (int64_t i = 0; i < t->n; i++)
        for (int64_t q = 0; q < t->c; q++) t->turned[q * t->n + i] = r[i * t->c + q];
    err = ws_spd_solve(t->gram, t->c, t->turned);
    for (int64_t i = 0; i < t->n; i++)
        for (int64_t q = 0; q < t->c; q++) z[i * t->c + q] = t->turned[q * t->n + i];
    t->shared += ws_seconds() - start;
    return err;
}

/* W -= J' z. */
static void update(dense *t)
{
    float *w;

    for (int64_t e = 0; e < t->entries; e++) t->v[e] = (float)(t->net->spec.scale * t->solution[e]);
    for (int64_t r = 0; r < t->net->n; r += BLOCK) {
        int64_t k = block_at(t, r);

        to_rows(t, r, k);
        w = t->net->w + r * t->d;
        for (int64_t e = 0; e < k * t->d; e++) w[e] -= t->u[e];
    }
}

static void lap(double *to, double *start)
{
    double now = ws_seconds();

    *to += now - *start;
    *start = now;
}

/* Solve: directly for one output, as train does. */
static ws_err solve(dense *t, const ws_train_options *o, int whole, double iterations, double *v)
{
    ws_cg_system cg = {t->entries, t, product, precondition};
    int done = 0;
    ws_err err;

    if (t->c == 1) return precondition(t, t->residual, t->solution);
    err = ws_cg(&cg, t->residual, o->cg_tolerance, whole ? 200 : PROBE, t->solution, t->rest,
                t->work, &done);
    v[DENSE_ITERATIONS] = whole ? done : iterations;
    return err;
}

/* One step from the start of train.  Collective; agreed. */
static ws_err dense_step(dense *t, const ws_train_options *o, int whole, double *v)
{
    double start, diagonal;
    int ok;
    ws_err err;

    MPI_Barrier(t->comm->mpi);
    start = ws_seconds();
    look(t);
    lap(&v[DENSE_Z], &start);
    diagonal = make_gram(t);
    lap(&v[DENSE_GRAM], &start);
    t->shift = o->damping * diagonal;
    if ((err = ws_spd_factor(t->gram, t->shift, &ok))) return err;
    if (!ok) return ws_fail(WS_ERR_DIVERGED, "the dense matrix is not positive definite");
    lap(&v[DENSE_FACTOR], &start);
    if ((err = solve(t, o, whole, v[ITERATIONS], v))) return err;
    lap(&v[DENSE_CG], &start);
    if (t->c > 1 && !whole)
        v[DENSE_CG] = (t->product + t->shared) / t->products * v[DENSE_ITERATIONS];
    update(t);
    lap(&v[DENSE_UPDATE], &start);
    v[DENSE_LOSS] = whole || t->c == 1 ? look(t) : NAN;
    return WS_OK;
}

/* ---- a row ---- */

static ws_err measure(const ws_comm *comm, const ws_bench_options *o, const char *data,
                      int64_t width, double *v, ws_train_options *opt)
{
    char metrics[WS_BENCH_NAME];
    dense t = {0};
    ws_err err;

    ws_bench_file_name(comm, "jsonl", metrics);
    err = train(comm, o, data, width, metrics, opt);
    if (!err && comm->rank == 0) err = read_metrics(metrics, v);
    if (comm->rank == 0) unlink(metrics);
    if ((err = ws_agree(comm, err))) return err;
    v[WIDTH] = (double)width;
    MPI_Bcast(v, WS_BENCH_COLUMNS, MPI_DOUBLE, 0, comm->mpi);
    if (!(err = make_dense(&t, comm, opt))) err = dense_step(&t, opt, o->whole, v);
    v[SAMPLES] = (double)t.n;
    for (int k = DENSE_Z; k <= DENSE_UPDATE; k++) v[DENSE] += v[k];
    v[RATIO] = v[DENSE] / v[SECONDS];
    free_dense(&t);
    return err;
}

static void print(const ws_bench_options *o, int ranks, const ws_bench_rows *rows)
{
    if (o->json) {
        printf("{\"bench\":\"newton\",\"simd\":\"%s\",\"ranks\":%d,\"steps\":%lld,"
               "\"dense_whole\":%s,",
               ws_simd_name(), ranks, (long long)o->steps, o->whole ? "true" : "false");
        ws_bench_json(columns, rows);
        ws_bench_json_row(columns, rows->v[rows->n - 1]);
        printf("}\n");
        return;
    }
    printf("gauss-newton (%s), %d rank%s, coupled start, squared loss: seconds of a step of train, "
           "mean of %lld\n",
           ws_simd_name(), ranks, ranks > 1 ? "s" : "", (long long)o->steps);
    ws_bench_table(columns, 0, rows);
    printf("\nthe same step with every product over all neurons by sgemm%s\n",
           o->whole ? "" : ", one product timed and multiplied by the iterations of train");
    ws_bench_table(columns, 1, rows);
    printf("index: queries and upkeep; pack: inner products put together for cg; loss 1: after the "
           "first step\n");
}

ws_err ws_bench_newton(const ws_comm *comm, const ws_bench_options *o)
{
    static ws_bench_rows rows = {.kind = "gauss-newton", .exact = 1};
    static ws_train_options opt;
    int64_t width[WS_BENCH_WIDTHS];
    char data[WS_OPT_TEXT];
    int n = 0;
    ws_err err = ws_bench_widths(o->width, width, &n);

    if (err) return err; /* the same on every rank */
    ws_blas_init();
    err = ws_bench_data_open(comm, o, data);
    for (int i = 0; i < n && !err; i++)
        if (!(err = measure(comm, o, data, width[i], rows.v[rows.n], &opt))) rows.n++;
    ws_bench_data_close(comm, o, data);
    if (!err && comm->rank == 0) print(o, comm->size, &rows);
    return err;
}
