/* The approximate index: a part of scan's answer with the same z, more of it with more tables, the
 * same part on any number of ranks, and a recall that is what it says. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"
#include "wingspan/index/index.h"

enum { N = 70001, FEW = 8000, D = 16, S = 9 }; /* N: more than a block of the tables */

static const double threshold = 1.6;
static float w[N * D], b[N], x[S * D], y[S * D];
static const ws_samples samples = {.n = S, .d = D, .x = x}, points = {.n = S, .d = D, .x = y};
static const int64_t ids[S] = {4, 0, 8, 2, 1, 7, 3, 6, 5};
static ws_comm self;

static int setup(void **state)
{
    static const ws_key key = {31, WS_STREAM_TEST, 0};

    (void)state;
    ws_comm_create(MPI_COMM_SELF, &self);
    for (uint64_t r = 0; r < N; r++) {
        ws_random_normal(&key, r, D, 1, w + r * D);
        b[r] = r % 7 ? 0 : 0.2f;
    }
    for (uint64_t i = 0; i < 2 * S; i++)
        ws_random_normal(&key, N + i, D, 0.25, i < S ? x + i * D : y + (i - S) * D);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ws_comm_destroy(&self);
    return 0;
}

/* An index over neurons from .. from + n - 1. */
static ws_index *make(const ws_comm *comm, const char *kind, int64_t tables, int64_t from,
                      int64_t n)
{
    const ws_index_options o = {.tables = tables, .bits = 5, .every = 4, .seed = 5};
    const ws_shard shard = {n, D, w + from * D, b + from};
    ws_index *ix;

    assert_all(ws_index_create(comm, kind, &o, &ix) == WS_OK);
    assert_all(ws_index_build(ix, &shard, &samples, threshold) == WS_OK);
    return ix;
}

static ws_query about(ws_query_kind kind)
{
    static const double radius[S] = {9, 9, 9, 9, 9, 9, 9, 9, 9};

    return (ws_query){kind, S, ids, &points, radius, threshold, NULL, NULL};
}

/* Is every pair of a, whose rows are numbered from `from`, among all with the same z? */
static int part_of(const ws_hits *a, const ws_hits *all, int64_t from)
{
    int64_t i = 0;

    for (int64_t k = 0; k < a->rows; k++) {
        while (i < all->rows && all->row[i] < a->row[k] + from) i++;
        if (i == all->rows || all->row[i] != a->row[k] + from) return 0;
        for (int64_t p = a->first[k], q = all->first[i]; p < a->first[k + 1]; p++) {
            while (q < all->first[i + 1] && all->pos[q] != a->pos[p]) q++;
            if (q == all->first[i + 1] || memcmp(&all->z[q], &a->z[p], sizeof *a->z)) return 0;
        }
    }
    return 1;
}

/* Pairs found for a kind of query, all of them scan's. */
static int64_t found(int64_t tables, ws_query_kind kind, int64_t *fired)
{
    ws_index *lsh = make(&self, "lsh", tables, 0, FEW), *scan = make(&self, "scan", 0, 0, FEW);
    ws_query q = about(kind);
    ws_hits part = {0}, all = {0};
    int64_t n;

    assert_int_equal(ws_index_query(lsh, &q, &part), WS_OK);
    assert_int_equal(ws_index_query(scan, &q, &all), WS_OK);
    assert_true(part_of(&part, &all, 0));
    assert_true(ws_index_count(lsh).candidates >= part.n);
    n = part.n;
    *fired = all.n;
    ws_hits_free(&part);
    ws_hits_free(&all);
    ws_index_destroy(&lsh);
    ws_index_destroy(&scan);
    return n;
}

static void what_it_finds_is_scans_and_more_tables_find_more(void **state)
{
    (void)state;
    for (int kind = WS_QUERY_SAMPLE; kind <= WS_QUERY_ANY; kind++) {
        int64_t fired, few = found(2, (ws_query_kind)kind, &fired);
        int64_t some = found(12, (ws_query_kind)kind, &fired);
        int64_t most = found(80, (ws_query_kind)kind, &fired);

        assert_true(few > 0 && fired > 300);
        assert_true(2 * few < some && some < most);
        assert_true(10 * most > 9 * fired && most <= fired);
    }
}

static void it_says_that_it_is_approximate(void **state)
{
    ws_index *ix = make(&self, "lsh", 3, 0, 100), *scan = make(&self, "scan", 3, 0, 100);
    char name[] = "scan";

    (void)state;
    assert_false(ws_index_is_exact(ix));
    assert_true(ws_index_is_exact(scan));
    assert_non_null(strstr(ws_index_title("lsh"), "approximate"));
    assert_string_equal(ws_index_title(name), "scan");
    assert_ptr_not_equal(ws_index_title(name), name); /* the name may go */
    ws_index_destroy(&ix);
    ws_index_destroy(&scan);
}

/* Neuron r moves in a way that depends on r and the step alone; the indexes are told. */
static void move(ws_index *part, ws_index *whole, int64_t all, int64_t first, int64_t n, int step)
{
    static double norm[N];
    static int64_t row[N], here[N];
    int64_t k = 0, in = 0;

    for (int64_t r = step % 3; r < all; r += 3, k++) {
        double delta[D];

        for (int j = 0; j < D; j++) delta[j] = 0.3 * sin((double)(r + j * 7 + step));
        norm[k] = sqrt(ws_row_add(w + r * D, delta, D)) * (1 + 1e-12);
        row[k] = r;
        if (r >= first && r < first + n) here[in++] = r - first;
    }
    assert_int_equal(ws_index_update(whole, &(ws_moves){.k = k, .row = row, .norm = norm}), WS_OK);
    assert_int_equal(ws_index_update(part, &(ws_moves){.k = in, .row = here, .norm = norm}), WS_OK);
}

/* An index over this rank's neurons against one over all, through steps with and without hashing. */
static void a_shard_finds_what_the_whole_finds_there(void **state)
{
    ws_layout l = {N, world.size};
    int64_t first = ws_layout_first(&l, world.rank), n = ws_layout_count(&l, world.rank), in;
    ws_index *part = make(&world, "lsh", 6, first, n), *whole = make(&self, "lsh", 6, 0, N);
    ws_query q = about(WS_QUERY_SAMPLE);
    ws_hits a = {0}, all = {0};

    (void)state;
    for (int step = 0; step < 6; step++) {
        ws_index_tick(part, step);
        ws_index_tick(whole, step);
        assert_int_equal(ws_index_query(part, &q, &a), WS_OK);
        assert_int_equal(ws_index_query(whole, &q, &all), WS_OK);
        assert_true(part_of(&a, &all, first));
        in = 0;
        for (int64_t i = 0; i < all.rows; i++)
            if (all.row[i] >= first && all.row[i] < first + n)
                in += all.first[i + 1] - all.first[i];
        assert_true(in == a.n && in > 0);
        move(part, whole, N, first, n, step);
    }
    assert_int_equal(ws_index_count(whole).relisted, N); /* at step 4, all had moved */
    ws_hits_free(&a);
    ws_hits_free(&all);
    ws_index_destroy(&part);
    ws_index_destroy(&whole);
}

/* Codes follow the weights when the schedule says so: then the index is as if built anew. */
static void after_a_hashing_it_is_as_built_anew(void **state)
{
    ws_index *ix = make(&self, "lsh", 6, 0, FEW), *fresh, *other = make(&self, "lsh", 6, 0, FEW);
    ws_query q = about(WS_QUERY_SAMPLE);
    ws_hits stale = {0}, renewed = {0}, anew = {0};

    (void)state;
    for (int k = 0; k < 3; k++) move(ix, other, FEW, 0, FEW, k);
    fresh = make(&self, "lsh", 6, 0, FEW);
    ws_index_tick(ix, 3);
    assert_int_equal(ws_index_query(ix, &q, &stale), WS_OK);
    ws_index_tick(ix, 4);
    assert_int_equal(ws_index_query(ix, &q, &renewed), WS_OK);
    assert_int_equal(ws_index_query(fresh, &q, &anew), WS_OK);
    assert_true(part_of(&renewed, &anew, 0) && renewed.n == anew.n);
    assert_false(part_of(&stale, &anew, 0) && stale.n == anew.n);
    ws_hits_free(&stale);
    ws_hits_free(&renewed);
    ws_hits_free(&anew);
    ws_index_destroy(&ix);
    ws_index_destroy(&fresh);
    ws_index_destroy(&other);
}

/* The measured recall is that of the samples checked, and estimates the true one. */
static void the_recall_is_measured(void **state)
{
    ws_index *ix = make(&self, "lsh", 12, 0, FEW), *scan = make(&self, "scan", 0, 0, FEW);
    ws_query q = about(WS_QUERY_SAMPLE);
    ws_hits part = {0}, all = {0};
    ws_index_counts c;
    double recall, truth;

    (void)state;
    assert_int_equal(ws_index_query(scan, &q, &all), WS_OK);
    for (int step = 0; step < 200; step++) {
        ws_index_tick(ix, step);
        assert_int_equal(ws_index_query(ix, &q, &part), WS_OK);
    }
    c = ws_index_count(ix);
    recall = (double)c.found / (double)c.checked;
    truth = (double)part.n / (double)all.n;
    assert_true(c.checked * S > all.n * 10 && c.checked * S < all.n * 100); /* 1 of 64 is 28 */
    assert_true(truth < 0.95 && fabs(recall - truth) < 0.05);
    ws_hits_free(&part);
    ws_hits_free(&all);
    ws_index_destroy(&ix);
    ws_index_destroy(&scan);
}

/* A life of an index: 1 if it went through, 0 if memory ran out; anything else fails the test. */
static int live(void)
{
    const ws_shard shard = {500, D, w, b};
    ws_query q = about(WS_QUERY_SAMPLE);
    ws_hits hits = {0};
    ws_index *ix = NULL;
    ws_err err = ws_index_create(&self, "lsh", NULL, &ix);

    if (!err) err = ws_index_build(ix, &shard, &samples, threshold);
    if (!err) err = ws_index_query(ix, &q, &hits);
    q.kind = WS_QUERY_ANY;
    if (!err) err = ws_index_query(ix, &q, &hits);
    assert_true(err == WS_OK || err == WS_ERR_NOMEM);
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
    return err == WS_OK;
}

static void an_allocation_that_fails_anywhere_is_an_error_and_no_more(void **state)
{
    int64_t held = ws_alloc_bytes();
    int through = 0, k;

    (void)state;
    for (k = 1; k < 400 && !through; k++) {
        ws_alloc_fail_at(k);
        through = live();
        ws_alloc_fail_at(0);
        assert_int_equal(ws_alloc_bytes(), held);
    }
    assert_true(k > 10 && through);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_it_finds_is_scans_and_more_tables_find_more),
    cmocka_unit_test(it_says_that_it_is_approximate),
    cmocka_unit_test(a_shard_finds_what_the_whole_finds_there),
    cmocka_unit_test(after_a_hashing_it_is_as_built_anew),
    cmocka_unit_test(the_recall_is_measured),
    cmocka_unit_test(an_allocation_that_fails_anywhere_is_an_error_and_no_more),
};

int main(int argc, char **argv)
{
    int failed;

    MPI_Init(&argc, &argv);
    ws_comm_create(MPI_COMM_WORLD, &world);
    if (world.rank != 0 && !freopen("/dev/null", "w", stdout)) return 1;
    failed = cmocka_run_group_tests(tests, setup, teardown);
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, world.mpi);
    ws_comm_destroy(&world);
    MPI_Finalize();
    return failed != 0;
}
