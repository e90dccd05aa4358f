/* table.c - plain HDF5 files that leave wingspan. */
#include "wingspan/io/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ckpt.h"
#include "h5util.h"

ws_err ws_table_write(const ws_comm *comm, const char *file, const ws_table_column *cols, int n)
{
    char temp[1100];
    hid_t access, h5 = -1;
    double bytes = 0;
    ws_err err = WS_OK;

    ws_h5_quiet();
    snprintf(temp, sizeof temp, "%s.tmp", file);
    for (int i = 0; i < n; i++)
        bytes += (double)cols[i].rows_all * (double)(cols[i].cols ? cols[i].cols : 1) *
                 (double)ws_h5_size(cols[i].type);
    if (comm->rank == 0) err = ws_place_open(temp, file, bytes, NULL);
    if ((err = ws_agree(comm, err))) return err;

    access = ws_h5_access(comm->mpi);
    h5 = H5Fcreate(temp, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    if (h5 < 0) err = ws_fail(WS_ERR_IO, "%s cannot be written", file);
    err = ws_agree(comm, err);
    for (int i = 0; i < n && !err; i++) {
        const ws_table_column *c = &cols[i];
        if (ws_h5_put_rows(h5, c->path, c->type, c->rows_all, c->first, c->rows, c->cols, c->data))
            err = ws_fail(WS_ERR_IO, "%s cannot be written (%s): is the disk full?", file, c->path);
        err = ws_agree(comm, err);
    }
    if (h5 >= 0 && H5Fclose(h5) < 0 && !err)
        err = ws_fail(WS_ERR_IO, "%s cannot be written: is the disk full?", file);
    err = ws_agree(comm, err);
    if (comm->rank == 0 && !err && rename(temp, file) != 0)
        err = ws_fail(WS_ERR_IO, "%s cannot be put in place: %s", file, strerror(errno));
    err = ws_agree(comm, err);
    if (err && comm->rank == 0) unlink(temp);
    return err;
}
