/* fuzz_dataset.c - data set files that the HDF5 library accepts and nobody would make: the input is a
 * program that writes one, with odd types, shapes, layouts, links and values. */
#include <math.h>

#include "fuzz.h"
#include "wingspan/io/dataset.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MOST = 4096 };
static const char *const names[] = {"x", "y", "x_test", "y_test"};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    begin(argc, argv);
    put_file("raw", "0123456789abcdef0123456789abcdef", 32);
    return 0;
}

static hid_t layout(bytes *b, int ndims, const hsize_t *dims, hid_t space)
{
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[4];
    unsigned kind = next(b) % 8, filters = next(b);

    if (kind == 1) H5Pset_layout(create, H5D_COMPACT);
    if (kind == 2) H5Pset_external(create, "raw", 0, 1 + next(b));
    if (kind == 3) H5Pset_virtual(create, space, next(b) % 2 ? "." : "raw", "/x", space);
    if (kind == 4 || kind == 5) {
        for (int k = 0; k < ndims; k++)
            chunk[k] = dims[k] < 7 && dims[k] > 0 ? dims[k] : 1 + next(b) % 64;
        if (ndims > 0) H5Pset_chunk(create, ndims, chunk);
        if (filters & 1) H5Pset_shuffle(create);
        if (filters & 2) H5Pset_fletcher32(create);
        if (filters & 4) H5Pset_deflate(create, 1);
        /* Not scale-offset and nbit: libhdf5 spoils memory when it writes odd types by them;
         * test_hostile sees to it that they are refused. */
    }
    return create;
}

/* Values: counting, constant, or odd. */
static void fill(bytes *b, hid_t set, hsize_t n)
{
    static double v[MOST];
    unsigned kind = next(b), at;

    for (hsize_t i = 0; i < n; i++) v[i] = kind & 1 ? (double)(i * 7 % 5) : (double)(i % 3);
    if (kind & 2)
        for (hsize_t i = 0; i < n; i++) v[i] = kind & 4 ? 0 : i % 2 ? 1 : -1;
    if (kind & 8) {
        at = next(b) << 8 | next(b);
        if (n) v[at % n] = odd_real(b);
    }
    H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
}

static void odd_array(bytes *b, hid_t f, const char *name, unsigned plain)
{
    static const hsize_t common[] = {6, 3, 1, 60};
    hsize_t dims[4], n = 1;
    int ndims = plain ? 1 + (name[0] == 'x') : (int)(next(b) % 5);
    hid_t space, create, type, set;

    for (int k = 0; k < ndims; k++) {
        unsigned how = plain ? (k ? 1 : 0) : next(b);
        dims[k] = how < 200 ? common[how % 4] : (hsize_t)odd_number(b);
        n = dims[k] && n > (hsize_t)MOST / dims[k] ? MOST + 1 : n * dims[k];
    }
    space = next(b) == 255 ? H5Screate(H5S_NULL)
            : ndims        ? H5Screate_simple(ndims, dims, NULL)
                           : H5Screate(H5S_SCALAR);
    type = plain ? H5Tcopy(name[0] == 'x' ? H5T_IEEE_F32LE : H5T_STD_I32LE) : odd_type(b);
    create = layout(b, ndims, dims, space);
    set = H5Dcreate2(f, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    /* Writing through a virtual array of itself recurses without end in libhdf5. */
    if (set >= 0 && n <= MOST && next(b) != 1 && H5Pget_layout(create) != H5D_VIRTUAL)
        fill(b, set, n);
    if (set >= 0) H5Dclose(set);
    H5Pclose(create);
    H5Tclose(type);
    if (space >= 0) H5Sclose(space);
}

static void make(bytes *b)
{
    hid_t f = H5Fcreate("in.h5", H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), g;

    for (int k = 0; k < 4; k++) {
        const char *name = names[k];
        unsigned kind = next(b) % 16;
        if (kind == 1) H5Lcreate_soft(names[next(b) % 4], f, name, H5P_DEFAULT, H5P_DEFAULT);
        if (kind == 2) H5Lcreate_external("raw", "/x", f, name, H5P_DEFAULT, H5P_DEFAULT);
        if (kind == 3 && (g = H5Gcreate2(f, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)) >= 0)
            H5Gclose(g);
        if (kind == 4) H5Lcreate_hard(f, "/", f, name, H5P_DEFAULT, H5P_DEFAULT);
        if (kind == 5) {
            hid_t t = odd_type(b);
            H5Tcommit2(f, name, t, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
            H5Tclose(t);
        }
        if (kind >= 6) odd_array(b, f, name, kind & 1);
    }
    H5Fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    bytes b = {data, data + n};
    unsigned how = next(&b);
    ws_dataset_options o = {
        .prepare = (ws_prepare)(how % 4), .need_y = how >> 2 & 1, .only_shape = how >> 3 & 1};
    int64_t held = ws_alloc_bytes();
    ws_dataset *ds;
    double sum = 0;

    make(&b);
    if (ws_dataset_load(&self, "in.h5", &o, &ds) == WS_OK) {
        for (int64_t i = 0; ds->all.x && i < (ds->n + ds->n_test) * ds->d; i++)
            sum += (double)ds->all.x[i];
        for (int64_t i = 0; ds->label && i < ds->n + ds->n_test; i++)
            if (ds->label[i] < 0 || ds->label[i] >= ds->prep.classes) abort();
        if (!isfinite(sum)) abort();
        ws_dataset_destroy(&ds);
    }
    if (H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) abort();
    check_nothing_is_left(held);
    return 0;
}
