/* The suite; and what the tree of boxes costs, when it is fresh and after rows have moved. */
#include <math.h>
#include <string.h>

#include "conform_index.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "halfspace");
}

enum { N = 20000, D = 3, S = 8 };

static const ws_key key = {17, WS_STREAM_TEST, 0};
static float w[N * D], b[N], x[S * D];
static const ws_shard shard = {N, D, w, b};
static const ws_samples samples = {.n = S, .d = D, .x = x};
static ws_hits hits;

/* Gaussian rows, unit samples. */
static int setup(void **state)
{
    memset(b, 0, sizeof b);
    for (uint64_t r = 0; r < N; r++) ws_random_normal(&key, r, D, 1, w + r * D);
    for (uint64_t i = 0; i < S; i++) {
        float *v = x + i * D;
        double norm;

        ws_random_normal(&key, N + i, D, 1, v);
        norm = sqrt(ws_norm2(v, D));
        for (int j = 0; j < D; j++) v[j] = (float)((double)v[j] / norm);
    }
    return ws_index_create(&world, "halfspace", NULL, (ws_index **)state) ||
           ws_index_build(*state, &shard, &samples, 2);
}

static int teardown(void **state)
{
    ws_index_destroy((ws_index **)state);
    ws_hits_free(&hits);
    return 0;
}

/* Ask about all samples; the answer must be brute force's.  Returns products and visits. */
static int64_t ask(ws_index *ix, double threshold)
{
    int64_t ids[S], at = 0;
    ws_query q = {.n = S, .ids = ids, .threshold = threshold};
    ws_index_counts before = ws_index_count(ix), after;

    for (int64_t i = 0; i < S; i++) ids[i] = i;
    assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
    after = ws_index_count(ix);
    for (int64_t r = 0; r < N; r++)
        for (int64_t i = 0; i < S; i++) {
            double z = ws_dot(w + r * D, x + i * D, D) + (double)b[r];

            if (!(z > threshold)) continue;
            assert_true(at < hits.n && hits.pos[at] == i && hits.z[at] == z);
            at++;
        }
    assert_int_equal(at, hits.n);
    return after.inner_products + after.node_visits - before.inner_products - before.node_visits;
}

/* The same for an index that was just built. */
static int64_t fresh_work(double threshold)
{
    ws_index *ix;
    int64_t work;

    assert_int_equal(ws_index_create(&world, "halfspace", NULL, &ix), WS_OK);
    assert_int_equal(ws_index_build(ix, &shard, &samples, threshold), WS_OK);
    work = ask(ix, threshold);
    ws_index_destroy(&ix);
    return work;
}

static void tell(ws_index *ix, int64_t k, const int64_t *row)
{
    static double norm[N]; /* this kind looks at the rows themselves */

    assert_int_equal(ws_index_update(ix, &(ws_moves){.k = k, .row = row, .norm = norm}), WS_OK);
}

static void a_query_tests_few_rows(void **state)
{
    assert_true(ask(*state, 2) < N * S / 11);
    assert_true(ask(*state, 3) < N * S / 30);
    assert_int_equal(ask(*state, 100), S); /* the root says no */
    assert_int_equal(hits.n, 0);
}

static void a_node_beyond_the_threshold_is_reported_without_a_test(void **state)
{
    ws_index_counts before = ws_index_count(*state), after;

    assert_int_equal(ask(*state, -100), S);
    after = ws_index_count(*state);
    assert_int_equal(hits.n, N * S);
    assert_int_equal(after.inner_products, before.inner_products);
    assert_int_equal(after.candidates - before.candidates, N * S);
}

/* Equal rows make boxes without extent: a bound that is off by one rounding would show. */
static void equal_rows_at_the_threshold_do_not_fire_and_cost_one_visit(void **state)
{
    double z;

    for (int64_t k = 0; k < N * D; k++) w[k] = w[k % D];
    for (int64_t r = 0; r < N; r++) b[r] = 0.3f;
    assert_int_equal(ws_index_build(*state, &shard, &samples, 2), WS_OK);
    for (int64_t i = 0; i < S; i++) {
        ws_query q = {.n = 1, .ids = &i};
        ws_index_counts before = ws_index_count(*state), after;

        q.threshold = z = ws_dot(w, x + i * D, D) + (double)b[0];
        assert_int_equal(ws_index_query(*state, &q, &hits), WS_OK);
        assert_int_equal(hits.n, 0);
        q.threshold = nextafter(z, -INFINITY);
        assert_int_equal(ws_index_query(*state, &q, &hits), WS_OK);
        assert_int_equal(hits.n, N);
        after = ws_index_count(*state);
        assert_int_equal(after.node_visits - before.node_visits, 2);
        assert_int_equal(after.inner_products, before.inner_products);
    }
}

/* What fires moves, round after round, each row its own way: nothing stays together. */
static void a_tree_whose_rows_disperse_is_sorted_anew_and_paid_for_by_the_moves(void **state)
{
    int64_t moved = 0, before = ws_index_count(*state).leaf_writes, writes;

    for (uint32_t k = 0; k < 150; k++) {
        (void)ask(*state, 1);
        for (int64_t i = 0; i < hits.rows; i++)
            for (uint32_t j = 0; j < D; j++)
                w[hits.row[i] * D + j] +=
                    (float)(0.2 *
                            (ws_random_uniform(&key, (uint64_t)hits.row[i], k * D + j) - 0.5));
        tell(*state, hits.rows, hits.row);
        moved += hits.rows;
    }
    writes = ws_index_count(*state).leaf_writes - before;
    assert_true(ask(*state, 1) < 1.7 * (double)fresh_work(1));
    assert_true(writes > moved + N);         /* it was */
    assert_true(writes <= moved * (1 + 28)); /* at most twice 14 halvings and levels a move */
}

/* A few rows go far away, too few for moves to pay; the queries they slow down do. */
static void a_few_rows_that_go_far_are_sorted_in_when_queries_have_paid(void **state)
{
    int64_t row[N / 10], work, usual;

    for (int k = 0; k < 16; k++) usual = ask(*state, 2.5);
    for (int64_t i = 0; i < N / 10; i++) {
        row[i] = i * 10;
        ws_random_normal(&key, (uint64_t)(2 * N + i), D, 1, w + row[i] * D);
    }
    tell(*state, N / 10, row);
    work = ask(*state, 2.5);
    assert_true(work > 3 * usual);
    for (int k = 0; k < 400 && work > 3 * usual; k++) {
        tell(*state, 1, row);
        work = ask(*state, 2.5);
    }
    assert_true((double)work < 1.2 * (double)fresh_work(2.5));
}

/* Rows that cannot fire are left out of the boxes, and come back when they can. */
static void silent_rows_do_not_open_boxes(void **state)
{
    int64_t row[] = {5, 6, 7}, usual = ask(*state, 2);
    float old[D];
    int found = 0;

    memcpy(old, w + 5 * D, sizeof old);
    w[5 * D] = NAN;
    for (int j = 0; j < D; j++) w[6 * D + j] = 1e30f * x[j];
    b[6] = -INFINITY;
    b[7] = NAN;
    tell(*state, 3, row);
    assert_true(ask(*state, 2) <= usual);
    memcpy(w + 5 * D, old, D * sizeof *w);
    b[6] = b[7] = 0;
    tell(*state, 3, row);
    (void)ask(*state, 2);
    for (int64_t i = 0; i < hits.n; i++) found |= hits.z[i] > 1e29;
    assert_true(found);
}

/* A sparse sample leaves out coordinates, so an infinite weight there says nothing. */
static void infinite_weights_and_sparse_samples_answer_as_scan(void **state)
{
    static const int64_t ptr[] = {0, 1};
    static const int32_t col[] = {1};
    static const float val[] = {1};
    const ws_samples point = {.n = 1, .d = D, .ptr = ptr, .col = col, .val = val};
    ws_query q = {.kind = WS_QUERY_ANY, .n = 1, .x = &point, .threshold = 2};
    int64_t row[] = {3, 4};

    w[3 * D] = INFINITY;
    w[3 * D + 1] = 50;
    tell(*state, 1, row);
    assert_int_equal(ws_index_query(*state, &q, &hits), WS_OK);
    assert_true(hits.row[0] <= 3);
    for (int64_t i = 0, found = 0; i < hits.n || !found; i++) {
        assert_true(i < hits.n);
        found |= hits.row[i] == 3 && hits.z[i] == 50;
    }
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    CONFORM_INDEX(use),
    FRESH(a_query_tests_few_rows),
    FRESH(a_node_beyond_the_threshold_is_reported_without_a_test),
    FRESH(equal_rows_at_the_threshold_do_not_fire_and_cost_one_visit),
    FRESH(a_tree_whose_rows_disperse_is_sorted_anew_and_paid_for_by_the_moves),
    FRESH(a_few_rows_that_go_far_are_sorted_in_when_queries_have_paid),
    FRESH(silent_rows_do_not_open_boxes),
    FRESH(infinite_weights_and_sparse_samples_answer_as_scan),
};

WS_TEST_MAIN(tests)
