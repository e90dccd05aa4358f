/* Factorisations against what they should multiply back to, and conjugate gradients. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/random.h"
#include "wingspan/linalg/cg.h"
#include "wingspan/linalg/lapack.h"

enum { N = 70, ROWS = 200 };

/* Entry k of a fixed random sequence in [-1/2, 1/2). */
static double draw(int64_t k)
{
    ws_key key = {3, WS_STREAM_TEST, 0};

    return ws_random_uniform(&key, (uint64_t)k, 0) - 0.5;
}

/* B^T B + I / 10 for a random B. */
static void positive(double *a)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = i == j ? 0.1 : 0;
            for (int k = 0; k < N; k++) sum += draw(k * N + i) * draw(k * N + j);
            a[j * N + i] = sum;
        }
}

static void multiply(const double *a, const double *x, double *out)
{
    for (int i = 0; i < N; i++) {
        out[i] = 0;
        for (int j = 0; j < N; j++) out[i] += a[j * N + i] * x[j];
    }
}

static void a_cholesky_factor_solves(void **state)
{
    static double a[N * N], l[N * N];
    double x[2 * N], back[N];

    (void)state;
    positive(a);
    memcpy(l, a, sizeof l);
    assert_int_equal(ws_cholesky(N, l), 1);
    for (int i = 0; i < 2 * N; i++) x[i] = draw(90000 + i);
    ws_cholesky_solve(N, l, 2, x);
    for (int c = 0; c < 2; c++) {
        multiply(a, x + c * N, back);
        for (int i = 0; i < N; i++) assert_true(fabs(back[i] - draw(90000 + c * N + i)) < 1e-11);
    }
}

static void an_indefinite_matrix_is_noticed(void **state)
{
    double a[4] = {1, 2, 2, 1};

    (void)state;
    assert_int_equal(ws_cholesky(2, a), 0);
}

static void eigenvalues_are_those_of_the_second_difference(void **state)
{
    static double a[N * N];
    double value[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        a[i * N + i] = 2;
        if (i + 1 < N) a[i * N + i + 1] = -1;
    }
    assert_int_equal(ws_eigenvalues(N, a, value), WS_OK);
    for (int i = 0; i < N; i++)
        assert_true(fabs(value[i] - 2 + 2 * cos(3.141592653589793 * (i + 1) / (N + 1))) < 1e-12);
}

static void the_triangle_of_a_qr_has_the_gram_matrix(void **state)
{
    static double a[ROWS * N], kept[ROWS * N], r[N * N];
    double b[N], x[N];

    (void)state;
    for (int k = 0; k < ROWS * N; k++) kept[k] = a[k] = draw(k);
    assert_int_equal(ws_qr(ROWS, N, a, r), WS_OK);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double gram = 0, back = 0;
            for (int k = 0; k < ROWS; k++) gram += kept[i * ROWS + k] * kept[j * ROWS + k];
            for (int k = 0; k < N; k++) back += r[i * N + k] * r[j * N + k];
            assert_true(fabs(gram - back) < 1e-12);
            assert_true(j >= i || r[j * N + i] == 0);
        }
    for (int t = 0; t < 2; t++) {
        for (int i = 0; i < N; i++) x[i] = b[i] = draw(i);
        ws_triangle_solve(N, r, t, 1, x);
        for (int i = 0; i < N; i++) {
            double back = 0;
            for (int j = 0; j < N; j++) back += (t ? r[i * N + j] : r[j * N + i]) * x[j];
            assert_true(fabs(back - b[i]) < 1e-11);
        }
    }
}

/* ---- conjugate gradients ---- */
typedef struct system_of {
    double a[N * N], l[N * N];
    int products;
} system_of;

static ws_err product(void *of, const double *v, double *out)
{
    system_of *s = of;

    s->products++;
    multiply(s->a, v, out);
    return WS_OK;
}

static ws_err precondition(void *of, const double *r, double *z)
{
    system_of *s = of;

    memcpy(z, r, N * sizeof *z);
    ws_cholesky_solve(N, s->l, 1, z);
    return WS_OK;
}

static ws_err fails(void *of, const double *v, double *out)
{
    (void)of, (void)v, (void)out;
    return ws_fail(WS_ERR_DIVERGED, "no product");
}

static void conjugate_gradients_solve(void **state)
{
    static system_of s;
    ws_cg_system cg = {N, &s, product, NULL};
    double b[N], x[N], rest[N], work[3 * N], back[N], norm = 0, left = 0;
    int count;

    (void)state;
    positive(s.a);
    memcpy(s.l, s.a, sizeof s.l);
    assert_int_equal(ws_cholesky(N, s.l), 1);
    for (int i = 0; i < N; i++) b[i] = draw(i);
    assert_int_equal(ws_cg(&cg, b, 1e-8, 500, x, rest, work, &count), WS_OK);
    assert_true(count == s.products && count > 5 && count < 200);
    multiply(s.a, x, back);
    for (int i = 0; i < N; i++) {
        assert_true(fabs(back[i] + rest[i] - b[i]) < 1e-9);
        norm += b[i] * b[i];
        left += rest[i] * rest[i];
    }
    assert_true(sqrt(left) <= 1e-8 * sqrt(norm));
    /* The exact inverse as a preconditioner ends it at once; a limit ends it too. */
    cg.precondition = precondition;
    assert_int_equal(ws_cg(&cg, b, 1e-8, 500, x, rest, work, &count), WS_OK);
    assert_int_equal(count, 1);
    cg.precondition = NULL;
    assert_int_equal(ws_cg(&cg, b, 1e-8, 3, x, rest, work, &count), WS_OK);
    assert_int_equal(count, 3);
    memset(b, 0, sizeof b);
    assert_int_equal(ws_cg(&cg, b, 1e-8, 3, x, rest, work, &count), WS_OK);
    assert_true(count == 0 && x[0] == 0);
    b[0] = 1;
    cg.product = fails;
    assert_int_equal(ws_cg(&cg, b, 1e-8, 3, x, rest, work, &count), WS_ERR_DIVERGED);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_cholesky_factor_solves),
    cmocka_unit_test(an_indefinite_matrix_is_noticed),
    cmocka_unit_test(eigenvalues_are_those_of_the_second_difference),
    cmocka_unit_test(the_triangle_of_a_qr_has_the_gram_matrix),
    cmocka_unit_test(conjugate_gradients_solve),
};

WS_TEST_MAIN(tests)
