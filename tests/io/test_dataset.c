/* Data sets: preparation by its formulas, labels of every kind, bad files, one copy a node. */
#include <math.h>

#include "io_util.h"
#include "wingspan/core/random.h"
#include "wingspan/io/dataset.h"

enum { N = 7, T = 3, D = 4 };

static float x[N + T][D], real_y[N + T];
static int32_t y[N + T] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0},
                     signs[N + T] = {1, -1, 1, 1, -1, 1, -1, 1, 1, -1};

static void reset(void)
{
    ws_key key = {8, WS_STREAM_TEST, 0};

    ws_random_normal(&key, 0, (N + T) * D, 2, &x[0][0]);
    for (int i = 0; i < N + T; i++) {
        x[i][2] = 5; /* a constant column */
        real_y[i] = 300000 + 1000 * (float)i;
    }
}

static int setup(void **state)
{
    (void)state;
    reset();
    return 0;
}

static void write_set(const void *labels, ws_type type)
{
    const char *l = labels;
    size_t size = type == WS_INT64 || type == WS_FLOAT64 ? 8 : 4;
    ws_table_column cols[4] = {
        column("/x", WS_FLOAT32, N, D, x), column("/x_test", WS_FLOAT32, T, D, x[N]),
        column("/y", type, N, 0, l), column("/y_test", type, T, 0, l ? l + N * size : NULL)};

    assert_all(ws_table_write(&world, "d.h5", cols, labels ? 4 : 2) == WS_OK);
}

static ws_err load(ws_prepare prepare, ws_dataset **ds)
{
    ws_dataset_options o = {.prepare = prepare, .need_y = 1};

    return ws_dataset_load(&world, "d.h5", &o, ds);
}

/* The formulas of DESIGN, written again. */
static void prepared(ws_prepare kind, float out[N + T][D])
{
    double mean[D] = {0}, dev[D] = {0};

    for (int j = 0; j < D; j++) {
        for (int i = 0; i < N; i++) mean[j] += (double)x[i][j] / N;
        for (int i = 0; i < N; i++) dev[j] += pow((double)x[i][j] - mean[j], 2) / N;
        dev[j] = j == 2 ? 1 : sqrt(dev[j]);
    }
    for (int i = 0; i < N + T; i++) {
        double v[D], norm = 0;
        for (int j = 0; j < D; j++) {
            v[j] = (double)x[i][j] - (kind >= WS_PREPARE_CENTER_UNIT ? mean[j] : 0);
            v[j] /= kind == WS_PREPARE_STANDARD_UNIT ? dev[j] : 1;
            norm += v[j] * v[j];
        }
        for (int j = 0; j < D; j++) out[i][j] = (float)(kind ? v[j] / sqrt(norm) : v[j]);
    }
}

static void every_preparation_follows_its_formula(void **state)
{
    (void)state;
    write_set(y, WS_INT32);
    for (ws_prepare k = WS_PREPARE_NONE; k <= WS_PREPARE_STANDARD_UNIT; k++) {
        static float want[N + T][D];
        ws_dataset *ds;
        prepared(k, want);
        assert_all(load(k, &ds) == WS_OK);
        assert_all(ds->n == N && ds->n_test == T && ds->d == D);
        for (int i = 0; i < (N + T) * D; i++)
            assert_true(fabsf(ds->all.x[i] - (&want[0][0])[i]) < 1e-6f);
        for (int i = 0; i < N + T; i++) {
            long double sum = 0;
            for (int j = 0; j < D; j++)
                sum += (long double)ds->all.x[i * D + j] * (long double)ds->all.x[i * D + j];
            assert_true((long double)ds->all.norm[i] >= sqrtl(sum));
            assert_true(ds->all.norm[i] <= ds->max_norm);
        }
        assert_true(k == WS_PREPARE_NONE || ds->rms == 1);
        assert_true(ds->warnings == 1 && strstr(ds->warning[0], "column 2 is constant"));
        ws_dataset_destroy(&ds);
    }
}

static void labels_of_every_kind_are_understood(void **state)
{
    static double two[N + T] = {0, 1, 1, 0, 1, 0, 0, 1, 0, 1};
    ws_dataset *ds;

    (void)state;
    write_set(y, WS_INT32);
    assert_all(load(WS_PREPARE_UNIT, &ds) == WS_OK);
    assert_all(ds->prep.classes == 3 && ds->label[N + 1] == 2 && ds->has_y_test);
    ws_dataset_destroy(&ds);

    write_set(signs, WS_INT32);
    assert_all(load(WS_PREPARE_UNIT, &ds) == WS_OK);
    assert_all(ds->prep.classes == 2 && ds->label[0] == 1 && ds->label[1] == 0);
    assert_all(ds->prep.label[0] == -1 && ds->prep.label[1] == 1);
    ws_dataset_destroy(&ds);

    write_set(real_y, WS_FLOAT32);
    assert_all(load(WS_PREPARE_UNIT, &ds) == WS_OK);
    assert_all(strcmp(ws_dataset_kind(ds), "targets") == 0 && ds->columns == 1);
    assert_all(fabs(ds->prep.y_mean[0] - 303000) < 1e-6);
    assert_all(fabs(ds->prep.y_scale[0] - 2000) < 1e-6);
    assert_all(fabs((double)ds->value[0] + 1.5) < 1e-6);
    ws_dataset_destroy(&ds);

    write_set(two, WS_FLOAT64);
    assert_all(load(WS_PREPARE_UNIT, &ds) == WS_OK);
    assert_all(strcmp(ws_dataset_kind(ds), "labels") == 0 && ds->value[1] == 1);
    ws_dataset_destroy(&ds);
}

static void another_file_is_read_with_the_stored_preparation(void **state)
{
    ws_dataset *a, *b;
    ws_dataset_options o = {.need_y = 0};

    (void)state;
    write_set(signs, WS_INT32);
    assert_all(load(WS_PREPARE_STANDARD_UNIT, &a) == WS_OK);
    x[0][0] += 3; /* another mean, but the first one counts */
    write_set(NULL, WS_INT32);
    o.stored = &a->prep;
    assert_all(ws_dataset_load(&world, "d.h5", &o, &b) == WS_OK);
    assert_all(memcmp(a->all.x + D, b->all.x + D, (N + T - 1) * D * sizeof(float)) == 0);
    assert_all(!b->has_y && b->prep.classes == 2 && b->warnings == 0);
    assert_all(a->checksum != b->checksum);
    ws_dataset_destroy(&a);
    ws_dataset_destroy(&b);
}

/* What is wrong, and two things the sentence must say. */
static void refuse(ws_prepare prepare, ws_err code, const char *a, const char *b)
{
    ws_dataset *ds;

    assert_all(load(prepare, &ds) == code);
    assert_null(ds);
    assert_all(says("d.h5") && says(a) && says(b));
}

static void bad_files_are_refused_with_the_place_of_the_fault(void **state)
{
    static int32_t bad[N + T];

    (void)state;
    x[3][1] = NAN;
    write_set(y, WS_INT32);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "row 3", "column 1");
    reset();
    x[N + 2][0] = INFINITY;
    write_set(y, WS_INT32);
    refuse(WS_PREPARE_NONE, WS_ERR_DATA, "x_test", "row 2, column 0");
    reset();
    memset(x[4], 0, sizeof x[4]);
    write_set(y, WS_INT32);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "row 4", "norm zero");
    reset();
    memcpy(bad, y, sizeof bad);
    bad[5] = -3;
    write_set(bad, WS_INT32);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "-3", "row 5");
    memcpy(bad, y, sizeof bad);
    bad[N + 1] = 9;
    write_set(bad, WS_INT32);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "label 9", "row 1");
    real_y[2] = NAN;
    write_set(real_y, WS_FLOAT32);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "y has a value", "row 2");
    write_set(NULL, WS_INT32);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "no y", "labels");
}

static void bad_shapes_are_refused(void **state)
{
    ws_table_column vector[2] = {column("/x", WS_FLOAT32, N, 0, x),
                                 column("/y", WS_INT32, N, 0, y)};
    ws_table_column none[2] = {column("/x", WS_FLOAT32, 0, D, x), column("/y", WS_INT32, 0, 0, y)};
    ws_table_column few[2] = {column("/x", WS_FLOAT32, N, D, x),
                              column("/y", WS_INT32, N - 1, 0, y)};
    ws_table_column test[3] = {column("/x", WS_FLOAT32, N, D, x), column("/y", WS_INT32, N, 0, y),
                               column("/x_test", WS_FLOAT32, N, D - 1, x)};
    ws_table_column alone[1] = {column("/y", WS_INT32, N, 0, y)};

    (void)state;
    assert_all(ws_table_write(&world, "d.h5", vector, 2) == WS_OK);
    refuse(WS_PREPARE_UNIT, WS_ERR_SHAPE, "1 dimension", "2");
    assert_all(ws_table_write(&world, "d.h5", none, 2) == WS_OK);
    refuse(WS_PREPARE_UNIT, WS_ERR_SHAPE, "empty", "x");
    assert_all(ws_table_write(&world, "d.h5", few, 2) == WS_OK);
    refuse(WS_PREPARE_UNIT, WS_ERR_SHAPE, "7 rows", "y");
    assert_all(ws_table_write(&world, "d.h5", test, 3) == WS_OK);
    refuse(WS_PREPARE_UNIT, WS_ERR_SHAPE, "4 columns", "x_test has 3");
    assert_all(ws_table_write(&world, "d.h5", alone, 1) == WS_OK);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "no x", "convert");
}

static void files_that_are_no_hdf5_are_refused(void **state)
{
    long size;

    (void)state;
    write_set(y, WS_INT32);
    size = size_of("d.h5");
    MPI_Barrier(world.mpi);
    if (world.rank == 0) assert_int_equal(truncate("d.h5", size / 2), 0);
    MPI_Barrier(world.mpi);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "cut short", "d.h5");
    if (world.rank == 0) {
        FILE *f = fopen("d.h5", "w");
        fputs("hello", f);
        fclose(f);
    }
    MPI_Barrier(world.mpi);
    refuse(WS_PREPARE_UNIT, WS_ERR_DATA, "not an HDF5 file", "convert");
    if (world.rank == 0) unlink("d.h5");
    MPI_Barrier(world.mpi);
    refuse(WS_PREPARE_UNIT, WS_ERR_IO, "cannot be read", "d.h5");
}

/* One copy a node; on two rehearsed nodes; a copy a rank when shared memory has no room. */
static void every_way_to_hold_the_data_gives_the_same_bits(void **state)
{
    static const char *const names[2] = {"WINGSPAN_RANKS_PER_NODE", "WINGSPAN_SHM_LIMIT"};
    ws_dataset *a, *b;

    (void)state;
    write_set(y, WS_INT32);
    assert_all(load(WS_PREPARE_CENTER_UNIT, &a) == WS_OK);
    assert_all(a->shared == (world.size > 1));
    for (int k = 0; k < 2; k++) {
        setenv(names[k], "2", 1);
        assert_all(load(WS_PREPARE_CENTER_UNIT, &b) == WS_OK);
        unsetenv(names[k]);
        assert_all(memcmp(a->all.x, b->all.x, (N + T) * D * sizeof(float)) == 0);
        assert_all(memcmp(a->label, b->label, (N + T) * sizeof(int32_t)) == 0);
        assert_all(a->checksum == b->checksum && a->max_norm == b->max_norm);
        assert_all(memcmp(a->prep.mean, b->prep.mean, D * sizeof(double)) == 0);
        if (k == 1 && world.size > 1)
            assert_all(!b->shared && strstr(b->warning[1], "shared-memory") != NULL);
        ws_dataset_destroy(&b);
    }
    ws_dataset_destroy(&a);
}

static void the_shape_alone_has_the_same_numbers(void **state)
{
    ws_dataset_options o = {.prepare = WS_PREPARE_STANDARD_UNIT, .need_y = 1, .only_shape = 1};
    ws_dataset *a, *b;

    (void)state;
    write_set(y, WS_INT32);
    assert_all(load(WS_PREPARE_STANDARD_UNIT, &a) == WS_OK);
    assert_all(ws_dataset_load(&world, "d.h5", &o, &b) == WS_OK);
    assert_all(b->all.x == NULL && b->rms == a->rms && b->max_norm == a->max_norm);
    assert_all(b->n == a->n && b->prep.classes == 3 && b->checksum == a->checksum);
    ws_dataset_destroy(&a);
    ws_dataset_destroy(&b);
}

#define FRESH(f) cmocka_unit_test_setup(f, setup)
static const struct CMUnitTest tests[] = {
    FRESH(every_preparation_follows_its_formula),
    FRESH(labels_of_every_kind_are_understood),
    FRESH(another_file_is_read_with_the_stored_preparation),
    FRESH(bad_files_are_refused_with_the_place_of_the_fault),
    FRESH(bad_shapes_are_refused),
    FRESH(files_that_are_no_hdf5_are_refused),
    FRESH(every_way_to_hold_the_data_gives_the_same_bits),
    FRESH(the_shape_alone_has_the_same_numbers),
};

WS_TEST_MAIN(tests)
