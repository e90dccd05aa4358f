/* Each optimiser against its formula, on a neuron that fires in some steps and not in others. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/model/net64.h"
#include "wingspan/optim/optim.h"

enum { D = 3, S = 2, M = 8 };

static float x[S * D] = {0.5f, -1, 2, 1, 0.25f, -0.5f};
static const ws_samples samples = {.n = S, .d = D, .x = x};

static ws_net *make_in(int float64, double ridge)
{
    ws_net_spec spec = {.m = M,
                        .d = D,
                        .c = 1,
                        .phi = ws_activation_find("quadratic"),
                        .scale = 1,
                        .init_scale = 1,
                        .x_scale = 3,
                        .seed = 5,
                        .train_bias = 1,
                        .keep_start = ridge > 0,
                        .float64 = float64};
    ws_net *net;

    assert_int_equal(ws_net_create(&world, &spec, &net), WS_OK);
    return net;
}

static ws_net *make(double ridge)
{
    return make_in(0, ridge);
}

/* One step in which local neuron 0 alone fires, on both samples with z = 1: the derivative by z
 * is a x grad, so g = a (grad_0 x_0 + grad_1 x_1). */
static ws_err fire(ws_optim *o, double rate, ws_moves *moves)
{
    static int64_t row = 0, first[2] = {0, 2}, ids[2] = {0, 1};
    static int32_t pos[2] = {0, 1};
    static double z[2] = {1, 1}, grad[2] = {0.5, -0.25};
    static float note[2];
    ws_hits hits = {
        .rows = 1, .n = 2, .row = &row, .first = first, .pos = pos, .z = z, .note = note};

    return ws_optim_step(o, &hits, &samples, ids, grad, rate, moves);
}

static double gradient(const ws_net *net, int j)
{
    double a = (double)net->a[0];

    return j == D ? a * 0.25 : a * (0.5 * (double)x[j] - 0.25 * (double)x[D + j]);
}

/* Weight j of neuron 0, or its bias. */
static double theta(const ws_net *net, int j)
{
    if (net->f64) return j == D ? net->f64->b[0] : net->f64->w[j];
    return j == D ? (double)net->b[0] : (double)net->w[j];
}

/* Three steps of a rule beside its formula: to a rounding or two of the weights, or of moments, which
 * are float32 in either precision. */
static void follow_in(int float64, const ws_optim_spec *spec)
{
    ws_net *net = make_in(float64, spec->ridge);
    double v[D + 1] = {0}, s[D + 1] = {0}, want[D + 1], start[D + 1], rate = 0.1;
    float other[D];
    ws_moves moves;
    ws_optim *o;
    int adam = strcmp(spec->name, "adam") == 0;
    double within = float64 && !adam && spec->momentum == 0 ? 1e-15 : 2e-6;

    assert_all(ws_optim_create(spec, net, &o) == WS_OK);
    if (net->n > 1) {
        memcpy(other, net->w + D, sizeof other);
        for (int j = 0; j <= D; j++) want[j] = start[j] = theta(net, j);
        for (int k = 1; k <= 3; k++) {
            double moved = 0;
            for (int j = 0; j <= D; j++) {
                double g = gradient(net, j) + spec->ridge * (want[j] - start[j]), step;
                double decay = j < D ? spec->weight_decay : 0;
                if (!adam) g += decay * want[j];
                v[j] =
                    adam ? spec->beta1 * v[j] + (1 - spec->beta1) * g : spec->momentum * v[j] + g;
                s[j] = spec->beta2 * s[j] + (1 - spec->beta2) * g * g;
                step = adam ? v[j] / (1 - pow(spec->beta1, k)) /
                                      (sqrt(s[j] / (1 - pow(spec->beta2, k))) + spec->epsilon) +
                                  decay * want[j]
                            : v[j];
                want[j] -= rate * step;
                moved += j < D ? rate * step * rate * step : 0;
            }
            assert_int_equal(fire(o, rate, &moves), WS_OK);
            for (int j = 0; j <= D; j++) assert_true(fabs(theta(net, j) - want[j]) < within);
            assert_true(moves.k == 1 && moves.row[0] == 0);
            assert_true(fabs(moves.norm[0] - sqrt(moved)) < 1e-5);
        }
        /* Nothing acts on a neuron that did not fire. */
        assert_memory_equal(other, net->w + D, sizeof other);
        assert_true(net->touched[0] == 1 && net->touched[1] == 0);
    }
    ws_optim_destroy(&o);
    ws_net_destroy(&net);
}

static void follow(const ws_optim_spec *spec)
{
    follow_in(0, spec);
    follow_in(1, spec);
}

static void every_optimiser_follows_its_formula(void **state)
{
    (void)state;
    follow(&(ws_optim_spec){.name = "gd"});
    follow(&(ws_optim_spec){.name = "sgd"});
    follow(&(ws_optim_spec){.name = "sgd", .momentum = 0.9});
    follow(&(ws_optim_spec){.name = "sgd", .momentum = 0.5, .weight_decay = 0.1});
    follow(&(ws_optim_spec){.name = "sgd", .weight_decay = 0.1});
    follow(&(ws_optim_spec){.name = "sgd", .ridge = 0.3});
    follow(&(ws_optim_spec){.name = "adam", .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8});
    follow(&(ws_optim_spec){
        .name = "adam", .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6, .weight_decay = 0.1});
}

static void the_index_is_told_coefficients_only_where_a_step_is_a_combination(void **state)
{
    ws_optim_spec specs[] = {
        {.name = "sgd"}, {.name = "sgd", .momentum = 0.5}, {.name = "sgd", .weight_decay = 0.1}};

    (void)state;
    for (int k = 0; k < 6; k++) {
        ws_net *net = make_in(k >= 3, 0);
        ws_moves moves;
        ws_optim *o;

        assert_all(ws_optim_create(&specs[k % 3], net, &o) == WS_OK);
        if (net->n > 0) {
            double old[D], length = 0;
            for (int j = 0; j < D; j++) old[j] = (double)net->w[j];
            assert_int_equal(fire(o, 0.5, &moves), WS_OK);
            assert_true((moves.first != NULL) == (k % 3 == 0));
            for (int j = 0; j < D && k % 3 == 0; j++)
                assert_true((float)(old[j] + (double)moves.coef[0] * (double)x[j] +
                                    (double)moves.coef[1] * (double)x[D + j]) == net->w[j]);
            assert_true(moves.dbias[0] == (double)net->b[0]);
            for (int j = 0; j < D; j++) length += pow((double)net->w[j] - old[j], 2);
            assert_true(fabs(moves.norm[0] - sqrt(length)) < 1e-6);
        }
        ws_optim_destroy(&o);
        ws_net_destroy(&net);
    }
}

static void penalty_in(int float64)
{
    ws_optim_spec spec = {.name = "sgd", .ridge = 0.3};
    ws_net *net = make_in(float64, 0.3);
    ws_optim *o;
    ws_moves moves;

    assert_all(ws_optim_create(&spec, net, &o) == WS_OK);
    if (net->n > 0) {
        ws_exact_limbs p, again;
        double sum = 0, e;
        for (int k = 0; k < 5; k++) assert_int_equal(fire(o, 0.1, &moves), WS_OK);
        for (int j = 0; j < D; j++) {
            e = theta(net, j) - (double)net->w0[j];
            sum += e * e;
        }
        sum += theta(net, D) * theta(net, D);
        p = ws_optim_penalty(o);
        assert_true(fabs(ws_exact_value(p.hi, p.lo, ws_optim_penalty_exponent(o)) - sum) < 1e-15);
        assert_int_equal(ws_optim_restored(o), WS_OK);
        again = ws_optim_penalty(o);
        assert_true(again.hi == p.hi && again.lo == p.lo);
    }
    ws_optim_destroy(&o);
    ws_net_destroy(&net);
}

static void the_penalty_is_the_exact_sum_and_survives_a_restart(void **state)
{
    (void)state;
    penalty_in(0);
    penalty_in(1);
}

static void a_step_without_end_is_reported(void **state)
{
    ws_optim_spec spec = {.name = "sgd"};
    ws_net *net = make(0);
    ws_optim *o;
    ws_moves moves;

    (void)state;
    assert_all(ws_optim_create(&spec, net, &o) == WS_OK);
    if (net->n > 0) {
        assert_int_equal(fire(o, 1e37, &moves), WS_ERR_DIVERGED);
        assert_non_null(strstr(ws_err_text(), "--rate"));
    }
    ws_optim_destroy(&o);
    ws_net_destroy(&net);
}

static void schedules_have_their_values(void **state)
{
    ws_schedule s = {.name = "constant", .rate = 2, .total = 10, .every = 3, .factor = 0.5};

    (void)state;
    assert_true(ws_schedule_rate(&s, 9) == 2);
    s.name = "step";
    assert_true(ws_schedule_rate(&s, 2) == 2 && ws_schedule_rate(&s, 3) == 1 &&
                ws_schedule_rate(&s, 8) == 0.5);
    s.name = "cosine";
    assert_true(ws_schedule_rate(&s, 0) == 2 && fabs(ws_schedule_rate(&s, 5) - 1) < 1e-15);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_optimiser_follows_its_formula),
    cmocka_unit_test(the_index_is_told_coefficients_only_where_a_step_is_a_combination),
    cmocka_unit_test(the_penalty_is_the_exact_sum_and_survives_a_restart),
    cmocka_unit_test(a_step_without_end_is_reported),
    cmocka_unit_test(schedules_have_their_values),
};

WS_TEST_MAIN(tests)
