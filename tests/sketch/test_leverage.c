/* Rows drawn by leverage: unbiased, the same on any number of ranks, good as a preconditioner, and
 * on coherent rows where plain conjugate gradients and sketches of as many rows are not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"
#include "wingspan/linalg/cg.h"
#include "wingspan/linalg/lapack.h"
#include "wingspan/sketch/leverage.h"

enum { PLAIN = 48, COHERENT = 200, MOST = COHERENT, D = 32, M = 4096, ENTRIES = MOST * MOST };

static ws_comm self;

/* A problem: samples, who fires on what, J J' of it, a ridge. */
static struct {
    int n;
    double ridge, threshold;
    float x[MOST * D], inner[MOST * (MOST + 1) / 2];
    int64_t id[M], first[M + 1];
    int32_t pos[M * MOST];
    double g[ENTRIES], m[MOST * (MOST + 1) / 2];
    ws_samples samples;
} of;

static double normal(uint64_t id)
{
    ws_key key = {4, WS_STREAM_TEST, 1};
    float v;

    ws_random_normal(&key, id, 1, 1, &v);
    return (double)v;
}

static void fire(void)
{
    ws_key key = {4, WS_STREAM_TEST, 0};
    int64_t n = 0;

    for (int r = 0; r < M; r++) {
        float w[D];
        ws_random_normal(&key, (uint64_t)r, D, 1, w);
        of.id[r] = r;
        of.first[r] = n;
        for (int i = 0; i < of.n; i++)
            if (ws_dot(w, of.x + i * D, D) > of.threshold) of.pos[n++] = i;
    }
    of.first[M] = n;
    of.samples = (ws_samples){.n = of.n, .d = D, .x = of.x};
}

static void multiply_out(void)
{
    int n = of.n;

    memset(of.g, 0, sizeof of.g);
    for (int r = 0; r < M; r++)
        for (int64_t p = of.first[r]; p < of.first[r + 1]; p++)
            for (int64_t q = of.first[r]; q < of.first[r + 1]; q++)
                of.g[of.pos[p] * n + of.pos[q]]++;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double v = ws_dot(of.x + i * D, of.x + j * D, D);
            of.g[i * n + j] *= v;
            if (j <= i) of.inner[i * (i + 1) / 2 + j] = (float)v;
        }
}

/* (g + ridge)^-1, packed. */
static void invert(const double *g)
{
    static double l[ENTRIES], e[ENTRIES];
    int n = of.n;

    memcpy(l, g, sizeof l);
    memset(e, 0, sizeof e);
    for (int i = 0; i < n; i++) l[i * n + i] += of.ridge;
    for (int i = 0; i < n; i++) e[i * n + i] = 1;
    assert_true(ws_cholesky(n, l));
    ws_cholesky_solve(n, l, n, e);
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) of.m[i * (i + 1) / 2 + j] = e[i * n + j];
}

static void finish(void)
{
    fire();
    multiply_out();
    invert(of.g);
}

/* Samples of norm 1 that resemble each other. */
static void make_plain(void)
{
    of.n = PLAIN;
    of.threshold = 0.5;
    for (int i = 0; i < PLAIN; i++) {
        float *row = of.x + i * D;
        for (int j = 0; j < D; j++)
            row[j] = (float)(normal((uint64_t)(i * D + j)) + (j == 0 ? 4 : 0));
        double norm = sqrt(ws_norm2(row, D));
        for (int j = 0; j < D; j++) row[j] = (float)((double)row[j] / norm);
    }
    of.ridge = 1e-6;
    finish();
}

static double largest(void)
{
    static double copy[ENTRIES], value[MOST];

    memcpy(copy, of.g, sizeof copy);
    assert_int_equal(ws_eigenvalues(of.n, copy, value), WS_OK);
    return value[of.n - 1];
}

/* Coherent: features that decay, 4 coordinates that are 30 on one sample in 50 and 0 elsewhere, and a
 * last quarter of near-duplicates. */
static void make_coherent(void)
{
    of.n = COHERENT;
    of.threshold = 0;
    for (int i = 0; i < COHERENT; i++)
        for (int j = 0; j < D; j++) {
            float *to = of.x + i * D + j;
            uint64_t at = (uint64_t)(i * D + j);
            int like = i >= 150 ? i - 150 : i;
            *to = (float)(normal((uint64_t)(like * D + j)) * pow(j + 1, -1.0) +
                          (i >= 150 ? 1e-2 * normal(100000 + at) : 0));
            if (j >= D - 4) *to = like % 50 == j - (D - 4) ? 30 : 0;
        }
    of.ridge = 1e-9;
    fire();
    multiply_out();
    of.ridge = 1e-3 * largest() / COHERENT;
    invert(of.g);
}

static ws_fired part(const ws_comm *c)
{
    ws_layout l = {M, c->size};
    int64_t from = ws_layout_first(&l, c->rank);

    return (ws_fired){ws_layout_count(&l, c->rank), of.id + from, of.first + from, of.pos};
}

/* The sampled matrix, full. */
static int64_t sampled(const ws_comm *c, int64_t s, uint64_t seed, double *g)
{
    static double packed[MOST * (MOST + 1) / 2];
    ws_fired f = part(c);
    ws_leverage *l;
    int64_t rows;
    double sum;

    memset(packed, 0, sizeof packed);
    assert_int_equal(ws_leverage_create(c, &of.samples, 0, s, seed, &l), WS_OK);
    assert_int_equal(ws_leverage_draw(l, &f, of.m, of.inner), WS_OK);
    /* In two panels. */
    ws_leverage_add(l, 0, 20, packed);
    ws_leverage_add(l, 20, of.n, packed + 20 * 21 / 2);
    rows = ws_leverage_rows(l, &sum);
    assert_true(sum > 0.5 * of.n && sum <= 3 * of.n);
    for (int i = 0; i < of.n; i++)
        for (int j = 0; j < of.n; j++)
            g[i * of.n + j] = packed[i >= j ? i * (i + 1) / 2 + j : j * (j + 1) / 2 + i];
    ws_leverage_destroy(&l);
    return rows;
}

static int setup(void **state)
{
    (void)state;
    ws_comm_create(MPI_COMM_SELF, &self);
    make_plain();
    return 0;
}

static void a_sample_is_unbiased(void **state)
{
    enum { DRAWS = 200 };
    static double one[ENTRIES], mean[ENTRIES];
    double error = 0, single = 0;

    (void)state;
    memset(mean, 0, sizeof mean);
    for (int t = 0; t < DRAWS; t++) {
        sampled(&self, 100, (uint64_t)t + 1, one);
        for (int e = 0; e < PLAIN * PLAIN; e++) mean[e] += one[e] / DRAWS;
    }
    for (int e = 0; e < PLAIN * PLAIN; e++) {
        error += (mean[e] - of.g[e]) * (mean[e] - of.g[e]);
        single += (one[e] - of.g[e]) * (one[e] - of.g[e]);
    }
    assert_true(sqrt(error) < 0.15 * sqrt(single)); /* 1 / sqrt(200) = 0.07 */
}

static void ranks_do_not_matter(void **state)
{
    static double one[ENTRIES], many[ENTRIES];

    (void)state;
    assert_all(sampled(&self, 8 * PLAIN, 3, one) == sampled(&world, 8 * PLAIN, 3, many));
    assert_memory_equal(one, many, PLAIN * PLAIN * sizeof *one);
}

/* Condition of (h + ridge)^-1 (g + ridge). */
static double condition(const double *h)
{
    static double g[ENTRIES], l[ENTRIES], t[ENTRIES], value[MOST];
    int n = of.n;

    memcpy(l, h, sizeof l);
    memcpy(g, of.g, sizeof g);
    for (int i = 0; i < n; i++) l[i * n + i] += of.ridge;
    for (int i = 0; i < n; i++) g[i * n + i] += of.ridge;
    if (!ws_cholesky(n, l)) return INFINITY;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) l[j * n + i] = l[i * n + j];
    for (int turn = 0; turn < 2; turn++) {
        ws_triangle_solve(n, l, 1, n, g);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) t[i * n + j] = g[j * n + i];
        memcpy(g, t, sizeof g);
    }
    assert_int_equal(ws_eigenvalues(n, g, value), WS_OK);
    return value[0] > 0 ? value[n - 1] / value[0] : INFINITY;
}

static void sketch(const char *kind, int64_t s, uint64_t seed, double *g)
{
    ws_fired f = part(&self);
    ws_sketch *k;

    assert_int_equal(ws_sketch_create(&self, kind, &of.samples, M, s, seed, &k), WS_OK);
    assert_int_equal(ws_sketch_apply(k, &f), WS_OK);
    for (int i = 0; i < of.n; i += 50)
        for (int j = 0; j < of.n; j += 50) {
            double block[50 * 50];
            int rows = of.n - i < 50 ? of.n - i : 50, cols = of.n - j < 50 ? of.n - j : 50;
            ws_sketch_gram(k, i, rows, j, cols, block);
            for (int a = 0; a < rows; a++)
                for (int b = 0; b < cols; b++) g[(i + a) * of.n + j + b] = block[a * cols + b];
        }
    ws_sketch_destroy(&k);
}

static void a_sample_preconditions(void **state)
{
    static double h[ENTRIES];

    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        int64_t rows = sampled(&self, 8 * PLAIN, seed, h);
        double many = condition(h), few, guessed;
        sampled(&self, 4 * PLAIN, seed, h);
        few = condition(h);
        /* Scores from a sketch instead of J J' itself. */
        sketch("countsketch", 4 * PLAIN, seed, h);
        invert(h);
        sampled(&self, 8 * PLAIN, seed, h);
        guessed = condition(h);
        invert(of.g);
        print_message("leverage: %.2f at 8 n (%d rows), %.2f at 4 n; %.2f at 8 n by a sketch\n",
                      many, (int)rows, few, guessed);
        assert_true(many <= 6);
        assert_true(few <= 15);
        assert_true(guessed <= 8);
    }
}

/* ---- conjugate gradients ---- */

static ws_err product(void *v, const double *x, double *out)
{
    (void)v;
    for (int i = 0; i < of.n; i++) {
        out[i] = of.ridge * x[i];
        for (int j = 0; j < of.n; j++) out[i] += of.g[i * of.n + j] * x[j];
    }
    return WS_OK;
}

static ws_err precondition(void *l, const double *r, double *z)
{
    memcpy(z, r, (size_t)of.n * sizeof *z);
    ws_cholesky_solve(of.n, l, 1, z);
    return WS_OK;
}

/* Iterations to 1e-8 with h as the preconditioner, NULL: none. */
static int iterations(double *h)
{
    double b[MOST], x[MOST], rest[MOST], work[3 * MOST];
    ws_cg_system s = {of.n, h, product, h ? precondition : NULL};
    int n = 0;

    for (int i = 0; i < of.n; i++) b[i] = normal(200000 + (uint64_t)i);
    for (int i = 0; h && i < of.n; i++) h[i * of.n + i] += of.ridge;
    if (h) assert_true(ws_cholesky(of.n, h));
    assert_int_equal(ws_cg(&s, b, 1e-8, 2000, x, rest, work, &n), WS_OK);
    return n;
}

static void coherent_rows_are_found(void **state)
{
    static double h[ENTRIES];
    int plain, many, twice;
    double kappa;

    (void)state;
    make_coherent();
    kappa = largest() / of.ridge;
    plain = iterations(NULL);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        int64_t rows = sampled(&self, 8 * COHERENT, seed, h);
        many = iterations(h);
        sampled(&self, 16 * COHERENT, seed, h);
        twice = iterations(h);
        print_message(
            "coherent (condition %.1e): none %d, leverage %d at 8 n (%d rows), %d at 16 n", kappa,
            plain, many, (int)rows, twice);
        for (int k = 0; ws_sketch_kinds()[k]; k++) {
            sketch(ws_sketch_kinds()[k], 8 * COHERENT, seed, h);
            print_message(", %s %d", ws_sketch_kinds()[k], iterations(h));
        }
        print_message("\n");
        assert_true(many <= 24);
        assert_true(twice <= 18);
    }
    assert_true(plain > 200);
}

static void no_memory_on_one_rank_is_known_to_all(void **state)
{
    ws_fired f;
    ws_leverage *l;

    (void)state;
    make_plain();
    f = part(&world);
    for (int at = 1; at <= 2; at++) {
        if (world.rank == world.size - 1) ws_alloc_fail_at(at);
        assert_all(ws_leverage_create(&world, &of.samples, 0, 100, 1, &l) == WS_ERR_NOMEM && !l);
        ws_alloc_fail_at(0);
    }
    assert_all(ws_leverage_create(&world, &of.samples, 0, 100, 1, &l) == WS_OK);
    for (int at = 1; at <= 2; at++) {
        if (world.rank == world.size - 1) ws_alloc_fail_at(at);
        assert_all(ws_leverage_draw(l, &f, of.m, of.inner) == WS_ERR_NOMEM);
        ws_alloc_fail_at(0);
    }
    assert_all(ws_leverage_draw(l, &f, of.m, of.inner) == WS_OK);
    ws_leverage_destroy(&l);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(a_sample_is_unbiased, setup),
    cmocka_unit_test(ranks_do_not_matter),
    cmocka_unit_test(a_sample_preconditions),
    cmocka_unit_test(coherent_rows_are_found),
    cmocka_unit_test(no_memory_on_one_rank_is_known_to_all),
};

WS_TEST_MAIN(tests)
