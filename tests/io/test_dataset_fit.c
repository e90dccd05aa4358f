/* Data sets that do not fit: the network's labels, the parts of a file, the nodes of a run. */
#include <math.h>
#include <sys/stat.h>

#include "io_util.h"
#include "wingspan/io/dataset.h"

enum { N = 5, D = 3, MANY = 1400, WIDE = 1601 };

static float x[N][D] = {{1, 2, 3}, {4, 6, 8}, {1, 0, 1}, {0, 3, 2}, {7, 5, 4}};
static float one[N] = {300, 310, 320, 330, 340};
static float three[N][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {1, 3, 5}, {2, 4, 6}};
static int32_t classes[N] = {0, 1, 2, 1, 0};

static void write_set(const char *file, ws_type type, int64_t cols, const void *y)
{
    ws_table_column list[2] = {column("/x", WS_FLOAT32, N, D, x), column("/y", type, N, cols, y)};

    assert_all(ws_table_write(&world, file, list, 2) == WS_OK);
}

static ws_err load(const char *file, const ws_preparation *stored, int need_y, ws_dataset **ds)
{
    ws_dataset_options o = {.prepare = WS_PREPARE_UNIT, .stored = stored, .need_y = need_y};

    return ws_dataset_load(&world, file, &o, ds);
}

/* Trained on a, then given b: its y is no y, and an error where y is needed. */
static void misfit(const char *a, const char *b)
{
    ws_dataset *first, *ds;

    assert_all(load(a, NULL, 1, &first) == WS_OK);
    assert_all(load(b, &first->prep, 0, &ds) == WS_OK);
    assert_all(!ds->has_y && !ds->has_y_test && ds->columns == first->columns);
    ws_dataset_destroy(&ds);
    assert_all(load(b, &first->prep, 1, &ds) == WS_ERR_DATA);
    assert_all(says(b) && says("trained on") && ds == NULL);
    ws_dataset_destroy(&first);
}

static void a_y_of_another_kind_than_the_networks_is_no_y(void **state)
{
    (void)state;
    write_set("one.h5", WS_FLOAT32, 0, one);
    write_set("three.h5", WS_FLOAT32, 3, three);
    write_set("classes.h5", WS_INT32, 0, classes);
    misfit("one.h5", "three.h5");
    misfit("three.h5", "one.h5");
    misfit("classes.h5", "one.h5");
    misfit("classes.h5", "three.h5");
    misfit("three.h5", "classes.h5");
}

static void y_test_without_y_means_nothing(void **state)
{
    ws_table_column list[3] = {column("/x", WS_FLOAT32, N, D, x),
                               column("/x_test", WS_FLOAT32, N, D, x),
                               column("/y_test", WS_INT32, N, 0, classes)};
    ws_dataset *ds;

    (void)state;
    assert_all(ws_table_write(&world, "t.h5", list, 3) == WS_OK);
    assert_all(load("t.h5", NULL, 0, &ds) == WS_OK);
    assert_all(!ds->has_y && !ds->has_y_test && !ds->label && !ds->value);
    ws_dataset_destroy(&ds);
}

static void whole_numbers_do_for_real_targets(void **state)
{
    ws_dataset *first, *ds;

    (void)state;
    write_set("one.h5", WS_FLOAT32, 0, one);
    write_set("classes.h5", WS_INT32, 0, classes);
    assert_all(load("one.h5", NULL, 1, &first) == WS_OK);
    assert_all(load("classes.h5", &first->prep, 1, &ds) == WS_OK);
    assert_all(ds->has_y && ds->columns == 1);
    assert_all(ds->value[1] == (float)((1 - first->prep.y_mean[0]) / first->prep.y_scale[0]));
    ws_dataset_destroy(&ds);
    ws_dataset_destroy(&first);
}

static void bytes_are_scaled_in_the_part_that_holds_them(void **state)
{
    static uint8_t bytes[N][D] = {{0, 255, 51}, {1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {9, 9, 9}};
    ws_table_column list[2];
    ws_dataset_options o = {.prepare = WS_PREPARE_NONE};
    ws_dataset *ds;

    (void)state;
    for (int swap = 0; swap < 2; swap++) {
        list[0] = column(swap ? "/x_test" : "/x", WS_UINT8, N, D, bytes);
        list[1] = column(swap ? "/x" : "/x_test", WS_FLOAT32, N, D, x);
        assert_all(ws_table_write(&world, "b.h5", list, 2) == WS_OK);
        assert_all(ws_dataset_load(&world, "b.h5", &o, &ds) == WS_OK);
        assert_all(ds->all.x[(swap ? N * D : 0) + 1] == 1);
        assert_all(ds->all.x[(swap ? 0 : N * D) + 1] == 2);
        ws_dataset_destroy(&ds);
    }
}

/* Many bytes, the last row for x_test; column 3 is constant in x. */
static int byte_of(int i, int j)
{
    return j == 3 && i < MANY ? 77 : (i * i * 7 + j * 13) % 251;
}

static void write_bytes(const char *file, int real_test)
{
    static uint8_t byte[MANY + 1][WIDE];
    static float real[1][WIDE];
    ws_table_column list[2];

    for (int i = 0; i <= MANY; i++)
        for (int j = 0; j < WIDE; j++) {
            byte[i][j] = (uint8_t)byte_of(i, j);
            real[0][j] = (float)j;
        }
    list[0] = column("/x", WS_UINT8, MANY, WIDE, byte);
    list[1] = real_test ? column("/x_test", WS_FLOAT32, 1, WIDE, real)
                        : column("/x_test", WS_UINT8, 1, WIDE, byte[MANY]);
    assert_all(ws_table_write(&world, file, list, 2) == WS_OK);
}

/* Prepared numbers against their definition in float64; packed ones have their bits. */
static void check_bytes(const ws_dataset *ds)
{
    static float row[WIDE];
    static double t[WIDE];

    for (int i = 0; i <= MANY; i += 17) {
        const float *v = ds->all.x + (int64_t)i * WIDE;
        ws_samples bare = ds->all;
        double square = 0, sum = 0;

        bare.x = NULL;
        ws_samples_row(&bare, i, row);
        assert_memory_equal(row, v, sizeof row);
        for (int j = 0; j < WIDE; j++) {
            t[j] = byte_of(i, j) / 255.0 - (ds->prep.mean ? ds->prep.mean[j] : 0);
            sum += t[j] * t[j];
            square += (double)v[j] * (double)v[j];
        }
        for (int j = 0; j < WIDE; j++) assert_true(fabs((double)v[j] - t[j] / sqrt(sum)) < 3e-8);
        assert_true(fabs(square - 1) < 2e-7);
        assert_true(!ds->prep.mean || i == MANY || v[3] == 0);
    }
}

static void many_bytes_are_kept_packed_too(void **state)
{
    ws_dataset_options o = {.pack = 1};
    ws_dataset *ds;

    (void)state;
    write_bytes("many.h5", 0);
    for (int k = 0; k < 4; k++) {
        int packs = k == WS_PREPARE_UNIT || k == WS_PREPARE_CENTER_UNIT;

        o.prepare = (ws_prepare)k;
        assert_all(ws_dataset_load(&world, "many.h5", &o, &ds) == WS_OK);
        assert_all(ds->packed == packs && (ds->all.packed.byte != NULL) == packs);
        if (packs) check_bytes(ds);
        ws_dataset_destroy(&ds);
    }
    o.prepare = WS_PREPARE_UNIT;
    o.only_shape = 1;
    assert_all(ws_dataset_load(&world, "many.h5", &o, &ds) == WS_OK);
    assert_all(ds->packed && !ds->all.packed.byte);
    ws_dataset_destroy(&ds);
    o.only_shape = 0;
    o.samples = 40; /* few: the same numbers, without bytes */
    assert_all(ws_dataset_load(&world, "many.h5", &o, &ds) == WS_OK);
    assert_all(!ds->packed && !ds->all.packed.byte);
    ws_dataset_destroy(&ds);
    o.samples = 0;
    write_bytes("mixed.h5", 1);
    assert_all(ws_dataset_load(&world, "mixed.h5", &o, &ds) == WS_OK);
    assert_all(!ds->packed && !ds->all.packed.byte);
    ws_dataset_destroy(&ds);
}

static void the_shape_is_part_of_the_checksum(void **state)
{
    ws_table_column tall = column("/x", WS_FLOAT32, N, D, x);
    ws_table_column wide = column("/x", WS_FLOAT32, D, N, x);
    ws_dataset_options o = {.prepare = WS_PREPARE_NONE};
    ws_dataset *a, *b;

    (void)state;
    assert_all(ws_table_write(&world, "tall.h5", &tall, 1) == WS_OK);
    assert_all(ws_table_write(&world, "wide.h5", &wide, 1) == WS_OK);
    assert_all(ws_dataset_load(&world, "tall.h5", &o, &a) == WS_OK);
    assert_all(ws_dataset_load(&world, "wide.h5", &o, &b) == WS_OK);
    assert_all(a->checksum != b->checksum);
    ws_dataset_destroy(&a);
    ws_dataset_destroy(&b);
}

/* The last rank is a node of its own, where the folder of the data is not there. */
static void a_node_that_does_not_see_the_file_hangs_nobody(void **state)
{
    int last = world.rank == world.size - 1;
    ws_dataset *ds;

    (void)state;
    write_set("one.h5", WS_FLOAT32, 0, one);
    if (last) assert_true(mkdir("elsewhere", 0777) == 0 && chdir("elsewhere") == 0);
    setenv("WINGSPAN_RANKS_PER_NODE", "1", 1);
    assert_all(load("one.h5", NULL, 1, &ds) == WS_ERR_IO);
    assert_all(says("one.h5 cannot be read") && ds == NULL);
    if (last) assert_true(chdir("..") == 0);
    assert_all(load("one.h5", NULL, 1, &ds) == WS_OK);
    ws_dataset_destroy(&ds);
    unsetenv("WINGSPAN_RANKS_PER_NODE");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_y_of_another_kind_than_the_networks_is_no_y),
    cmocka_unit_test(y_test_without_y_means_nothing),
    cmocka_unit_test(whole_numbers_do_for_real_targets),
    cmocka_unit_test(bytes_are_scaled_in_the_part_that_holds_them),
    cmocka_unit_test(many_bytes_are_kept_packed_too),
    cmocka_unit_test(the_shape_is_part_of_the_checksum),
    cmocka_unit_test(a_node_that_does_not_see_the_file_hangs_nobody),
};

WS_TEST_MAIN(tests)
