/* Queries are checked as --verify-index says, without a bit of difference; an index that misses a
 * neuron on one rank is found, and all ranks end alike. */
#include "train_util.h"

#include "index_impl.h"
#include "run.h"

#define RUN "data=classes.h5 width=203 shift=0.7 batch=8 rate=0.5 steps=18"

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3) || make_data(&world, "two.h5", 2);
}

/* What a run with these words says it has verified, on rank 0; the number of misses must be 0. */
static int64_t verified_by(const char *words)
{
    ws_train_result result;

    assert_all(train_on(&world, words, "all.h5", &result) == WS_OK);
    assert_int_equal(result.missed, 0);
    return result.verified;
}

static void k_queries_an_epoch_are_checked(void **state)
{
    (void)state;
    assert_int_equal(verified_by(RUN " index=scan verify-index=10"), 30);
    assert_int_equal(verified_by(RUN " index=dtree verify-index=2"), 6);
    assert_int_equal(verified_by(RUN " index=certified slack=0.05 verify-index=100"), 300);
    assert_int_equal(verified_by(RUN " optimizer=gd batch=0 verify-index=3"), 54);
    assert_int_equal(verified_by("data=two.h5 width=101 activation=tanh batch=8 rate=0.05 steps=6 "
                                 "verify-index=7"),
                     7);
    assert_int_equal(verified_by(RUN), 0);
}

static void no_bit_of_the_run_changes(void **state)
{
    uint64_t want = run_on(world.size, RUN " index=scan", "all.h5");

    (void)state;
    assert_int_equal(run_on(world.size, RUN " index=certified verify-index=20", "all.h5"), want);
    assert_int_equal(run_on(world.size, RUN " index=scan verify-index=20", "all.h5"), want);
}

/* Metrics: cumulative counts in each step's line if there is verification, else none. */
static void the_metrics_count_them(void **state)
{
    char line[8192], want[64];
    int lines = 0;
    FILE *f;

    (void)state;
    verified_by(RUN " verify-index=6 log-every=1 metrics=v.jsonl");
    verified_by(RUN " log-every=1 metrics=none.jsonl");
    MPI_Barrier(world.mpi);
    assert_non_null(f = fopen("v.jsonl", "r"));
    while (fgets(line, sizeof line, f)) {
        if (!strstr(line, "\"type\":\"step\"")) continue;
        if (++lines % 6) continue;
        snprintf(want, sizeof want, "\"verified\":%d,\"missed\":0,", lines);
        assert_non_null(strstr(line, want));
    }
    fclose(f);
    assert_int_equal(lines, 18);
    assert_non_null(f = fopen("none.jsonl", "r"));
    while (fgets(line, sizeof line, f)) assert_null(strstr(line, "\"verified\""));
    fclose(f);
}

static void the_number_may_change_on_resume(void **state)
{
    ws_train_result result;

    (void)state;
    verified_by(RUN " verify-index=6");
    assert_all(train_on(&world, "resume=all.h5 steps=24 verify-index=5", "all.h5", &result) ==
               WS_OK);
    assert_int_equal(result.verified, 5);
}

/* ---- an index that misses ---- */

static const ws_index_ops *sound;

/* The right answer without its last pair. */
static ws_err forgetful(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    ws_err err = sound->query(ix, q, hits);

    if (!err && hits->n > 0) {
        hits->n--;
        hits->first[hits->rows]--;
        if (hits->first[hits->rows] == hits->first[hits->rows - 1]) hits->rows--;
    }
    return err;
}

static ws_index_ops broken;

/* A run ready to step, whose index forgets on the last rank. */
static void begin(ws_run *r, const char *words, int exact)
{
    *r = (ws_run){.comm = &world, .opt = options(words), .order_epoch = -1, .tested_at = -1};
    assert_all(ws_run_data(r, NULL) == WS_OK);
    assert_all(ws_run_resolve(r) == WS_OK);
    assert_all(ws_alloc(&r->order, r->ds->n, sizeof *r->order, "test") == WS_OK);
    assert_all(ws_alloc(&r->history, HISTORY, sizeof *r->history, "test") == WS_OK);
    r->history_stride = 1;
    assert_all(ws_run_network(r) == WS_OK);
    assert_all(ws_run_index(r) == WS_OK);
    r->rate = r->opt.rate;
    sound = r->ix->ops;
    broken = *sound;
    broken.exact = exact;
    if (world.rank == world.size - 1) broken.query = forgetful;
    r->ix->ops = &broken;
}

static void a_miss_on_one_rank_ends_the_run_on_all(void **state)
{
    static const char *const kinds[] = {"scan", "dtree", "certified"};

    (void)state;
    for (int k = 0; k < 3; k++) {
        char words[200], want[64], text[512];
        ws_err err = WS_OK;
        ws_run r;

        snprintf(words, sizeof words, RUN " verify-index=60 index=%s", kinds[k]);
        begin(&r, words, 1);
        while (!err && r.step < 6) err = ws_run_step(&r);
        assert_all(err == WS_ERR_INEXACT);
        snprintf(want, sizeof want, "index %s is wrong about neuron ", kinds[k]);
        assert_non_null(strstr(ws_err_text(), want));
        snprintf(want, sizeof want, "(rank %d, step %d: 1 missed", world.size - 1, (int)r.step + 1);
        assert_non_null(strstr(ws_err_text(), want));
        snprintf(text, sizeof text, "%s", ws_err_text());
        assert_int_equal(r.missed, 1);
        MPI_Bcast(text, sizeof text, MPI_CHAR, 0, world.mpi);
        assert_string_equal(text, ws_err_text());
        ws_run_free(&r);
    }
}

static void misses_of_an_approximate_index_are_counted(void **state)
{
    ws_run r;

    (void)state;
    begin(&r, RUN " verify-index=60 index=scan", 0);
    while (r.step < 6) assert_all(ws_run_step(&r) == WS_OK);
    assert_int_equal(r.verified, 60);
    assert_true(r.missed > 0 && r.missed <= 60);
    ws_run_free(&r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(k_queries_an_epoch_are_checked, setup),
    cmocka_unit_test(no_bit_of_the_run_changes),
    cmocka_unit_test(the_metrics_count_them),
    cmocka_unit_test(the_number_may_change_on_resume),
    cmocka_unit_test(a_miss_on_one_rank_ends_the_run_on_all),
    cmocka_unit_test(misses_of_an_approximate_index_are_counted),
};

WS_TEST_MAIN(tests)
