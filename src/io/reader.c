/* reader.c - see reader.h. */
#include "reader.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "h5util.h"

enum { COLUMNS = 1000000 }; /* of y */

static const char *const x_name[2] = {"x", "x_test"}, *const y_name[2] = {"y", "y_test"};

/* Rows and columns of a dataset; sizes that no machine holds are told apart from small ones. */
static void extents(hid_t set, int *ndims, int64_t dims[2])
{
    hid_t space = H5Dget_space(set);
    hsize_t extent[H5S_MAX_RANK] = {0};

    *ndims = H5Sget_simple_extent_ndims(space);
    if (*ndims > 0) H5Sget_simple_extent_dims(space, extent, NULL);
    for (int k = 0; k < 2; k++) {
        dims[k] = *ndims > k ? (int64_t)extent[k] : k;
        if (*ndims > k && extent[k] > (hsize_t)1 << 40) dims[k] = (int64_t)1 << 40;
    }
    H5Sclose(space);
}

/* Open a dataset that lies in this very file.  *set is -1 if there is nothing of that name. */
static ws_err open_set(const ws_reader *r, const char *name, hid_t *set, int *ndims,
                       int64_t dims[2])
{
    H5L_info_t link;

    *set = -1;
    if (H5Lexists(r->file, name, H5P_DEFAULT) <= 0) return WS_OK;
    if (H5Lget_info(r->file, name, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
        return ws_fail(WS_ERR_DATA,
                       "%s: %s is a link to somewhere else: make a file that holds the values "
                       "themselves (h5copy does)",
                       r->name, name);
    if ((*set = H5Dopen2(r->file, name, H5P_DEFAULT)) < 0)
        return ws_fail(WS_ERR_DATA, "%s: %s is not an array, or is damaged", r->name, name);
    extents(*set, ndims, dims);
    return WS_OK;
}

/* Filters of libhdf5 1.10 that read past their chunk when it lies: found by tests/fuzz. */
static int unsafe_filter(hid_t create)
{
    for (int k = 0; k < H5Pget_nfilters(create); k++) {
        size_t none = 0;
        unsigned flags, config;
        H5Z_filter_t f = H5Pget_filter2(create, (unsigned)k, &flags, &none, NULL, 0, NULL, &config);
        if (f == H5Z_FILTER_NBIT || f == H5Z_FILTER_SCALEOFFSET) return 1;
    }
    return 0;
}

/* Are the values in this file, and as many as the shape says?  Sizes are used only after this.
 * Deflate packs 1032 to 1 at best. */
static ws_err check_storage(const ws_reader *r, hid_t set, const char *name, const int64_t dims[2])
{
    hid_t create = H5Dget_create_plist(set), type = H5Dget_type(set);
    double need = (double)dims[0] * (double)dims[1] * (double)H5Tget_size(type);
    double stored = (double)H5Dget_storage_size(set);
    int outside = H5Pget_external_count(create) != 0 || H5Pget_layout(create) == H5D_VIRTUAL;
    int packed = H5Pget_nfilters(create) > 0, unsafe = unsafe_filter(create);
    struct stat st;

    H5Tclose(type);
    H5Pclose(create);
    if (outside)
        return ws_fail(WS_ERR_DATA,
                       "%s: the values of %s lie in other files: make a file that holds them "
                       "(h5repack does)",
                       r->name, name);
    if (unsafe)
        return ws_fail(WS_ERR_DATA,
                       "%s: %s is packed by nbit or scale-offset, which is not read: pack it with "
                       "h5repack -f GZIP=4",
                       r->name, name);
    if (stat(r->name, &st) != 0 || stored > (double)st.st_size ||
        need > stored * (packed ? 1100 : 1))
        return ws_fail(WS_ERR_DATA,
                       "%s: %s says it has %lld x %lld values but the file holds only %.4g bytes "
                       "of them: it is damaged, cut short or was never filled",
                       r->name, name, (long long)dims[0], (long long)dims[1], stored);
    return WS_OK;
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
    ws_err err = open_set(r, x_name[part], &r->x[part], &ndims, dims);

    if (err) return err;
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
    if ((err = check_storage(r, r->x[part], x_name[part], dims))) return err;
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
    ws_err err;

    if (r->x[part] < 0) return WS_OK;
    if ((err = open_set(r, y_name[part], &r->y[part], &ndims, dims))) return err;
    if (r->y[part] < 0) return WS_OK;
    if (ndims < 1 || ndims > 2 || dims[0] != r->n[part] || dims[1] < 1)
        return ws_fail(WS_ERR_SHAPE, "%s: %s must have %lld rows, as %s has, in 1 or 2 dimensions",
                       r->name, y_name[part], (long long)r->n[part], x_name[part]);
    c = class_of(r->y[part], &size, &is_signed);
    if (c != H5T_INTEGER && c != H5T_FLOAT)
        return ws_fail(WS_ERR_DATA, "%s: %s does not hold numbers", r->name, y_name[part]);
    if (dims[1] > COLUMNS)
        return ws_fail(WS_ERR_SHAPE, "%s: %s has more than %d columns", r->name, y_name[part],
                       COLUMNS);
    if ((err = check_storage(r, r->y[part], y_name[part], dims))) return err;
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
