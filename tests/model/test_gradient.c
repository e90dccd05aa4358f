/* The step of gd with rate 1 is minus the gradient: against central differences of the loss, for
 * every activation and loss, for rows, biases and output weights.
 *
 * Tolerance: rows of size one and coefficients are float32, so steps are known to 1e-7 of their
 * size, and in a float64 network to 1e-16. Differences of fourth order with h = 2e-4 are exact to
 * 1e-11, but for a kink of relu within 2 h, which the chosen numbers do not have. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/random.h"
#include "wingspan/model/loss.h"
#include "wingspan/model/net64.h"
#include "wingspan/optim/optim.h"

enum { M = 8, D = 4, S = 5, MAXC = 3 };

static float x[S * D], value[S * MAXC];
static int32_t label[S] = {0, 2, 1, 1, 0}, two[S] = {0, 1, 1, 0, 1};
static const double threshold = 0.2, scale = 0.6;

typedef struct parameters {
    double w[M * D], b[M], a[M * MAXC];
} parameters;

static double loss_of(const ws_activation *phi, const ws_loss *l, const ws_targets *t,
                      const parameters *p)
{
    double sum = 0;

    for (int i = 0; i < S; i++) {
        double f[MAXC] = {0}, grad[MAXC];
        int correct;
        for (int r = 0; r < M; r++) {
            double z = p->b[r], v;
            for (int j = 0; j < D; j++) z += p->w[r * D + j] * (double)x[i * D + j];
            v = phi->smooth || z > threshold ? phi->value(z, threshold) : 0;
            for (int c = 0; c < t->c; c++) f[c] += scale * p->a[r * t->c + c] * v;
        }
        sum += l->eval(t, i, f, grad, &correct) / S;
    }
    return sum;
}

static double central(const ws_activation *phi, const ws_loss *l, const ws_targets *t,
                      parameters *p, double *at)
{
    double h = 2e-4, was = *at, f[5];

    for (int k = -2; k <= 2; k++) {
        *at = was + k * h;
        f[k + 2] = loss_of(phi, l, t, p);
    }
    *at = was;
    return (8 * (f[3] - f[1]) - (f[4] - f[0])) / (12 * h);
}

/* The network's outputs and derivative, then one step of this rate; returns the loss before. */
static double step(ws_net *net, const ws_loss *l, const ws_targets *t, double rate)
{
    ws_samples samples = {.n = S, .d = D, .x = x};
    ws_shard shard = ws_net_shard(net);
    int64_t ids[S] = {0, 1, 2, 3, 4}, correct, hi[S * MAXC] = {0}, lo[S * MAXC] = {0};
    double out[S * MAXC], grad[S * MAXC], loss;
    ws_query q = {.n = S, .ids = ids, .threshold = threshold};
    ws_optim_spec spec = {.name = "gd"};
    ws_hits hits = {0};
    ws_moves moves;
    ws_optim *o;
    ws_index *ix;

    assert_int_equal(ws_index_create(&world, net->spec.phi->smooth ? "all" : "scan", NULL, &ix),
                     WS_OK);
    assert_int_equal(ws_index_build(ix, &shard, &samples, threshold), WS_OK);
    assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
    for (int64_t i = 0; i < hits.rows && net->f64; i++)
        for (int64_t p = hits.first[i]; p < hits.first[i + 1]; p++)
            ws_net64_z(net, hits.row[i], &samples, &ids[hits.pos[p]], 1, &hits.z[p]);
    assert_int_equal(ws_net_forward(net, &hits, S, hi, lo), WS_OK);
    ws_net_outputs(net, hi, lo, S * t->c, out);
    loss = ws_loss_batch(l, t, ids, S, out, grad, &correct);
    assert_int_equal(ws_optim_create(&spec, net, &o), WS_OK);
    assert_int_equal(ws_optim_step(o, &hits, &samples, ids, grad, rate, &moves), WS_OK);
    ws_optim_destroy(&o);
    ws_index_destroy(&ix);
    ws_hits_free(&hits);
    return loss;
}

static int close_to(double g, double d, double within)
{
    return fabs(g - d) < within * (1 + fabs(d));
}

/* Weight k of an array in the network's precision. */
static double now(const float *rounded, const double *exact, int64_t k)
{
    return exact ? exact[k] : (double)rounded[k];
}

static void compare_in(int float64, const char *activation, const char *loss, const ws_targets *t)
{
    ws_net_spec spec = {.m = M,
                        .d = D,
                        .c = t->c,
                        .phi = ws_activation_find(activation),
                        .threshold = threshold,
                        .scale = scale,
                        .init_scale = 1,
                        .x_scale = 4,
                        .seed = 3,
                        .train_bias = 1,
                        .train_output = 1,
                        .float64 = float64};
    const ws_loss *l = ws_loss_find(loss);
    static parameters p;
    double within = float64 ? 1e-10 : 1e-6;
    ws_net64 *f;
    ws_net *net;
    int moved = 0;

    assert_int_equal(ws_net_create(&world, &spec, &net), WS_OK);
    for (int k = 0; k < M * D; k++) p.w[k] = (double)net->w[k];
    for (int k = 0; k < M; k++) p.b[k] = (double)net->b[k];
    for (int k = 0; k < M * t->c; k++) p.a[k] = (double)net->a[k];
    f = net->f64;
    step(net, l, t, 1);
    for (int k = 0; k < M * D; k++) {
        double g = p.w[k] - now(net->w, f ? f->w : NULL, k);
        moved += g != 0;
        assert_true(close_to(g, central(spec.phi, l, t, &p, &p.w[k]), within));
    }
    for (int k = 0; k < M; k++)
        assert_true(close_to(p.b[k] - now(net->b, f ? f->b : NULL, k),
                             central(spec.phi, l, t, &p, &p.b[k]), within));
    for (int k = 0; k < M * t->c; k++)
        assert_true(close_to(p.a[k] - now(net->a, f ? f->a : NULL, k),
                             central(spec.phi, l, t, &p, &p.a[k]), within));
    assert_true(moved > M);
    /* And where it leads to. */
    for (int k = 0; k < M * D; k++) p.w[k] = now(net->w, f ? f->w : NULL, k);
    for (int k = 0; k < M; k++) p.b[k] = now(net->b, f ? f->b : NULL, k);
    for (int k = 0; k < M * t->c; k++) p.a[k] = now(net->a, f ? f->a : NULL, k);
    assert_true(fabs(step(net, l, t, 1e-3) / loss_of(spec.phi, l, t, &p) - 1) < 1e-12);
    ws_net_destroy(&net);
}

static void compare(const char *activation, const char *loss, const ws_targets *t)
{
    compare_in(0, activation, loss, t);
    compare_in(1, activation, loss, t);
}

static void steps_agree_with_finite_differences(void **state)
{
    static const char *const kinds[] = {"relu", "quadratic", "softplus", "tanh"};
    ws_key key = {2, WS_STREAM_TEST, 0};
    ws_targets three = {.c = 3, .label = label, .classes = 3};
    ws_targets pair = {.c = 1, .label = two, .classes = 2};
    ws_targets real = {.c = 2, .value = value}, zero_one = {.c = 2, .value = value + S * 2};
    static float bits[S * 2];

    (void)state;
    ws_random_normal(&key, 0, S * D, 1, x);
    ws_random_normal(&key, 1, S * MAXC, 1, value);
    for (int i = 0; i < S * 2; i++) bits[i] = (float)(i % 3 == 0);
    zero_one.value = bits;
    for (int k = 0; k < 4; k++) {
        compare(kinds[k], "softmax", &three);
        compare(kinds[k], "squared", &three);
        compare(kinds[k], "squared", &pair);
        compare(kinds[k], "squared", &real);
        compare(kinds[k], "logistic", &pair);
        compare(kinds[k], "logistic", &zero_one);
    }
}

static void slopes_are_derivatives_of_values(void **state)
{
    (void)state;
    for (const char *const *name = ws_activation_names(); *name; name++) {
        const ws_activation *phi = ws_activation_find(*name);
        for (double z = -3.03; z < 3; z += 0.1) {
            double h = 1e-6, d = (phi->value(z + h, 0.5) - phi->value(z - h, 0.5)) / (2 * h);
            assert_true(fabs(d - phi->slope(z, 0.5)) < 1e-8);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(steps_agree_with_finite_differences),
    cmocka_unit_test(slopes_are_derivatives_of_values),
};

WS_TEST_MAIN(tests)
