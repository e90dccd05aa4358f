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

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3) || make_data(&world, "real.h5", 0) ||
           make_data(&world, "two.h5", 2);
}

/* Every optimiser and index, on all ranks, against scan on one rank. */
static void compare(const char *more)
{
    static const char *const kinds[] = {"scan", "dtree", "certified", "quantized"};

    for (size_t o = 0; o < sizeof optimisers / sizeof *optimisers; o++) {
        char words[500];
        uint64_t want;

        snprintf(words, sizeof words, "width=301 shift=0.8 %s %s index=scan", optimisers[o], more);
        want = run_on(1, words, "one.h5");
        for (int k = 0; k < 4; k++) {
            snprintf(words, sizeof words, "width=301 shift=0.8 %s %s index=%s slack=0.05",
                     optimisers[o], more, kinds[k]);
            assert_int_equal(run_on(world.size, words, "all.h5"), want);
        }
    }
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

static void so_they_do_for_real_targets_and_coupled_starts(void **state)
{
    (void)state;
    compare("data=real.h5 init=coupled prepare=standard-unit");
}

static void so_they_do_for_smooth_activations(void **state)
{
    static const char *const kinds[] = {"quadratic", "softplus", "tanh"};

    (void)state;
    for (int k = 0; k < 3; k++) {
        char words[300];
        snprintf(words, sizeof words,
                 "data=two.h5 width=101 activation=%s optimizer=sgd batch=8 steps=9 rate=0.05 "
                 "bias=trained",
                 kinds[k]);
        assert_int_equal(run_on(world.size, words, "all.h5"), run_on(1, words, "one.h5"));
    }
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(any_ranks_and_index_give_the_same_bits, setup),
    cmocka_unit_test(so_they_do_with_trained_biases_and_outputs),
    cmocka_unit_test(so_they_do_for_real_targets_and_coupled_starts),
    cmocka_unit_test(so_they_do_for_smooth_activations),
    cmocka_unit_test(the_automatic_rate_has_the_same_bits),
    cmocka_unit_test(vector_units_give_the_same_bits),
    cmocka_unit_test(a_seed_decides_a_run),
    cmocka_unit_test(more_ranks_than_pairs_of_neurons_work),
};

WS_TEST_MAIN(tests)
