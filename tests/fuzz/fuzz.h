/* fuzz.h - what every harness does around its input: MPI once, a folder in memory, and after each
 * input a look at what is left: no memory of ours, no object of HDF5, no file. */
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/err.h"

static ws_comm self;
/* Named by the process: others that are fuzzed at the same time have theirs. */
static char folder[48];

static inline void take_away(void)
{
    char command[100];

    if (chdir("/") == 0) snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command)) return;
}

static inline void begin(int *argc, char ***argv)
{
    setenv("OMPI_MCA_ess_singleton_isolated", "1", 1);
    MPI_Init(argc, argv);
    ws_comm_create(MPI_COMM_SELF, &self);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(folder, sizeof folder, "/dev/shm/wingspan-fuzz.%d", (int)getpid());
    if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || chdir(folder) != 0) abort();
    atexit(take_away);
}

static inline void put_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(name, "wb");

    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) abort();
}

/* Everything that was opened is closed, every block is free. */
static inline void check_nothing_is_left(int64_t held)
{
    if (ws_alloc_bytes() != held) {
        fprintf(stderr, "%lld bytes are lost\n", (long long)(ws_alloc_bytes() - held));
        abort();
    }
    if (H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) {
        fprintf(stderr, "objects of HDF5 are left open\n");
        abort();
    }
}

/* Bytes of the input, one after the other; zeros when it has ended. */
typedef struct bytes {
    const uint8_t *at, *end;
} bytes;

static inline unsigned next(bytes *b)
{
    return b->at < b->end ? *b->at++ : 0;
}

/* Numbers at which sizes go wrong. */
static inline int64_t odd_number(bytes *b)
{
    static const int64_t list[] = {0,
                                   1,
                                   2,
                                   3,
                                   5,
                                   6,
                                   7,
                                   60,
                                   61,
                                   -1,
                                   -2,
                                   127,
                                   128,
                                   255,
                                   256,
                                   1000,
                                   65536,
                                   2147483647,
                                   INT64_C(1) << 31,
                                   INT64_C(1) << 32,
                                   (INT64_C(1) << 32) + 1,
                                   INT64_C(1) << 40,
                                   (INT64_C(1) << 40) + 1,
                                   INT64_C(1) << 61,
                                   INT64_C(1) << 62,
                                   INT64_MAX,
                                   INT64_MIN};

    return list[next(b) % (sizeof list / sizeof *list)];
}

static inline double odd_real(bytes *b)
{
    static const double list[] = {0,    1,     -1,   0.5,    1e-300,  1e300, -1e300,
                                  1e39, 1e-45, 3e18, 0x1p63, -0x1p63, 1e6,   2};
    unsigned k = next(b) % 17;

    return k == 14   ? (double)NAN
           : k == 15 ? (double)INFINITY
           : k == 16 ? -(double)INFINITY
                     : list[k];
}

/* A type that an array or attribute may have. */
static inline hid_t odd_type(bytes *b)
{
    hid_t list[] = {H5T_IEEE_F32LE, H5T_IEEE_F64LE,     H5T_STD_I32LE,  H5T_STD_I64LE,
                    H5T_STD_U8LE,   H5T_STD_I8LE,       H5T_STD_U64BE,  H5T_IEEE_F32BE,
                    H5T_STD_B8LE,   H5T_NATIVE_LDOUBLE, H5T_STD_REF_OBJ};
    unsigned k = next(b) % 18;
    hid_t t;

    if (k < 11) return H5Tcopy(list[k]);
    switch (k) {
    case 11:
        t = H5Tcopy(H5T_C_S1);
        H5Tset_size(t, 1 + next(b) % 64);
        return t;
    case 12:
        t = H5Tcopy(H5T_C_S1);
        H5Tset_size(t, H5T_VARIABLE);
        return t;
    case 13:
        return H5Tvlen_create(H5T_STD_I32LE);
    case 14: {
        hsize_t d = 1 + next(b) % 4;
        return H5Tarray_create2(H5T_IEEE_F32LE, 1, &d);
    }
    case 15:
        t = H5Tcreate(H5T_COMPOUND, 8);
        H5Tinsert(t, "a", 0, H5T_STD_I32LE);
        return t;
    case 16:
        return H5Tcreate(H5T_OPAQUE, 1 + next(b) % 16);
    default:
        t = H5Tcopy(H5T_STD_I32LE); /* an integer of few bits somewhere in its bytes */
        H5Tset_precision(t, 1 + next(b) % 31);
        return t;
    }
}

#endif
