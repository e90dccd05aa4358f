/* convert_out.c - lines in, HDF5 out: chunked, compressed, under a temporary name until whole. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckpt.h"
#include "convert_impl.h"
#include "h5util.h"
#include "wingspan/core/alloc.h"

enum {
    SLAB = 1 << 22,   /* elements collected before they are written */
    LONGEST = 1 << 30 /* bytes of a line */
};

ws_err ws_lines_open(const char *file, ws_lines *l)
{
    *l = (ws_lines){.name = file};
    if (!(l->f = gzopen(file, "rb")))
        return ws_fail(WS_ERR_IO, "%s cannot be read: %s", file, strerror(errno));
    gzbuffer(l->f, 1 << 18);
    return WS_OK;
}

/* The next line with its end into l->line: its length, 0 at the end of the file, -1 if *err. */
static int64_t read_line(ws_lines *l, ws_err *err)
{
    int64_t n = 0, k;
    z_off_t at;

    for (;;) {
        if ((*err = ws_grow(&l->line, &l->room, n + 65536, 1, "line of a file"))) return -1;
        at = gztell(l->f);
        if (!gzgets(l->f, l->line + n, 65536)) return n;
        k = (int64_t)strlen(l->line + n);
        n += k;
        if (k != (int64_t)(gztell(l->f) - at))
            *err = ws_fail(WS_ERR_DATA,
                           "%s, line %lld: a zero byte: this is no text in ASCII or UTF-8, or the "
                           "file is damaged",
                           l->name, (long long)l->number + 1);
        else if (n > LONGEST)
            *err = ws_fail(WS_ERR_DATA, "%s, line %lld: longer than %d bytes", l->name,
                           (long long)l->number + 1, LONGEST);
        if (*err) return -1;
        if (l->line[n - 1] == '\n') return n;
    }
}

char *ws_lines_next(ws_lines *l, ws_err *err)
{
    int64_t n = read_line(l, err);

    if (n < 0) return NULL;
    if (n == 0) {
        int code = 0;
        const char *text = gzerror(l->f, &code);
        if (code < 0)
            *err = ws_fail(WS_ERR_IO, "%s cannot be read: %s", l->name,
                           code == Z_ERRNO ? strerror(errno) : text);
        return NULL;
    }
    l->number++;
    if (l->number == 1 && strncmp(l->line, "\xef\xbb\xbf", 3) == 0) /* a mark that editors leave */
        memmove(l->line, l->line + 3, (size_t)(n -= 3) + 1);
    while (n > 0 && (l->line[n - 1] == '\n' || l->line[n - 1] == '\r')) l->line[--n] = 0;
    return l->line;
}

void ws_lines_close(ws_lines *l)
{
    if (l->f) gzclose(l->f);
    ws_free(&l->line);
}

int ws_number(const char *text, const char *end, double *v)
{
    char *stop;

    while (text < end && *text == ' ') text++;
    while (end > text && end[-1] == ' ') end--;
    if (text == end) return 0;
    *v = strtod(text, &stop);
    return stop == end;
}

static void temp_name(const char *target, char temp[1100])
{
    snprintf(temp, 1100, "%.1080s.tmp", target);
}

ws_err ws_out_open(const char *file, ws_out *o)
{
    char temp[1100];
    ws_err err;

    ws_h5_quiet();
    *o = (ws_out){.file = -1, .name = file, .part = {{.x = -1}, {.x = -1}}};
    temp_name(file, temp);
    if ((err = ws_place_open(temp, file, 0, NULL))) return err;
    if ((o->file = H5Fcreate(temp, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) < 0)
        return ws_fail(WS_ERR_IO, "%s cannot be written", file);
    return WS_OK;
}

static int64_t slab_rows(int64_t d)
{
    return d > SLAB ? 1 : SLAB / d;
}

ws_err ws_out_begin(ws_out *o, int part, int64_t d, int byte, int has_y)
{
    struct ws_out_part *p = &o->part[part];
    hsize_t none[2] = {0, (hsize_t)d}, any[2] = {H5S_UNLIMITED, (hsize_t)d};
    hsize_t rows = (hsize_t)(d > 1048576 ? 1 : 1048576 / d), chunk[2] = {rows, (hsize_t)d};
    hid_t space = H5Screate_simple(2, none, any), create = H5Pcreate(H5P_DATASET_CREATE);

    o->d = d;
    o->byte = byte;
    p->has_y = has_y;
    H5Pset_chunk(create, 2, chunk);
    H5Pset_shuffle(create);
    H5Pset_deflate(create, 4);
    p->x = H5Dcreate2(o->file, part ? "x_test" : "x", byte ? H5T_STD_U8LE : H5T_IEEE_F32LE, space,
                      H5P_DEFAULT, create, H5P_DEFAULT);
    H5Pclose(create);
    H5Sclose(space);
    return p->x < 0 ? ws_fail(WS_ERR_IO, "%s cannot be written", o->name) : WS_OK;
}

static ws_err flush(ws_out *o, int part)
{
    struct ws_out_part *p = &o->part[part];
    hsize_t all[2] = {(hsize_t)p->n, (hsize_t)o->d};
    hsize_t start[2] = {(hsize_t)(p->n - p->waiting), 0};
    hsize_t count[2] = {(hsize_t)p->waiting, (hsize_t)o->d};
    hid_t space, memory;
    int bad;

    if (p->waiting == 0) return WS_OK;
    bad = H5Dset_extent(p->x, all) < 0;
    space = H5Dget_space(p->x);
    memory = H5Screate_simple(2, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    bad = H5Dwrite(p->x, o->byte ? H5T_NATIVE_UINT8 : H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT,
                   p->rows) < 0 ||
          bad;
    H5Sclose(memory);
    H5Sclose(space);
    p->waiting = 0;
    return bad ? ws_fail(WS_ERR_IO, "%s cannot be written: is the disk full?", o->name) : WS_OK;
}

void *ws_out_row(ws_out *o, int part, ws_err *err)
{
    struct ws_out_part *p = &o->part[part];
    size_t row = (size_t)o->d * (o->byte ? 1 : sizeof(float));
    char *to;

    if (p->waiting == slab_rows(o->d) && (*err = flush(o, part))) return NULL;
    if ((*err = ws_grow(&p->rows, &p->capacity, p->waiting + 1, row, "rows to write"))) return NULL;
    to = (char *)p->rows + (size_t)p->waiting * row;
    memset(to, 0, row);
    p->waiting++;
    p->n++;
    return to;
}

ws_err ws_out_y(ws_out *o, int part, double y)
{
    struct ws_out_part *p = &o->part[part];
    ws_err err = ws_grow(&p->y, &p->y_capacity, p->n, sizeof *p->y, "labels");

    if (err) return err;
    p->y[p->n - 1] = y;
    if (y != floor(y) || fabs(y) >= 2147483647) o->real = 1;
    return WS_OK;
}

static ws_err put_y(ws_out *o, int part)
{
    struct ws_out_part *p = &o->part[part];
    hsize_t n = (hsize_t)p->n;
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t set = H5Dcreate2(o->file, part ? "y_test" : "y", o->real ? H5T_IEEE_F64LE : H5T_STD_I32LE,
                           space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int bad = set < 0 || H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, p->y) < 0;

    if (set >= 0) H5Dclose(set);
    H5Sclose(space);
    return bad ? ws_fail(WS_ERR_IO, "%s cannot be written: is the disk full?", o->name) : WS_OK;
}

ws_err ws_out_close(ws_out *o, const char *target, ws_err err)
{
    char temp[1100];

    temp_name(target, temp);
    for (int part = 0; part < 2; part++) {
        struct ws_out_part *p = &o->part[part];
        if (!err && p->x >= 0) err = flush(o, part);
        if (!err && p->x >= 0 && p->has_y) err = put_y(o, part);
        if (p->x >= 0) H5Dclose(p->x);
        ws_free(&p->rows);
        ws_free(&p->y);
    }
    if (o->file >= 0 && H5Fclose(o->file) < 0 && !err)
        err = ws_fail(WS_ERR_IO, "%s cannot be written: is the disk full?", o->name);
    if (!err && rename(temp, target) != 0)
        err = ws_fail(WS_ERR_IO, "%s cannot be put in place: %s", target, strerror(errno));
    if (err) unlink(temp);
    return err;
}
