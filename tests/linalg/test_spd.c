/* A system solved by rank 0 and by a grid of ranks: the same answer, known to all. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/hash.h"
#include "wingspan/linalg/spd.h"

enum { K = 3, LARGEST = 300 };

/* A Gram matrix of points on a line, plus a part of the identity. */
static double entry(int64_t i, int64_t j)
{
    return exp(-0.05 * fabs((double)(i - j))) + (i == j ? 0.3 : 0);
}

static double side(int64_t i, int64_t c)
{
    return sin((double)(i * (c + 2)));
}

static ws_spd *make(int64_t n, int64_t serial)
{
    ws_spd *s;

    assert_all(ws_spd_create(&world, n, serial, &s) == WS_OK);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            if (ws_spd_holds(s, i, j)) ws_spd_put(s, i, j, entry(i, j));
    return s;
}

static void solve(int64_t n, int64_t serial, double *b)
{
    ws_spd *s = make(n, serial);
    int ok;

    for (int64_t c = 0; c < K; c++)
        for (int64_t i = 0; i < n; i++) b[c * n + i] = side(i, c);
    /* A first shift must leave no trace. */
    assert_all(ws_spd_factor(s, 7, &ok) == WS_OK && ok);
    assert_all(ws_spd_factor(s, 0.25, &ok) == WS_OK && ok);
    assert_all(ws_spd_solve(s, K, b) == WS_OK);
    ws_spd_destroy(&s);
}

static void a_grid_agrees_with_one_rank(void **state)
{
    static const int64_t orders[] = {1, 5, 64, 65, 130, LARGEST};
    static double one[K * LARGEST], grid[K * LARGEST];

    (void)state;
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
        int64_t n = orders[k];
        solve(n, LARGEST, one);
        solve(n, 0, grid);
        for (int64_t e = 0; e < K * n; e++) assert_true(fabs(one[e] - grid[e]) < 1e-11);
        for (int64_t c = 0; c < K; c++)
            for (int64_t i = 0; i < n; i++) {
                double back = 0.25 * one[c * n + i];
                for (int64_t j = 0; j < n; j++) back += entry(i, j) * one[c * n + j];
                assert_true(fabs(back - side(i, c)) < 1e-11);
            }
    }
}

static void every_rank_holds_the_same_bits(void **state)
{
    static double b[K * LARGEST];

    (void)state;
    for (int64_t serial = 0; serial <= LARGEST; serial += LARGEST) {
        solve(200, serial, b);
        assert_int_equal(ws_same(&world, "solution", (int64_t)ws_hash(b, K * 200 * sizeof *b, 0)),
                         WS_OK);
    }
}

static void an_indefinite_matrix_is_noticed_by_all(void **state)
{
    (void)state;
    for (int64_t serial = 0; serial <= LARGEST; serial += LARGEST) {
        ws_spd *s = make(150, serial);
        int ok;
        assert_all(ws_spd_factor(s, -1, &ok) == WS_OK && !ok);
        assert_all(ws_spd_factor(s, 0, &ok) == WS_OK && ok);
        ws_spd_destroy(&s);
    }
}

static void eigenvalues_agree_and_add_up_to_the_trace(void **state)
{
    double one[150], grid[150], sum = 0;
    ws_spd *s;

    (void)state;
    s = make(150, LARGEST);
    assert_all(ws_spd_eigenvalues(s, one) == WS_OK);
    ws_spd_destroy(&s);
    s = make(150, 0);
    assert_all(ws_spd_eigenvalues(s, grid) == WS_OK);
    ws_spd_destroy(&s);
    for (int i = 0; i < 150; i++) {
        assert_true(fabs(one[i] - grid[i]) < 1e-11);
        assert_true(i == 0 || one[i] >= one[i - 1]);
        sum += one[i];
    }
    assert_true(fabs(sum - 150 * 1.3) < 1e-9);
}

static void no_memory_on_one_rank_is_known_to_all(void **state)
{
    ws_spd *s;

    (void)state;
    if (world.rank == world.size - 1) ws_alloc_fail_at(2);
    assert_all(ws_spd_create(&world, 100, 0, &s) == WS_ERR_NOMEM && !s);
    ws_alloc_fail_at(0);
    assert_all(ws_spd_create(&world, 100, 0, &s) == WS_OK);
    ws_spd_destroy(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_grid_agrees_with_one_rank),
    cmocka_unit_test(every_rank_holds_the_same_bits),
    cmocka_unit_test(an_indefinite_matrix_is_noticed_by_all),
    cmocka_unit_test(eigenvalues_agree_and_add_up_to_the_trace),
    cmocka_unit_test(no_memory_on_one_rank_is_known_to_all),
};

WS_TEST_MAIN(tests)
