/* convert.c - which format a file has, and the report of what was made of it. */
#include "wingspan/io/convert.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "convert_impl.h"

/* Content first: IDX begins with zeros, LIBSVM has index:value on its first line. */
static ws_err find_format(const char *file, const char **format)
{
    ws_lines l;
    ws_err err = ws_lines_open(file, &l), next = WS_OK;
    unsigned char head[4] = {1, 1, 0, 0};
    char *line;

    if (err) return err;
    if (gzread(l.f, head, 4) < 1) {
        ws_lines_close(&l);
        return ws_fail(WS_ERR_DATA, "%s is empty or cannot be read", file);
    }
    gzrewind(l.f);
    *format = "csv";
    if (head[0] == 0 && head[1] == 0) {
        *format = "idx";
    } else if ((line = ws_lines_next(&l, &next))) {
        const char *colon = strchr(line, ':');
        if (colon && !strchr(line, ',') && !strchr(line, ';')) *format = "libsvm";
    }
    ws_lines_close(&l);
    return next;
}

static ws_err check(const ws_convert_options *o, const char *format)
{
    int idx = strcmp(format, "idx") == 0, csv = strcmp(format, "csv") == 0;

    if (!idx && (o->labels || o->test_labels))
        return ws_fail(WS_ERR_USAGE, "--labels and --test-labels go with IDX files, not with %s",
                       format);
    if (!csv && strcmp(o->label_column, "last") != 0)
        return ws_fail(WS_ERR_USAGE, "--label-column goes with CSV files, not with %s", format);
    return WS_OK;
}

/* The output under the name of an input would take its place. */
static ws_err check_output(const ws_convert_options *o)
{
    const char *inputs[4] = {o->input, o->labels, o->test, o->test_labels};
    struct stat out, in;

    if (stat(o->output, &out) != 0) return WS_OK;
    for (int k = 0; k < 4; k++)
        if (inputs[k] && stat(inputs[k], &in) == 0 && in.st_dev == out.st_dev &&
            in.st_ino == out.st_ino)
            return ws_fail(WS_ERR_USAGE, "%s is read and cannot be the output: choose another name",
                           inputs[k]);
    return WS_OK;
}

static int32_t classes_of(const ws_out *o)
{
    double most = 0;

    if (o->real || !o->part[0].has_y) return 0;
    for (int64_t i = 0; i < o->part[0].n; i++)
        if (o->part[0].y[i] > most) most = o->part[0].y[i];
    return (int32_t)most + 1;
}

static ws_err integer_labels(const ws_out *o, const char *target)
{
    if (strcmp(target, "class") == 0 && o->real)
        return ws_fail(WS_ERR_DATA, "--target class: a label is not a whole number");
    return WS_OK;
}

ws_err ws_convert(const ws_convert_options *opt, ws_convert_report *report)
{
    const char *format = opt->format;
    ws_out out;
    int words = 0;
    ws_err err = WS_OK;

    *report = (ws_convert_report){0};
    if (strcmp(format, "auto") == 0) err = find_format(opt->input, &format);
    if (err || (err = check(opt, format)) || (err = check_output(opt))) return err;
    if ((err = ws_out_open(opt->output, &out))) return err;
    if (strcmp(format, "idx") == 0)
        err = ws_convert_idx(opt, &out);
    else if (strcmp(format, "libsvm") == 0)
        err = ws_convert_libsvm(opt, &out);
    else
        err = ws_convert_csv(opt, &out, &words);
    if (!err) err = integer_labels(&out, opt->target);
    if (strcmp(opt->target, "real") == 0) out.real = 1;
    report->n = out.part[0].n;
    report->n_test = out.part[1].n;
    report->d = out.d;
    report->classes = err ? 0 : classes_of(&out);
    snprintf(report->kind, sizeof report->kind, "%s", format);
    return ws_out_close(&out, opt->output, err);
}
