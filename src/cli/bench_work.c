/* bench_work.c - what full steps of training count: real runs of ws_train, gd on a two-layer
 * network, on a small data set written for the purpose and removed again.
 *
 * The work of a step is what its index counted (inner products, nodes visited, leaves written)
 * and two row operations a fired pair: one for the output, one for the update.  The counts come
 * from the run's own metrics.  The first step is left out: its index has only been built. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "wingspan/core/dot.h"
#include "wingspan/train/train.h"

enum { WIDTH, ACTIVE, UNION, PRODUCTS, VISITS, WRITES, PAIRS, WORK, SECONDS };

static const ws_bench_column columns[] = {
    [WIDTH] = {0, "width", "width", 1, 0, WS_BENCH_SAME},
    [ACTIVE] = {0, "active", "active", 1, 1, WS_BENCH_SAME},
    [UNION] = {0, "union %", "union_fraction", 0.01, 1, WS_BENCH_SAME},
    [PRODUCTS] = {0, "products", "inner_products", 1, 1, WS_BENCH_SAME},
    [VISITS] = {0, "visits", "node_visits", 1, 1, WS_BENCH_SAME},
    [WRITES] = {0, "writes", "leaf_writes", 1, 1, WS_BENCH_SAME},
    [PAIRS] = {0, "pairs", "pairs", 1, 1, WS_BENCH_SAME},
    [WORK] = {0, "work", "work", 1, 1, WS_BENCH_SAME},
    [SECONDS] = {0, "step ms", "step_seconds", 1e-3, 1, WS_BENCH_SAME},
    [SECONDS + 1] = {0, NULL, NULL, 0, 0, WS_BENCH_SAME},
};

typedef struct files {
    char data[WS_BENCH_NAME], metrics[WS_BENCH_NAME]; /* in this folder, which all nodes see */
} files;

static ws_err train(const ws_comm *comm, const ws_bench_options *o, const char *kind, int64_t width,
                    const files *f)
{
    static ws_train_options t;
    ws_train_result result;
    ws_err err = ws_train_defaults(&t);

    if ((err = ws_agree(comm, err))) return err;
    snprintf(t.data, sizeof t.data, "%s", f->data);
    snprintf(t.metrics, sizeof t.metrics, "%s", f->metrics);
    snprintf(t.optimizer, sizeof t.optimizer, "gd");
    snprintf(t.index, sizeof t.index, "%s", kind);
    t.width = width;
    t.shift = o->shift;
    t.steps = o->steps;
    t.seed = o->seed;
    t.log_every = t.quiet = 1;
    return ws_train(comm, &t, NULL, &result);
}

static double number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

/* Add one step's line of the metrics. */
static void add_line(const cJSON *line, double samples, double *v)
{
    static const char *const seconds[] = {"seconds_query", "seconds_forward", "seconds_reduce",
                                          "seconds_update", "seconds_index"};
    double pairs = number(line, "active_mean") * samples;

    v[ACTIVE] += number(line, "active_mean");
    v[UNION] += number(line, "union_fraction");
    v[PRODUCTS] += number(line, "inner_products");
    v[VISITS] += number(line, "node_visits");
    v[WRITES] += number(line, "leaf_writes");
    v[PAIRS] += pairs;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        v[SECONDS] += number(line, seconds[i]);
}

/* The mean over the steps from the second on. */
static ws_err read_metrics(const files *f, const ws_bench_options *o, double *v)
{
    FILE *file = fopen(f->metrics, "r");
    char *text = NULL;
    size_t room = 0;
    int steps = 0;

    if (!file) return ws_fail(WS_ERR_IO, "%s cannot be read", f->metrics);
    while (getline(&text, &room, file) > 0) {
        cJSON *line = cJSON_Parse(text);

        if (number(line, "step") > 1 && isfinite(number(line, "active_mean"))) {
            add_line(line, (double)o->samples, v);
            steps++;
        }
        cJSON_Delete(line);
    }
    free(text);
    fclose(file);
    for (int c = ACTIVE; c <= SECONDS; c++) v[c] /= steps;
    v[WORK] = v[PRODUCTS] + v[VISITS] + v[WRITES] + 2 * v[PAIRS];
    return WS_OK;
}

static ws_err measure(const ws_comm *comm, const ws_bench_options *o, const files *f, int64_t width,
                      ws_bench_rows *rows)
{
    double *v = rows->v[rows->n];
    ws_err err = train(comm, o, rows->kind, width, f);

    if (err) return err;
    if (comm->rank == 0) err = read_metrics(f, o, v);
    v[WIDTH] = (double)width;
    rows->n++;
    return ws_agree(comm, err);
}

static void print(const ws_bench_options *o, int ranks, const ws_bench_rows *rows, int kinds)
{
    for (int k = 0; k < kinds && !o->json; k++) {
        printf("training with index %s (%s), %d rank%s, gd, d = %lld, %lld samples, %lld steps\n",
               rows[k].kind, ws_simd_name(), ranks, ranks > 1 ? "s" : "", (long long)o->dim,
               (long long)o->samples, (long long)o->steps);
        ws_bench_table(columns, 0, &rows[k]);
        printf("a step over all ranks; work is products + visits + writes + 2 x fired pairs\n%s",
               k + 1 < kinds ? "\n" : "");
    }
    for (int k = 0; k < kinds && o->json; k++) {
        printf("%s", k == 0 ? "{\"bench\":\"work\"," : k == 1 ? ",\"others\":[{" : ",{");
        if (k == 0)
            printf("\"simd\":\"%s\",\"ranks\":%d,\"dim\":%lld,\"samples\":%lld,\"steps\":%lld,",
                   ws_simd_name(), ranks, (long long)o->dim, (long long)o->samples,
                   (long long)o->steps);
        ws_bench_json(columns, &rows[k]);
        printf("%s", k > 0 ? "}" : "");
    }
    if (o->json) printf("%s}\n", kinds > 1 ? "]" : "");
}

ws_err ws_bench_work(const ws_comm *comm, const ws_bench_options *o)
{
    static ws_bench_rows rows[WS_BENCH_KINDS];
    const char *kind[WS_BENCH_KINDS];
    int64_t width[WS_BENCH_WIDTHS];
    int kinds = 0, n = 0;
    files f;
    ws_err err = ws_bench_kinds(o->kind, kind, &kinds);

    if (o->steps < 2)
        return ws_fail(WS_ERR_USAGE, "--steps %lld: the first step is left out, so give at least 2",
                       (long long)o->steps);
    if (!err) err = ws_bench_widths(o->width, width, &n);
    if (err) return err; /* the same on every rank */
    ws_bench_file_name(comm, "h5", f.data);
    ws_bench_file_name(comm, "jsonl", f.metrics);
    err = ws_bench_data_make(comm, o, f.data);
    for (int k = 0; k < kinds && !err; k++) {
        rows[k].kind = kind[k];
        rows[k].exact = 1;
        for (int i = 0; i < n && !err; i++) err = measure(comm, o, &f, width[i], &rows[k]);
    }
    if (comm->rank == 0) {
        unlink(f.data);
        unlink(f.metrics);
        if (!err) print(o, comm->size, rows, kinds);
    }
    return err;
}
