/* Where checkpoints are put: names that must not be taken, space, gaps in the row of files. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "io_util.h"

static ws_err save_bytes(const char *file, int keep, int64_t step, double bytes)
{
    ws_ckpt_writer *w;
    ws_err err = ws_ckpt_create(&world, file, bytes, &w);

    if (err) return err;
    if ((err = ws_ckpt_put_int(w, "/progress", "step", step))) {
        ws_ckpt_abort(&w);
        return err;
    }
    return ws_ckpt_commit(&w, keep);
}

static ws_err save(const char *file, int keep, int64_t step)
{
    return save_bytes(file, keep, step, 0);
}

/* The step of a file; -1 if it cannot be opened. */
static int64_t step_of(const char *file, int fall_back)
{
    ws_ckpt *c;
    int64_t step = -1;

    if (ws_ckpt_open(&world, file, fall_back, &c)) return -1;
    if (ws_ckpt_get_int(c, "/progress", "step", &step)) step = -2;
    ws_ckpt_close(&c);
    return step;
}

static void names_that_hold_something_else_are_not_taken(void **state)
{
    float x[2] = {1, 2};
    ws_table_column data = column("/x", WS_FLOAT32, 2, 0, x);

    (void)state;
    if (world.rank == 0) assert_true(mkdir("folder", 0777) == 0);
    assert_all(ws_table_write(&world, "data.h5", &data, 1) == WS_OK);
    assert_all(ws_ckpt_probe(&world, "folder") == WS_ERR_IO && says("folder is a folder"));
    assert_all(ws_ckpt_probe(&world, "data.h5") == WS_ERR_IO && says("data.h5"));
    assert_all(size_of("data.h5.tmp") == -1 && size_of("folder.tmp") == -1);
    assert_all(save("fine.h5", 1, 1) == WS_OK && ws_ckpt_probe(&world, "fine.h5") == WS_OK);
}

static void what_a_killed_run_left_is_taken_away(void **state)
{
    (void)state;
    if (world.rank == 0) fclose(fopen("k.h5.tmp", "w"));
    MPI_Barrier(world.mpi);
    assert_all(ws_ckpt_probe(&world, "k.h5") == WS_OK);
    assert_all(size_of("k.h5.tmp") == -1);
}

static void reserved_space_that_is_not_needed_is_given_back(void **state)
{
    (void)state;
    assert_all(save_bytes("r.h5", 1, 4, 2e7) == WS_OK);
    assert_all(step_of("r.h5", 0) == 4 && size_of("r.h5") < 1000000);
}

static void space_that_is_not_there_is_named_and_nothing_is_left(void **state)
{
    (void)state;
    assert_all(save("s.h5", 1, 1) == WS_OK);
    assert_all(save_bytes("s.h5", 1, 2, 1e18) == WS_ERR_IO);
    assert_all(says("no space") && says("s.h5") && says("are free"));
    assert_all(size_of("s.h5.tmp") == -1 && step_of("s.h5", 0) == 1);
}

static void a_gap_in_the_row_is_stepped_over(void **state)
{
    (void)state;
    for (int k = 1; k <= 3; k++) assert_all(save("g.h5", 3, k) == WS_OK);
    if (world.rank == 0) {
        flip_bit("g.h5", size_of("g.h5") - 10);
        unlink("g.h5.1");
    }
    MPI_Barrier(world.mpi);
    assert_all(step_of("g.h5", 1) == 1);
    if (world.rank == 0) unlink("g.h5");
    MPI_Barrier(world.mpi);
    assert_all(ws_ckpt_exists(&world, "g.h5") == 1);
    assert_all(step_of("g.h5", 1) == 1);
}

static void advice_is_given_where_it_helps(void **state)
{
    ws_ckpt *c;

    (void)state;
    for (int k = 1; k <= 2; k++) assert_all(save("v.h5", 2, k) == WS_OK);
    if (world.rank == 0) flip_bit("v.h5", size_of("v.h5") - 10);
    MPI_Barrier(world.mpi);
    assert_all(ws_ckpt_open(&world, "v.h5", 0, &c) == WS_ERR_DATA);
    assert_all(says("v.h5 is damaged (between byte") && says("v.h5.1"));
    assert_all(ws_ckpt_open(&world, "v.h5", 1, &c) == WS_OK);
    assert_all(!strstr(ws_ckpt_note(c), "if there is one"));
    assert_all(strstr(ws_ckpt_note(c), "v.h5.1 is used instead") != NULL);
    ws_ckpt_close(&c);
}

/* Some filesystems have no links: FILE must still be there when putting in place fails. */
static void without_links_a_failure_still_leaves_the_old_file(void **state)
{
    (void)state;
    assert_all(save("l.h5", 2, 1) == WS_OK);
    setenv("WINGSPAN_FAIL_IO", "link:0", 1);
    assert_all(save("l.h5", 2, 2) == WS_OK);
    assert_all(step_of("l.h5", 0) == 2 && step_of("l.h5.1", 0) == 1);
    setenv("WINGSPAN_FAIL_IO", "link:0,rename:0", 1);
    assert_all(save("l.h5", 2, 3) == WS_ERR_IO);
    unsetenv("WINGSPAN_FAIL_IO");
    assert_all(step_of("l.h5", 0) == 2 && size_of("l.h5.tmp") == -1);
}

/* Two runs with one --checkpoint, or a rank of a killed run that is not quite dead. */
static void two_runs_never_write_one_file_together(void **state)
{
    ws_ckpt_writer *w;
    int held = -1;

    (void)state;
    if (world.rank == 0) {
        held = open("h.h5.tmp", O_RDWR | O_CREAT, 0666);
        assert_int_equal(flock(held, LOCK_EX), 0);
    }
    MPI_Barrier(world.mpi);
    assert_all(ws_ckpt_create(&world, "h.h5", 0, &w) == WS_ERR_IO && says("h.h5 is being written"));
    assert_all(size_of("h.h5.tmp") == 0); /* the other run's: not taken away */
    if (world.rank == 0) close(held);
    MPI_Barrier(world.mpi);
    assert_all(save("h.h5", 1, 5) == WS_OK && step_of("h.h5", 0) == 5);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_that_hold_something_else_are_not_taken),
    cmocka_unit_test(what_a_killed_run_left_is_taken_away),
    cmocka_unit_test(reserved_space_that_is_not_needed_is_given_back),
    cmocka_unit_test(space_that_is_not_there_is_named_and_nothing_is_left),
    cmocka_unit_test(a_gap_in_the_row_is_stepped_over),
    cmocka_unit_test(advice_is_given_where_it_helps),
    cmocka_unit_test(two_runs_never_write_one_file_together),
    cmocka_unit_test(without_links_a_failure_still_leaves_the_old_file),
};

WS_TEST_MAIN(tests)
