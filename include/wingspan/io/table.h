/* table.h - plain HDF5 files that leave wingspan: predictions, exports. */
#ifndef WS_IO_TABLE_H
#define WS_IO_TABLE_H

#include <stdint.h>

#include "wingspan/core/err.h"
#include "wingspan/io/checkpoint.h"

/** One array of the file. */
typedef struct ws_table_column {
    const char *path; /* "/output" */
    ws_type type;
    int64_t rows_all, first, rows; /* this rank holds rows first .. first + rows - 1 */
    int64_t cols;                  /* 0: a vector */
    const void *data;
} ws_table_column;

/** Write arrays to a new file, under a temporary name until it is whole.
 *  Collective over comm.  @return agreed: WS_ERR_IO */
ws_err ws_table_write(const ws_comm *comm, const char *file, const ws_table_column *cols, int n);

#endif
