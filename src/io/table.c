/* table.c - plain HDF5 files that leave wingspan. */
#include "wingspan/io/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "h5util.h"
#include "out.h"

ws_err ws_table_write(const ws_comm *comm, const char *file, const ws_table_column *cols, int n)
{
    ws_out5 o;
    double bytes = 65536;
    ws_err err;

    for (int i = 0; i < n; i++)
        bytes += (double)cols[i].rows_all * (double)(cols[i].cols ? cols[i].cols : 1) *
                 (double)ws_h5_size(cols[i].type);
    if ((err = ws_out5_open(comm, file, bytes, 0, &o))) return err;
    for (int i = 0; i < n && !err; i++) {
        const ws_table_column *c = &cols[i];
        err = ws_out5_rows(&o, c->path, c->type, c->rows_all, c->first, c->rows, c->cols, c->data);
    }
    if (!err) err = ws_out5_finish(&o);
    if (comm->rank == 0 && !err && rename(o.temp, file) != 0)
        err = ws_fail(WS_ERR_IO, "%s cannot be put in place: %s", file, strerror(errno));
    err = ws_agree(comm, err);
    ws_out5_close(&o, err != WS_OK);
    return err;
}
