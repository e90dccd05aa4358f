/* Memory that runs out on one rank, at every allocation in turn: nobody hangs, all are told, nothing
 * is left behind. */
#include "io_util.h"
#include "wingspan/core/alloc.h"
#include "wingspan/io/dataset.h"

enum { N = 6, D = 2 };

static float x[N][D] = {{1, 2}, {3, 5}, {1, 0}, {0, 3}, {7, 4}, {2, 2}};
static float y[N] = {3, 4, 5, 9, 1, 2};

static ws_err load(void)
{
    ws_dataset_options o = {.prepare = WS_PREPARE_STANDARD_UNIT, .need_y = 1};
    ws_dataset *ds;
    ws_err err = ws_dataset_load(&world, "m.h5", &o, &ds);

    ws_dataset_destroy(&ds);
    return err;
}

static ws_err save(void)
{
    ws_ckpt_writer *w;
    int64_t n = N;
    ws_err err = ws_ckpt_create(&world, "m.ckpt", 1000, &w);

    if (err) return err;
    if ((err = ws_ckpt_put_array(w, "/data/y", WS_FLOAT32, 1, &n, y))) {
        ws_ckpt_abort(&w);
        return err;
    }
    return ws_ckpt_commit(&w, 2);
}

static ws_err reopen(void)
{
    ws_ckpt *c;
    ws_err err = ws_ckpt_open(&world, "m.ckpt", 0, &c);

    ws_ckpt_close(&c);
    return err;
}

/* Fail call k on one rank for k = 1, 2, ... until the work gets through; how often it failed. */
static int sweep(ws_err (*work)(void), int rank)
{
    int64_t before = ws_alloc_bytes();
    ws_err err = WS_ERR_NOMEM;
    int k = 0;

    while (err && k < 100) {
        k++;
        if (world.rank == rank) ws_alloc_fail_at(k);
        err = work();
        ws_alloc_fail_at(0);
        assert_all(err == WS_OK || (err == WS_ERR_NOMEM && says("memory")));
        assert_all(ws_alloc_bytes() == before);
        assert_all(size_of("m.ckpt.tmp") == -1);
    }
    assert_all(err == WS_OK);
    return k - 1;
}

static void every_allocation_may_fail_on_any_rank(void **state)
{
    ws_table_column list[2] = {column("/x", WS_FLOAT32, N, D, x),
                               column("/y", WS_FLOAT32, N, 0, y)};

    (void)state;
    assert_all(ws_table_write(&world, "m.h5", list, 2) == WS_OK);
    for (int rank = 0; rank < world.size; rank++) {
        assert_all(sweep(load, rank) >= 4);
        assert_all(sweep(save, rank) >= 3);
        assert_all(sweep(reopen, rank) >= 3);
    }
}

static void every_node_may_run_out_too(void **state)
{
    (void)state;
    setenv("WINGSPAN_RANKS_PER_NODE", "1", 1);
    for (int rank = 0; rank < world.size; rank++) assert_all(sweep(load, rank) >= 8);
    unsetenv("WINGSPAN_RANKS_PER_NODE");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_allocation_may_fail_on_any_rank),
    cmocka_unit_test(every_node_may_run_out_too),
};

WS_TEST_MAIN(tests)
