/* A layer beside its limit: counts against a loop, the table of the paper's card, any number of ranks. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"
#include "wingspan/kernel/bits.h"
#include "wingspan/kernel/ntk.h"
#include "wingspan/linalg/lapack.h"

enum { N = 200, D = 20, FEW = 30 };

static float x[N * D];
static double y[N], linear[N];
static const ws_samples samples = {.n = N, .d = D, .x = x};

/* Random samples on the sphere; labels of no meaning, and linear ones of as large a sum of squares. */
static int draw(void **state)
{
    ws_key key = {5, WS_STREAM_TEST, 0};
    double square = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        float *row = x + i * D;
        double norm;
        ws_random_normal(&key, (uint64_t)i, D, 1, row);
        norm = sqrt(ws_norm2(row, D));
        for (int j = 0; j < D; j++) row[j] = (float)((double)row[j] / norm);
        y[i] = ws_random_uniform(&key, (uint64_t)i, 1000) < 0.5 ? -1 : 1;
        linear[i] = (double)row[0];
        square += linear[i] * linear[i];
    }
    for (int i = 0; i < N; i++) linear[i] *= sqrt(N / square);
    return 0;
}

/* Shift, active, least eigenvalue, with fixed biases, condition, Q y'K^-1 y / n of linear and random y. */
static const struct {
    double b, active, least, fixed, condition, linear, random;
} card[] = {{0, .5, .162, .08, 324, .108, 1.757},
            {1, .159, .104, .06, 60, .142, .895},
            {2, .023, .026, .014, 9.6, .250, .595}};

static void the_limit_is_that_of_the_card(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        double b = card[k].b, fit;
        ws_spectrum s, fixed;

        assert_all(ws_ntk_spectrum(&world, &samples, N, b, 1, NULL, &s) == WS_OK);
        assert_all(ws_ntk_spectrum(&world, &samples, N, b, 0, NULL, &fixed) == WS_OK);
        assert_true(fabs(s.active - card[k].active) < 1e-3);
        assert_true(fabs(s.least / card[k].least - 1) < 0.1);
        assert_true(fabs(fixed.least / card[k].fixed - 1) < 0.15);
        assert_true(s.least > 1.5 * fixed.least);
        assert_true(fabs(s.largest / s.least / card[k].condition - 1) < 0.1);
        assert_all(ws_ntk_energy(&world, &samples, N, b, 1, linear, &fit) == WS_OK);
        assert_true(fabs(s.active * fit / N / card[k].linear - 1) < 0.25);
        assert_all(ws_ntk_energy(&world, &samples, N, b, 1, y, &fit) == WS_OK);
        assert_true(fabs(s.active * fit / N / card[k].random - 1) < 0.25);
    }
}

static void a_layer_is_near_its_limit(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        ws_spectrum s;
        ws_layer_spectrum wide, narrow;
        double q = ws_gauss_tail(card[k].b);

        assert_all(ws_ntk_spectrum(&world, &samples, N, card[k].b, 1, NULL, &s) == WS_OK);
        assert_all(ws_ntk_layer(&world, &samples, N, card[k].b, 1, 65536, 3, 0, &wide) == WS_OK);
        assert_all(ws_ntk_layer(&world, &samples, N, card[k].b, 1, 4096, 3, 0, &narrow) == WS_OK);
        assert_true(wide.entry <= 4 / 256.0 && narrow.entry <= 4 / 64.0);
        assert_true(wide.distance <= 0.05 * s.largest && narrow.distance > 2 * wide.distance);
        assert_true(fabs(narrow.least / s.least - 1) < (card[k].b < 2 ? 0.06 : 0.25));
        assert_true(fabs(narrow.active - q) <= 3 * s.deviation / 64);
        assert_true(wide.fewest < q && q < wide.most && wide.most < 1.1 * q);
    }
}

/* Whatever rank a neuron is on, H is counted by this loop. */
static void a_layer_is_its_counts_on_any_number_of_ranks(void **state)
{
    static double h[FEW * FEW], value[FEW];
    const int m = 333;

    (void)state;
    for (int coupled = 0; coupled < 2; coupled++) {
        ws_key key = {11, WS_STREAM_WEIGHT, 0};
        ws_layer_spectrum l;
        double entry = 0;

        memset(h, 0, sizeof h);
        for (int r = 0; r < m - coupled; r++) {
            float w[D];
            ws_random_normal(&key, (uint64_t)(coupled ? r / 2 * 2 : r), D, 1, w);
            for (int i = 0; i < FEW; i++)
                for (int j = 0; j < FEW; j++)
                    h[i * FEW + j] +=
                        ws_dot(w, x + i * D, D) > 0.4 && ws_dot(w, x + j * D, D) > 0.4;
        }
        for (int i = 0; i < FEW; i++)
            for (int j = 0; j < FEW; j++) {
                double inner = ws_dot(x + i * D, x + j * D, D);
                h[i * FEW + j] *= (inner + 1) / m;
                entry = fmax(entry, fabs(h[i * FEW + j] -
                                         (inner + 1) * ws_pair_tail(0.4, i == j ? 1 : inner)));
            }
        assert_int_equal(ws_eigenvalues(FEW, h, value), WS_OK);
        assert_all(ws_ntk_layer(&world, &samples, FEW, 0.4, 1, m, 11, coupled, &l) == WS_OK);
        assert_true(fabs(l.least - value[0]) < 1e-12);
        assert_true(fabs(l.largest - value[FEW - 1]) < 1e-12);
        assert_true(fabs(l.entry - entry) < 1e-7);
    }
}

/* The share of fired pairs varies from seed to seed as `deviation` says. */
static void the_deviation_of_the_active_share_is_right(void **state)
{
    ws_spectrum s;
    double sum = 0;
    const int seeds = 200, m = 200;

    (void)state;
    assert_all(ws_ntk_spectrum(&world, &samples, FEW, 1, 1, NULL, &s) == WS_OK);
    for (int k = 0; k < seeds; k++) {
        ws_layer_spectrum l;
        assert_all(ws_ntk_layer(&world, &samples, FEW, 1, 1, m, (uint64_t)k, 0, &l) == WS_OK);
        sum += (l.active - s.active) * (l.active - s.active) * m;
    }
    assert_true(fabs(sqrt(sum / seeds) / s.deviation - 1) < 0.2);
}

/* Spot values of the three bounds, and the order they must come in. */
static void bounds_have_their_values(void **state)
{
    ws_ntk_bounds at0 = ws_ntk_bounds_of(0, 0.6, 10), at1 = ws_ntk_bounds_of(1, 0.8, 10);
    const double pi = 3.141592653589793;

    (void)state;
    assert_true(fabs(at0.region - acos(0.6) / (2 * pi)) < 1e-12);
    assert_true(fabs(at0.sharp - at0.region) < 1e-12);
    assert_true(fabs(at0.worst - sqrt(0.8) / 1e4) < 1e-15);
    assert_true(fabs(at1.worst - exp(-0.5) * sqrt(0.4) / 1e4) < 1e-15);
    assert_true(fabs(at1.sharp - (0.158655254 - 0.097637)) < 1e-6);
    assert_true(fabs(at1.region - ((0.5 - 1 / sqrt(2 * pi)) -
                                   exp(-1 / 1.8) * (pi - acos(0.8)) / (2 * pi))) < 1e-12);
    /* Beyond 1.2 the second form of the first term is the larger. */
    assert_true(fabs(ws_ntk_bounds_of(1.5, 0.5, 10).region -
                     ((1 / 1.5 - 1 / 3.375) * exp(-1.125) / sqrt(2 * pi) -
                      exp(-1.5) * (pi - acos(0.5)) / (2 * pi))) < 1e-12);
    for (double b = 0; b < 4; b += 0.3)
        for (double r = 0; r < 0.95; r += 0.1) {
            ws_ntk_bounds t = ws_ntk_bounds_of(b, r, 10);
            assert_true(t.region <= t.sharp + 1e-12 && t.sharp >= 0 && t.worst > 0);
        }
}

static void the_bounds_hold_where_they_should(void **state)
{
    (void)state;
    for (double b = 0; b < 2.5; b += 0.5) {
        ws_spectrum s;
        ws_ntk_bounds t;
        assert_all(ws_ntk_spectrum(&world, &samples, N, b, 1, NULL, &s) == WS_OK);
        t = ws_ntk_bounds_of(b, s.nearest, N);
        assert_true(t.worst <= s.least && t.region <= s.least && s.disc <= s.least);
        if (b == 0) assert_true(t.region > 0.05);
        if (b == 1) assert_true(t.region < 0);
    }
}

static void panels_count_what_the_whole_counts(void **state)
{
    static int64_t whole[FEW * (FEW + 1) / 2], part[FEW * (FEW + 1) / 2];
    ws_bits f, g;
    int64_t at = 0, rows = 5 + 60 * world.rank;

    (void)state;
    assert_all(!ws_bits_create(FEW, rows, &f) && !ws_bits_create(FEW, rows, &g));
    for (int64_t i = 0; i < FEW; i++)
        for (int64_t r = 0; r < rows; r++) {
            ws_bits_set(&f, i, r, (i * r + r) % 3 == 0);
            ws_bits_set(&g, i, r, (i * r + r) % 3 == 0 || r == 4);
        }
    ws_bits_count(&world, &f, 0, FEW, whole);
    for (int64_t i0 = 0, i1; i0 < FEW; i0 = i1) {
        i1 = ws_bits_panel(i0, FEW, 40);
        assert_true(i1 > i0);
        ws_bits_count(&world, &f, i0, i1, part);
        for (int64_t i = i0, k = 0; i < i1; i++)
            for (int64_t j = 0; j <= i; j++) assert_true(part[k++] == whole[at++]);
    }
    at = 0;
    for (int64_t i = 0; i < FEW; i++) at += (i * 4 + 4) % 3 != 0;
    assert_true(ws_bits_differ(&f, &g) == at);
    ws_bits_free(&f);
    ws_bits_free(&g);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(the_limit_is_that_of_the_card, draw),
    cmocka_unit_test(a_layer_is_near_its_limit),
    cmocka_unit_test(a_layer_is_its_counts_on_any_number_of_ranks),
    cmocka_unit_test(the_deviation_of_the_active_share_is_right),
    cmocka_unit_test(bounds_have_their_values),
    cmocka_unit_test(the_bounds_hold_where_they_should),
    cmocka_unit_test(panels_count_what_the_whole_counts),
};

WS_TEST_MAIN(tests)
