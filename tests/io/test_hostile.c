/* Data set files that lie: values elsewhere, sizes that no file holds, things that are no arrays.
 * Each is refused in one sentence, before anything is allocated by what the file says. */
#include <hdf5.h>

#include "io_util.h"
#include "wingspan/io/dataset.h"

enum { N = 6, D = 3 };

static hid_t space_of(hsize_t rows, hsize_t cols)
{
    hsize_t dims[2] = {rows, cols};

    return H5Screate_simple(cols ? 2 : 1, dims, NULL);
}

/* An array of a type, never written unless v. */
static void put_array(hid_t file, const char *name, hid_t type, hsize_t rows, hsize_t cols,
                      hid_t create, const void *v)
{
    hid_t space = space_of(rows, cols);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);

    if (v && set >= 0) H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    if (set >= 0) H5Dclose(set);
    H5Sclose(space);
}

static const float values[N * D] = {1, 2, 3, 3, 2, 1, 1, 1, 2, 5, 2, 1, 0, 1, 2, 1, 0, 0};

static void good_x(hid_t f)
{
    put_array(f, "x", H5T_IEEE_F32LE, N, D, H5P_DEFAULT, values);
}

static void good_y(hid_t f)
{
    put_array(f, "y", H5T_IEEE_F32LE, N, 0, H5P_DEFAULT, values);
}

static void good(hid_t f)
{
    good_x(f);
    good_y(f);
}

static void soft_link(hid_t f)
{
    put_array(f, "other", H5T_IEEE_F32LE, N, D, H5P_DEFAULT, values);
    H5Lcreate_soft("/other", f, "x", H5P_DEFAULT, H5P_DEFAULT);
    good_y(f);
}

static void link_to_itself(hid_t f)
{
    H5Lcreate_soft("/x", f, "x", H5P_DEFAULT, H5P_DEFAULT);
    good_y(f);
}

static void external_link(hid_t f)
{
    H5Lcreate_external("good.h5", "/x", f, "x", H5P_DEFAULT, H5P_DEFAULT);
    good_y(f);
}

static void external_labels(hid_t f)
{
    good_x(f);
    H5Lcreate_external("good.h5", "/y", f, "y", H5P_DEFAULT, H5P_DEFAULT);
}

static void external_storage(hid_t f)
{
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);

    H5Pset_external(create, "/etc/passwd", 0, N * D * 4);
    put_array(f, "x", H5T_IEEE_F32LE, N, D, create, NULL);
    H5Pclose(create);
    good_y(f);
}

static void virtual_array(hid_t f)
{
    hid_t create = H5Pcreate(H5P_DATASET_CREATE), space = space_of(N, D);

    H5Pset_virtual(create, space, "good.h5", "/x", space);
    put_array(f, "x", H5T_IEEE_F32LE, N, D, create, NULL);
    H5Sclose(space);
    H5Pclose(create);
    good_y(f);
}

static void group_as_labels(hid_t f)
{
    good_x(f);
    H5Gclose(H5Gcreate2(f, "y", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void never_written(hid_t f)
{
    put_array(f, "x", H5T_IEEE_F32LE, N, D, H5P_DEFAULT, NULL);
    good_y(f);
}

/* Chunks that are not there: 2 KB that claim to be petabytes. */
static void huge(hid_t f, const char *name, hsize_t rows, hsize_t cols)
{
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[2] = {1, 1};

    H5Pset_chunk(create, cols ? 2 : 1, chunk);
    put_array(f, name, H5T_IEEE_F32LE, rows, cols, create, NULL);
    H5Pclose(create);
}

static void huge_rows(hid_t f)
{
    huge(f, "x", (hsize_t)1 << 62, 4);
    good_y(f);
}

static void huge_columns(hid_t f)
{
    huge(f, "x", N, (hsize_t)1 << 61);
    good_y(f);
}

static void huge_labels(hid_t f)
{
    good_x(f);
    huge(f, "y", N, (hsize_t)1 << 40);
}

static void huge_test(hid_t f)
{
    good(f);
    huge(f, "x_test", (hsize_t)1 << 31, D);
}

/* libhdf5 reads past the end of such a chunk. */
static void scale_offset(hid_t f)
{
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[2] = {N, D};

    H5Pset_chunk(create, 2, chunk);
    H5Pset_scaleoffset(create, H5Z_SO_INT, 0);
    put_array(f, "x", H5T_STD_I32LE, N, D, create, values);
    H5Pclose(create);
    good_y(f);
}

static void text_as_values(hid_t f)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    H5Tset_size(type, 4);
    put_array(f, "x", type, N, D, H5P_DEFAULT, NULL);
    H5Tclose(type);
    good_y(f);
}

static void no_extent(hid_t f)
{
    hid_t space = H5Screate(H5S_NULL);

    H5Dclose(H5Dcreate2(f, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    good_y(f);
}

static const struct {
    void (*make)(hid_t f);
    const char *says;
} table[] = {
    {soft_link, "x is a link"},        {link_to_itself, "x is a link"},
    {external_link, "x is a link"},    {external_labels, "y is a link"},
    {external_storage, "other files"}, {virtual_array, "other files"},
    {group_as_labels, "y is not an"},  {never_written, "never filled"},
    {huge_rows, "damaged, cut short"}, {huge_columns, "damaged, cut short"},
    {huge_labels, "columns"},          {huge_test, "x_test says it has"},
    {scale_offset, "scale-offset"},    {text_as_values, "not hold numbers"},
    {no_extent, "has 0 dimensions"},
};

static void make(const char *file, void (*fill)(hid_t f))
{
    hid_t f;

    if (world.rank == 0) {
        f = H5Fcreate(file, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        fill(f);
        H5Fclose(f);
    }
    MPI_Barrier(world.mpi);
}

static ws_err load(const char *file)
{
    ws_dataset_options o = {.prepare = WS_PREPARE_NONE, .need_y = 1};
    ws_dataset *ds;
    ws_err err = ws_dataset_load(&world, file, &o, &ds);

    if (!err) ws_dataset_destroy(&ds);
    return err;
}

static void a_data_set_that_lies_is_refused(void **state)
{
    (void)state;
    make("good.h5", good);
    assert_all(load("good.h5") == WS_OK);
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        ws_err err;

        make("bad.h5", table[k].make);
        err = load("bad.h5");
        if (!err || !says(table[k].says)) print_message("%zu: %d %s\n", k, err, ws_err_text());
        assert_all(err != WS_OK && says("bad.h5") && says(table[k].says));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_data_set_that_lies_is_refused),
};

WS_TEST_MAIN(tests)
