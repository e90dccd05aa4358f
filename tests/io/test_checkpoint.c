/* Checkpoints: round trips over ranks, damage found, failures that leave the old file in place. */
#include "io_util.h"

enum { ROWS = 23, COLS = 5 };

static float value(int64_t r, int64_t c, int salt)
{
    return (float)(r * 100 + c + salt * 10000);
}

/* Uneven shares: rank p of size s has rows of index p(p+1)/2 ...; the last takes the rest. */
static void share(const ws_comm *c, int64_t *first, int64_t *n)
{
    *first = (int64_t)c->rank * (c->rank - 1) / 2;
    *n = c->rank == c->size - 1 ? ROWS - *first : c->rank;
}

static ws_err save(const ws_comm *c, const char *file, int keep, int salt)
{
    static float data[ROWS][COLS];
    double history[] = {1, 2, 3};
    int64_t first, n, three = 3;
    ws_ckpt_writer *w;
    ws_err err;

    share(c, &first, &n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < COLS; j++) data[i][j] = value(first + i, j, salt);
    if ((err = ws_ckpt_create(c, file, 0, &w))) return err;
    if ((err = ws_ckpt_put_int(w, "/progress", "step", salt)) ||
        (err = ws_ckpt_put_text(w, "/options", "kind", "certified")) ||
        (err = ws_ckpt_put_text(w, "/options", "empty", "")) ||
        (err = ws_ckpt_put_real(w, "/options", "rate", 0.1)) ||
        (err = ws_ckpt_put_array(w, "/progress/history", WS_FLOAT64, 1, &three, history)) ||
        (err = ws_ckpt_put_rows(w, "/model/w", WS_FLOAT32, ROWS, first, n, COLS, data))) {
        ws_ckpt_abort(&w);
        return err;
    }
    return ws_ckpt_commit(&w, keep);
}

/* Which salt a file was saved with; -1 if it cannot be opened. */
static int64_t load(const ws_comm *c, const char *file, int fall_back)
{
    static float data[ROWS][COLS];
    double history[3], rate;
    int64_t first, n, salt, step, dims[2];
    char text[64];
    int ndims, ok;
    ws_ckpt *k;

    if (ws_ckpt_open(c, file, fall_back, &k)) return -1;
    first = (int64_t)c->rank * ROWS / c->size;
    n = (int64_t)(c->rank + 1) * ROWS / c->size - first;
    ok = ws_ckpt_get_int(k, "/progress", "step", &step) == WS_OK &&
         ws_ckpt_get_real(k, "/options", "rate", &rate) == WS_OK && rate == 0.1 &&
         ws_ckpt_get_text(k, "/options", "kind", text, sizeof text) == WS_OK &&
         strcmp(text, "certified") == 0 &&
         ws_ckpt_get_text(k, "/options", "empty", text, sizeof text) == WS_OK && !text[0] &&
         ws_ckpt_shape(k, "/model/w", &ndims, dims) == WS_OK && ndims == 2 && dims[0] == ROWS &&
         ws_ckpt_get_array(k, "/progress/history", WS_FLOAT64, 3, history) == WS_OK &&
         history[2] == 3 &&
         ws_ckpt_get_rows(k, "/model/w", WS_FLOAT32, first, n, COLS, data) == WS_OK;
    salt = step;
    for (int64_t i = 0; i < n && ok; i++)
        for (int64_t j = 0; j < COLS; j++) ok = ok && data[i][j] == value(first + i, j, (int)salt);
    ws_ckpt_close(&k);
    return ok ? salt : -2;
}

/* Run on the first k ranks only. */
static int first_ranks(int k, ws_comm *sub)
{
    MPI_Comm part;

    MPI_Comm_split(world.mpi, world.rank < k ? 0 : MPI_UNDEFINED, world.rank, &part);
    if (part == MPI_COMM_NULL) return 0;
    ws_comm_create(part, sub);
    MPI_Comm_free(&part);
    return 1;
}

static void what_is_saved_on_some_ranks_loads_on_others(void **state)
{
    (void)state;
    for (int from = 1; from <= world.size; from++)
        for (int to = 1; to <= world.size; to++) {
            ws_comm sub;
            int64_t got = 10 * from + to;
            ws_err err = WS_OK;

            if (first_ranks(from, &sub)) {
                err = save(&sub, "a.h5", 1, 10 * from + to);
                ws_comm_destroy(&sub);
            }
            assert_all(err == WS_OK);
            if (first_ranks(to, &sub)) {
                got = load(&sub, "a.h5", 0);
                ws_comm_destroy(&sub);
            }
            assert_all(got == 10 * from + to);
        }
}

static void older_ones_are_kept_in_order(void **state)
{
    (void)state;
    for (int k = 1; k <= 5; k++) assert_all(save(&world, "k.h5", 3, k) == WS_OK);
    assert_all(load(&world, "k.h5", 0) == 5);
    assert_all(load(&world, "k.h5.1", 0) == 4);
    assert_all(load(&world, "k.h5.2", 0) == 3);
    assert_all(size_of("k.h5.3") == -1 && size_of("k.h5.tmp") == -1);
    assert_all(ws_ckpt_exists(&world, "k.h5") == 1);
    assert_all(ws_ckpt_exists(&world, "none.h5") == 0);
}

/* Bytes in front of the HDF5 part: a head, a few hashes, zeros. */
static long block_of(const char *file)
{
    FILE *f = fopen(file, "rb");
    int64_t block = 0;

    assert_non_null(f);
    assert_int_equal(fseek(f, 16, SEEK_SET), 0);
    assert_int_equal(fread(&block, sizeof block, 1, f), 1);
    fclose(f);
    return (long)block;
}

static void check_flips(long from, long to, long every)
{
    for (long at = from; at < to; at += every) {
        if (world.rank == 0) flip_bit("b.h5", at);
        MPI_Barrier(world.mpi);
        assert_all(load(&world, "b.h5", 0) == -1 && says("b.h5"));
        MPI_Barrier(world.mpi);
        if (world.rank == 0) flip_bit("b.h5", at);
        MPI_Barrier(world.mpi);
    }
}

/* Densely where there is something, now and then in the zeros between. */
static void one_flipped_bit_anywhere_is_found(void **state)
{
    long size, block;

    (void)state;
    assert_all(save(&world, "b.h5", 1, 7) == WS_OK);
    size = size_of("b.h5");
    block = block_of("b.h5");
    assert_all(block > 4096 && size - block > 4096);
    check_flips(0, 100, 3);
    check_flips(100, block, 65521);
    check_flips(block, size, 97);
    assert_all(load(&world, "b.h5", 0) == 7);
}

static void a_file_cut_short_is_found(void **state)
{
    long size;

    (void)state;
    assert_all(save(&world, "c.h5", 1, 7) == WS_OK);
    size = size_of("c.h5");
    for (int part = 63; part >= 0; part--) {
        MPI_Barrier(world.mpi);
        if (world.rank == 0) assert_int_equal(truncate("c.h5", size * part / 64), 0);
        MPI_Barrier(world.mpi);
        assert_all(load(&world, "c.h5", 0) == -1);
    }
}

static void a_damaged_file_falls_back_to_the_newest_good_one(void **state)
{
    ws_ckpt *c;

    (void)state;
    for (int k = 1; k <= 3; k++) assert_all(save(&world, "f.h5", 3, k) == WS_OK);
    if (world.rank == 0) flip_bit("f.h5", size_of("f.h5") - 10);
    MPI_Barrier(world.mpi);
    assert_all(load(&world, "f.h5", 0) == -1);
    assert_all(load(&world, "f.h5", 1) == 2);
    if (world.rank == 0) flip_bit("f.h5.1", 3);
    MPI_Barrier(world.mpi);
    assert_all(ws_ckpt_open(&world, "f.h5", 1, &c) == WS_OK);
    assert_all(strstr(ws_ckpt_note(c), "f.h5.2 is used") != NULL);
    ws_ckpt_close(&c);
    if (world.rank == 0) flip_bit("f.h5.2", size_of("f.h5.2") - 10);
    MPI_Barrier(world.mpi);
    assert_all(load(&world, "f.h5", 1) == -1);
    assert_all(says("f.h5 is damaged"));
}

static void a_write_that_fails_anywhere_leaves_the_old_file(void **state)
{
    static const char *const stages[] = {"reserve", "write",  "close", "hash",
                                         "sync",    "verify", "rename"};

    (void)state;
    assert_all(save(&world, "w.h5", 2, 1) == WS_OK);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        int zero = i == 0 || i == 6; /* work of rank 0 alone */
        char text[40];
        snprintf(text, sizeof text, "%s:%d", stages[i], zero ? 0 : world.size - 1);
        setenv("WINGSPAN_FAIL_IO", text, 1);
        assert_all(save(&world, "w.h5", 2, 2) != WS_OK);
        unsetenv("WINGSPAN_FAIL_IO");
        assert_all(says("w.h5"));
        assert_all(size_of("w.h5.tmp") == -1);
        assert_all(load(&world, "w.h5", 0) == 1);
    }
    assert_all(save(&world, "w.h5", 2, 3) == WS_OK);
    assert_all(load(&world, "w.h5", 0) == 3);
}

static void what_is_no_checkpoint_is_refused(void **state)
{
    ws_ckpt *c;
    FILE *f;

    (void)state;
    assert_all(ws_ckpt_open(&world, "none.h5", 0, &c) == WS_ERR_IO && says("none.h5"));
    assert_all(ws_ckpt_open(&world, ".", 0, &c) == WS_ERR_IO && says("folder"));
    if (world.rank == 0) {
        f = fopen("text.h5", "w");
        for (int i = 0; i < 9999; i++) fputs("not a checkpoint ", f);
        fclose(f);
    }
    MPI_Barrier(world.mpi);
    assert_all(ws_ckpt_open(&world, "text.h5", 0, &c) == WS_ERR_DATA);
    assert_all(says("text.h5 is not a wingspan checkpoint"));
    assert_null(c);
}

static void a_folder_that_is_not_there_is_found_before_training(void **state)
{
    (void)state;
    assert_all(ws_ckpt_probe(&world, "no/such/run.h5") == WS_ERR_IO && says("no/such/run.h5"));
    assert_all(ws_ckpt_probe(&world, "fine.h5") == WS_OK);
    assert_all(size_of("fine.h5") == -1 && size_of("fine.h5.tmp") == -1);
}

static void what_is_missing_or_of_another_type_is_named(void **state)
{
    int64_t v;
    float w[4];
    char text[4];
    ws_ckpt *c;

    (void)state;
    assert_all(save(&world, "m.h5", 1, 1) == WS_OK);
    assert_all(ws_ckpt_open(&world, "m.h5", 0, &c) == WS_OK);
    assert_all(ws_ckpt_get_int(c, "/progress", "stop", &v) == WS_ERR_DATA && says("stop"));
    assert_all(ws_ckpt_get_int(c, "/nothing", "stop", &v) == WS_ERR_DATA);
    assert_all(ws_ckpt_get_int(c, "/options", "kind", &v) == WS_ERR_DATA);
    assert_all(ws_ckpt_get_text(c, "/options", "kind", text, sizeof text) == WS_ERR_DATA);
    assert_all(ws_ckpt_get_array(c, "/progress/history", WS_FLOAT32, 3, w) == WS_ERR_DATA);
    assert_all(ws_ckpt_get_array(c, "/progress/history", WS_FLOAT64, 4, w) == WS_ERR_DATA);
    assert_all(ws_ckpt_get_rows(c, "/model/w", WS_FLOAT32, ROWS, 1, COLS, w) == WS_ERR_DATA);
    assert_all(ws_ckpt_get_rows(c, "/model/w", WS_FLOAT32, 0, 1, COLS - 1, w) == WS_ERR_DATA);
    assert_all(ws_ckpt_has(c, "/model/w") && !ws_ckpt_has(c, "/a/b/c"));
    ws_ckpt_close(&c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_saved_on_some_ranks_loads_on_others),
    cmocka_unit_test(older_ones_are_kept_in_order),
    cmocka_unit_test(one_flipped_bit_anywhere_is_found),
    cmocka_unit_test(a_file_cut_short_is_found),
    cmocka_unit_test(a_damaged_file_falls_back_to_the_newest_good_one),
    cmocka_unit_test(a_write_that_fails_anywhere_leaves_the_old_file),
    cmocka_unit_test(what_is_no_checkpoint_is_refused),
    cmocka_unit_test(a_folder_that_is_not_there_is_found_before_training),
    cmocka_unit_test(what_is_missing_or_of_another_type_is_named),
};

WS_TEST_MAIN(tests)
