/* The suite, and the one thing that scan keeps up to date: the norms behind its margin. */
#include <math.h>

#include "conform_index.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "scan");
}

enum { N = 20, D = 700, S = 8 };

/* Rows grow ten thousandfold, and with them what sgemm may lose. */
static void the_margin_follows_rows_that_grow(void **state)
{
    static const ws_key key = {13, WS_STREAM_TEST, 0};
    static float w[N * D], b[N], x[S * D];
    const ws_shard shard = {N, D, w, b};
    const ws_samples samples = {.n = S, .d = D, .x = x};
    int64_t row[N], ids[S];
    double norm[N];
    ws_hits hits = {0};
    ws_index *ix;

    (void)state;
    for (uint64_t r = 0; r < N; r++) ws_random_normal(&key, r, D, 1e-3, w + r * D);
    for (uint64_t i = 0; i < S; i++) ws_random_normal(&key, N + i, D, 1, x + i * D);
    for (int64_t i = 0; i < S; i++) ids[i] = i;
    assert_all(ws_index_create(&world, "scan", NULL, &ix) == WS_OK);
    assert_all(ws_index_build(ix, &shard, &samples, 0) == WS_OK);
    for (int64_t r = 0; r < N; r++) {
        row[r] = r;
        norm[r] = 1e4;
    }
    for (int64_t k = 0; k < N * D; k++) w[k] *= 1e4f;
    assert_int_equal(ws_index_update(ix, &(ws_moves){N, row, .norm = norm}), WS_OK);
    for (int64_t k = 0; k < N * S; k++) {
        double z = ws_dot(w + k / S * D, x + k % S * D, D);
        ws_query q = {.n = S, .ids = ids, .threshold = nextafter(z, -INFINITY)};
        int found = 0;

        assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
        for (int64_t i = 0; i < hits.n; i++) found |= hits.z[i] == z;
        assert_true(found);
    }
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
}

static const struct CMUnitTest tests[] = {
    CONFORM_INDEX(use),
    cmocka_unit_test(the_margin_follows_rows_that_grow),
};

WS_TEST_MAIN(tests)
