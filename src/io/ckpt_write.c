/* ckpt_write.c - a checkpoint under a temporary name, then in place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ckpt.h"
#include "h5util.h"
#include "wingspan/core/alloc.h"

struct ws_ckpt_writer {
    const ws_comm *comm;
    char file[1024], temp[1040];
    int64_t block;
    hid_t h5;
    int hold; /* rank 0: keeps other runs away from temp; -1 elsewhere */
};

static ws_err failed(const ws_ckpt_writer *w, const char *what)
{
    return ws_fail(WS_ERR_IO, "%s cannot be written (%s failed): is the disk full?", w->file, what);
}

/* The temporary file, with its user block and its space reserved.  Collective; agreed. */
static ws_err open_file(ws_ckpt_writer *w, double bytes)
{
    hid_t access, create = H5Pcreate(H5P_FILE_CREATE);
    ws_err err = WS_OK;

    w->block = ws_block_size(bytes);
    if (w->comm->rank == 0)
        err = ws_place_open(w->temp, w->file, bytes + (double)w->block, &w->hold);
    if (!(err = ws_agree(w->comm, err))) {
        access = ws_h5_access(w->comm->mpi);
        H5Pset_userblock(create, (hsize_t)w->block);
        w->h5 = H5Fcreate(w->temp, H5F_ACC_TRUNC, create, access);
        H5Pclose(access);
        if (w->h5 < 0) err = failed(w, "opening");
        if (!err && w->comm->rank == 0 && bytes > 0) {
            int fd = open(w->temp, O_RDWR);
            int code = fd < 0 ? errno : posix_fallocate(fd, 0, w->block + (int64_t)bytes);
            if (code == ENOSPC || code == EFBIG || code == EDQUOT)
                err = ws_fail(WS_ERR_IO, "no space to write %s: %s", w->file, strerror(code));
            if (fd >= 0) close(fd);
        }
        err = ws_agree(w->comm, err);
    }
    H5Pclose(create);
    return err;
}

ws_err ws_ckpt_create(const ws_comm *comm, const char *file, double bytes, ws_ckpt_writer **out)
{
    ws_ckpt_writer *w = NULL;
    ws_err err;

    *out = NULL;
    ws_h5_quiet();
    if ((err = ws_agree(comm, ws_alloc(&w, 1, sizeof *w, "checkpoint")))) {
        ws_free(&w); /* there was memory here, but not on another rank */
        return err;
    }
    w->comm = comm;
    w->h5 = w->hold = -1;
    snprintf(w->file, sizeof w->file, "%s", file);
    snprintf(w->temp, sizeof w->temp, "%s.tmp", file);
    if ((err = open_file(w, bytes)))
        ws_ckpt_abort(&w);
    else
        *out = w;
    return err;
}

static hid_t group_open(ws_ckpt_writer *w, const char *group)
{
    if (H5Lexists(w->h5, group, H5P_DEFAULT) > 0) return H5Gopen2(w->h5, group, H5P_DEFAULT);
    return H5Gcreate2(w->h5, group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

static ws_err put_attribute(ws_ckpt_writer *w, const char *group, const char *name, hid_t type,
                            const void *v)
{
    hid_t g = group_open(w, group), space = H5Screate(H5S_SCALAR), a;
    int bad;

    a = H5Acreate2(g, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bad = g < 0 || a < 0 || H5Awrite(a, type, v) < 0;
    if (a >= 0) H5Aclose(a);
    if (g >= 0) H5Gclose(g);
    H5Sclose(space);
    return ws_agree(w->comm, bad ? failed(w, name) : WS_OK);
}

ws_err ws_ckpt_put_text(ws_ckpt_writer *w, const char *group, const char *name, const char *v)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    ws_err err;

    H5Tset_size(type, strlen(v) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    err = put_attribute(w, group, name, type, v);
    H5Tclose(type);
    return err;
}

ws_err ws_ckpt_put_int(ws_ckpt_writer *w, const char *group, const char *name, int64_t v)
{
    return put_attribute(w, group, name, H5T_NATIVE_INT64, &v);
}

ws_err ws_ckpt_put_real(ws_ckpt_writer *w, const char *group, const char *name, double v)
{
    return put_attribute(w, group, name, H5T_NATIVE_DOUBLE, &v);
}

ws_err ws_ckpt_put_array(ws_ckpt_writer *w, const char *path, ws_type type, int ndims,
                         const int64_t *dims, const void *data)
{
    int64_t rows = w->comm->rank == 0 ? dims[0] : 0;

    return ws_ckpt_put_rows(w, path, type, dims[0], 0, rows, ndims > 1 ? dims[1] : 0, data);
}

ws_err ws_ckpt_put_rows(ws_ckpt_writer *w, const char *path, ws_type type, int64_t rows_all,
                        int64_t first, int64_t rows, int64_t cols, const void *data)
{
    int bad = ws_h5_put_rows(w->h5, path, type, rows_all, first, rows, cols, data);

    bad = bad || ws_io_told_to_fail("write", w->comm->rank);
    return ws_agree(w->comm, bad ? failed(w, path) : WS_OK);
}

ws_err ws_ckpt_commit(ws_ckpt_writer **p, int keep)
{
    ws_ckpt_writer *w = *p;
    int64_t length;
    int bad = H5Fclose(w->h5) < 0;
    ws_err err = WS_OK;

    w->h5 = -1;
    if (bad || ws_io_told_to_fail("close", w->comm->rank)) err = failed(w, "closing");
    err = ws_agree(w->comm, err);
    if (!err) err = ws_block_write(w->comm, w->temp, w->file, w->block);
    if (!err) err = ws_block_verify(w->comm, w->temp, w->file, &length);
    if (!err) {
        if (w->comm->rank == 0) err = ws_place(w->temp, w->file, keep, 0);
        err = ws_agree(w->comm, err);
    }
    if (err) {
        ws_ckpt_abort(p);
        return err;
    }
    if (w->hold >= 0) close(w->hold);
    ws_free(p);
    return WS_OK;
}

void ws_ckpt_abort(ws_ckpt_writer **p)
{
    ws_ckpt_writer *w = *p;

    if (!w) return;
    if (w->h5 >= 0) H5Fclose(w->h5);
    MPI_Barrier(w->comm->mpi);
    /* A rank 0 that does not hold it has not made it. */
    if (w->hold >= 0) {
        unlink(w->temp);
        close(w->hold);
    }
    ws_free(p);
}

ws_err ws_ckpt_probe(const ws_comm *comm, const char *file)
{
    char temp[1040];
    int hold = -1;
    ws_err err = WS_OK;

    snprintf(temp, sizeof temp, "%s.tmp", file);
    if (comm->rank == 0 && strlen(file) > 1000)
        err = ws_fail(WS_ERR_USAGE, "--checkpoint: the name of the file is too long");
    if (comm->rank == 0 && !err && !(err = ws_place_free(file)) &&
        !(err = ws_place_open(temp, file, 0, &hold))) {
        unlink(temp);
        close(hold);
    }
    return ws_agree(comm, err);
}
