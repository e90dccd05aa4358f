/* convert_impl.h - a text or IDX file goes in row by row, a data set comes out. */
#ifndef WS_IO_CONVERT_IMPL_H
#define WS_IO_CONVERT_IMPL_H

#include <hdf5.h>
#include <zlib.h>

#include "wingspan/io/convert.h"

/* Lines of a plain or gzip file; the line is valid until the next. */
typedef struct ws_lines {
    gzFile f;
    const char *name;
    char *line;
    int64_t room, number; /* number: of the line read last, from 1 */
} ws_lines;

ws_err ws_lines_open(const char *file, ws_lines *l);
/** The next line without its end, or NULL at the end.  *err says whether reading failed. */
char *ws_lines_next(ws_lines *l, ws_err *err);
void ws_lines_close(ws_lines *l);

/* Rows of one part, x and y, collected and written in slabs. */
typedef struct ws_out {
    hid_t file;
    const char *name; /* of the output, for errors */
    int byte;         /* x is uint8 */
    int64_t d;
    struct ws_out_part {
        hid_t x;
        int64_t n, waiting;
        void *rows; /* [slab x d] floats or bytes */
        int64_t capacity;
        double *y; /* [n] */
        int64_t y_capacity;
        int has_y;
    } part[2];
    int real; /* a y that is not an integer was seen, or targets were asked for */
} ws_out;

ws_err ws_out_open(const char *file, ws_out *o);
/** Begin a part of rows of length d. */
ws_err ws_out_begin(ws_out *o, int part, int64_t d, int byte, int has_y);
/** Room for the next row, zeroed: [d] floats or bytes; NULL: out of memory or disk full (*err). */
void *ws_out_row(ws_out *o, int part, ws_err *err);
ws_err ws_out_y(ws_out *o, int part, double y);
/** Write what waits and y, close, put in place; or, if err, take the temporary file away. */
ws_err ws_out_close(ws_out *o, const char *target, ws_err err);

/* The formats: read both parts into o.  files [2], labels [2]: NULL where not given. */
ws_err ws_convert_idx(const ws_convert_options *opt, ws_out *o);
ws_err ws_convert_libsvm(const ws_convert_options *opt, ws_out *o);
ws_err ws_convert_csv(const ws_convert_options *opt, ws_out *o, int *words);

/** A whole number or decimal from text up to `end`; 0 if it is none. */
int ws_number(const char *text, const char *end, double *v);

#endif
