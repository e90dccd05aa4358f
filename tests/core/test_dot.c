/* One value of <w, x>, whatever the vector unit, the alignment, the form of the sample. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

enum { D = 150, N = 9, ROWS = 3 };

static const char *const paths[] = {"portable", "avx2", "avx512"};
static float w[D + 16], x[N * D + 16];
static int32_t col[N * D];
static float val[N * D];
static int64_t ptr[N + 1];

static int setup(void **state)
{
    ws_key key = {5, WS_STREAM_TEST, 0};

    (void)state;
    ws_random_normal(&key, 0, D + 16, 1e3, w);
    ws_random_normal(&key, 1, N * D + 16, 1, x);
    for (int i = 0; i < N * D + 16; i++)
        if (i % 3 == 0) x[i] = i % 2 ? -0.0f : 0.0f;
    return 0;
}

/* The definition: 16 lanes in ascending order, then the tree. */
static double define(const float *a, const float *b, int64_t d)
{
    double lane[16] = {0};

    for (int64_t j = 0; j < d; j++) lane[j % 16] += (double)a[j] * (double)b[j];
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

static int same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void every_path_length_and_alignment_gives_the_defined_bits(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(paths[k])) continue;
        for (int64_t d = 0; d <= D; d++)
            for (int shift = 0; shift < 5; shift++)
                assert_true(
                    same(ws_dot(w + shift, x + 2 * shift, d), define(w + shift, x + 2 * shift, d)));
    }
}

static void many_at_once_dense_or_sparse_are_the_single_ones(void **state)
{
    int64_t ids[] = {7, 0, 3, 3, 8, 1, 2}, n = 0;
    ws_samples dense = {.n = N, .d = D, .x = x};
    ws_samples sparse = {.n = N, .d = D, .ptr = ptr, .col = col, .val = val};
    double z[N], s[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < D; j++)
            if (x[i * D + j] != 0) {
                col[n] = j;
                val[n++] = x[i * D + j];
            }
        ptr[i + 1] = n;
    }
    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(paths[k])) continue;
        ws_dot_many(w, &dense, ids, 7, z);
        ws_dot_many(w, &sparse, ids, 7, s);
        for (int i = 0; i < 7; i++)
            assert_true(same(z[i], define(w, x + ids[i] * D, D)) && same(z[i], s[i]));
        ws_dot_many(w, &dense, NULL, N, z);
        for (int i = 0; i < N; i++) assert_true(same(z[i], define(w, x + i * D, D)));
    }
}

static void updates_have_the_same_bits_on_every_path(void **state)
{
    static double acc[3][D], square[3];
    static float row[3][D];
    ws_samples dense = {.n = N, .d = D, .x = x};
    int n = 0;

    (void)state;
    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(paths[k])) continue;
        memset(acc[n], 0, sizeof acc[n]);
        memcpy(row[n], w, sizeof row[n]);
        for (int i = 0; i < N; i++) ws_axpy_sample(acc[n], 0.37f * (float)i - 1, &dense, i);
        square[n] = ws_row_add(row[n], acc[n], D - 3);
        assert_true(n == 0 ||
                    (memcmp(acc[n], acc[0], sizeof acc[0]) == 0 &&
                     memcmp(row[n], row[0], sizeof row[0]) == 0 && same(square[n], square[0])));
        n++;
    }
    assert_true(row[0][D - 3] == w[D - 3]);
    assert_true(row[0][0] == (float)((double)w[0] + acc[0][0]));
}

/* Lengths on both sides of every block of every path. */
static void a_combined_step_has_the_bits_of_its_parts(void **state)
{
    static const int64_t length[] = {1, 15, 16, 17, 63, 64, 79, 80, 143, 149, D};
    int64_t ids[] = {4, 0, 7, 2};
    int32_t pos[] = {2, 0, 3, 1, 2, 1, 0, 3, 3, 2};
    float coef[] = {0.3f, -1.7f, 1e-3f, 41, -0.25f, 1e5f, 3, -7, 0.125f, 9}, row[2][D + 1];
    double delta[D], square;

    (void)state;
    for (size_t t = 0; t < 33 * sizeof length / sizeof *length; t++) {
        int64_t d = length[t / 33], n = (int64_t)(t / 3 % 11);
        ws_samples dense = {.n = N, .d = d, .x = x};

        if (!ws_simd_select(paths[t % 3])) continue;
        memset(delta, 0, sizeof delta);
        for (int64_t p = 0; p < n; p++) ws_axpy_sample(delta, coef[p], &dense, ids[pos[p]]);
        memcpy(row[0], w, sizeof row[0]);
        square = ws_row_add(row[0], delta, d);
        for (int far = 0; far < 2; far++) {
            dense.n = far ? 1 << 24 : N; /* samples that lie far apart are fetched ahead */
            memcpy(row[1], w, sizeof row[1]);
            assert_true(
                same(ws_row_combine(row[1], coef, &dense, ids, pos, n, delta, row[0]), square));
            assert_memory_equal(row[0], row[1], sizeof row[0]);
        }
    }
}

/* The same samples as bytes and as float32 numbers. */
static void make_packed(int64_t d, uint8_t *byte, double *level, float *scale, float *to)
{
    ws_key key = {6, WS_STREAM_TEST, 0};
    float middle[D];

    ws_random_normal(&key, 0, d, 100, middle);
    for (int64_t j = 0; j < d; j++) {
        middle[j] = fminf(255, rintf(fabsf(middle[j]) * 0x1p14f) * 0x1p-14f);
        level[j] = 4096 + (double)middle[j];
    }
    for (int64_t i = 0; i < N; i++) {
        scale[i] = 1 / (300 + 7.7f * (float)i);
        for (int64_t j = 0; j < d; j++) {
            byte[i * d + j] = (uint8_t)(i * 101 + j * 37 + j * j);
            to[i * d + j] = (float)byte[i * d + j] - middle[j];
            to[i * d + j] *= scale[i];
        }
    }
}

/* What dot.h says of a packed sample, in so many words. */
static double product_of(const float *v, const ws_samples *s, int64_t i)
{
    double lane[16] = {0};

    for (int64_t j = 0; j < s->d; j++)
        lane[j % 16] +=
            (double)v[j] * ((double)s->packed.byte[i * s->d + j] - (s->packed.level[j] - 4096));
    for (int half = 8; half > 0; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0] * (double)s->packed.scale[i];
}

static void add_to(double *sum, float coef, const ws_samples *s, int64_t i)
{
    float scaled = coef * s->packed.scale[i];

    for (int64_t j = 0; j < s->d; j++)
        sum[j] +=
            (double)scaled * ((double)s->packed.byte[i * s->d + j] - (s->packed.level[j] - 4096));
}

/* Rows of 9 to 13 samples; so many samples are claimed that they are taken a line at a time. */
static void rows_combined_together_have_the_bits_of_each(void **state)
{
    static const int64_t length[] = {16, 17, 64, 143, D};
    static float row[2][ROWS * D];
    const int64_t ids[] = {4, 0, 7, 2}, at[ROWS] = {0, 2, 1}, first[ROWS + 1] = {0, 9, 20, 33};
    int32_t pos[33];
    float coef[33];
    double delta[D + 33], square[ROWS], *scratch;
    static uint8_t byte[N * D];
    static double level[D];
    static float scale[N], y[N * D];

    (void)state;
    for (int p = 0; p < 33; p++) {
        pos[p] = (int32_t)((p < 9 ? p : p < 20 ? p - 9 : p - 20) / 4);
        coef[p] = 0.37f * (float)p - 3;
    }
    for (size_t t = 0; t < 3 * sizeof length / sizeof *length; t++) {
        int64_t d = length[t / 3];
        for (int form = 0; form < 2; form++) {
            ws_samples all = {.n = (9 << 20) / d, .d = d, .x = y};
            ws_combination m = {row[1], ROWS, at, first, pos, coef, ids};

            if (!ws_simd_select(paths[t % 3])) continue;
            make_packed(d, byte, level, scale, y);
            if (form == 1) all.packed = (ws_packed){byte, level, scale, NULL};
            for (int64_t k = 0; k < ROWS * d; k++) row[0][k] = row[1][k] = w[k % D] + (float)k;
            assert_int_equal(
                ws_alloc(&scratch, ws_combine_scratch(&m, &all), sizeof *scratch, "test"), WS_OK);
            ws_rows_combine(&m, &all, scratch, square);
            ws_free(&scratch);
            all.n = N; /* few: one by one */
            for (int k = 0; k < ROWS; k++)
                assert_true(
                    same(ws_row_combine(row[0] + at[k] * d, coef + first[k], &all, ids,
                                        pos + first[k], first[k + 1] - first[k], delta, NULL),
                         square[k]));
            assert_memory_equal(row[0], row[1], sizeof row[0]);
        }
    }
}

/* Products, rows, norms and steps from bytes, as defined, and near those of the float32 rows. */
static void check_packed(const ws_samples *packed, const float *y)
{
    int64_t ids[] = {7, 0, 3, 3, 8, 1, 2}, d = packed->d;
    int32_t pos[] = {0, 1, 2, 4, 5, 6, 0, 3, 6, 1, 2};
    float coef[] = {0.3f, -1.7f, 1e-3f, 41, -0.25f, 1e5f, 3, -7, 0.125f, 9, 2}, row[2][D];
    double z[N], sum[2][D], scratch[D + 11];
    ws_samples part;

    for (int64_t n = 0; n <= 7; n++) {
        ws_dot_many_ahead(w, packed, ids, n, z, w);
        for (int64_t k = 0; k < n; k++) assert_true(same(z[k], product_of(w, packed, ids[k])));
    }
    ws_dot_many(w, ws_samples_from(packed, 2, N - 2, &part), NULL, N - 2, z);
    for (int i = 0; i < N; i++) {
        double norm = sqrt(ws_norm2(y + i * d, d)), size = norm * sqrt(ws_norm2(w, d));

        assert_true(i < 2 || same(z[i - 2], product_of(w, packed, i)));
        assert_true(i < 2 || fabs(z[i - 2] - ws_dot(w, y + i * d, d)) <= 0x1.1p-24 * size);
        ws_samples_row(packed, i, row[1]);
        assert_memory_equal(row[1], y + i * d, (size_t)d * sizeof(float));
        assert_true(ws_samples_norm(packed, i) >= norm);
        assert_true(ws_samples_norm(packed, i) <= norm * (1 + 0x1p-22));
    }
    for (int64_t n = 0; n <= 11; n++) {
        double square[2];

        memset(sum[0], 0, sizeof sum[0]);
        memset(sum[1], 0, sizeof sum[1]);
        for (int64_t p = 0; p < n; p++) {
            add_to(sum[0], coef[p], packed, ids[pos[p]]);
            ws_axpy_sample(sum[1], coef[p], packed, ids[pos[p]]);
        }
        assert_memory_equal(sum[0], sum[1], sizeof sum[0]);
        for (int k = 0; k < 2; k++) memcpy(row[k], w, sizeof row[k]);
        square[0] = ws_row_add(row[0], sum[0], d);
        square[1] = ws_row_combine(row[1], coef, packed, ids, pos, n, scratch, row[0]);
        assert_true(same(square[0], square[1]));
        assert_memory_equal(row[0], row[1], sizeof row[0]);
    }
}

/* A row on which so many samples fire that their coefficients are not widened together. */
static void check_many(const ws_samples *packed)
{
    enum { PAIRS = 700 };
    int64_t ids[N], d = packed->d;
    int32_t pos[PAIRS];
    float coef[PAIRS], row[2][D];
    double sum[D] = {0}, scratch[D + PAIRS], square;

    for (int i = 0; i < N; i++) ids[i] = i;
    for (int p = 0; p < PAIRS; p++) {
        pos[p] = p * 7 % N;
        coef[p] = 0.37f * (float)(p % 19) - 3;
        add_to(sum, coef[p], packed, pos[p]);
    }
    for (int k = 0; k < 2; k++) memcpy(row[k], w, sizeof row[k]);
    square = ws_row_add(row[0], sum, d);
    assert_true(same(ws_row_combine(row[1], coef, packed, ids, pos, PAIRS, scratch, NULL), square));
    assert_memory_equal(row[0], row[1], sizeof row[0]);
}

static void packed_samples_are_read_as_bytes(void **state)
{
    static const int64_t length[] = {1, 7, 15, 16, 17, 63, 64, 79, 80, 143, D};
    static uint8_t byte[N * D];
    static double level[D];
    static float scale[N], y[N * D], apart[N * D];

    (void)state;
    for (size_t t = 0; t < 3 * sizeof length / sizeof *length; t++) {
        int64_t d = length[t / 3];
        ws_samples packed = {.n = N, .d = d, .packed = {byte, level, scale, NULL}};

        if (!ws_simd_select(paths[t % 3])) continue;
        make_packed(d, byte, level, scale, y);
        check_packed(&packed, y);
        check_many(&packed);
        packed.x = y; /* whether or not they are also there as numbers */
        check_packed(&packed, y);
        packed.n = (9 << 20) / d;
        check_packed(&packed, y);
        for (int64_t k = 0; k < N * d; k++)
            apart[k] = (float)((double)byte[k] - (level[k % d] - 4096));
        packed.packed.apart = apart; /* and whether or not they are there as differences */
        check_packed(&packed, y);
        packed.n = N;
        check_packed(&packed, y);
    }
}

static void a_norm_is_bounded_from_above(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        ws_samples s = {.n = 1, .d = D, .x = x + i * D};
        long double sum = 0;
        for (int j = 0; j < D; j++) sum += (long double)s.x[j] * (long double)s.x[j];
        assert_true((long double)ws_samples_norm(&s, 0) >= sqrtl(sum));
        assert_true((long double)ws_samples_norm(&s, 0) <= sqrtl(sum) * (1 + 1e-12L));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(every_path_length_and_alignment_gives_the_defined_bits, setup),
    cmocka_unit_test_setup(many_at_once_dense_or_sparse_are_the_single_ones, setup),
    cmocka_unit_test_setup(updates_have_the_same_bits_on_every_path, setup),
    cmocka_unit_test_setup(a_combined_step_has_the_bits_of_its_parts, setup),
    cmocka_unit_test_setup(rows_combined_together_have_the_bits_of_each, setup),
    cmocka_unit_test_setup(packed_samples_are_read_as_bytes, setup),
    cmocka_unit_test_setup(a_norm_is_bounded_from_above, setup),
};

WS_TEST_MAIN(tests)
