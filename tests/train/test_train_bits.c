/* A run has the same bits on any number of ranks, with any exact index, on any vector unit. */
#include "train_util.h"

#include "wingspan/core/dot.h"

static const char *const optimisers[] = {
    "optimizer=gd steps=7 rate=0.5",
    "optimizer=sgd batch=8 steps=14 rate=0.5",
    "optimizer=sgd batch=8 steps=14 rate=0.1 momentum=0.9 weight-decay=0.01",
    "optimizer=sgd batch=8 steps=14 ridge=0.01 schedule=cosine",
    "optimizer=adam batch=8 steps=14 rate=0.01",
};

/* gauss-newton has its own list: it is for the squared loss and fixed output weights. */
static const char *const newtons[] = {
    "optimizer=gauss-newton loss=squared steps=4",
    "optimizer=gauss-newton loss=squared steps=5 ridge=0.01 damping=1e-7 cg-tolerance=1e-6",
    "optimizer=gauss-newton loss=squared steps=3 bias=trained damping=1e-6 samples=31",
};

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3) || make_data(&world, "real.h5", 0) ||
           make_data(&world, "two.h5", 2);
}

/* One optimiser and every index, on all ranks, against scan on one rank. */
static void compare_one(const char *optimiser, const char *more)
{
    static const char *const kinds[] = {"scan",      "dtree",     "wtree",
                                        "halfspace", "certified", "quantized"};
    char words[500];
    uint64_t want;

    snprintf(words, sizeof words, "width=301 shift=0.8 %s %s index=scan", optimiser, more);
    want = run_on(1, words, "one.h5");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        snprintf(words, sizeof words, "width=301 shift=0.8 %s %s index=%s slack=0.05", optimiser,
                 more, kinds[k]);
        assert_int_equal(run_on(world.size, words, "all.h5"), want);
    }
}

static void compare(const char *more)
{
    for (size_t o = 0; o < sizeof optimisers / sizeof *optimisers; o++)
        compare_one(optimisers[o], more);
}

static void so_do_sketched_preconditioners(void **state)
{
    static const char *const kinds[] = {"countsketch", "osnap",    "srht", "tensorsketch",
                                        "tensorsrht",  "leverage", "none"};
    uint64_t last = 0;

    (void)state;
    for (int k = 0; k < 7; k++) {
        char words[300];
        uint64_t want;
        snprintf(words, sizeof words,
                 "data=%s width=301 shift=0.8 optimizer=gauss-newton loss=squared steps=3 "
                 "preconditioner=%s init=coupled",
                 k % 2 ? "real.h5" : "classes.h5", kinds[k]);
        want = run_on(1, words, "one.h5");
        assert_int_equal(run_on(world.size, words, "all.h5"), want);
        /* Another preconditioner is another run, in the last bits. */
        assert_int_not_equal(want, last);
        last = want;
    }
}

static void so_does_gauss_newton(void **state)
{
    (void)state;
    compare_one(newtons[0], "data=classes.h5");
    compare_one(newtons[1], "data=real.h5 init=coupled prepare=standard-unit");
    compare_one(newtons[2], "data=two.h5 prepare=center-unit");
}

static void any_ranks_and_index_give_the_same_bits(void **state)
{
    (void)state;
    compare("data=classes.h5");
}

static void so_they_do_with_trained_biases_and_outputs(void **state)
{
    (void)state;
    compare("data=classes.h5 bias=trained output-weights=trained prepare=center-unit");
}

/* The approximate index gives another run than scan, but the same on any ranks. */
static void so_does_lsh_on_any_ranks(void **state)
{
    const char *words = "data=classes.h5 width=301 shift=1.5 batch=8 steps=14 rate=0.5 index=lsh "
                        "lsh-tables=4 lsh-every=5";
    uint64_t want = run_on(1, words, "one.h5");

    (void)state;
    assert_int_equal(run_on(world.size, words, "all.h5"), want);
    assert_int_not_equal(
        run_on(1, "data=classes.h5 width=301 shift=1.5 batch=8 steps=14 rate=0.5 index=scan",
               "one.h5"),
        want);
}

static void so_they_do_for_real_targets_and_coupled_starts(void **state)
{
    (void)state;
    compare("data=real.h5 init=coupled prepare=standard-unit");
}

/* Blocks have 4 rows or 8 neurons: shards end inside of them. */
static void so_they_do_for_structured_starts(void **state)
{
    (void)state;
    compare("data=classes.h5 init=structured");
    compare("data=real.h5 init=structured-coupled prepare=standard-unit");
    compare_one(newtons[0], "data=classes.h5 init=structured-coupled");
}

static void so_they_do_for_smooth_activations(void **state)
{
    static const char *const kinds[] = {"quadratic", "softplus", "tanh"};

    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char words[300];
        snprintf(words, sizeof words,
                 "data=two.h5 width=101 activation=%s optimizer=sgd batch=8 steps=9 rate=0.05 "
                 "bias=trained",
                 kinds[k]);
        assert_int_equal(run_on(world.size, words, "all.h5"), run_on(1, words, "one.h5"));
    }
}

/* Bytes are read as such, small batches as differences too; what was copied is checked by what was not. */
static void so_they_do_for_batches_of_bytes(void **state)
{
    static const char *const kinds[] = {"certified", "quantized", "halfspace", "dtree"};
    enum { MANY = 560, WIDE = 4001 };
    static uint8_t byte[MANY][WIDE];
    static int32_t y[MANY];
    int here = world.rank == 0;
    ws_table_column list[2] = {{"/x", WS_UINT8, MANY, here ? 0 : MANY, here ? MANY : 0, WIDE, byte},
                               {"/y", WS_INT32, MANY, here ? 0 : MANY, here ? MANY : 0, 0, y}};
    const char *base = "data=bytes.h5 prepare=center-unit width=23 shift=1 optimizer=sgd batch=530 "
                       "steps=3 rate=2";
    static const char *const paths[] = {"portable", "avx2", "avx512"};
    const char *was = ws_simd_name();
    char words[300];
    uint64_t want, small;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        ws_key key = {11, WS_STREAM_TEST, 0};
        float v[WIDE];

        y[i] = i % 3;
        ws_random_normal(&key, (uint64_t)i, WIDE, 8 + 16 * (i % 5), v); /* norms that differ */
        for (int j = 0; j < WIDE; j++)
            byte[i][j] = (uint8_t)fminf(255, fabsf(v[j]) + (j % 3 == y[i] ? 60 : 0));
    }
    assert_int_equal(ws_table_write(&world, "bytes.h5", list, 2), WS_OK);
    snprintf(words, sizeof words, "%s index=scan", base);
    want = run_on(1, words, "one.h5");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        snprintf(words, sizeof words, "%s index=%s slack=0.05", base, kinds[k]);
        assert_int_equal(run_on(world.size, words, "all.h5"), want);
    }
    snprintf(words, sizeof words, "%s batch=40 index=scan", base);
    small = run_on(1, words, "one.h5");
    snprintf(words, sizeof words, "%s batch=40 index=certified verify-index=9", base);
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
        if (ws_simd_select(paths[k])) assert_int_equal(run_on(world.size, words, "all.h5"), small);
    assert_true(ws_simd_select("portable"));
    snprintf(words, sizeof words, "%s index=certified verify-index=9", base);
    assert_int_equal(run_on(world.size, words, "all.h5"), want);
    ws_simd_select(was);
    snprintf(words, sizeof words, "%s momentum=0.9 bias=trained", base);
    assert_int_equal(run_on(world.size, words, "all.h5"), run_on(1, words, "one.h5"));
    snprintf(words, sizeof words, "%s precision=float64", base);
    assert_int_equal(run_on(world.size, words, "all.h5"), run_on(1, words, "one.h5"));
}

static void the_automatic_rate_has_the_same_bits(void **state)
{
    const char *words = "data=classes.h5 width=301 optimizer=gd steps=4 bias=trained";

    (void)state;
    assert_int_equal(run_on(world.size, words, "all.h5"), run_on(1, words, "one.h5"));
}

static void vector_units_give_the_same_bits(void **state)
{
    const char *words = "data=classes.h5 width=301 shift=0.5 batch=8 steps=12 rate=0.5";
    const char *was = ws_simd_name();
    uint64_t want = run_on(world.size, words, "all.h5");

    (void)state;
    assert_true(ws_simd_select("portable"));
    assert_int_equal(run_on(world.size, words, "all.h5"), want);
    if (ws_simd_select("avx2")) assert_int_equal(run_on(world.size, words, "all.h5"), want);
    assert_true(ws_simd_select(was));
}

static void a_seed_decides_a_run(void **state)
{
    const char *words = "data=classes.h5 width=301 batch=8 steps=5 rate=0.5 seed=11";

    (void)state;
    assert_int_equal(run_on(world.size, words, "all.h5"), run_on(world.size, words, "all.h5"));
    assert_int_not_equal(
        run_on(world.size, words, "all.h5"),
        run_on(world.size, "data=classes.h5 width=301 batch=8 steps=5 rate=0.5 seed=12", "b.h5"));
}

static void more_ranks_than_pairs_of_neurons_work(void **state)
{
    const char *words = "data=classes.h5 width=3 shift=0 batch=8 steps=5 rate=0.5";

    (void)state;
    assert_int_equal(run_on(world.size, words, "all.h5"), run_on(1, words, "one.h5"));
}

/* A run that would be long, so that the kinds are tried, and ends after an epoch. */
static void an_index_chosen_by_time_gives_the_same_bits(void **state)
{
    const char *words = "data=classes.h5 width=301 shift=0.8 batch=8 rate=0.5 target-loss=100 ";
    char run[300];
    uint64_t want;

    (void)state;
    snprintf(run, sizeof run, "%s steps=1000000000 index=scan", words);
    want = run_on(1, run, "one.h5");
    snprintf(run, sizeof run, "%s steps=1000000000", words);
    assert_int_equal(run_on(world.size, run, "all.h5"), want);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(any_ranks_and_index_give_the_same_bits, setup),
    cmocka_unit_test(so_they_do_with_trained_biases_and_outputs),
    cmocka_unit_test(so_does_lsh_on_any_ranks),
    cmocka_unit_test(so_they_do_for_real_targets_and_coupled_starts),
    cmocka_unit_test(so_they_do_for_structured_starts),
    cmocka_unit_test(so_they_do_for_smooth_activations),
    cmocka_unit_test(so_they_do_for_batches_of_bytes),
    cmocka_unit_test(so_does_gauss_newton),
    cmocka_unit_test(so_do_sketched_preconditioners),
    cmocka_unit_test(the_automatic_rate_has_the_same_bits),
    cmocka_unit_test(vector_units_give_the_same_bits),
    cmocka_unit_test(an_index_chosen_by_time_gives_the_same_bits),
    cmocka_unit_test(a_seed_decides_a_run),
    cmocka_unit_test(more_ranks_than_pairs_of_neurons_work),
};

WS_TEST_MAIN(tests)
