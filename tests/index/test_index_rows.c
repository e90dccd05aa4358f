/* Many rows at once have the bits of ws_dot, on every vector unit. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "rows.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

enum { N = 40, LONG = 50, LD = 48 };

static const ws_key key = {19, WS_STREAM_TEST, 0};
static const char *const paths[] = {"portable", "avx2", "avx512"};
static float w[N * LONG], b[N], x[LONG], column[LONG * LD];
static double wide[LONG];
static int64_t off[LONG];

static int same_bits(double u, double v)
{
    return memcmp(&u, &v, sizeof u) == 0 || (isnan(u) && isnan(v));
}

/* Rows of length d, some numbers of which are zeros of either sign, or no numbers. */
static void fill(int64_t d)
{
    static const float odd[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f};

    for (uint64_t r = 0; r < N; r++) ws_random_normal(&key, r, d, 1, w + (int64_t)r * d);
    ws_random_normal(&key, N, N, 1, b);
    ws_random_normal(&key, N + 1, d, 1, x);
    for (int64_t k = 0; k < 3 * d; k++) w[k] = -0.0f;
    b[1] = -0.0f;
    for (int64_t r = 10; r < 30; r++) w[r * d + r % d] = odd[r % 6];
    if (d > 2) x[1] = 0;
    for (int64_t j = 0; j < d; j++) {
        wide[j] = (double)x[j];
        off[j] = j * LD;
    }
}

static void dots_of_every_length_have_the_bits_of_ws_dot(void **state)
{
    double z[N];

    (void)state;
    for (int64_t d = 1; d <= LONG; d++) {
        fill(d);
        ws_rows()->turn(w, d, N, column, LD);
        ws_rows()->dots(column, off, b, wide, d, N, z);
        for (int64_t r = 0; r < N; r++)
            assert_true(same_bits(z[r], ws_dot(w + r * d, x, d) + (double)b[r]));
    }
}

static void turning_moves_every_number_and_no_other_place(void **state)
{
    (void)state;
    for (int64_t d = 1; d <= 20; d++)
        for (int64_t n = 0; n <= N; n += 5) {
            fill(d);
            for (int64_t k = 0; k < LONG * LD; k++) column[k] = 77;
            ws_rows()->turn(w, d, n, column, LD);
            for (int64_t j = 0; j < d; j++)
                for (int64_t r = 0; r < LD; r++)
                    assert_true(
                        same_bits((double)column[j * LD + r], r < n ? (double)w[r * d + j] : 77));
        }
}

static void kept_are_those_above_in_order(void **state)
{
    double z[N], value[N + 8];
    uint32_t id[N], row[N + 8];
    int64_t k = 0, n;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        id[i] = 100 - i;
        z[i] = i % 7 == 3 ? NAN : i % 5 == 1 ? 0.5 : ws_random_uniform(&key, 9, i);
    }
    for (int64_t i = 24; i < 32; i++) z[i] = 0; /* eight of which none is kept */
    n = ws_rows()->keep(id, z, N, 0.5, row, value);
    for (int64_t i = 0; i < N; i++) {
        if (!(z[i] > 0.5)) continue;
        assert_true(k < n && row[k] == id[i] && same_bits(value[k], z[i]));
        k++;
    }
    assert_int_equal(k, n);
    assert_in_range(n, 5, N);
}

/* Each test on each path that this processor has. */
static void on_every_path(void (*test)(void **))
{
    const char *usual = ws_simd_name();

    for (int k = 0; k < 3; k++) {
        if (!ws_simd_select(paths[k])) continue;
        assert_string_equal(ws_rows()->name, paths[k]);
        test(NULL);
    }
    ws_simd_select(usual);
}

static void dots_on_every_path(void **state)
{
    (void)state;
    on_every_path(dots_of_every_length_have_the_bits_of_ws_dot);
}

static void turning_on_every_path(void **state)
{
    (void)state;
    on_every_path(turning_moves_every_number_and_no_other_place);
}

static void keeping_on_every_path(void **state)
{
    (void)state;
    on_every_path(kept_are_those_above_in_order);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(dots_on_every_path),
    cmocka_unit_test(turning_on_every_path),
    cmocka_unit_test(keeping_on_every_path),
};

WS_TEST_MAIN(tests)
