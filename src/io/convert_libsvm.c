/* convert_libsvm.c - "label index:value index:value ...", indices from 1, ascending. Two passes: the
 * number of columns is known only at the end. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert_impl.h"

static ws_err wrong(const ws_lines *l, const char *what)
{
    return ws_fail(WS_ERR_DATA, "%s, line %lld: %s", l->name, (long long)l->number, what);
}

/* One line; row NULL: only find the largest index. */
static ws_err parse(const ws_lines *l, char *line, double *y, int64_t *most, float *row)
{
    char *end;
    int64_t last = 0;

    *y = strtod(line, &end);
    if (end == line || (*end && *end != ' ' && *end != '\t'))
        return wrong(l, "does not begin with a label");
    if (!isfinite(*y)) return wrong(l, "the label is not finite");
    for (;;) {
        long long index;
        double v;
        char *at = end + strspn(end, " \t");

        if (!*at || *at == '#') return WS_OK;
        index = strtoll(at, &end, 10);
        if (end == at || *end != ':') return wrong(l, "an entry is not index:value");
        if (index <= last) return wrong(l, "indices must begin at 1 and ascend");
        if (index > 100000000) return wrong(l, "an index is larger than 100000000");
        at = end + 1;
        v = strtod(at, &end);
        if (end == at || (*end && !strchr(" \t", *end))) return wrong(l, "a value is not a number");
        if (!isfinite((float)v)) return wrong(l, "a value is not finite as float32");
        if (row) row[index - 1] = (float)v;
        last = index;
        if (index > *most) *most = index;
    }
}

static ws_err pass(const char *file, ws_out *o, int part, int64_t *most, int write)
{
    ws_lines l;
    ws_err err = ws_lines_open(file, &l);
    char *line;

    while (!err && (line = ws_lines_next(&l, &err))) {
        float *row = NULL;
        double y;
        if (!line[strspn(line, " \t")] || line[0] == '#') continue;
        if (write && !(row = ws_out_row(o, part, &err))) break;
        if (!(err = parse(&l, line, &y, most, row)) && write) err = ws_out_y(o, part, y);
    }
    if (!err && write && o->part[part].n == 0) err = ws_fail(WS_ERR_DATA, "%s has no rows", file);
    ws_lines_close(&l);
    return err;
}

ws_err ws_convert_libsvm(const ws_convert_options *opt, ws_out *o)
{
    const char *files[2] = {opt->input, opt->test};
    int64_t d = 0;
    ws_err err = WS_OK;

    for (int part = 0; part < 2 && !err; part++)
        if (files[part]) err = pass(files[part], o, part, &d, 0);
    if (!err && d == 0) err = ws_fail(WS_ERR_DATA, "%s has no values", opt->input);
    for (int part = 0; part < 2 && !err; part++)
        if (files[part] && !(err = ws_out_begin(o, part, d, 0, 1)))
            err = pass(files[part], o, part, &d, 1);
    return err;
}
