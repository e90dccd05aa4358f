/* bench_step.c - where the seconds of training go: one epoch is trained untimed, the steps after it
 * are timed, and set beside the least that the machine would need for them.
 *
 * That least, the floor, is the larger of two times. The rows that fired are read once for the
 * outputs, read and written once for the update: 12 d bytes each, at the rate of a copy. A fired pair
 * costs 2 d flops in the exact routine and as many in the update, at their rates on data in the first
 * cache, samples in the form that the run reads. All rates are measured in the run, on all ranks at
 * once.
 *
 * Rows that lie apart come slower than a copy, and samples of a batch do not stay in the first cache: the
 * reach is what the products and the update of a batch take with nothing of an index around them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_machine.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/train/session.h"

enum {
    WIDTH,
    SECONDS,
    QUERY,
    FORWARD,
    REDUCE,
    UPDATE,
    INDEX,
    OTHER,
    FLOOR,
    TIMES,
    REACH,
    EPOCH,
    START,
    ACTIVE,
    ROWS,
    CHECKED,
    RELISTED,
    MOVED,
    BYTES,
    FLOPS,
    REDUCED,
    MEETINGS,
    MEMORY,
    RATE,
    BUSY,
    LOSS
};

static const ws_bench_column columns[] = {
    [WIDTH] = {0, "width", "width", 1, 0, WS_BENCH_SAME},
    [SECONDS] = {0, "step ms", "seconds_per_step", 1e-3, 1, WS_BENCH_MOST},
    [QUERY] = {0, "query", "seconds_query", 1e-3, 1, WS_BENCH_SUM},
    [FORWARD] = {0, "forward", "seconds_forward", 1e-3, 1, WS_BENCH_SUM},
    [REDUCE] = {0, "reduce", "seconds_reduce", 1e-3, 1, WS_BENCH_SUM},
    [UPDATE] = {0, "backward", "seconds_update", 1e-3, 1, WS_BENCH_SUM},
    [INDEX] = {0, "upkeep", "seconds_index", 1e-3, 1, WS_BENCH_SUM},
    [OTHER] = {0, "other", "seconds_other", 1e-3, 1, WS_BENCH_SAME},
    [FLOOR] = {0, "floor ms", "floor_seconds", 1e-3, 1, WS_BENCH_SAME},
    [TIMES] = {0, "/ floor", "times_floor", 1, 0, WS_BENCH_SAME},
    [REACH] = {0, "reach ms", "reach_seconds", 1e-3, 1, WS_BENCH_SAME},
    [EPOCH] = {0, "epoch s", "seconds_per_epoch", 1, 1, WS_BENCH_SAME},
    [START] = {0, "start s", "seconds_start", 1, 1, WS_BENCH_MOST},
    [ACTIVE] = {1, "active", "active", 1, 1, WS_BENCH_SAME},
    [ROWS] = {1, "rows", "rows_fired", 1, 1, WS_BENCH_SAME},
    [CHECKED] = {1, "cand/fir", "candidates_per_fired", 1, 0, WS_BENCH_SAME},
    [RELISTED] = {1, "relisted", "relisted_per_epoch", 1, 0, WS_BENCH_SAME},
    [MOVED] = {1, "moved", "median_displacement", 1, 0, WS_BENCH_SAME},
    [BYTES] = {1, "MB moved", "bytes_moved", 1e6, 1, WS_BENCH_SAME},
    [FLOPS] = {1, "Gflop", "flops", 1e9, 1, WS_BENCH_SAME},
    [REDUCED] = {1, "kB red.", "bytes_reduced", 1e3, 1, WS_BENCH_SAME},
    [MEETINGS] = {1, "meetings", "collectives", 1, 0, WS_BENCH_SAME},
    [MEMORY] = {1, "MB held", "memory_bytes", 1e6, 1, WS_BENCH_SAME},
    [RATE] = {1, "rate", "rate", 1, 0, WS_BENCH_SAME},
    [BUSY] = {1, "busy %", "busy", 0.01, 0, WS_BENCH_SAME},
    [LOSS] = {1, "loss", "loss", 1, 0, WS_BENCH_SAME},
    [LOSS + 1] = {0, NULL, NULL, 0, 0, WS_BENCH_SAME},
};

enum { MOST_EPOCHS = 1000, LEAST_STEPS = 5 };

/* After each epoch of --finish: seconds from the start of the run, everything counted. */
typedef struct finish {
    int n;
    double seconds[MOST_EPOCHS], accuracy[MOST_EPOCHS];
} finish;

/* ---- options ---- */

/* --with: NAME=VALUE,... of train. */
static ws_err set_more(const char *text, ws_train_options *t)
{
    char words[WS_OPT_TEXT], *save, *word;
    ws_err err = WS_OK;

    snprintf(words, sizeof words, "%s", text);
    for (word = strtok_r(words, ",", &save); word && !err; word = strtok_r(NULL, ",", &save)) {
        char *value = strchr(word, '=');
        const ws_opt *row = ws_train_table;

        if (value) *value++ = 0;
        while (row->name && strcmp(row->name, word) != 0) row++;
        if (!value || !row->name)
            return ws_fail(WS_ERR_USAGE,
                           "--with %.60s: write NAME=VALUE,... with the names of wingspan train",
                           word);
        err = ws_option_set(row, value, t);
    }
    return err;
}

static ws_err options_of(const ws_bench_options *o, const char *data, int64_t width,
                         ws_train_options *t)
{
    ws_err err = ws_train_defaults(t);

    if (err) return err;
    snprintf(t->data, sizeof t->data, "%s", data);
    snprintf(t->prepare, sizeof t->prepare, "%s", o->prepare);
    snprintf(t->index, sizeof t->index, "%s", o->kind);
    snprintf(t->loss, sizeof t->loss, "%s", o->loss);
    snprintf(t->schedule, sizeof t->schedule, "%s", o->schedule);
    snprintf(t->optimizer, sizeof t->optimizer, "%s", o->batch == 0 ? "gd" : "sgd");
    t->samples = o->data[0] ? o->samples : 0;
    t->width = width;
    t->shift = o->shift;
    t->rate = o->rate;
    t->batch = o->batch;
    t->epochs = o->epochs;
    t->seed = o->seed;
    t->quiet = 1;
    return set_more(o->with, t);
}

/* ---- measuring ---- */

/* What the ranks measured, together: seconds of the stages as means over ranks. */
static void gather(const ws_comm *comm, const ws_session_sums *s, double *v)
{
    double steps = (double)s->steps,
           stage[] = {s->query, s->forward, s->reduce, s->update, s->index};

    MPI_Allreduce(MPI_IN_PLACE, stage, 5, MPI_DOUBLE, MPI_SUM, comm->mpi);
    MPI_Allreduce(&s->seconds, &v[SECONDS], 1, MPI_DOUBLE, MPI_MAX, comm->mpi);
    v[SECONDS] /= steps;
    v[OTHER] = v[SECONDS];
    for (int k = 0; k < 5; k++) {
        v[QUERY + k] = stage[k] / steps / comm->size;
        v[OTHER] -= v[QUERY + k];
    }
    v[OTHER] = fmax(v[OTHER], 0);
}

static void fill(const ws_session *run, const ws_session_sums *s, double *v)
{
    ws_session_facts f = ws_session_about(run);
    double steps = (double)s->steps;

    v[WIDTH] = (double)f.width;
    v[EPOCH] = v[SECONDS] * (double)f.per_epoch;
    v[START] = f.seconds;
    v[ACTIVE] = (double)s->pairs / (double)s->samples;
    v[ROWS] = (double)s->rows / steps;
    v[CHECKED] = (double)s->candidates / (double)s->pairs;
    v[RELISTED] = (double)s->relisted / steps * (double)f.per_epoch;
    v[MOVED] = ws_session_moved(run);
    v[BYTES] = 12.0 * (double)f.d * v[ROWS];
    v[FLOPS] = 4.0 * (double)f.d * (double)s->pairs / steps;
    v[REDUCED] = (double)s->bytes_reduced / steps;
    v[MEETINGS] = (double)s->meetings / steps;
    v[MEMORY] = (double)s->memory;
    v[RATE] = f.rate;
    v[LOSS] = s->loss;
}

static void set_floor(const ws_bench_machine *m, double *v)
{
    v[FLOOR] = fmax(v[BYTES] / m->copy, v[FLOPS] / 2 / m->dot + v[FLOPS] / 2 / m->update);
    v[TIMES] = v[SECONDS] / v[FLOOR];
}

/* The remaining epochs of the run, with a test after each.  *seconds: of the run so far. */
static ws_err go_on(ws_session *run, const ws_bench_options *o, int64_t done, double seconds,
                    finish *end)
{
    ws_session_facts f = ws_session_about(run);
    ws_session_sums s;
    ws_err err = WS_OK;

    for (int64_t e = done / f.per_epoch; e <= o->epochs && e < MOST_EPOCHS && !err; e++) {
        int64_t steps = e * f.per_epoch - done;
        double start = ws_seconds();

        if (steps > 0) err = ws_session_steps(run, steps, &s);
        done += steps > 0 ? steps : 0;
        if (!err && steps >= 0) err = ws_session_test(run, &end->accuracy[end->n]);
        seconds += ws_seconds() - start;
        if (!err && steps >= 0) end->seconds[end->n++] = seconds;
    }
    return err;
}

/* One width: a row of numbers.  Collective; agreed. */
static ws_err measure(const ws_comm *comm, const ws_bench_options *o, const char *data,
                      int64_t width, double *v, ws_bench_machine *m, ws_session_facts *facts,
                      finish *end)
{
    static ws_train_options t;
    ws_session *run = NULL;
    ws_session_sums first, s;
    double cpu;
    int64_t steps;
    ws_err err = options_of(o, data, width, &t);

    if (!err) err = ws_session_open(comm, &t, &run);
    if (err) return err; /* the same on every rank */
    *facts = ws_session_about(run);
    steps = o->steps > 0                     ? o->steps
            : facts->per_epoch > LEAST_STEPS ? facts->per_epoch
                                             : LEAST_STEPS;
    err = ws_session_steps(run, facts->per_epoch, &first);
    cpu = ws_bench_cpu();
    if (!err) err = ws_session_steps(run, steps, &s);
    if (!err) {
        v[BUSY] = ws_bench_busy(comm, ws_bench_cpu() - cpu, s.seconds);
        gather(comm, &s, v);
        fill(run, &s, v);
    }
    if (!err) err = ws_session_reach(run, &v[REACH]);
    if (!err && o->finish)
        err = go_on(run, o, facts->per_epoch + steps, facts->seconds + first.seconds + s.seconds,
                    end);
    ws_session_close(&run);
    if (!err && m->copy == 0) err = ws_bench_machine_measure(comm, facts->d, facts->packed, m);
    if (!err) set_floor(m, v);
    return err;
}

/* ---- saying ---- */

static void print_text(const ws_bench_options *o, int ranks, const ws_session_facts *f,
                       const ws_bench_machine *m, const ws_bench_rows *rows, const finish *end)
{
    printf("training with index %s (%s), %d rank%s, %s, d = %lld, %lld samples, %lld a step\n",
           rows->kind, ws_simd_name(), ranks, ranks > 1 ? "s" : "", o->batch == 0 ? "gd" : "sgd",
           (long long)f->d, (long long)f->n, (long long)f->batch);
    ws_bench_table(columns, 0, rows);
    printf("\n");
    ws_bench_table(columns, 1, rows);
    printf("ms of a step and its stages, the stages as means over ranks; active: neurons a sample; "
           "rows: that fire in\na step; relisted: an epoch; moved: median displacement since "
           "listed; MB moved, Gflop: what the floor counts; reach: the products and the update "
           "alone, as if an index cost nothing; busy: the time that the ranks had their cores\n");
    printf(
        "machine: copy %.1f GB/s, exact routine %.1f GF/s, update %.1f GF/s in the first cache%s\n",
        m->copy * 1e-9, m->dot * 1e-9, m->update * 1e-9, f->packed ? ", samples as bytes" : "");
    for (int k = 0; k < end->n; k++)
        printf("%.1f s from the start: test accuracy %.4f\n", end->seconds[k], end->accuracy[k]);
}

static void print_json(const ws_bench_options *o, int ranks, const ws_session_facts *f,
                       const ws_bench_machine *m, const ws_bench_rows *rows, const finish *end)
{
    printf("{\"bench\":\"step\",\"simd\":\"%s\",\"ranks\":%d,\"dim\":%lld,\"samples\":%lld,"
           "\"batch\":%lld,\"optimizer\":\"%s\",\"copy_bytes_per_second\":%.6g,"
           "\"dot_flops_per_second\":%.6g,\"update_flops_per_second\":%.6g,",
           ws_simd_name(), ranks, (long long)f->d, (long long)f->n, (long long)f->batch,
           o->batch == 0 ? "gd" : "sgd", m->copy, m->dot, m->update);
    ws_bench_json(columns, rows);
    ws_bench_json_row(columns, rows->v[rows->n - 1]);
    if (o->finish) printf(",\"tests\":[");
    for (int k = 0; k < end->n; k++)
        printf("%s{\"seconds\":%.6g,\"accuracy\":%.6g}", k ? "," : "", end->seconds[k],
               end->accuracy[k]);
    printf("%s}\n", o->finish ? "]" : "");
}

/* The indexes of all widths: auto may choose another one as the width grows. */
static void add_kind(const char *index, char kind[WS_OPT_TEXT])
{
    size_t at = strlen(kind);

    if (!strstr(kind, index)) snprintf(kind + at, WS_OPT_TEXT - at, "%s%s", at ? ", " : "", index);
}

ws_err ws_bench_step(const ws_comm *comm, const ws_bench_options *o)
{
    static ws_bench_rows rows;
    static finish end;
    static char kind[WS_OPT_TEXT];
    int64_t width[WS_BENCH_WIDTHS];
    char data[WS_OPT_TEXT];
    int n = 0;
    ws_bench_machine m = {0};
    ws_session_facts f = {0};
    ws_err err = ws_bench_widths(o->width, width, &n);

    if (err) return err; /* the same on every rank */
    if (o->finish && n > 1)
        return ws_fail(WS_ERR_USAGE, "--finish goes with one --width, not with a range");
    err = ws_bench_data_open(comm, o, data);
    rows.exact = 1;
    for (int i = 0; i < n && !err; i++)
        if (!(err = measure(comm, o, data, width[i], rows.v[rows.n], &m, &f, &end))) {
            add_kind(f.index, kind);
            rows.n++;
        }
    rows.kind = kind;
    ws_bench_data_close(comm, o, data);
    if (err || comm->rank != 0) return err;
    (o->json ? print_json : print_text)(o, comm->size, &f, &m, &rows, &end);
    return WS_OK;
}
