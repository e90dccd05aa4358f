/* ckpt_read.c - a verified checkpoint, read on any number of ranks. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ckpt.h"
#include "h5util.h"
#include "wingspan/core/alloc.h"

struct ws_ckpt {
    const ws_comm *comm;
    char file[1040], note[2048];
    int64_t length;
    hid_t h5;
};

enum { OLDEST = 1000, PIECE = 1 << 28 };

static void name_of(const char *file, int k, char *name, size_t size)
{
    if (k == 0)
        snprintf(name, size, "%s", file);
    else
        snprintf(name, size, "%s.%d", file, k);
}

static int is_there(const char *file, int k)
{
    char name[1040];

    name_of(file, k, name, sizeof name);
    return access(name, F_OK) == 0;
}

/* The first of file.k, file.(k+1), ... that is there (k = 0: file itself); OLDEST if none is. */
static int next_there(const ws_comm *comm, const char *file, int k)
{
    while (comm->rank == 0 && k < OLDEST && !is_there(file, k)) k++;
    MPI_Bcast(&k, 1, MPI_INT, 0, comm->mpi);
    return k;
}

int ws_ckpt_exists(const ws_comm *comm, const char *file)
{
    return next_there(comm, file, 0) < OLDEST;
}

/* Verify and open one file.  Collective; agreed. */
static ws_err open_one(ws_ckpt *c, const char *name)
{
    hid_t access;
    ws_err err = ws_block_verify(c->comm, name, name, &c->length);

    if (err) return err;
    access = ws_h5_access(c->comm->mpi);
    c->h5 = H5Fopen(name, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    snprintf(c->file, sizeof c->file, "%s", name);
    if (c->h5 < 0) err = ws_fail(WS_ERR_DATA, "%s cannot be opened as HDF5", name);
    return ws_agree(c->comm, err);
}

/* The newest good one of file.1, file.2, ...; `why` says what was wrong with file. */
static ws_err open_older(ws_ckpt *c, const char *file, ws_err first)
{
    char name[1040], why[900];
    ws_err err = first;

    snprintf(why, sizeof why, "%s", ws_err_text());
    for (int k = 1; (k = next_there(c->comm, file, k)) < OLDEST && err; k++) {
        name_of(file, k, name, sizeof name);
        err = open_one(c, name);
    }
    if (err) return ws_fail(first, "%s, and there is no good older one", why);
    snprintf(c->note, sizeof c->note, "%s; %s is used instead", why, c->file);
    return WS_OK;
}

/* Name the next older one of a file that cannot be used. */
static ws_err advise(ws_ckpt *c, const char *file, ws_err err)
{
    char why[900];
    int k = next_there(c->comm, file, 1);

    if (k == OLDEST) return err;
    snprintf(why, sizeof why, "%s", ws_err_text());
    return ws_fail(err, "%s: an older checkpoint is %s.%d", why, file, k);
}

ws_err ws_ckpt_open(const ws_comm *comm, const char *file, int fall_back, ws_ckpt **out)
{
    ws_ckpt *c = NULL;
    ws_err err;

    *out = NULL;
    ws_h5_quiet();
    if ((err = ws_agree(comm, ws_alloc(&c, 1, sizeof *c, "checkpoint")))) {
        ws_free(&c); /* there was memory here, but not on another rank */
        return err;
    }
    c->comm = comm;
    c->h5 = -1;
    err = open_one(c, file);
    if (err && fall_back)
        err = open_older(c, file, err);
    else if (err)
        err = advise(c, file, err);
    if (err)
        ws_ckpt_close(&c);
    else
        *out = c;
    return err;
}

void ws_ckpt_close(ws_ckpt **c)
{
    if (!*c) return;
    if ((*c)->h5 >= 0) H5Fclose((*c)->h5);
    ws_free(c);
}

const char *ws_ckpt_file(const ws_ckpt *c)
{
    return c->file;
}

const char *ws_ckpt_note(const ws_ckpt *c)
{
    return c->note;
}

int64_t ws_ckpt_length(const ws_ckpt *c)
{
    return c->length;
}

static ws_err missing(const ws_ckpt *c, const char *group, const char *name)
{
    return ws_fail(WS_ERR_DATA,
                   "%s has no usable %s%s%s: it was written by another version of wingspan",
                   c->file, group, group[0] ? "/" : "", name);
}

/* Read an attribute: a text of at most `size` bytes (size > 0), or a number of a type. */
static ws_err get_attribute(ws_ckpt *c, const char *group, const char *name, ws_type type, void *v,
                            int64_t size)
{
    hid_t a =
        ws_ckpt_has(c, group) ? H5Aopen_by_name(c->h5, group, name, H5P_DEFAULT, H5P_DEFAULT) : -1;
    hid_t stored = a >= 0 ? H5Aget_type(a) : -1, space = a >= 0 ? H5Aget_space(a) : -1;
    int ok = stored >= 0 && H5Sget_simple_extent_npoints(space) == 1;

    if (ok && size > 0)
        ok = H5Tget_class(stored) == H5T_STRING && !H5Tis_variable_str(stored) &&
             (int64_t)H5Tget_size(stored) <= size && H5Aread(a, stored, v) >= 0;
    else if (ok)
        ok = ws_h5_type_is(stored, type) && H5Aread(a, ws_h5_type(type), v) >= 0;
    if (ok && size > 0) ((char *)v)[H5Tget_size(stored) - 1] = 0;
    if (space >= 0) H5Sclose(space);
    if (stored >= 0) H5Tclose(stored);
    if (a >= 0) H5Aclose(a);
    return ws_agree(c->comm, ok ? WS_OK : missing(c, group, name));
}

ws_err ws_ckpt_get_text(ws_ckpt *c, const char *group, const char *name, char *v, int64_t size)
{
    v[0] = 0;
    return get_attribute(c, group, name, WS_UINT8, v, size);
}

ws_err ws_ckpt_get_int(ws_ckpt *c, const char *group, const char *name, int64_t *v)
{
    return get_attribute(c, group, name, WS_INT64, v, 0);
}

ws_err ws_ckpt_get_real(ws_ckpt *c, const char *group, const char *name, double *v)
{
    return get_attribute(c, group, name, WS_FLOAT64, v, 0);
}

int ws_ckpt_has(ws_ckpt *c, const char *path)
{
    char part[200];
    H5L_info_t link;

    /* Every group on the way must be there before the last name is asked for. */
    for (size_t i = 1; path[i - 1]; i++) {
        if (path[i] && path[i] != '/') continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (H5Lexists(c->h5, part, H5P_DEFAULT) <= 0 ||
            H5Lget_info(c->h5, part, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
            return 0;
        if (!path[i]) break;
    }
    return 1;
}

int ws_ckpt_is_of(ws_ckpt *c, const char *path, ws_type type)
{
    hid_t set = ws_ckpt_has(c, path) ? H5Dopen2(c->h5, path, H5P_DEFAULT) : -1;
    hid_t stored = set >= 0 ? H5Dget_type(set) : -1;
    int is = stored >= 0 && ws_h5_type_is(stored, type);

    if (stored >= 0) H5Tclose(stored);
    if (set >= 0) H5Dclose(set);
    return is;
}

/* Ours lie in one piece in the file itself, with a byte for every byte that the shape asks for: memory
 * is asked for by shapes that have passed this. */
static int is_held(const ws_ckpt *c, hid_t set, const hsize_t extent[2], int n)
{
    hid_t create = H5Dget_create_plist(set), type = H5Dget_type(set);
    double need = (double)extent[0] * (n > 1 ? (double)extent[1] : 1) * (double)H5Tget_size(type);
    int held = H5Pget_layout(create) == H5D_CONTIGUOUS && H5Pget_external_count(create) == 0 &&
               need <= (double)H5Dget_storage_size(set) && need <= (double)c->length;

    if (need > 0) held = held && H5Dget_offset(set) != HADDR_UNDEF;
    H5Tclose(type);
    H5Pclose(create);
    return held;
}

static ws_err shape(ws_ckpt *c, const char *path, int *ndims, int64_t dims[2])
{
    hid_t set = ws_ckpt_has(c, path) ? H5Dopen2(c->h5, path, H5P_DEFAULT) : -1;
    hid_t space = set >= 0 ? H5Dget_space(set) : -1;
    hsize_t extent[2] = {0, 0};
    int n = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1, ok = n == 1 || n == 2;

    if (ok) H5Sget_simple_extent_dims(space, extent, NULL);
    ok = ok && extent[0] <= (hsize_t)1 << 40 && extent[1] <= (hsize_t)1 << 40 &&
         is_held(c, set, extent, n);
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    if (!ok) return missing(c, "", path);
    *ndims = n;
    dims[0] = (int64_t)extent[0];
    dims[1] = (int64_t)extent[1];
    return WS_OK;
}

ws_err ws_ckpt_shape(ws_ckpt *c, const char *path, int *ndims, int64_t dims[2])
{
    return ws_agree(c->comm, shape(c, path, ndims, dims));
}

static int read_block(hid_t set, ws_type type, int64_t first, int64_t rows, int64_t cols,
                      char *data)
{
    size_t row = ws_h5_size(type) * (size_t)(cols ? cols : 1);
    int64_t piece = PIECE / (int64_t)row < 1 ? 1 : PIECE / (int64_t)row;
    hid_t space = H5Dget_space(set);
    int bad = 0;

    for (int64_t at = 0; at < rows && !bad; at += piece) {
        int64_t k = rows - at < piece ? rows - at : piece;
        hsize_t start[2] = {(hsize_t)(first + at), 0}, count[2] = {(hsize_t)k, (hsize_t)cols};
        hid_t memory = H5Screate_simple(cols ? 2 : 1, count, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
        bad =
            H5Dread(set, ws_h5_type(type), memory, space, H5P_DEFAULT, data + (size_t)at * row) < 0;
        H5Sclose(memory);
    }
    H5Sclose(space);
    return bad;
}

ws_err ws_ckpt_get_rows(ws_ckpt *c, const char *path, ws_type type, int64_t first, int64_t rows,
                        int64_t cols, void *data)
{
    int64_t dims[2] = {0, 0};
    int ndims = 0;
    ws_err err = shape(c, path, &ndims, dims);

    if (!err &&
        (rows < 0 || first < 0 || first > dims[0] - rows ||
         (cols ? ndims != 2 || dims[1] != cols : ndims != 1) || !ws_ckpt_is_of(c, path, type)))
        err = missing(c, "", path);
    if (!err && rows > 0) {
        hid_t set = H5Dopen2(c->h5, path, H5P_DEFAULT);

        if (read_block(set, type, first, rows, cols, data))
            err = ws_fail(WS_ERR_IO, "%s cannot be read (%s)", c->file, path);
        H5Dclose(set);
    }
    return ws_agree(c->comm, err);
}

ws_err ws_ckpt_get_array(ws_ckpt *c, const char *path, ws_type type, int64_t count, void *data)
{
    int64_t dims[2] = {0, 0};
    int ndims = 0;
    ws_err err = ws_ckpt_shape(c, path, &ndims, dims);

    if (err) return err;
    if ((double)dims[0] * (double)(ndims > 1 ? dims[1] : 1) != (double)count)
        return ws_fail(WS_ERR_DATA, "%s: %s does not have %lld values", c->file, path,
                       (long long)count);
    return ws_ckpt_get_rows(c, path, type, 0, dims[0], ndims > 1 ? dims[1] : 0, data);
}
