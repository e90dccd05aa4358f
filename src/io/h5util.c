/* h5util.c - types, access lists, block writes. */
#include "h5util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 28 }; /* bytes at a time: MPI-IO counts are int */

void ws_h5_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

hid_t ws_h5_type(ws_type t)
{
    switch (t) {
    case WS_FLOAT32:
        return H5T_NATIVE_FLOAT;
    case WS_FLOAT64:
        return H5T_NATIVE_DOUBLE;
    case WS_INT32:
        return H5T_NATIVE_INT32;
    case WS_INT64:
        return H5T_NATIVE_INT64;
    case WS_UINT8:
        return H5T_NATIVE_UINT8;
    }
    return -1;
}

size_t ws_h5_size(ws_type t)
{
    return t == WS_UINT8 ? 1 : t == WS_FLOAT32 || t == WS_INT32 ? 4 : 8;
}

hid_t ws_h5_access(MPI_Comm mpi)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);

    if (mpi != MPI_COMM_NULL) H5Pset_fapl_mpio(access, mpi, MPI_INFO_NULL);
    return access;
}

int ws_h5_type_is(hid_t stored, ws_type t)
{
    H5T_class_t want = t == WS_FLOAT32 || t == WS_FLOAT64 ? H5T_FLOAT : H5T_INTEGER;

    return H5Tget_class(stored) == want && H5Tget_size(stored) == ws_h5_size(t);
}

static int write_block(hid_t set, ws_type type, int64_t first, int64_t rows, int64_t cols,
                       const char *data)
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
        bad = H5Dwrite(set, ws_h5_type(type), memory, space, H5P_DEFAULT, data + (size_t)at * row) <
              0;
        H5Sclose(memory);
    }
    H5Sclose(space);
    return bad;
}

int ws_h5_put_rows(hid_t file, const char *path, ws_type type, int64_t rows_all, int64_t first,
                   int64_t rows, int64_t cols, const void *data)
{
    hsize_t dims[2] = {(hsize_t)rows_all, (hsize_t)cols};
    hid_t space = H5Screate_simple(cols ? 2 : 1, dims, NULL), link = H5Pcreate(H5P_LINK_CREATE);
    hid_t set, create = H5Pcreate(H5P_DATASET_CREATE);
    int bad;

    H5Pset_obj_track_times(create, 0); /* the same content is the same file */
    H5Pset_create_intermediate_group(link, 1);
    set = H5Dcreate2(file, path, ws_h5_type(type), space, link, create, H5P_DEFAULT);
    bad = set < 0;
    if (!bad && rows > 0) bad = write_block(set, type, first, rows, cols, data);
    if (set >= 0) bad = H5Dclose(set) < 0 || bad;
    H5Pclose(create);
    H5Pclose(link);
    H5Sclose(space);
    return bad;
}

int ws_io_told_to_fail(const char *stage, int rank)
{
    const char *text = getenv("WINGSPAN_FAIL_IO");
    char word[40];
    int who;

    while (text && sscanf(text, "%39[^:]:%d", word, &who) == 2) {
        if (who == rank && strcmp(word, stage) == 0) return 1;
        text = strchr(text, ',');
        if (text) text++;
    }
    return 0;
}
