/* An answer with a pair left out, added or changed in its last bit is told from the right one. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/random.h"
#include "wingspan/index/index.h"

enum { N = 40, D = 5, S = 12 };

static float w[N * D], b[N], x[S * D];
static const ws_samples samples = {.n = S, .d = D, .x = x};
static int64_t ids[S];
static const ws_query everything = {.kind = WS_QUERY_SAMPLE, .n = S, .ids = ids, .threshold = 0.5};
static ws_hits hits, right;
static ws_index *ix;

/* Rank p owns 10 p neurons of its own. */
static int setup(void **state)
{
    static const ws_key key = {31, WS_STREAM_TEST, 0};
    const ws_shard shard = {world.size == 1 ? N : 10 * world.rank, D, w, b};

    (void)state;
    for (uint64_t r = 0; r < N; r++) {
        ws_random_normal(&key, 100 * (uint64_t)world.rank + r, D, 1, w + r * D);
        b[r] = (float)r * 0.01f;
    }
    for (uint64_t i = 0; i < S; i++) {
        ws_random_normal(&key, 1000 + i, D, 1, x + i * D);
        ids[i] = (int64_t)(S - 1 - i);
    }
    return ws_index_create(&world, "scan", NULL, &ix) ||
           ws_index_build(ix, &shard, &samples, 0.5) || ws_index_query(ix, &everything, &hits) ||
           ws_index_query(ix, &everything, &right);
}

static int teardown(void **state)
{
    (void)state;
    ws_index_destroy(&ix);
    ws_hits_free(&hits);
    ws_hits_free(&right);
    return 0;
}

/* Both ways of judging: against another answer, and against the definition at every position. */
static void judge(int64_t missed, int64_t changed, int64_t row, int32_t pos)
{
    int32_t all[S];
    ws_difference d;

    for (int32_t k = 0; k < S; k++) all[k] = k;
    for (int way = 0; way < 2; way++) {
        if (way == 0)
            ws_hits_compare(&hits, &right, &d);
        else
            assert_int_equal(ws_index_verify(ix, &everything, &hits, all, S, &d), WS_OK);
        assert_int_equal(d.pairs, right.n);
        assert_int_equal(d.missed, missed);
        assert_int_equal(d.extra, 0);
        assert_int_equal(d.changed, changed);
        assert_int_equal(d.row, row);
        assert_int_equal(d.pos, pos);
    }
}

/* Remove pair p of hits. */
static void drop(int64_t p)
{
    for (int64_t q = p; q < hits.n - 1; q++) {
        hits.pos[q] = hits.pos[q + 1];
        hits.z[q] = hits.z[q + 1];
    }
    hits.n--;
    for (int64_t i = 0; i <= hits.rows; i++) hits.first[i] -= hits.first[i] > p;
}

static int64_t row_of(int64_t p)
{
    int64_t i = 0;

    while (right.first[i + 1] <= p) i++;
    return right.row[i];
}

static void the_right_answer_is_right(void **state)
{
    (void)state;
    judge(0, 0, -1, -1);
}

static void a_pair_left_out_is_missed(void **state)
{
    (void)state;
    for (int64_t p = 0; p < right.n; p += 7) {
        drop(p);
        judge(1, 0, row_of(p), right.pos[p]);
        assert_int_equal(ws_index_query(ix, &everything, &hits), WS_OK);
    }
}

static void one_bit_of_z_is_a_change(void **state)
{
    (void)state;
    for (int64_t p = 0; p < right.n; p += 7) {
        hits.z[p] = nextafter(hits.z[p], INFINITY);
        judge(0, 1, row_of(p), right.pos[p]);
        hits.z[p] = right.z[p];
    }
}

/* What the index found is more than it was asked for: at a higher threshold, too much. */
static void a_pair_too_many_is_extra(void **state)
{
    ws_query higher = everything;
    ws_difference d;
    int32_t all[S];

    (void)state;
    for (int32_t k = 0; k < S; k++) all[k] = k;
    higher.threshold = 0.9;
    assert_int_equal(ws_index_query(ix, &higher, &right), WS_OK);
    ws_hits_compare(&hits, &right, &d);
    assert_int_equal(d.extra, hits.n - right.n);
    assert_int_equal(d.missed, 0);
    assert_int_equal(ws_index_verify(ix, &higher, &hits, all, S, &d), WS_OK);
    assert_int_equal(d.extra, hits.n - right.n);
    ws_hits_compare(&right, &hits, &d);
    assert_int_equal(d.missed, hits.n - right.n);
}

/* Only the samples asked about are looked at. */
static void positions_choose_what_is_verified(void **state)
{
    ws_difference d;

    (void)state;
    if (right.n > 0) drop(0);
    for (int32_t k = 0; k < S; k++) {
        assert_int_equal(ws_index_verify(ix, &everything, &hits, &k, 1, &d), WS_OK);
        assert_int_equal(d.missed, right.n > 0 && right.pos[0] == k);
        assert_int_equal(d.extra + d.changed, 0);
    }
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    FRESH(the_right_answer_is_right),         FRESH(a_pair_left_out_is_missed),
    FRESH(one_bit_of_z_is_a_change),          FRESH(a_pair_too_many_is_extra),
    FRESH(positions_choose_what_is_verified),
};

WS_TEST_MAIN(tests)
