/* bench_step.c - where the seconds of training go: one epoch is trained untimed, the steps after it
 * are timed, and set beside the least that the machine would need for them.
 *
 * That least, the floor, is the larger of two times. The rows that fired are read once for the
 * outputs, read and written once for the update: 12 d bytes each, at the rate of a copy. A fired pair
 * costs 2 d flops in the exact routine and as many in the update, at their rates on data in the first
 * cache, samples in the form that the run reads. All rates are measured between the timed steps, on
 * all ranks at once, and averaged as the steps are: what shares a core, its caches and its memory with
 * other programs has no rate of its own. The least that the best of these moments would allow is
 * printed, too.
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
    BEST,
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
    [BEST] = {1, "best fl.", "best_floor_seconds", 1e-3, 1, WS_BENCH_SAME},
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

/* The rates are looked at so many times, an eighth of the steps' seconds in all. */
enum { MOST_EPOCHS = 1000, LEAST_STEPS = 5, LOOKS = 64 };

static const double share = 0.125;

/* After each epoch of --finish: seconds from the start of the run, everything counted. */
typedef struct finish {
    int n;
    double seconds[MOST_EPOCHS], accuracy[MOST_EPOCHS];
} finish;

/* What the rates were while it trained; a run as it is; with --finish how it ends. */
typedef struct measured {
    ws_bench_rates mean, best;
    ws_session_facts facts;
    finish end;
} measured;

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
    v[RATE] = f.rate;
    v[LOSS] = s->loss;
}

static double floor_of(const ws_bench_rates *r, const double *v)
{
    return fmax(v[BYTES] / r->copy, v[FLOPS] / 2 / r->dot + v[FLOPS] / 2 / r->update);
}

/* ---- the machine, between steps ---- */

typedef struct looks {
    ws_bench_machine *machine;
    int64_t step, every; /* so many steps; those between two looks */
    double seconds, cpu; /* of a look; of the processor in all of them */
} looks;

static void look(void *arg)
{
    looks *l = arg;
    double cpu = ws_bench_cpu();

    if (++l->step % l->every == 0) ws_bench_machine_sample(l->machine, l->seconds);
    l->cpu += ws_bench_cpu() - cpu;
}

/* Time so many steps, one of which takes about `seconds`, and sample the machine meanwhile.
 * Collective; agreed. */
static ws_err time_steps(const ws_comm *comm, ws_session *run, int64_t steps, double seconds,
                         ws_session_sums *s, measured *m, double *v)
{
    ws_session_facts f = ws_session_about(run);
    looks l = {.every = (steps + LOOKS - 1) / LOOKS};
    double cpu;
    ws_err err = ws_bench_machine_open(comm, f.d, f.packed, &l.machine);

    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, comm->mpi);
    l.seconds = share * seconds * (double)l.every;
    ws_session_between(run, look, &l);
    cpu = ws_bench_cpu();
    if (!err) err = ws_session_steps(run, steps, s);
    ws_session_between(run, NULL, NULL);
    if (!err) {
        v[BUSY] = ws_bench_busy(comm, ws_bench_cpu() - cpu - l.cpu, s->seconds);
        v[MEMORY] = (double)(s->memory - comm->size * ws_bench_machine_bytes(l.machine));
        ws_bench_machine_rates(comm, l.machine, &m->mean, &m->best);
    }
    ws_bench_machine_close(&l.machine);
    return err;
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
                      int64_t width, double *v, measured *m)
{
    static ws_train_options t;
    ws_session *run = NULL;
    ws_session_sums first, s;
    int64_t steps, epoch;
    ws_err err = options_of(o, data, width, &t);

    if (!err) err = ws_session_open(comm, &t, &run);
    if (err) return err; /* the same on every rank */
    m->facts = ws_session_about(run);
    epoch = m->facts.per_epoch;
    steps = o->steps > 0 ? o->steps : epoch > LEAST_STEPS ? epoch : LEAST_STEPS;
    err = ws_session_steps(run, epoch, &first);
    if (!err) err = time_steps(comm, run, steps, first.seconds / (double)epoch, &s, m, v);
    if (!err) {
        gather(comm, &s, v);
        fill(run, &s, v);
        v[FLOOR] = floor_of(&m->mean, v);
        v[BEST] = floor_of(&m->best, v);
        v[TIMES] = v[SECONDS] / v[FLOOR];
        err = ws_session_reach(run, &v[REACH]);
    }
    if (!err && o->finish)
        err = go_on(run, o, epoch + steps, m->facts.seconds + first.seconds + s.seconds, &m->end);
    ws_session_close(&run);
    return err;
}

/* ---- saying ---- */

static void print_rates(const char *when, const ws_bench_rates *r)
{
    printf("%s copy %.1f GB/s, exact routine %.1f GF/s, update %.1f GF/s", when, r->copy * 1e-9,
           r->dot * 1e-9, r->update * 1e-9);
}

static void print_text(const ws_bench_options *o, int ranks, const measured *m,
                       const ws_bench_rows *rows)
{
    const ws_session_facts *f = &m->facts;

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
    print_rates("machine, between these steps:", &m->mean);
    print_rates("; in the best moments", &m->best);
    printf(" (best fl.: the floor by these); both routines in the first cache%s\n",
           f->packed ? ", samples as bytes" : "");
    for (int k = 0; k < m->end.n; k++)
        printf("%.1f s from the start: test accuracy %.4f\n", m->end.seconds[k],
               m->end.accuracy[k]);
}

static void print_json(const ws_bench_options *o, int ranks, const measured *m,
                       const ws_bench_rows *rows)
{
    const ws_session_facts *f = &m->facts;
    const finish *end = &m->end;

    printf("{\"bench\":\"step\",\"simd\":\"%s\",\"ranks\":%d,\"dim\":%lld,\"samples\":%lld,"
           "\"batch\":%lld,\"optimizer\":\"%s\",\"copy_bytes_per_second\":%.6g,"
           "\"dot_flops_per_second\":%.6g,\"update_flops_per_second\":%.6g,",
           ws_simd_name(), ranks, (long long)f->d, (long long)f->n, (long long)f->batch,
           o->batch == 0 ? "gd" : "sgd", m->mean.copy, m->mean.dot, m->mean.update);
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
    static measured m;
    static char kind[WS_OPT_TEXT];
    int64_t width[WS_BENCH_WIDTHS];
    char data[WS_OPT_TEXT];
    int n = 0;
    ws_err err = ws_bench_widths(o->width, width, &n);

    if (err) return err; /* the same on every rank */
    if (o->finish && n > 1)
        return ws_fail(WS_ERR_USAGE, "--finish goes with one --width, not with a range");
    err = ws_bench_data_open(comm, o, data);
    rows.exact = 1;
    for (int i = 0; i < n && !err; i++)
        if (!(err = measure(comm, o, data, width[i], rows.v[rows.n], &m))) {
            add_kind(m.facts.index, kind);
            rows.n++;
        }
    rows.kind = kind;
    ws_bench_data_close(comm, o, data);
    if (err || comm->rank != 0) return err;
    (o->json ? print_json : print_text)(o, comm->size, &m, &rows);
    return WS_OK;
}
