/* Checkpoints whose hashes are right and whose content lies: changed through HDF5, then hashed again.
 * Each is refused in one sentence, on all ranks, before memory is asked for by what it says; nothing
 * that was read on the way is kept. What the fuzzer found (tests/fuzz/fuzz_checkpoint.c) is here too. */
#include <hdf5.h>

#include "ckpt.h"
#include "train_util.h"
#include "wingspan/train/restore.h"

static void gone(hid_t f, const char *name)
{
    H5Ldelete(f, name, H5P_DEFAULT);
}

/* Another array in place of one; rows of it on disk only if the layout says so. */
static void other(hid_t f, const char *name, hid_t type, hsize_t rows, hsize_t cols, int chunked)
{
    hsize_t dims[2] = {rows, cols}, chunk[2] = {1, 1};
    hid_t space = H5Screate_simple(cols ? 2 : 1, dims, NULL), how = H5Pcreate(H5P_DATASET_CREATE);

    gone(f, name);
    if (chunked) H5Pset_chunk(how, cols ? 2 : 1, chunk);
    H5Dclose(H5Dcreate2(f, name, type, space, H5P_DEFAULT, how, H5P_DEFAULT));
    H5Pclose(how);
    H5Sclose(space);
}

static void number(hid_t f, const char *group, const char *name, hid_t type, const void *v)
{
    hid_t g = H5Gopen2(f, group, H5P_DEFAULT), space = H5Screate(H5S_SCALAR), a;

    H5Adelete(g, name);
    a = H5Acreate2(g, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, type, v);
    H5Aclose(a);
    H5Sclose(space);
    H5Gclose(g);
}

static void integer(hid_t f, const char *group, const char *name, int64_t v)
{
    number(f, group, name, H5T_NATIVE_INT64, &v);
}

static void no_rows(hid_t f)
{
    gone(f, "/model/w");
}

static void rows_elsewhere(hid_t f)
{
    gone(f, "/model/w");
    H5Lcreate_soft("/optim/momentum_w", f, "/model/w", H5P_DEFAULT, H5P_DEFAULT);
}

static void rows_of_another_file(hid_t f)
{
    gone(f, "/model/w");
    H5Lcreate_external("classes.h5", "/x", f, "/model/w", H5P_DEFAULT, H5P_DEFAULT);
}

static void rows_stored_elsewhere(hid_t f)
{
    hsize_t dims[2] = {203, D};
    hid_t space = H5Screate_simple(2, dims, NULL), how = H5Pcreate(H5P_DATASET_CREATE);

    gone(f, "/model/w");
    H5Pset_external(how, "/etc/passwd", 0, 203 * D * 4);
    H5Dclose(H5Dcreate2(f, "/model/w", H5T_IEEE_F32LE, space, H5P_DEFAULT, how, H5P_DEFAULT));
    H5Pclose(how);
    H5Sclose(space);
}

static void doubles(hid_t f)
{
    hsize_t dims[2] = {203, D};
    static double v[203][D];
    hid_t space = H5Screate_simple(2, dims, NULL), set;

    gone(f, "/model/w");
    set = H5Dcreate2(f, "/model/w", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    H5Dclose(set);
    H5Sclose(space);
}

static void a_vector(hid_t f)
{
    other(f, "/model/w", H5T_IEEE_F32LE, 203, 0, 0);
}

static void claim_width(hid_t f, int64_t m)
{
    integer(f, "/options", "width", m);
    integer(f, "/model", "width", m);
}

/* A few KB that claim 90 GB, with and without chunks. */
static void huge_rows(hid_t f)
{
    other(f, "/model/w", H5T_IEEE_F32LE, (hsize_t)1 << 31, D, 0);
    claim_width(f, (int64_t)1 << 31);
}

static void huge_chunks(hid_t f)
{
    other(f, "/model/w", H5T_IEEE_F32LE, (hsize_t)1 << 31, D, 1);
    claim_width(f, (int64_t)1 << 31);
}

static void a_width_without_rows(hid_t f)
{
    claim_width(f, (int64_t)1 << 28);
}

static void a_negative_width(hid_t f)
{
    claim_width(f, -5);
}

static void no_momentum(hid_t f)
{
    gone(f, "/optim");
}

static void a_group_in_itself(hid_t f)
{
    gone(f, "/model");
    H5Lcreate_hard(f, "/", f, "/model", H5P_DEFAULT, H5P_DEFAULT);
}

static void a_group_that_is_a_link_to_itself(hid_t f)
{
    gone(f, "/progress");
    H5Lcreate_soft("/progress", f, "/progress", H5P_DEFAULT, H5P_DEFAULT);
}

static void a_group_of_another_file(hid_t f)
{
    gone(f, "/options");
    H5Lcreate_external("part.h5", "/options", f, "/options", H5P_DEFAULT, H5P_DEFAULT);
}

static void a_negative_step(hid_t f)
{
    integer(f, "/progress", "step", -1);
}

static void no_rate(hid_t f)
{
    double v = (double)NAN;

    number(f, "/progress", "rate", H5T_NATIVE_DOUBLE, &v);
}

static void a_number_as_text(hid_t f)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    H5Tset_size(type, 8);
    number(f, "/options", "seed", type, "1234567");
    H5Tclose(type);
}

static void text_without_end(hid_t f)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    char *v = "sgd";

    H5Tset_size(type, H5T_VARIABLE);
    number(f, "/options", "optimizer", type, &v);
    H5Tclose(type);
}

/* The mean has been read when this is found. */
static void no_labels(hid_t f)
{
    gone(f, "/data/label");
}

static void word(hid_t f, const char *group, const char *name, const char *v)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    H5Tset_size(type, strlen(v) + 1);
    number(f, group, name, type, v);
    H5Tclose(type);
}

/* Found by the fuzzer: a score of targets that the data set does not have. */
static void classes_called_targets(hid_t f)
{
    word(f, "/data", "kind", "targets");
}

static void y_of_no_kind(hid_t f)
{
    word(f, "/data", "kind", "none");
}

/* Found by the fuzzer: it was added up as an integer. */
static void half_a_sign(hid_t f)
{
    static float v[203 * 3];
    hid_t set = H5Dopen2(f, "/model/a", H5P_DEFAULT);

    H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    v[203 * 3 - 1] = 0.5f;
    H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    H5Dclose(set);
}

static void a_huge_mean(hid_t f)
{
    integer(f, "/data", "d", (int64_t)1 << 31);
}

static void a_long_history(hid_t f)
{
    other(f, "/progress/loss_history", H5T_IEEE_F64LE, 1 << 24, 0, 1);
}

/* In the form that holds only the moved rows. */
static void touched(hid_t f, int64_t first)
{
    static int64_t v[203];
    hid_t set = H5Dopen2(f, "/model/touched", H5P_DEFAULT);

    H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    v[0] = first;
    H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    H5Dclose(set);
}

static void moved_rows_in_disorder(hid_t f)
{
    touched(f, 150);
}

static void a_moved_row_of_nobody(hid_t f)
{
    touched(f, -7);
}

static void moved_rows_that_are_none(hid_t f)
{
    other(f, "/model/touched", H5T_STD_I64LE, (hsize_t)1 << 40, 0, 1);
}

static const struct {
    void (*change)(hid_t f);
    const char *says;
    int moved; /* change the file that holds only moved rows */
} table[] = {
    {no_rows, "/model/w", 0},
    {rows_elsewhere, "/model/w", 0},
    {rows_of_another_file, "/model/w", 0},
    {rows_stored_elsewhere, "/model/w", 0},
    {doubles, "/model/w", 0},
    {a_vector, "/model/w", 0},
    {huge_rows, "/model/w", 0},
    {huge_chunks, "/model/w", 0},
    {a_width_without_rows, "says that it has", 0},
    {a_negative_width, "--width", 0},
    {no_momentum, "/optim/momentum_w", 0},
    {a_group_in_itself, "/model/w", 0},
    {a_group_that_is_a_link_to_itself, "/progress/step", 0},
    {a_group_of_another_file, "/options/data", 0},
    {a_negative_step, "/progress", 0},
    {no_rate, "/progress", 0},
    {a_number_as_text, "/options/seed", 0},
    {text_without_end, "/options/optimizer", 0},
    {no_labels, "does not fit together", 0},
    {classes_called_targets, "does not fit together", 0},
    {y_of_no_kind, "does not fit together", 0},
    {half_a_sign, "/model/a", 0},
    {a_huge_mean, "/data/mean", 0},
    {a_long_history, "/progress/loss_history", 0},
    {moved_rows_in_disorder, "does not ascend", 1},
    {a_moved_row_of_nobody, "/model/touched", 1},
    {moved_rows_that_are_none, "/model/touched", 1},
};

static const char words[] =
    "data=classes.h5 width=203 shift=0.7 batch=8 rate=0.1 momentum=0.9 steps=4 prepare=center-unit";
static const char *const good[2] = {"good.h5", "moved.h5"};

static int setup(void **state)
{
    char more[200];
    ws_train_result result;

    (void)state;
    snprintf(more, sizeof more, "%s checkpoint-dense=0", words);
    return make_data(&world, "classes.h5", 3) || train_on(&world, words, good[0], &result) ||
           train_on(&world, more, good[1], &result);
}

/* Rank 0's work: odd.h5 is `file`, changed and hashed again. */
static ws_err make_odd(const char *file, void (*change)(hid_t f))
{
    static char copy[4 << 20];
    ws_comm self;
    int64_t block;
    FILE *f = fopen(file, "rb");
    size_t size = f ? fread(copy, 1, sizeof copy, f) : 0;
    hid_t h5;
    ws_err err;

    if (!f || size == sizeof copy || size < 64) return WS_ERR_IO;
    fclose(f);
    memcpy(&block, copy + 16, sizeof block);
    if (!(f = fopen("odd.h5", "wb")) || fwrite(copy, 1, size, f) != size) return WS_ERR_IO;
    fclose(f);
    h5 = H5Fopen("odd.h5", H5F_ACC_RDWR, H5P_DEFAULT);
    change(h5);
    if (H5Fclose(h5) < 0) return WS_ERR_IO;
    ws_comm_create(MPI_COMM_SELF, &self);
    err = ws_block_write(&self, "odd.h5", "odd.h5", block);
    ws_comm_destroy(&self);
    return err;
}

/* Whatever comes of it: nothing is kept. */
static void export_and_predict(void)
{
    ws_ckpt *c = NULL;
    ws_net *net = NULL;
    ws_predictor *p = NULL;

    if (ws_ckpt_open(&world, "odd.h5", 0, &c) == WS_OK) {
        ws_err err = ws_checkpoint_rows(c, &world, &net);
        if (err != WS_OK && err != WS_ERR_DATA)
            print_message("export: %d %s\n", err, ws_err_text());
        assert_all(err == WS_OK || err == WS_ERR_DATA);
    }
    ws_ckpt_close(&c);
    ws_net_destroy(&net);
    assert_all(ws_predictor_open(&world, "odd.h5", &p) != WS_ERR_NOMEM);
    ws_predictor_close(&p);
}

static void a_checkpoint_that_lies_is_refused_and_nothing_is_kept(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        ws_train_result result;
        int64_t held = ws_alloc_bytes();
        ws_err err = world.rank ? WS_OK : make_odd(good[table[k].moved], table[k].change);

        assert_all(err == WS_OK);
        err = train_on(&world, "resume=odd.h5 steps=8", "next.h5", &result);
        if (err != WS_ERR_DATA || !strstr(ws_err_text(), table[k].says))
            print_message("%zu (%s): %d %s\n", k, table[k].says, err, ws_err_text());
        assert_all(err == WS_ERR_DATA && strstr(ws_err_text(), table[k].says) &&
                   strstr(ws_err_text(), "odd.h5"));
        export_and_predict();
        assert_all(ws_alloc_bytes() == held);
        if (world.rank == 0) assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
}

/* The change alone is what is refused: the same file, hashed again, is a good one. */
static void nothing(hid_t f)
{
    (void)f;
}

static void a_file_hashed_again_is_good(void **state)
{
    ws_train_result result;

    (void)state;
    for (int moved = 0; moved < 2; moved++) {
        assert_all((world.rank ? WS_OK : make_odd(good[moved], nothing)) == WS_OK);
        assert_all(train_on(&world, "resume=odd.h5 steps=8", "next.h5", &result) == WS_OK);
        assert_int_equal(result.step, 8);
    }
}

/* Not hostile, only old: counters of steps and epochs are wider than an int. */
static void four_billion_steps(hid_t f)
{
    integer(f, "/progress", "step", ((int64_t)1 << 32) - 2);
}

static void a_run_goes_on_past_4294967296_steps(void **state)
{
    ws_train_result result;

    (void)state;
    for (int moved = 0; moved < 2; moved++) {
        assert_all((world.rank ? WS_OK : make_odd(good[moved], four_billion_steps)) == WS_OK);
        assert_all(train_on(&world, "resume=odd.h5 steps=4294967302", "next.h5", &result) == WS_OK);
        assert_int_equal(result.step, 4294967302);
        assert_all(train_on(&world, "resume=next.h5 steps=4294967304", "next.h5", &result) ==
                   WS_OK);
        assert_int_equal(result.step, 4294967304);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(a_checkpoint_that_lies_is_refused_and_nothing_is_kept, setup),
    cmocka_unit_test(a_file_hashed_again_is_good),
    cmocka_unit_test(a_run_goes_on_past_4294967296_steps),
};

WS_TEST_MAIN(tests)
