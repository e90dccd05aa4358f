/* step64.c - a step of one neuron of a float64 network.
 *
 * The float64 weights take the step; nothing of it is rounded to float32. The index is told of the
 * float32 row: where the step is a combination of samples that row takes the same step with its
 * coefficients rounded, so that it moves by what the index is told and a rounding of its elements,
 * as in a float32 network; any other step rounds the new float64 row, and the index gets the length
 * of what changed. */
#include <math.h>

#include "optim_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/dot64.h"
#include "wingspan/model/net64.h"

enum { AHEAD = 3 }; /* rows */

/* o->delta = what the rule makes of o->g for the parameters of one neuron. */
static void apply_rule(ws_optim *o, int64_t row, int k, double rate)
{
    const ws_net *net = o->net;
    const ws_net64 *f = net->f64;
    int64_t n = k == GROUP_W ? net->spec.d : k == GROUP_B ? 1 : net->spec.c;
    double *theta = k == GROUP_W ? f->w : k == GROUP_B ? f->b : f->a;
    const float *start = k == GROUP_W ? net->w0 : k == GROUP_B ? net->b0 : net->a0;
    group q = {.n = n,
               .theta64 = theta + row * n,
               .start = o->spec.ridge > 0 ? start + row * n : NULL,
               .first = o->first[k] ? o->first[k] + row * n : NULL,
               .second = o->second[k] ? o->second[k] + row * n : NULL,
               .decay = k == GROUP_W ? o->spec.weight_decay : 0};

    o->rule->step(&o->spec, &q, o->g, rate, o->count ? o->count[row] : 0, o->delta);
}

static void add_step(double *theta, const double *delta, int64_t n)
{
    for (int64_t j = 0; j < n; j++) theta[j] += delta[j];
}

/* to = sum_p coef_p x_p over the pairs of row i. */
static void combine(const ws_optim *o, const ws_hits *h, int64_t i, const ws_samples *x,
                    const int64_t *ids, double *to)
{
    int64_t first = h->first[i];

    ws_combine64(to, o->coef64, x, ids, h->pos + first, h->first[i + 1] - first);
}

/* The step of the float32 row with rounded coefficients; returns the square of its length. */
static double follow(ws_optim *o, const ws_hits *h, int64_t i, const ws_samples *x,
                     const int64_t *ids)
{
    int64_t d = o->net->spec.d, first = h->first[i], n = h->first[i + 1] - first;

    for (int64_t p = 0; p < n; p++) o->coef[first + p] = (float)o->coef64[p];
    return ws_row_combine(o->net->w + h->row[i] * d, o->coef + first, x, ids, h->pos + first, n,
                          o->delta, NULL);
}

/* The float32 row becomes the rounded float64 row; returns the square of how far it moved. */
static double round_row(ws_net *net, int64_t row)
{
    int64_t d = net->spec.d;
    const double *from = net->f64->w + row * d;
    float *w = net->w + row * d;
    double sum = 0;

    for (int64_t j = 0; j < d; j++) {
        double e = (double)(float)from[j] - (double)w[j];

        w[j] = (float)from[j];
        sum += e * e;
    }
    return sum * (1 + (double)d * 0x1p-52);
}

/* Step row i of hits; o->coef64 holds d loss / d z. Returns how far the float32 row moved. */
static double step_weights(ws_optim *o, const ws_hits *h, int64_t i, const ws_samples *x,
                           const int64_t *ids, double rate)
{
    int64_t d = o->net->spec.d, row = h->row[i], n = h->first[i + 1] - h->first[i];
    double *w = o->net->f64->w + row * d;

    if (o->combines) {
        for (int64_t p = 0; p < n; p++) o->coef64[p] *= -rate;
        combine(o, h, i, x, ids, o->delta);
        add_step(w, o->delta, d);
        return sqrt(follow(o, h, i, x, ids));
    }
    combine(o, h, i, x, ids, o->g);
    apply_rule(o, row, GROUP_W, rate);
    add_step(w, o->delta, d);
    return sqrt(round_row(o->net, row));
}

/* The bias of a neuron; slope is the sum of d loss / d z over its pairs. Returns how far the float32
 * bias will move. */
static double step_bias(ws_optim *o, int64_t row, double slope, double rate)
{
    double *b = o->net->f64->b + row;

    o->g[0] = slope;
    apply_rule(o, row, GROUP_B, rate);
    add_step(b, o->delta, 1);
    return (double)(float)*b - (double)o->net->b[row];
}

static void step_output(ws_optim *o, const ws_hits *h, int64_t i, const double *grad, double rate)
{
    int32_t c = o->net->spec.c;

    ws_net_row_output_grad(o->net, h, i, grad, o->g);
    apply_rule(o, h->row[i], GROUP_A, rate);
    add_step(o->net->f64->a + h->row[i] * c, o->delta, c);
}

ws_err ws_optim_row64(ws_optim *o, const ws_hits *h, int64_t i, const ws_samples *x,
                      const int64_t *ids, const double *grad, double rate)
{
    ws_net *net = o->net;
    int64_t row = h->row[i], n = h->first[i + 1] - h->first[i];
    int penalised = o->spec.ridge > 0;
    double before = penalised ? ws_penalty_of(net, row) : 0, slope = 0, length;
    ws_err err = ws_grow(&o->coef64, &o->coef64_capacity, n, sizeof *o->coef64, "steps");

    if (err) return err;
    if (i + AHEAD < h->rows) ws_net64_prefetch(net, h->row[i + AHEAD]);
    if (o->count) o->count[row]++;
    net->touched[row] = 1;
    ws_net64_row_coef(net, h, i, grad, o->coef64);
    for (int64_t p = 0; p < n; p++) slope += o->coef64[p];
    if (net->spec.train_output) step_output(o, h, i, grad, rate);
    o->dbias[i] = net->spec.train_bias ? step_bias(o, row, slope, rate) : 0;
    length = step_weights(o, h, i, x, ids, rate);
    if (!(length < 1e30 && fabs(net->f64->b[row]) < 1e30))
        return ws_fail(WS_ERR_DIVERGED,
                       "training diverged: neuron %lld took a step of length %.3g; use a smaller "
                       "--rate",
                       (long long)(net->first + row), length);
    o->norm[i] = length * (1 + 1e-12);
    ws_net64_settle(net, row);
    return penalised ? ws_penalty_move(o, row, before, ws_penalty_of(net, row)) : WS_OK;
}
