/* The suite, and what the trees cost: visits and leaf writes are counted exactly. */
#include <math.h>

#include "conform_index.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "dtree");
}

enum { N = 1000, D = 6, S = 10 };

static const ws_key key = {11, WS_STREAM_TEST, 0};
static float w[N * D], b[N], x[S * D];
static ws_hits hits;

static int setup(void **state)
{
    static const ws_shard shard = {N, D, w, b};
    static const ws_samples samples = {.n = S, .d = D, .x = x};

    for (uint64_t r = 0; r < N; r++) ws_random_normal(&key, r, D, 1, w + r * D);
    for (uint64_t i = 0; i < S; i++) ws_random_normal(&key, N + i, D, 0.4, x + i * D);
    return ws_index_create(&world, "dtree", NULL, (ws_index **)state) ||
           ws_index_build(*state, &shard, &samples, 2);
}

static int teardown(void **state)
{
    ws_index_destroy((ws_index **)state);
    ws_hits_free(&hits);
    return 0;
}

static void ask(ws_index *ix, int64_t sample, double threshold)
{
    ws_query q = {.n = 1, .ids = &sample, .threshold = threshold};

    assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
}

static void a_query_visits_few_nodes_for_each_neuron_found(void **state)
{
    for (int64_t i = 0; i < S; i++) {
        int64_t before = ws_index_count(*state).node_visits, visits;
        double k;

        ask(*state, i, 2);
        visits = ws_index_count(*state).node_visits - before;
        k = (double)(hits.n > 0 ? hits.n : 1);
        assert_true((double)visits <= 2 * k * (log2(N / k) + 2));
        assert_true(visits >= 1 + 2 * hits.n);
    }
    assert_int_equal(ws_index_count(*state).leaf_writes, N * S);
    ask(*state, 0, 100);
    assert_int_equal(hits.n, 0);
}

static void a_move_writes_one_leaf_a_sample_and_climbs_no_further_than_the_root(void **state)
{
    int64_t row[] = {0, 500, 999}, first[] = {0, 1, 1, 2}, id[] = {4};
    int32_t pos[] = {0, 0};
    float coef[] = {0.25f, -0.5f};
    double norm[] = {1, 1, 1}, delta[D] = {0};
    ws_moves m = {3, row, norm, NULL, first, pos, id, coef, NULL, NULL};
    ws_index_counts before = ws_index_count(*state), after;

    for (int k = 0; k < 3; k += 2) {
        for (int j = 0; j < D; j++) delta[j] = (double)coef[k / 2] * (double)x[4 * D + j];
        ws_row_add(w + row[k] * D, delta, D);
    }
    assert_int_equal(ws_index_update(*state, &m), WS_OK);
    after = ws_index_count(*state);
    assert_int_equal(after.leaf_writes - before.leaf_writes, 3 * S);
    assert_true(after.node_visits - before.node_visits >= 3 * S);
    assert_true(after.node_visits - before.node_visits <= 3 * S * 10); /* 2^10 > N */
    assert_int_equal(after.inner_products, before.inner_products);
    m.first = NULL;
    assert_int_equal(ws_index_update(*state, &m), WS_OK);
    assert_int_equal(ws_index_count(*state).inner_products - after.inner_products, 3 * S);
}

/* Neuron `row` moves by c x_sample; the index is told how if `told`. */
static void move(ws_index *ix, int64_t row, int64_t sample, float c, int told)
{
    int64_t first[] = {0, 1};
    int32_t pos[] = {0};
    double norm[] = {fabs((double)c) * 4}, delta[D];
    ws_moves m = {1, &row, norm, NULL, told ? first : NULL, pos, &sample, &c, NULL, NULL};

    for (int j = 0; j < D; j++) delta[j] = (double)c * (double)x[sample * D + j];
    ws_row_add(w + row * D, delta, D);
    assert_int_equal(ws_index_update(ix, &m), WS_OK);
}

static int fires(ws_index *ix, int64_t row, int64_t sample, double threshold)
{
    int found = 0;

    ask(ix, sample, threshold);
    for (int64_t i = 0; i < hits.rows; i++) found |= hits.row[i] == row;
    return found;
}

/* A leaf that was just computed has no room to spare: what one step rounds off must be added. */
static void a_leaf_bounds_its_neuron_after_every_single_move(void **state)
{
    for (int64_t k = 0; k < 500; k++) {
        int64_t row = k % N, i = k * 3 % S;
        double z;

        move(*state, row, k % S, 0.001f, 0);
        move(*state, row, k * 7 % S, k % 2 ? 0.01f : -0.003f, 1);
        z = ws_dot(w + row * D, x + i * D, D);
        assert_true(fires(*state, row, i, nextafter(z, -INFINITY)));
        assert_false(fires(*state, row, i, z));
    }
}

/* What updates may hide is added to the leaves; it must neither get lost nor pile up. */
static void after_very_many_updates_leaves_are_still_close_bounds(void **state)
{
    int64_t extra = 0, before;

    for (int64_t k = 0; k < 60000; k++) {
        int64_t i = k / 500 % S;
        double z;

        move(*state, 7, k * 7 % S, (k / S % 2 ? 0.01f : -0.01f) * (float)(1 + k % 3), 1);
        if (k % 500) continue;
        z = ws_dot(w + 7 * D, x + i * D, D);
        assert_true(fires(*state, 7, i, nextafter(z, -INFINITY)));
        before = ws_index_count(*state).candidates;
        ask(*state, i, z + 0.002);
        extra += ws_index_count(*state).candidates - before - hits.n;
    }
    assert_in_range(extra, 0, 2);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    CONFORM_INDEX(use),
    FRESH(a_query_visits_few_nodes_for_each_neuron_found),
    FRESH(a_move_writes_one_leaf_a_sample_and_climbs_no_further_than_the_root),
    FRESH(a_leaf_bounds_its_neuron_after_every_single_move),
    FRESH(after_very_many_updates_leaves_are_still_close_bounds),
};

WS_TEST_MAIN(tests)
