/* ckpt_write.c - a checkpoint under a temporary name, then in place. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ckpt.h"
#include "h5util.h"
#include "out.h"
#include "wingspan/core/alloc.h"

struct ws_ckpt_writer {
    const ws_comm *comm;
    int64_t block;
    ws_out5 out;
};

ws_err ws_ckpt_create(const ws_comm *comm, const char *file, double bytes, ws_ckpt_writer **out)
{
    ws_ckpt_writer *w = NULL;
    ws_err err = ws_agree(comm, ws_alloc(&w, 1, sizeof *w, "checkpoint"));

    *out = NULL;
    if (!err) {
        w->comm = comm;
        w->block = ws_block_size(bytes);
        err = ws_out5_open(comm, file, bytes > 0 ? bytes + (double)w->block : 0, w->block, &w->out);
    }
    if (err) {
        ws_free(&w); /* also if there was memory here, but not on another rank */
        return err;
    }
    *out = w;
    return WS_OK;
}

static hid_t group_open(ws_ckpt_writer *w, const char *group)
{
    if (H5Lexists(w->out.h5, group, H5P_DEFAULT) > 0)
        return H5Gopen2(w->out.h5, group, H5P_DEFAULT);
    return H5Gcreate2(w->out.h5, group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

/* Rank 0's: does the attribute lie in the file? */
static ws_err write_attribute(ws_ckpt_writer *w, const char *group, const char *name, hid_t type,
                              const void *v)
{
    hid_t g = group_open(w, group), space = H5Screate(H5S_SCALAR), a;
    int bad;

    a = H5Acreate2(g, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bad = g < 0 || a < 0 || H5Awrite(a, type, v) < 0;
    if (a >= 0) H5Aclose(a);
    if (g >= 0) H5Gclose(g);
    H5Sclose(space);
    return bad ? ws_out5_failed(&w->out, name) : WS_OK;
}

static ws_err put_attribute(ws_ckpt_writer *w, const char *group, const char *name, hid_t type,
                            const void *v)
{
    ws_err err = w->comm->rank == 0 ? write_attribute(w, group, name, type, v) : WS_OK;

    return ws_agree(w->comm, err);
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
    return ws_out5_rows(&w->out, path, type, rows_all, first, rows, cols, data);
}

ws_err ws_ckpt_commit(ws_ckpt_writer **p, int keep)
{
    ws_ckpt_writer *w = *p;
    ws_out5 *o = &w->out;
    int64_t length;
    ws_err err = ws_out5_finish(o);

    if (!err) err = ws_block_write(w->comm, o->temp, o->file, w->block);
    if (!err) err = ws_block_verify(w->comm, o->temp, o->file, &length);
    if (!err) {
        if (w->comm->rank == 0) err = ws_place(o->temp, o->file, keep, 0);
        err = ws_agree(w->comm, err);
    }
    ws_out5_close(o, err != WS_OK);
    ws_free(p);
    return err;
}

void ws_ckpt_abort(ws_ckpt_writer **p)
{
    if (!*p) return;
    ws_out5_close(&(*p)->out, 1);
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
