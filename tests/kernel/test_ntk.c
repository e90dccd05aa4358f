/* The limiting kernel against known values, against a wide layer, and on any number of ranks. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/random.h"
#include "wingspan/kernel/ntk.h"
#include "wingspan/linalg/lapack.h"

enum { N = 24, D = 12 };

static float x[N * D];
static const ws_samples samples = {.n = N, .d = D, .x = x};

/* Random samples on the sphere, set number k. */
static void draw(uint64_t k)
{
    ws_key key = {k, WS_STREAM_TEST, 0};

    for (int i = 0; i < N; i++) {
        float *row = x + i * D;
        ws_random_normal(&key, (uint64_t)i, D, 1, row);
        double norm = sqrt(ws_norm2(row, D));
        for (int j = 0; j < D; j++) row[j] = (float)((double)row[j] / norm);
    }
}

static void tails_have_their_values(void **state)
{
    const double pi = 3.141592653589793;

    (void)state;
    assert_true(fabs(ws_pair_tail(1, 0.2) - 0.038068) < 1e-6);
    assert_true(fabs(ws_pair_tail(1, 0.8) - 0.097637) < 1e-6);
    assert_true(fabs(ws_pair_tail(1.5, -0.5) - 0.000172) < 1e-6);
    for (double b = 0; b < 5; b += 0.7) {
        double q = ws_gauss_tail(b);
        assert_true(fabs(ws_pair_tail(b, 0) / (q * q) - 1) < 1e-9);
        assert_true(fabs(ws_pair_tail(b, 1) / q - 1) < 1e-9);
        assert_true(ws_pair_tail(b, -1) < 1e-11);
    }
    for (double r = -0.9; r < 1; r += 0.3)
        assert_true(fabs(ws_pair_tail(0, r) - (pi - acos(r)) / (2 * pi)) < 1e-13);
}

/* K of a layer of m neurons, its distance in the spectral norm, by the norm of the limit. */
static double distance(int m, double b, int biased)
{
    static double k[N * N], limit[N * N];
    double value[N], top;
    ws_key key = {9, WS_STREAM_WEIGHT, 0};

    for (int i = 0; i < N * N; i++) k[i] = 0;
    for (int r = 0; r < m; r++) {
        float w[D];
        int fires[N];
        ws_random_normal(&key, (uint64_t)r, D, 1, w);
        for (int i = 0; i < N; i++) fires[i] = ws_dot(w, x + i * D, D) > b;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N && fires[i]; j++) k[i * N + j] += fires[j];
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double inner = ws_dot(x + i * D, x + j * D, D) + biased;
            limit[i * N + j] = inner * ws_pair_tail(b, inner - biased);
            k[i * N + j] = k[i * N + j] / m * inner - limit[i * N + j];
        }
    assert_int_equal(ws_eigenvalues(N, k, value), WS_OK);
    top = fmax(-value[0], value[N - 1]);
    assert_int_equal(ws_eigenvalues(N, limit, value), WS_OK);
    return top / value[N - 1];
}

static void a_wide_layer_comes_near_as_one_over_the_root_of_its_width(void **state)
{
    (void)state;
    draw(1);
    for (int biased = 0; biased < 2; biased++) {
        double narrow = distance(1 << 12, 1, biased), wide = distance(1 << 16, 1, biased);
        assert_true(wide <= 0.05);
        assert_true(narrow / wide > 2 && narrow / wide < 8);
    }
}

static void the_spectrum_is_that_of_the_matrix(void **state)
{
    (void)state;
    draw(2);
    for (int biased = 0; biased < 2; biased++) {
        double k[N * N], want[N], value[N];
        ws_spectrum s;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double inner = ws_dot(x + i * D, x + j * D, D);
                k[i * N + j] = (inner + biased) * ws_pair_tail(0.75, i == j ? 1 : inner);
            }
        assert_int_equal(ws_eigenvalues(N, k, want), WS_OK);
        assert_all(ws_ntk_spectrum(&world, &samples, N, 0.75, biased, value, &s) == WS_OK);
        for (int i = 0; i < N; i++) assert_true(fabs(value[i] - want[i]) < 1e-9);
        assert_true(s.least == value[0] && s.largest == value[N - 1] && s.n == N);
    }
}

static void discs_bound_the_least_eigenvalue_and_tighten_with_the_shift(void **state)
{
    (void)state;
    for (uint64_t set = 1; set <= 100; set++) {
        double last = -INFINITY;
        draw(set);
        for (double b = 0; b < 2.5; b += 0.8) {
            ws_spectrum s;
            assert_all(ws_ntk_spectrum(&world, &samples, N, b, 1, NULL, &s) == WS_OK);
            assert_true(s.disc <= s.least && s.least > 0);
            assert_true(s.disc / s.least > last);
            last = s.disc / s.least;
        }
    }
}

static void samples_off_the_sphere_are_refused(void **state)
{
    ws_spectrum s;

    (void)state;
    draw(1);
    x[0] += 1;
    assert_all(ws_ntk_spectrum(&world, &samples, N, 1, 1, NULL, &s) == WS_ERR_DATA);
    assert_non_null(strstr(ws_err_text(), "sample 0"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tails_have_their_values),
    cmocka_unit_test(a_wide_layer_comes_near_as_one_over_the_root_of_its_width),
    cmocka_unit_test(the_spectrum_is_that_of_the_matrix),
    cmocka_unit_test(discs_bound_the_least_eigenvalue_and_tighten_with_the_shift),
    cmocka_unit_test(samples_off_the_sphere_are_refused),
};

WS_TEST_MAIN(tests)
