/* plot_data.c - the numbers of a metrics file or a bench.
 *
 * Columns of a run: step, epoch, loss, accuracy, test accuracy, active neurons, seconds a step,
 * seconds. Columns of a bench: width, active, work, query seconds. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"
#include "wingspan/core/alloc.h"

static double number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static ws_err add(ws_curve *c, const double row[WS_PLOT_COLUMNS])
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
    return add(c, (double[WS_PLOT_COLUMNS]){step, number(o, "epoch"), number(o, "loss"),
                                            number(o, "accuracy"), number(o, "test_accuracy"),
                                            number(o, "active_mean"), a_step > 0 ? a_step : NAN,
                                            seconds});
}

static ws_err add_bench(ws_curve *c, const cJSON *rows)
{
    const cJSON *o;
    ws_err err = WS_OK;

    c->bench = 1;
    cJSON_ArrayForEach(o, rows)
    {
        double row[WS_PLOT_COLUMNS] = {number(o, "width"), number(o, "active"), number(o, "work"),
                                       number(o, "query_seconds")};
        if (!err) err = add(c, row);
    }
    return err;
}

static ws_err read_lines(FILE *f, ws_curve *c)
{
    char *line = NULL;
    size_t room = 0;
    ws_err err = WS_OK;

    while (!err && getline(&line, &room, f) > 0) {
        cJSON *o = cJSON_Parse(line);
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(o, "type");
        const cJSON *rows = cJSON_GetObjectItemCaseSensitive(o, "rows");

        if (cJSON_IsArray(rows))
            err = add_bench(c, rows);
        else if (cJSON_IsString(type) && strcmp(type->valuestring, "step") == 0)
            err = add_step(c, o);
        cJSON_Delete(o);
    }
    free(line);
    return err;
}

ws_err ws_curve_read(const char *file, ws_curve *c)
{
    const char *slash = strrchr(file, '/');
    FILE *f = fopen(file, "r");
    ws_err err;

    *c = (ws_curve){.n = 0};
    snprintf(c->name, sizeof c->name, "%.190s", slash ? slash + 1 : file);
    if (!f) return ws_fail(WS_ERR_IO, "%s cannot be read: %s", file, strerror(errno));
    err = read_lines(f, c);
    fclose(f);
    if (!err && c->n == 0)
        err = ws_fail(
            WS_ERR_DATA,
            "%s holds no steps: give a file that --metrics wrote, or the --json of a bench", file);
    if (err) ws_free(&c->row);
    return err;
}
