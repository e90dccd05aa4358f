/* out.h - an HDF5 file that several ranks write and that cannot hang them.
 *
 * Parallel HDF5 waits for ever when writing fails on one rank only, as on a full disk. So rank 0
 * alone speaks HDF5: it lays out the arrays, tells where each begins, and every rank writes its
 * rows there by plain pwrite(). A failure is local, and is agreed on like any other. */
#ifndef WS_IO_OUT_H
#define WS_IO_OUT_H

#include <hdf5.h>

#include "wingspan/io/checkpoint.h"

typedef struct ws_out5 {
    const ws_comm *comm;
    char file[1024], temp[1040]; /* what it will be called, and is called now */
    hid_t h5;                    /* rank 0; -1 elsewhere */
    int fd;                      /* of temp */
    int hold;                    /* rank 0: keeps other runs away from temp; -1 elsewhere */
} ws_out5;

/** Make the temporary file, with `block` bytes in front of the HDF5 part and `bytes` reserved.
 *  Collective; agreed: WS_ERR_IO, and then nothing is left. */
ws_err ws_out5_open(const ws_comm *comm, const char *file, double bytes, int64_t block, ws_out5 *o);

/** Rows first .. first + rows - 1 of a new array [rows_all x cols], cols = 0 for a vector.
 *  Collective; agreed: WS_ERR_IO. */
ws_err ws_out5_rows(ws_out5 *o, const char *path, ws_type type, int64_t rows_all, int64_t first,
                    int64_t rows, int64_t cols, const void *data);

/** Finish the HDF5 part; the file keeps its temporary name and its lock.  Collective; agreed. */
ws_err ws_out5_finish(ws_out5 *o);

/** Let go of the file, and take it away if it is still under its temporary name and `away`.
 *  Collective; cannot fail. */
void ws_out5_close(ws_out5 *o, int away);

/** What a failure to write is called: the file, the stage, errno. */
ws_err ws_out5_failed(const ws_out5 *o, const char *what);

#endif
