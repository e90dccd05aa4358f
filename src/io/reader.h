/* reader.h - the arrays of a data set file, in slabs of rows. */
#ifndef WS_IO_READER_H
#define WS_IO_READER_H

#include <hdf5.h>

#include "wingspan/core/comm.h"
#include "wingspan/core/err.h"

typedef enum ws_y_kind { WS_Y_NONE, WS_Y_INTEGER, WS_Y_REAL } ws_y_kind;

/* x, x_test (part 0, 1) and y, y_test. */
typedef struct ws_reader {
    hid_t file, x[2], y[2];
    char name[1024];
    int64_t n[2], d;
    int byte[2]; /* x is uint8: divided by 255 */
    int has[2];  /* is there a y? */
    ws_y_kind y_kind;
    int64_t columns; /* of y; 1 for a vector */
    int matrix;      /* y has two dimensions (and more than one column) */
    int64_t slab;    /* rows to read at a time: depends on d alone */
} ws_reader;

/** Open and check names, shapes and types.  Collective over leaders, which open together.  Close it
 *  in any case.
 *  @return agreed for the opening, local for what is inside: WS_ERR_IO, WS_ERR_DATA, WS_ERR_SHAPE */
ws_err ws_reader_open(const char *file, const ws_comm *leaders, ws_reader *r);
void ws_reader_close(ws_reader *r); /* Collective over leaders */

/** Rows at .. at + k - 1 of x or x_test as floats [k x d].  @return local: WS_ERR_IO, WS_ERR_DATA
 *  with row and column of the first value that is not finite */
ws_err ws_reader_rows(ws_reader *r, int part, int64_t at, int64_t k, float *to);

/** All of y or y_test: int64 [n x columns] for WS_Y_INTEGER, double for WS_Y_REAL. */
ws_err ws_reader_y(ws_reader *r, int part, void *to);

#endif
