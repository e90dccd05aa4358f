/* The suite, on rows and samples as bytes, for each path; and what only this kind does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conform_index.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "quantized");
}

/* A path that this processor lacks stays the one before. */
static int use_avx2(void **state)
{
    ws_simd_select("avx2");
    return use(state);
}

static int use_portable(void **state)
{
    ws_simd_select("portable");
    return use(state);
}

/* A shard and samples, on one index; the answer to all samples. */
typedef struct world_of {
    ws_shard shard;
    ws_samples x;
    float *w, *b, *v;
} world_of;

static world_of make(int64_t n, int64_t d, int64_t s)
{
    const ws_key key = {17, WS_STREAM_TEST, (uint32_t)world.rank};
    world_of o = {.w = calloc((size_t)(n * d), 4), .b = calloc((size_t)n, 4)};

    o.v = calloc((size_t)(s * d), 4);
    for (int64_t r = 0; r < n; r++) ws_random_normal(&key, (uint64_t)r, d, 1, o.w + r * d);
    for (int64_t i = 0; i < s; i++)
        ws_random_normal(&key, (uint64_t)(n + i), d, 1 / sqrt((double)d), o.v + i * d);
    o.shard = (ws_shard){n, d, o.w, o.b};
    o.x = (ws_samples){.n = s, .d = d, .x = o.v};
    return o;
}

static void release(world_of *o)
{
    free(o->w);
    free(o->b);
    free(o->v);
}

static ws_index *build(const world_of *o, const char *kind)
{
    ws_index *ix = NULL;

    assert_all(ws_index_create(&world, kind, NULL, &ix) == WS_OK);
    assert_all(ws_index_build(ix, &o->shard, &o->x, 2) == WS_OK);
    return ix;
}

/* Both indexes give the same pairs and bits for all samples; returns how many. */
static int64_t same_answers(ws_index *a, ws_index *b, const world_of *o)
{
    int64_t *ids = calloc((size_t)o->x.n, sizeof *ids), n;
    ws_query q = {.n = o->x.n, .ids = ids, .threshold = 2};
    ws_hits g = {0}, h = {0};

    for (int64_t i = 0; i < o->x.n; i++) ids[i] = i;
    assert_int_equal(ws_index_query(a, &q, &g), WS_OK);
    assert_int_equal(ws_index_query(b, &q, &h), WS_OK);
    assert_int_equal(g.n, h.n);
    assert_int_equal(g.rows, h.rows);
    n = g.n;
    assert_memory_equal(g.row, h.row, (size_t)g.rows * sizeof *g.row);
    assert_memory_equal(g.pos, h.pos, (size_t)n * sizeof *g.pos);
    assert_memory_equal(g.z, h.z, (size_t)n * sizeof *g.z);
    ws_hits_free(&g);
    ws_hits_free(&h);
    free(ids);
    return n;
}

/* The bytes of the rows stay; those of the samples are made on the path of the query. */
static void rows_made_on_one_path_answer_on_another(void **state)
{
    static const char *const paths[] = {"portable", "avx2", "avx512"};
    world_of o = make(100, 90, 150);
    ws_index *scan = build(&o, "scan");

    (void)state;
    for (int k = 0; k < 9; k++) {
        ws_index *ix;

        if (!ws_simd_select(paths[k / 3])) continue;
        ix = build(&o, "quantized");
        if (ws_simd_select(paths[k % 3])) assert_true(same_answers(scan, ix, &o) > 0);
        ws_index_destroy(&ix);
    }
    ws_index_destroy(&scan);
    release(&o);
}

static void vectors_too_long_for_bytes_are_scanned(void **state)
{
    world_of o = make(3, 131073, 4);
    ws_index *scan = build(&o, "scan"), *ix = build(&o, "quantized");

    (void)state;
    for (int64_t r = 0; r < 3; r++) o.b[r] = 2;
    assert_true(same_answers(scan, ix, &o) > 0);
    o.w[5] += 1;
    assert_int_equal(
        ws_index_update(ix, &(ws_moves){.k = 1, .row = &(int64_t){0}, .norm = &(double){1}}),
        WS_OK);
    same_answers(scan, ix, &o);
    ws_index_destroy(&scan);
    ws_index_destroy(&ix);
    release(&o);
}

/* Enough samples, long enough, for certified to list by bytes: at build and after moves. */
static void lists_made_by_bytes_stay_exact(void **state)
{
    world_of o = make(700, 48, 300);
    ws_index *scan = build(&o, "scan"), *ix = build(&o, "certified");
    double norm = 1.2;

    (void)state;
    for (int64_t r = 0; r < o.shard.n; r++) {
        for (int64_t j = 0; j < o.shard.d; j++) o.w[r * o.shard.d + j] += j % 2 ? 0.17f : -0.17f;
        assert_int_equal(ws_index_update(ix, &(ws_moves){.k = 1, .row = &r, .norm = &norm}), WS_OK);
        assert_int_equal(ws_index_update(scan, &(ws_moves){.k = 1, .row = &r, .norm = &norm}),
                         WS_OK);
        if (r % 100 == 50) assert_true(same_answers(scan, ix, &o) > 0);
    }
    assert_true(ws_index_count(ix).relisted > 0);
    ws_index_destroy(&scan);
    ws_index_destroy(&ix);
    release(&o);
}

static const struct CMUnitTest tests[] = {
    CONFORM_INDEX(use),
    cmocka_unit_test(rows_made_on_one_path_answer_on_another),
    cmocka_unit_test(vectors_too_long_for_bytes_are_scanned),
    cmocka_unit_test(lists_made_by_bytes_stay_exact),
    CONFORM_INDEX(use_avx2),
    CONFORM_INDEX(use_portable),
};

WS_TEST_MAIN(tests)
