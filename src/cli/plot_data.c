/* plot_data.c - the numbers of a metrics file or a bench.
 *
 * Columns of a run: step, epoch, loss, accuracy, test accuracy, active neurons, seconds a step,
 * seconds. Columns of a bench: those of its rows that bench_keys names. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"
#include "wingspan/core/alloc.h"

static const char *const bench_keys[][WS_PLOT_COLUMNS] = {
    [WS_CURVE_INDEX] = {"width", "work", "query_seconds", "build_seconds", "bytes"},
    [WS_CURVE_WORK] = {"width", "work", "step_seconds", "active", "union_fraction"},
    [WS_CURVE_STEP] = {"width", "seconds_per_step", "times_floor", "bytes_moved", "bytes_reduced"},
    [WS_CURVE_COMPARE] = {"batch", "seconds_per_epoch", "seconds_per_step", "times_faster",
                          "times_floor"},
};

/* "bench" in the file, and what that is a curve of. */
static ws_curve_kind kind_of(const char *bench)
{
    static const struct {
        const char *bench;
        ws_curve_kind kind;
    } known[] = {{"work", WS_CURVE_WORK},
                 {"step", WS_CURVE_STEP},
                 {"dense", WS_CURVE_STEP},
                 {"compare", WS_CURVE_COMPARE}};

    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (strcmp(bench, known[k].bench) == 0) return known[k].kind;
    return WS_CURVE_INDEX;
}

static double number(const cJSON *o, const char *key)
{
    const cJSON *v = key ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;

    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static const char *text_of(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsString(v) ? v->valuestring : "";
}

static ws_err add_row(ws_curve *c, const double row[WS_PLOT_COLUMNS])
{
    ws_err err = ws_grow(&c->row, &c->capacity, c->n + 1, sizeof *c->row, "curve");

    if (!err) memcpy(c->row[c->n++], row, sizeof *c->row);
    return err;
}

static ws_err add_step(ws_curve *c, const cJSON *o)
{
    double step = number(o, "step"), seconds = number(o, "seconds"), a_step = NAN;

    if (c->n > 0 && step > c->row[c->n - 1][0])
        a_step = (seconds - c->row[c->n - 1][7]) / (step - c->row[c->n - 1][0]);
    return add_row(c, (double[WS_PLOT_COLUMNS]){step, number(o, "epoch"), number(o, "loss"),
                                                number(o, "accuracy"), number(o, "test_accuracy"),
                                                number(o, "active_mean"), a_step > 0 ? a_step : NAN,
                                                seconds});
}

/* An empty curve of this file. */
static ws_err add_curve(const char *file, ws_curve_kind kind, const char *label, ws_curve *curves,
                        int *n)
{
    const char *slash = strrchr(file, '/');
    ws_curve *c = &curves[*n];

    if (*n == WS_PLOT_CURVES)
        return ws_fail(WS_ERR_USAGE, "%.200s: there is room for %d curves in a picture", file,
                       WS_PLOT_CURVES);
    *c = (ws_curve){.kind = kind};
    snprintf(c->name, sizeof c->name, "%.190s", slash ? slash + 1 : file);
    snprintf(c->label, sizeof c->label, "%.50s", label);
    ++*n;
    return WS_OK;
}

/* A bench, or one of the others in it. */
static ws_err add_bench(const char *file, ws_curve_kind kind, const cJSON *bench, ws_curve *curves,
                        int *n)
{
    const cJSON *o;
    ws_err err = add_curve(file, kind, text_of(bench, "kind"), curves, n);

    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(bench, "rows"))
    {
        double row[WS_PLOT_COLUMNS];

        for (int k = 0; k < WS_PLOT_COLUMNS; k++) row[k] = number(o, bench_keys[kind][k]);
        if (!err) err = add_row(&curves[*n - 1], row);
    }
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(bench, "others"))
    {
        if (!err) err = add_bench(file, kind, o, curves, n);
    }
    return err;
}

/* One line: a bench, a step of the run whose curve is *run, or something else. */
static ws_err add_line(const char *file, const cJSON *o, ws_curve *curves, int *n, int *run)
{
    ws_err err = WS_OK;

    if (cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(o, "rows")))
        return add_bench(file, kind_of(text_of(o, "bench")), o, curves, n);
    if (strcmp(text_of(o, "type"), "step") != 0) return WS_OK;
    if (*run < 0) {
        err = add_curve(file, WS_CURVE_RUN, "", curves, n);
        *run = *n - 1;
    }
    return err ? err : add_step(&curves[*run], o);
}

ws_err ws_curves_read(const char *file, ws_curve curves[WS_PLOT_CURVES], int *n)
{
    int before = *n, run = -1;
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(file, "r");
    ws_err err = WS_OK;

    if (!f) return ws_fail(WS_ERR_IO, "%s cannot be read: %s", file, strerror(errno));
    while (!err && getline(&line, &room, f) > 0) {
        cJSON *o = cJSON_Parse(line);

        err = add_line(file, o, curves, n, &run);
        cJSON_Delete(o);
    }
    free(line);
    fclose(f);
    if (!err && (*n == before || curves[before].n == 0))
        err = ws_fail(
            WS_ERR_DATA,
            "%s holds no steps: give a file that --metrics wrote, or the --json of a bench", file);
    return err;
}
