/* convert_idx.c - the format of MNIST: big-endian head, then unsigned bytes. */
#include <errno.h>
#include <string.h>

#include "convert_impl.h"

typedef struct idx {
    gzFile f;
    const char *name;
    int64_t n, each; /* items; bytes an item */
} idx;

static ws_err cut_short(const idx *x)
{
    return ws_fail(WS_ERR_DATA, "%s is cut short at byte %lld", x->name, (long long)gztell(x->f));
}

static int read_big_endian(gzFile f, int64_t *v)
{
    unsigned char b[4];

    if (gzread(f, b, 4) != 4) return 0;
    *v = (int64_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
    return 1;
}

static ws_err open_idx(const char *file, idx *x)
{
    unsigned char head[4];

    *x = (idx){.f = gzopen(file, "rb"), .name = file, .each = 1};
    if (!x->f) return ws_fail(WS_ERR_IO, "%s cannot be read: %s", file, strerror(errno));
    if (gzread(x->f, head, 4) != 4 || head[0] || head[1] || head[2] != 8 || head[3] < 1 ||
        head[3] > 4)
        return ws_fail(WS_ERR_DATA, "%s is not an IDX file of unsigned bytes", file);
    for (int k = 0; k < head[3]; k++) {
        int64_t v;
        if (!read_big_endian(x->f, &v)) return cut_short(x);
        if (k == 0)
            x->n = v;
        else
            x->each *= v;
        if (x->each > 1 << 28) return ws_fail(WS_ERR_DATA, "%s has samples too large", file);
    }
    if (x->n == 0 || x->each == 0) return ws_fail(WS_ERR_DATA, "%s is empty", file);
    return WS_OK;
}

static ws_err copy(idx *x, idx *y, ws_out *o, int part)
{
    ws_err err = ws_out_begin(o, part, x->each, 1, y->f != NULL);

    for (int64_t i = 0; i < x->n && !err; i++) {
        unsigned char label, *row = ws_out_row(o, part, &err);
        if (err) return err;
        if (gzread(x->f, row, (unsigned)x->each) != x->each) return cut_short(x);
        if (!y->f) continue;
        if (gzread(y->f, &label, 1) != 1) return cut_short(y);
        err = ws_out_y(o, part, label);
    }
    return err;
}

/* Nothing may follow; for gzip this also checks the sum at the end. */
static ws_err at_end(const idx *x)
{
    char one;
    int k = x->f ? gzread(x->f, &one, 1) : 0;

    if (k == 0) return WS_OK;
    return k < 0 ? ws_fail(WS_ERR_DATA, "%s is damaged: its checksum does not fit", x->name)
                 : ws_fail(WS_ERR_DATA, "%s is longer than its head says", x->name);
}

static ws_err part_of(const char *file, const char *labels, ws_out *o, int part)
{
    idx x = {0}, y = {0};
    ws_err err = open_idx(file, &x);

    if (!err && labels) err = open_idx(labels, &y);
    if (!err && labels && (y.each != 1 || y.n != x.n))
        err = ws_fail(WS_ERR_SHAPE, "%s has %lld samples but %s has %lld labels", file,
                      (long long)x.n, labels, (long long)(y.each == 1 ? y.n : 0));
    if (!err && part == 1 && x.each != o->d)
        err = ws_fail(WS_ERR_SHAPE, "%s has %lld values a sample, the training file %lld", file,
                      (long long)x.each, (long long)o->d);
    if (!err) err = copy(&x, &y, o, part);
    if (!err && !(err = at_end(&x))) err = at_end(&y);
    if (x.f) gzclose(x.f);
    if (y.f) gzclose(y.f);
    return err;
}

ws_err ws_convert_idx(const ws_convert_options *opt, ws_out *o)
{
    ws_err err = part_of(opt->input, opt->labels, o, 0);

    return !err && opt->test ? part_of(opt->test, opt->test_labels, o, 1) : err;
}
