/* h5util.c - types, access lists, block writes. */
#include "h5util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
