/* The suite, and what the trees cost: a root for each neuron, then little; one tree for a move. */
#include "conform_index.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "wtree");
}

enum { N = 500, D = 12, S = 300 };

static float w[N * D], b[N], x[S * D];

static int setup(void **state)
{
    static const ws_key key = {17, WS_STREAM_TEST, 0};
    static const ws_shard shard = {N, D, w, b};
    static const ws_samples samples = {.n = S, .d = D, .x = x};

    for (uint64_t r = 0; r < N; r++) ws_random_normal(&key, r, D, 1, w + r * D);
    for (uint64_t i = 0; i < S; i++) ws_random_normal(&key, N + i, D, 0.3, x + i * D);
    return ws_index_create(&world, "wtree", NULL, (ws_index **)state) ||
           ws_index_build(*state, &shard, &samples, 3);
}

static int teardown(void **state)
{
    ws_index_destroy((ws_index **)state);
    return 0;
}

/* Visits of a query for samples 0, step, 2 step, ... */
static int64_t visits(ws_index *ix, int64_t step, double threshold, int64_t *fired)
{
    int64_t ids[S], before = ws_index_count(ix).node_visits;
    ws_query q = {.ids = ids, .threshold = threshold};
    ws_hits hits = {0};

    for (int64_t i = 0; i < S; i += step) ids[q.n++] = i;
    assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
    *fired = hits.n;
    ws_hits_free(&hits);
    return ws_index_count(ix).node_visits - before;
}

static void a_query_looks_at_roots_and_below_those_that_are_open(void **state)
{
    int64_t fired, seen;

    assert_int_equal(visits(*state, 1, 100, &fired), N);
    seen = visits(*state, 1, 3, &fired);
    assert_true(fired > 20);
    assert_true(seen >= N + fired);
    assert_true(seen <= N + fired * (5 + 8 + 8)); /* 300 leaves, 38 and 5 nodes above them */
    assert_true(visits(*state, 150, 3, &fired) <= N + N * 2 * 3);
}

static void a_move_writes_one_tree(void **state)
{
    int64_t row[] = {3, 400}, id[] = {7}, first[] = {0, 1, 2}, fired;
    int32_t pos[] = {0, 0};
    float coef[] = {0.5f, 0};
    double norm[] = {1, 0}, delta[D];
    ws_moves m = {2, row, norm, NULL, first, pos, id, coef, NULL, NULL};
    ws_index_counts before = ws_index_count(*state), after;

    assert_int_equal(before.leaf_writes, N * S);
    for (int j = 0; j < D; j++) delta[j] = 0.5 * (double)x[7 * D + j];
    ws_row_add(w + 3 * D, delta, D);
    assert_int_equal(ws_index_update(*state, &m), WS_OK);
    after = ws_index_count(*state);
    assert_int_equal(after.leaf_writes - before.leaf_writes, 2 * S);
    assert_int_equal(after.inner_products, before.inner_products);
    m.first = NULL;
    assert_int_equal(ws_index_update(*state, &m), WS_OK);
    assert_int_equal(ws_index_count(*state).inner_products - after.inner_products, 2 * S);
    visits(*state, 1, 3, &fired);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    CONFORM_INDEX(use),
    FRESH(a_query_looks_at_roots_and_below_those_that_are_open),
    FRESH(a_move_writes_one_tree),
};

WS_TEST_MAIN(tests)
