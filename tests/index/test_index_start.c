/* The first lists of a structured start: the transform against the rows written out, and the index
 * built by it against scan, with rows that have moved, on any ranks, at edges inside of blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "transform.h"
#include "ws_test.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"
#include "wingspan/index/index.h"
#include "wingspan/index/unwritten.h"

static const char *const paths[] = {"portable", "avx2", "avx512"};

/* Random samples of norms 0.5 to 1; a third of the entries are zero. */
static float *make_samples(int64_t n, int64_t d)
{
    ws_key key = {3, WS_STREAM_TEST, 0};
    float *x = malloc(sizeof *x * (size_t)(n * d));

    for (int64_t i = 0; i < n; i++) {
        double norm;

        ws_random_normal(&key, (uint64_t)i, d, 1, x + i * d);
        for (int64_t j = (i + 1) % 3; j + 1 < d; j += 3) x[i * d + j] = 0;
        norm = sqrt(ws_norm2(x + i * d, d) + 1e-9) * (1 + (double)(i % 5) / 4);
        for (int64_t j = 0; j < d; j++) x[i * d + j] = (float)((double)x[i * d + j] / norm);
    }
    return x;
}

/* ---- the transform ---- */

/* Every product of one panel with one tile, by at. */
static void products(const ws_transform *t, const float *u, const float *g, float *out)
{
    static uint32_t at[WS_PANEL_HITS];
    static float z[WS_PANEL_HITS];
    int64_t n = ws_transform_list(t, u, g, WS_PANEL, -1e30f, at, z);

    assert_int_equal(n, WS_PANEL * WS_TILE);
    for (int64_t k = 0; k < n; k++) out[at[k]] = z[k];
}

static void check_transform(int64_t d, double scale)
{
    static float got[WS_PANEL * WS_TILE], first[WS_PANEL * WS_TILE];
    ws_blocks b = ws_blocks_of(5, d, scale);
    ws_transform t;
    float *x = make_samples(WS_TILE, d), *w = malloc(sizeof *w * (size_t)d), *u, *g, *numbers;
    ws_samples samples = {.n = WS_TILE, .d = d, .x = x};
    double bound;

    assert_int_equal(ws_transform_make(&t, &b), WS_OK);
    u = aligned_alloc(64, sizeof *u * (size_t)t.tile);
    g = malloc(sizeof *g * (size_t)t.panel);
    numbers = malloc(sizeof *g * (size_t)t.panel);
    ws_transform_tile(&t, &samples, 0, WS_TILE, u);
    ws_blocks_numbers(&b, 6, t.blocks, numbers);
    ws_transform_panel(&t, t.blocks, numbers, g);
    for (size_t p = 0; p < 3; p++) {
        if (!ws_simd_select(paths[p])) continue;
        products(&t, u, g, p ? got : first);
        if (p) assert_memory_equal(got, first, sizeof got);
    }
    for (int64_t r = 0; r < WS_PANEL; r++) {
        const float *of = numbers + r / b.q * b.q * b.chunks;

        bound = ws_transform_margin(&b) * sqrt(ws_norm2(of, b.q * b.chunks)) * 1.0001;
        ws_blocks_rows(&b, 6 * b.q + r, 1, w, d);
        for (int64_t i = 0; i < WS_TILE; i++)
            assert_true(fabs(ws_dot(w, x + i * d, d) - (double)first[r * WS_TILE + i]) <= bound);
    }
    ws_transform_free(&t);
    free(x);
    free(w);
    free(u);
    free(g);
    free(numbers);
}

static void products_lie_within_the_margin_with_the_same_bits_on_every_path(void **state)
{
    static const int64_t lengths[] = {1,  2,  3,   5,   8,   13,  16,  32,
                                      40, 64, 100, 128, 256, 400, 784, 3072};
    const char *was = ws_simd_name();

    (void)state;
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        check_transform(lengths[k], k % 2 ? 1 : 37.5);
    assert_true(ws_simd_select(was));
}

/* ---- the index ---- */

typedef struct problem {
    ws_layout layout;
    ws_start start;
    ws_shard shard;
    ws_samples x;
    double threshold;
    float *w, *b;
    uint8_t *moved;
} problem;

static void problem_make(problem *p, int64_t m, int64_t d, int64_t samples, int pairs)
{
    ws_layout l = {m, world.size};
    int64_t first = ws_layout_first(&l, world.rank), n = ws_layout_count(&l, world.rank);

    *p = (problem){.layout = l, .threshold = 2.2};
    p->w = calloc((size_t)(n * d) + 1, sizeof *p->w);
    p->b = calloc((size_t)n + 1, sizeof *p->b);
    p->moved = calloc((size_t)n + 1, 1);
    p->start = (ws_start){
        .blocks = ws_blocks_of(9, d, 1.25), .first = first, .pairs = pairs, .moved = p->moved};
    for (int64_t k = 0; k < n; k++)
        ws_blocks_rows(&p->start.blocks, (first + k) >> pairs, 1, p->w + k * d, d);
    p->x = (ws_samples){.n = samples, .d = d, .x = make_samples(samples, d)};
    p->shard = (ws_shard){.n = n, .d = d, .w = p->w, .b = p->b};
}

static void problem_free(problem *p)
{
    free(p->w);
    free(p->b);
    free(p->moved);
    free((void *)(uintptr_t)p->x.x);
}

/* Rows whose global id says so move, and some get a bias, with or without. */
static void move_some(problem *p, int64_t every)
{
    for (int64_t k = 0; k < p->shard.n; k++) {
        if ((p->start.first + k) % every != 1) continue;
        p->b[k] = k % 3 == 0 ? 0.01f : 0;
        if (k % 3 == 1) continue;
        p->moved[k] = 1;
        for (int64_t j = 0; j < p->shard.d; j++)
            p->w[k * p->shard.d + j] += 2 * p->x.x[k % p->x.n * p->shard.d + j];
    }
}

/* Answers for all samples, at the threshold of the build and at others, against scan's. */
static int64_t check_answers(const problem *p, ws_index *ix)
{
    static int64_t ids[400];
    ws_hits got = {0}, want = {0};
    ws_index *scan;
    int64_t pairs = 0;

    assert_int_equal(ws_index_create(&world, "scan", NULL, &scan), WS_OK);
    assert_int_equal(ws_index_build(scan, &p->shard, &p->x, p->threshold), WS_OK);
    for (int64_t i = 0; i < p->x.n; i++) ids[i] = i;
    for (int k = 0; k < 3; k++) {
        ws_query q = {.kind = WS_QUERY_SAMPLE,
                      .n = p->x.n,
                      .ids = ids,
                      .threshold = p->threshold + (k - 1) * 0.4};
        ws_difference d;

        assert_int_equal(ws_index_query(ix, &q, &got), WS_OK);
        assert_int_equal(ws_index_query(scan, &q, &want), WS_OK);
        ws_hits_compare(&got, &want, &d);
        assert_int_equal(d.missed + d.extra + d.changed, 0);
        pairs += d.pairs;
    }
    ws_hits_free(&got);
    ws_hits_free(&want);
    ws_index_destroy(&scan);
    return pairs;
}

static void check_index(int64_t m, int64_t d, int64_t samples, int pairs, int64_t every)
{
    ws_index_options o = {.slack = 0.5};
    ws_index_counts c;
    problem p;
    ws_index *ix;
    int64_t fired;

    problem_make(&p, m, d, samples, pairs);
    if (every) move_some(&p, every);
    assert_int_equal(ws_index_create(&world, "certified", &o, &ix), WS_OK);
    ws_index_start(ix, &p.start);
    assert_int_equal(ws_index_build(ix, &p.shard, &p.x, p.threshold), WS_OK);
    c = ws_index_count(ix);
    if (!every) assert_true(c.inner_products < p.shard.n * samples || p.shard.n == 0 || d < 16);
    fired = check_answers(&p, ix);
    if (p.shard.n > 100) assert_true(fired > 0);
    ws_index_destroy(&ix);
    problem_free(&p);
}

static void lists_by_blocks_answer_as_scan_does(void **state)
{
    (void)state;
    check_index(3001, 20, 37, 0, 0);
    check_index(3001, 20, 37, 1, 0);
    check_index(5003, 5, 16, 0, 0);
    check_index(10001, 50, 3, 1, 0);
    check_index(2777, 784, 33, 0, 0);
    check_index(3, 9, 5, 1, 0);
}

static void neurons_that_have_moved_are_listed_as_they_are(void **state)
{
    (void)state;
    check_index(3001, 20, 37, 0, 2);
    check_index(3001, 20, 37, 1, 7);
    check_index(1801, 100, 20, 0, 100);
    check_index(1801, 100, 20, 1, 1801);
}

/* The same lists, so the same work in a query, whatever the path and, added up, the ranks. */
static void the_lists_do_not_depend_on_the_vector_unit(void **state)
{
    const char *was = ws_simd_name();
    int64_t want = -1;
    problem p;

    (void)state;
    problem_make(&p, 2001, 70, 40, 1);
    for (size_t k = 0; k < 3; k++) {
        ws_index *ix;

        if (!ws_simd_select(paths[k])) continue;
        assert_int_equal(ws_index_create(&world, "certified", NULL, &ix), WS_OK);
        ws_index_start(ix, &p.start);
        assert_int_equal(ws_index_build(ix, &p.shard, &p.x, p.threshold), WS_OK);
        if (want < 0) want = ws_index_count(ix).leaf_writes;
        assert_int_equal(ws_index_count(ix).leaf_writes, want);
        ws_index_destroy(&ix);
    }
    assert_true(ws_simd_select(was));
    problem_free(&p);
}

/* Numbers that float32 might not hold on the way, and lists of nearly everything, go the old way. */
static void a_start_that_cannot_be_certified_is_listed_by_products(void **state)
{
    static const double scales[] = {1e-12, 1e12, 1}, thresholds[] = {2e-12, 2e12, 0.1};

    (void)state;
    for (int k = 0; k < 3; k++) {
        ws_index *ix;
        problem p;

        problem_make(&p, 500, 30, 20, 0);
        p.start.blocks.scale = scales[k];
        p.threshold = thresholds[k];
        for (int64_t i = 0; i < p.shard.n; i++)
            ws_blocks_rows(&p.start.blocks, p.start.first + i, 1, p.w + i * 30, 30);
        assert_int_equal(ws_index_create(&world, "certified", NULL, &ix), WS_OK);
        ws_index_start(ix, &p.start);
        assert_int_equal(ws_index_build(ix, &p.shard, &p.x, p.threshold), WS_OK);
        assert_int_equal(ws_index_count(ix).inner_products, p.shard.n * p.x.n);
        check_answers(&p, ix);
        ws_index_destroy(&ix);
        problem_free(&p);
    }
}

/* Row 5 moves by coef along sample 60, which the index is told with the z it has listed. */
static void move_along(problem *p, ws_index *ix, float coef)
{
    int64_t id = 60, row = 5, first[2] = {0, 1}, d = p->shard.d;
    double norm = fabs((double)coef) * (1 + 1e-6);
    int32_t pos = 0;
    ws_query q = {.kind = WS_QUERY_SAMPLE, .n = 1, .ids = &id, .threshold = p->threshold};
    ws_moves m = {
        .k = 1, .row = &row, .norm = &norm, .first = first, .pos = &pos, .ids = &id, .coef = &coef};
    ws_hits h = {0};

    assert_int_equal(ws_index_query(ix, &q, &h), WS_OK);
    for (int64_t i = 0; i < h.rows; i++) {
        if (h.row[i] != row) continue;
        m.z = h.z + h.first[i];
        m.note = h.note + h.first[i];
    }
    assert_non_null(m.z);
    for (int64_t j = 0; j < d; j++) p->w[row * d + j] += coef * p->x.x[60 * d + j];
    assert_int_equal(ws_index_update(ix, &m), WS_OK);
    ws_hits_free(&h);
}

/* A row with most of the samples, and one with a z far beyond what is usual, which then moves
 * until a sample that it does not list fires it. */
static void long_lists_and_large_products_stay_exact(void **state)
{
    enum { D = 1000 };
    float row[D];
    ws_index *ix;
    problem p;
    float *x;

    (void)state;
    problem_make(&p, 800, D, 64, 0);
    x = (float *)(uintptr_t)p.x.x;
    for (int64_t i = 1; i < 60; i++) memcpy(x + i * D, x, D * sizeof *x);
    ws_blocks_rows(&p.start.blocks, 5, 1, row, D);
    for (int64_t j = 0; j < D; j++) {
        x[61 * D + j] = j < 400 ? row[j ^ 1] * (float)(j % 2 ? 1 : -1) / 30 : 0;
        x[60 * D + j] = 0.5f * row[j] / 40 - 0.8f * x[61 * D + j];
    }
    assert_int_equal(ws_index_create(&world, "certified", NULL, &ix), WS_OK);
    ws_index_start(ix, &p.start);
    assert_int_equal(ws_index_build(ix, &p.shard, &p.x, p.threshold), WS_OK);
    check_answers(&p, ix);
    if (p.start.first == 0 && p.shard.n > 5) move_along(&p, ix, -15);
    check_answers(&p, ix);
    ws_index_destroy(&ix);
    problem_free(&p);
}

static void memory_that_fails_anywhere_is_an_error_and_no_more(void **state)
{
    int64_t held = ws_alloc_bytes(), k = 0;
    ws_err err;
    problem p;

    (void)state;
    problem_make(&p, 700, 20, 20, 1);
    do {
        ws_index *ix;

        assert_int_equal(ws_index_create(&world, "certified", NULL, &ix), WS_OK);
        ws_index_start(ix, &p.start);
        ws_alloc_fail_at(++k);
        err = ws_index_build(ix, &p.shard, &p.x, p.threshold);
        ws_alloc_fail_at(0);
        assert_true(err == WS_OK || err == WS_ERR_NOMEM);
        ws_index_destroy(&ix);
        assert_int_equal(ws_alloc_bytes(), held);
    } while (err && k < 1000);
    assert_true(k > 10 && k < 1000);
    problem_free(&p);
}

/* ---- rows that are never written ---- */

/* Blocks first .. first + n - 1 against the products of their rows. */
static void check_unwritten(int64_t d, int64_t samples, int64_t first, int64_t n, double threshold)
{
    ws_blocks b = ws_blocks_of(4, d, 0.75);
    float *x = make_samples(samples, d), *w = malloc(sizeof *w * (size_t)d);
    ws_samples dense = {.n = samples, .d = d, .x = x};
    ws_hits h = {0}, near = {0};
    int64_t i = 0, j = 0, pairs = 0, fires = 0, candidates;
    uint32_t *offset = malloc(sizeof *offset * WS_UNWRITTEN_ROWS);
    static float g[2 * WS_BLOCK_ROWS];
    ws_unwritten *u;

    assert_int_equal(ws_unwritten_create(&b, &dense, &u), WS_OK);
    assert_int_equal(ws_unwritten_list(u, first, n, threshold, &h), WS_OK);
    assert_int_equal(ws_unwritten_propose(u, first, n, threshold, &near), WS_OK);
    assert_true(near.n >= h.n && near.n < h.n + h.n / 10 + 10);
    for (int64_t t = first * b.q; t < (first + n) * b.q; t++) {
        int64_t p = i < h.rows && h.row[i] == t ? h.first[i] : h.n, end = h.first[i + (p < h.n)];

        ws_blocks_rows(&b, t, 1, w, d);
        for (int64_t k = 0; k < samples; k++) {
            double z = ws_dot(w, x + k * d, d);

            if (!(z > threshold)) continue;
            assert_true(p < end && h.pos[p] == k && h.z[p] == z);
            while (near.row[j] < t) j++;
            for (int64_t e = near.first[j]; near.pos[e] <= k && e < near.first[j + 1]; e++)
                if (near.pos[e] == k)
                    assert_true(fabs(near.z[e] - z) <=
                                ws_unwritten_error(u, sqrt(5.0 * (double)d)));
            p++;
            pairs++;
        }
        i += i < h.rows && h.row[i] == t;
    }
    assert_int_equal(pairs, h.n);
    assert_true(pairs > 0);
    candidates = ws_unwritten_rows(u, first, n, threshold, offset);
    for (int64_t k = 0; k < candidates; k++) {
        assert_true(k == 0 || offset[k] > offset[k - 1]);
        fires += fires < h.rows && h.row[fires] == first * b.q + offset[k];
    }
    assert_int_equal(fires, h.rows);
    ws_blocks_numbers(&b, first + n - 1, 1, g);
    assert_memory_equal(ws_unwritten_numbers(u, first + n - 1), g,
                        sizeof *g * (size_t)(b.chunks * b.q));
    assert_null(ws_unwritten_numbers(u, first + n));
    assert_null(ws_unwritten_numbers(u, first - 1));
    assert_true(candidates < h.rows + h.rows / 10 + 10);
    free(offset);
    ws_hits_free(&h);
    ws_hits_free(&near);
    ws_unwritten_destroy(&u);
    free(x);
    free(w);
}

static void rows_that_are_never_written_fire_as_if_they_were(void **state)
{
    (void)state;
    check_unwritten(32, 16, 0, 300, 1.4);
    check_unwritten(32, 5, (int64_t)1 << 30, 500, 1.4);
    check_unwritten(3, 40, 77, 500, 1);
    check_unwritten(784, 50, 2, 3, 1.2);
    check_unwritten(30, 33, 12345, 5, -0.5); /* lanes that are no samples would pass */
}

static void samples_beyond_float32_are_refused(void **state)
{
    ws_blocks b = ws_blocks_of(4, 4, 1);
    float x[4] = {1e20f, 0, 0, 0};
    ws_samples s = {.n = 1, .d = 4, .x = x};
    ws_unwritten *u;

    (void)state;
    assert_int_equal(ws_unwritten_create(&b, &s, &u), WS_ERR_USAGE);
    x[0] = NAN;
    assert_int_equal(ws_unwritten_create(&b, &s, &u), WS_ERR_USAGE);
    assert_null(u);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(products_lie_within_the_margin_with_the_same_bits_on_every_path),
    cmocka_unit_test(lists_by_blocks_answer_as_scan_does),
    cmocka_unit_test(neurons_that_have_moved_are_listed_as_they_are),
    cmocka_unit_test(the_lists_do_not_depend_on_the_vector_unit),
    cmocka_unit_test(a_start_that_cannot_be_certified_is_listed_by_products),
    cmocka_unit_test(long_lists_and_large_products_stay_exact),
    cmocka_unit_test(rows_that_are_never_written_fire_as_if_they_were),
    cmocka_unit_test(samples_beyond_float32_are_refused),
    cmocka_unit_test(memory_that_fails_anywhere_is_an_error_and_no_more),
};

WS_TEST_MAIN(tests)
