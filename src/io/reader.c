/* reader.c - see reader.h. */
#include "reader.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "h5util.h"

static const char *const x_name[2] = {"x", "x_test"}, *const y_name[2] = {"y", "y_test"};

/* A dataset of one or two dimensions; -1 if it is not there. */
static hid_t open_set(const ws_reader *r, const char *name, int *ndims, int64_t dims[2])
{
    hid_t set, space;
    hsize_t extent[32];

    if (H5Lexists(r->file, name, H5P_DEFAULT) <= 0) return -1;
    if ((set = H5Dopen2(r->file, name, H5P_DEFAULT)) < 0) return -1;
    space = H5Dget_space(set);
    *ndims = H5Sget_simple_extent_ndims(space);
    if (*ndims > 0 && *ndims <= 32) H5Sget_simple_extent_dims(space, extent, NULL);
    dims[0] = *ndims > 0 ? (int64_t)extent[0] : 0;
    dims[1] = *ndims > 1 ? (int64_t)extent[1] : 1;
    H5Sclose(space);
    return set;
}

static H5T_class_t class_of(hid_t set, size_t *size, int *is_signed)
{
    hid_t type = H5Dget_type(set);
    H5T_class_t c = H5Tget_class(type);

    *size = H5Tget_size(type);
    *is_signed = c != H5T_INTEGER || H5Tget_sign(type) == H5T_SGN_2;
    H5Tclose(type);
    return c;
}

static ws_err open_x(ws_reader *r, int part)
{
    int64_t dims[2];
    int ndims = 0, is_signed;
    size_t size;
    H5T_class_t c;

    r->x[part] = open_set(r, x_name[part], &ndims, dims);
    if (r->x[part] < 0)
        return part == 1 ? WS_OK
                         : ws_fail(WS_ERR_DATA,
                                   "%s has no x: a data set needs x (samples, columns); see "
                                   "wingspan convert --help",
                                   r->name);
    if (ndims != 2)
        return ws_fail(WS_ERR_SHAPE, "%s: %s has %d dimensions, but must have 2 (samples, columns)",
                       r->name, x_name[part], ndims);
    if (dims[0] == 0 || dims[1] == 0)
        return ws_fail(WS_ERR_SHAPE, "%s: %s is empty (%lld samples of %lld columns)", r->name,
                       x_name[part], (long long)dims[0], (long long)dims[1]);
    if (part == 1 && dims[1] != r->d)
        return ws_fail(WS_ERR_SHAPE, "%s: x has %lld columns but x_test has %lld", r->name,
                       (long long)r->d, (long long)dims[1]);
    c = class_of(r->x[part], &size, &is_signed);
    if (c != H5T_INTEGER && c != H5T_FLOAT)
        return ws_fail(WS_ERR_DATA, "%s: %s does not hold numbers", r->name, x_name[part]);
    r->byte[part] = c == H5T_INTEGER && size == 1 && !is_signed;
    r->n[part] = dims[0];
    r->d = dims[1];
    return WS_OK;
}

static ws_err open_y(ws_reader *r, int part)
{
    int64_t dims[2];
    int ndims = 0, is_signed;
    size_t size;
    H5T_class_t c;
    ws_y_kind kind;

    if (r->x[part] < 0) return WS_OK;
    r->y[part] = open_set(r, y_name[part], &ndims, dims);
    if (r->y[part] < 0) return WS_OK;
    if (ndims < 1 || ndims > 2 || dims[0] != r->n[part] || dims[1] < 1)
        return ws_fail(WS_ERR_SHAPE, "%s: %s must have %lld rows, as %s has, in 1 or 2 dimensions",
                       r->name, y_name[part], (long long)r->n[part], x_name[part]);
    c = class_of(r->y[part], &size, &is_signed);
    if (c != H5T_INTEGER && c != H5T_FLOAT)
        return ws_fail(WS_ERR_DATA, "%s: %s does not hold numbers", r->name, y_name[part]);
    kind = c == H5T_INTEGER ? WS_Y_INTEGER : WS_Y_REAL;
    if (part == 1 && r->has[0] && (kind != r->y_kind || dims[1] != r->columns))
        return ws_fail(WS_ERR_SHAPE, "%s: y and y_test differ in type or in columns", r->name);
    r->has[part] = 1;
    r->y_kind = kind;
    r->columns = dims[1];
    r->matrix = dims[1] > 1;
    return WS_OK;
}

/* What can be wrong with the file as this node sees it. */
static ws_err check_file(const ws_reader *r)
{
    struct stat st;
    FILE *f;

    if (stat(r->name, &st) != 0)
        return ws_fail(WS_ERR_IO, "%s cannot be read: %s", r->name, strerror(errno));
    if (S_ISDIR(st.st_mode)) return ws_fail(WS_ERR_IO, "%s is a folder, not a data set", r->name);
    if (!(f = fopen(r->name, "r")))
        return ws_fail(WS_ERR_IO, "%s cannot be read: %s", r->name, strerror(errno));
    fclose(f);
    if (H5Fis_hdf5(r->name) <= 0)
        return ws_fail(WS_ERR_DATA, "%s is not an HDF5 file: make a data set with wingspan convert",
                       r->name);
    return WS_OK;
}

/* Opening is a meeting, so no leader enters it before all have seen the file. */
static ws_err open_file(ws_reader *r, const ws_comm *leaders)
{
    hid_t access;
    ws_err err = ws_agree(leaders, check_file(r));

    if (err) return err;
    access = ws_h5_access(leaders->mpi);
    r->file = H5Fopen(r->name, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (r->file < 0)
        err = ws_fail(WS_ERR_DATA, "%s is damaged or cut short: HDF5 cannot open it", r->name);
    return ws_agree(leaders, err);
}

ws_err ws_reader_open(const char *file, const ws_comm *leaders, ws_reader *r)
{
    ws_err err;

    ws_h5_quiet();
    *r = (ws_reader){.file = -1, .x = {-1, -1}, .y = {-1, -1}, .columns = 1};
    snprintf(r->name, sizeof r->name, "%s", file);
    if ((err = open_file(r, leaders))) return err;
    for (int part = 0; part < 2; part++)
        if ((err = open_x(r, part)) || (err = open_y(r, part))) return err;
    r->slab = r->d > 4194304 ? 1 : 4194304 / r->d;
    return WS_OK;
}

void ws_reader_close(ws_reader *r)
{
    for (int part = 0; part < 2; part++) {
        if (r->x[part] >= 0) H5Dclose(r->x[part]);
        if (r->y[part] >= 0) H5Dclose(r->y[part]);
    }
    if (r->file >= 0) H5Fclose(r->file);
    r->file = -1;
    r->x[0] = r->x[1] = r->y[0] = r->y[1] = -1;
}

ws_err ws_reader_rows(ws_reader *r, int part, int64_t at, int64_t k, float *to)
{
    hsize_t start[2] = {(hsize_t)at, 0}, count[2] = {(hsize_t)k, (hsize_t)r->d};
    hid_t space = H5Dget_space(r->x[part]), memory = H5Screate_simple(2, count, NULL);
    int bad;

    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    bad = H5Dread(r->x[part], H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, to) < 0;
    H5Sclose(memory);
    H5Sclose(space);
    if (bad)
        return ws_fail(WS_ERR_IO, "%s is damaged or cut short: %s cannot be read", r->name,
                       x_name[part]);
    for (int64_t i = 0; i < k * r->d; i++)
        if (!isfinite(to[i]))
            return ws_fail(WS_ERR_DATA,
                           "%s: %s has a value that is not finite as float32 in row %lld, column "
                           "%lld (counted from 0)",
                           r->name, x_name[part], (long long)(at + i / r->d),
                           (long long)(i % r->d));
    for (int64_t i = 0; r->byte[part] && i < k * r->d; i++) to[i] /= 255.0f;
    return WS_OK;
}

ws_err ws_reader_y(ws_reader *r, int part, void *to)
{
    hid_t type = r->y_kind == WS_Y_INTEGER ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
    hsize_t start[2] = {0, 0}, count[2] = {(hsize_t)r->n[part], (hsize_t)r->columns};
    hid_t space = H5Dget_space(r->y[part]), memory = H5Screate_simple(2, count, NULL);
    int bad;

    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    bad = H5Dread(r->y[part], type, memory, space, H5P_DEFAULT, to) < 0;
    H5Sclose(memory);
    H5Sclose(space);
    if (bad)
        return ws_fail(WS_ERR_IO, "%s is damaged or cut short: %s cannot be read", r->name,
                       y_name[part]);
    for (int64_t i = 0; r->y_kind == WS_Y_REAL && i < r->n[part] * r->columns; i++)
        if (!isfinite(((double *)to)[i]))
            return ws_fail(WS_ERR_DATA,
                           "%s: %s has a value that is not finite in row %lld, column %lld "
                           "(counted from 0)",
                           r->name, y_name[part], (long long)(i / r->columns),
                           (long long)(i % r->columns));
    return WS_OK;
}
