/* The proposer against a loop over ws_dot: nothing above the cut is missing, on every path. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

#include "propose.h"

static const ws_key key = {3, WS_STREAM_TEST, 0};

static float *rows(uint64_t first, int64_t n, int64_t d, double scale)
{
    float *p = calloc((size_t)(n * d + 1), sizeof *p);

    assert_non_null(p);
    for (int64_t r = 0; r < n; r++)
        ws_random_normal(&key, first + (uint64_t)r, d, scale, p + r * d);
    return p;
}

/* Every pair above the threshold is proposed, in order, once, and with a product near the truth;
 * and few others are. */
static void check(const ws_pairs *got, const float *w, const int64_t *row, int64_t n,
                  const ws_samples *x, const int64_t *ids, int64_t count, double above)
{
    int64_t extra = 0;

    for (int64_t k = 0; k < n; k++) {
        const float *wk = w + (row ? row[k] : k) * x->d;
        int64_t at = got->first[k], end = got->first[k + 1];

        for (int64_t c = 0; c < count; c++) {
            double z = ws_dot(wk, x->x + (ids ? ids[c] : c) * x->d, x->d);
            int proposed = at < end && got->col[at] == c;

            if (z > above) assert_true(proposed);
            if (!proposed) continue;
            assert_true(fabs((double)got->z[at] - z) < 1e-4);
            extra += z <= above;
            at++;
        }
        assert_int_equal(at, end);
    }
    assert_true(extra <= 2 + got->n / 50);
}

/* n rows x count samples of length d, plain and through row and ids. */
static void propose_by(ws_err (*create)(ws_proposer **), int64_t n, int64_t count, int64_t d,
                       double above)
{
    float *w = rows(0, n, d, 1), *x = rows(1 << 30, count, d, 1 / sqrt((double)d));
    float *cut = calloc((size_t)n + 1, sizeof *cut);
    int64_t *row = calloc((size_t)n + 1, sizeof *row),
            *ids = calloc((size_t)count + 1, sizeof *ids);
    ws_samples s = {.n = count, .d = d, .x = x};
    ws_proposer *p;
    ws_pairs pairs = {0};

    assert_int_equal(create(&p), WS_OK);
    for (int way = 0; way < 4; way++) {
        int64_t k = way & 1 ? n / 2 : n, c = way & 2 ? count / 2 : count;

        for (int64_t i = 0; i < k; i++) row[i] = 2 * i + 1;
        for (int64_t i = 0; i < c; i++) ids[i] = count - 1 - 2 * i;
        assert_int_equal(ws_propose_samples(p, &s, way & 2 ? ids : NULL, c), WS_OK);
        for (int64_t i = 0; i < c; i++)
            assert_true(ws_propose_max_norm(p) >= ws_samples_norm(&s, way & 2 ? ids[i] : i));
        for (int64_t i = 0; i < k; i++)
            cut[i] = ws_propose_cut(above, ws_propose_norm(w + (way & 1 ? row[i] : i) * d, d),
                                    ws_propose_max_norm(p), d);
        assert_int_equal(ws_propose_rows(p, w, d, way & 1 ? row : NULL, k, cut, &pairs), WS_OK);
        check(&pairs, w, way & 1 ? row : NULL, k, &s, way & 2 ? ids : NULL, c, above);
    }
    assert_true(ws_proposer_bytes(p) > 0);
    ws_pairs_free(&pairs);
    ws_proposer_destroy(&p);
    free(w);
    free(x);
    free(cut);
    free(row);
    free(ids);
}

static void propose(int64_t n, int64_t count, int64_t d, double above)
{
    propose_by(ws_proposer_create, n, count, d, above);
    propose_by(ws_proposer_create_bytes, n, count, d, above);
}

static void nothing_above_the_cut_is_missing_at_any_size(void **state)
{
    (void)state;
    propose(1, 1, 1, 0);
    propose(7, 33, 5, 0.5);
    propose(513, 1030, 8, 1);    /* beyond one tile both ways */
    propose(1100, 2100, 3, 1.5); /* several */
    propose(40, 50, 784, -9);    /* everything */
    propose(40, 50, 784, 2);
    propose(2, 0, 4, 0);
    propose(0, 2, 4, 0);
}

/* Sizes that are worth bytes, dense and by ids, on every path. */
static void nothing_above_the_cut_is_missing_by_bytes(void **state)
{
    static const char *const path[] = {"portable", "avx2", "avx512"};
    char found[16];

    (void)state;
    snprintf(found, sizeof found, "%s", ws_simd_name());
    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(path[k])) continue;
        propose(530, 1030, 33, 1.5); /* several tiles both ways */
        propose(13, 700, 784, 1);
        propose(5, 600, 50, -9); /* everything */
    }
    assert_true(ws_simd_select(found));
}

/* What bytes hold is counted, and pairs of sparse samples are those of dense ones. */
static void sparse_samples_by_bytes_give_the_same_pairs(void **state)
{
    enum { N = 400, D = 300 };
    static int64_t ptr[N + 1];
    static int32_t col[N];
    static float val[N];
    float *w = rows(9, 7, D, 1), cut[] = {0, 0.5f, 2, 1, 1, -1, 3};
    ws_samples s = {.n = N, .d = D, .ptr = ptr, .col = col, .val = val};
    ws_pairs pairs = {0};
    ws_proposer *p;
    int64_t at = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        ptr[i + 1] = i + 1;
        col[i] = i * 31 % D;
        val[i] = 1;
    }
    assert_int_equal(ws_proposer_create_bytes(&p), WS_OK);
    assert_int_equal(ws_propose_samples(p, &s, NULL, N), WS_OK);
    assert_true(strcmp(ws_simd_name(), "portable") == 0 || ws_proposer_bytes(p) > N * D);
    assert_int_equal(ws_propose_rows(p, w, D, NULL, 7, cut, &pairs), WS_OK);
    for (int r = 0; r < 7; r++)
        for (int i = 0; i < N; i++)
            if (w[r * D + i * 31 % D] > cut[r]) assert_int_equal(pairs.col[at++], i);
    assert_int_equal(at, pairs.n);
    ws_pairs_free(&pairs);
    ws_proposer_destroy(&p);
    free(w);
}

static void every_path_compresses_alike(void **state)
{
    static const char *const path[] = {"portable", "avx2", "avx512"};
    char found[16];
    float *z = rows(5, 1, 203, 1), out[203 + 16], expected[203];
    int32_t col[203 + 16];

    (void)state;
    snprintf(found, sizeof found, "%s", ws_simd_name());
    z[17] = NAN;
    z[200] = INFINITY;
    for (int k = 0; k < 3; k++)
        for (int64_t n = 0; n <= 203 && ws_simd_select(path[k]); n += 29) {
            int64_t count = 0, got = ws_propose_compress()(z, n, 0.25f, 1000, col, out);

            for (int64_t j = 0; j < n; j++) {
                if (z[j] <= 0.25f) continue;
                assert_int_equal(col[count], 1000 + j);
                expected[count++] = z[j];
            }
            assert_int_equal(got, count);
            assert_memory_equal(out, expected, (size_t)count * sizeof *out);
        }
    assert_true(ws_simd_select(found));
    free(z);
}

/* A sparse set too large to be held at once is gathered tile by tile. */
static void a_large_sparse_set_gives_the_pairs_of_few_samples(void **state)
{
    enum { N = 1500, D = 50000 };
    int64_t *ptr = calloc(N + 1, sizeof *ptr);
    int32_t *col = calloc(N, sizeof *col);
    float *val = calloc(N, sizeof *val), *w = rows(9, 3, D, 1), cut[] = {0, 0.5f, 2};
    ws_samples s = {.n = N, .d = D, .ptr = ptr, .col = col, .val = val};
    ws_pairs pairs = {0};
    ws_proposer *p;
    int64_t at = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        ptr[i + 1] = i + 1;
        col[i] = i * 31;
        val[i] = 1;
    }
    assert_int_equal(ws_proposer_create(&p), WS_OK);
    assert_int_equal(ws_propose_samples(p, &s, NULL, N), WS_OK);
    assert_int_equal(ws_propose_rows(p, w, D, NULL, 3, cut, &pairs), WS_OK);
    assert_true(ws_proposer_bytes(p) < 200000000);
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < N; i++)
            if (w[r * D + i * 31] > cut[r]) assert_int_equal(pairs.col[at++], i);
    assert_int_equal(at, pairs.n);
    ws_pairs_free(&pairs);
    ws_proposer_destroy(&p);
    free(ptr);
    free(col);
    free(val);
    free(w);
}

static void what_float32_cannot_tell_is_proposed(void **state)
{
    (void)state;
    assert_true(isnan(ws_propose_cut(0, 1e20, 1e20, 4)));
    assert_true(isnan(ws_propose_cut(0, INFINITY, 1, 4)));
    assert_true(isnan(ws_propose_cut(NAN, 1, 1, 4)));
    assert_true(ws_propose_cut(-INFINITY, 1, 1, 4) == -INFINITY);
    assert_true(ws_propose_cut(1e300, 1, 1, 4) == FLT_MAX);
    assert_true((double)ws_propose_cut(1, 1, 1, 784) < 1 - 784 * 0x1p-24);
    assert_true((double)ws_propose_cut(1, 1, 1, 784) > 1 - 900 * 0x1p-24);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_above_the_cut_is_missing_at_any_size),
    cmocka_unit_test(nothing_above_the_cut_is_missing_by_bytes),
    cmocka_unit_test(sparse_samples_by_bytes_give_the_same_pairs),
    cmocka_unit_test(every_path_compresses_alike),
    cmocka_unit_test(a_large_sparse_set_gives_the_pairs_of_few_samples),
    cmocka_unit_test(what_float32_cannot_tell_is_proposed),
};

WS_TEST_MAIN(tests)
