/* step.c - one step of every neuron that fired.
 *
 * Without momentum, moments, decay and penalty a row's step is a combination of samples,
 * w += sum_p coef_p x_p, and the index is told the coefficients; otherwise only its length. */
#include <math.h>

#include "optim_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fetch.h"

enum { AHEAD = 4 }; /* rows */

/* Room for what the index will be told. */
static ws_err make_room(ws_optim *o, const ws_hits *h)
{
    ws_err err;

    if ((err = ws_grow(&o->norm, &o->norm_capacity, h->rows, sizeof *o->norm, "steps")) ||
        (err = ws_grow(&o->dbias, &o->dbias_capacity, h->rows, sizeof *o->dbias, "steps")))
        return err;
    return ws_grow(&o->coef, &o->coef_capacity, h->n, sizeof *o->coef, "steps");
}

/* The parameters and state of one neuron. */
static group group_of(const ws_optim *o, int64_t row, int k)
{
    ws_net *net = o->net;
    const ws_net_spec *s = &net->spec;
    int64_t n = k == GROUP_W ? s->d : k == GROUP_B ? 1 : s->c;
    float *theta = k == GROUP_W ? net->w : k == GROUP_B ? net->b : net->a;
    const float *start = k == GROUP_W ? net->w0 : k == GROUP_B ? net->b0 : net->a0;

    return (group){.n = n,
                   .theta = theta + row * n,
                   .start = o->spec.ridge > 0 ? start + row * n : NULL,
                   .first = o->first[k] ? o->first[k] + row * n : NULL,
                   .second = o->second[k] ? o->second[k] + row * n : NULL,
                   .decay = k == GROUP_W ? o->spec.weight_decay : 0};
}

static void apply_rule(const ws_optim *o, int64_t row, int k, double rate)
{
    group q = group_of(o, row, k);

    o->rule->step(&o->spec, &q, o->g, rate, o->count ? o->count[row] : 0, o->delta);
}

/* Add the step to float32 parameters. */
static void add_step(float *theta, const double *delta, int64_t n)
{
    for (int64_t j = 0; j < n; j++) theta[j] = (float)((double)theta[j] + delta[j]);
}

/* Step row i of hits by the rule; o->coef holds d loss / d z.  Returns the square of the length. */
static double step_weights(ws_optim *o, const ws_hits *h, int64_t i, const ws_samples *x,
                           const int64_t *ids, double rate)
{
    int64_t d = o->net->spec.d;

    for (int64_t j = 0; j < d; j++) o->g[j] = 0;
    for (int64_t p = h->first[i]; p < h->first[i + 1]; p++)
        ws_axpy_sample(o->g, o->coef[p], x, ws_sample_at(ids, h->pos[p]));
    apply_rule(o, h->row[i], GROUP_W, rate);
    return ws_row_add(o->net->w + h->row[i] * d, o->delta, d);
}

/* Output weights are read once a step and lie anywhere: fetch these ahead of their turn. */
WS_FETCH prefetch(const ws_optim *o, const ws_hits *h, int64_t i)
{
    if (i < h->rows) __builtin_prefetch(o->net->a + h->row[i] * o->net->spec.c);
}

/* The bias of row i; slope is the sum of d loss / d z over its pairs. */
static double step_bias(ws_optim *o, int64_t row, double slope, double rate)
{
    float *b = o->net->b + row, old = *b;

    o->g[0] = slope;
    apply_rule(o, row, GROUP_B, rate);
    add_step(b, o->delta, 1);
    return (double)*b - (double)old;
}

static void step_output(ws_optim *o, const ws_hits *h, int64_t i, const double *grad, double rate)
{
    int32_t c = o->net->spec.c;

    ws_net_row_output_grad(o->net, h, i, grad, o->g);
    apply_rule(o, h->row[i], GROUP_A, rate);
    add_step(o->net->a + h->row[i] * c, o->delta, c);
}

/* Coefficients of row i, then its bias and output weights: all but its weights. */
static void step_others(ws_optim *o, const ws_hits *h, int64_t i, const double *grad, double rate)
{
    const ws_net_spec *s = &o->net->spec;
    int64_t row = h->row[i], first = h->first[i], end = h->first[i + 1];
    double slope = 0;

    prefetch(o, h, i + AHEAD);
    if (o->count) o->count[row]++;
    o->net->touched[row] = 1;
    ws_net_row_coef(o->net, h, i, grad, o->coef + first);
    for (int64_t p = first; p < end; p++) slope += (double)o->coef[p];
    if (s->train_output) step_output(o, h, i, grad, rate);
    o->dbias[i] = s->train_bias ? step_bias(o, row, slope, rate) : 0;
}

static ws_err measure(ws_optim *o, int64_t i, int64_t row, double length)
{
    if (!(length < 1e30 && fabs((double)o->net->b[row]) < 1e30))
        return ws_fail(WS_ERR_DIVERGED,
                       "training diverged: neuron %lld took a step of length %.3g; use a smaller "
                       "--rate",
                       (long long)(o->net->first + row), length);
    o->norm[i] = length * (1 + 1e-12);
    return WS_OK;
}

static ws_err step_row(ws_optim *o, const ws_hits *h, int64_t i, const ws_samples *x,
                       const int64_t *ids, const double *grad, double rate)
{
    int64_t row = h->row[i];
    int penalised = o->spec.ridge > 0;
    double before = penalised ? ws_penalty_of(o->net, row) : 0;
    ws_err err;

    step_others(o, h, i, grad, rate);
    if ((err = measure(o, i, row, sqrt(step_weights(o, h, i, x, ids, rate))))) return err;
    return penalised ? ws_penalty_move(o, row, before, ws_penalty_of(o->net, row)) : WS_OK;
}

/* All rows at once, where steps are combinations of samples. */
static ws_err step_together(ws_optim *o, const ws_hits *h, const ws_samples *x, const int64_t *ids,
                            const double *grad, double rate)
{
    ws_combination m = {o->net->w, h->rows, h->row, h->first, h->pos, o->coef, ids};
    ws_err err = WS_OK;

    if ((err = ws_grow(&o->lanes, &o->lanes_capacity, ws_combine_scratch(&m, x), sizeof *o->lanes,
                       "steps")))
        return err;
    for (int64_t i = 0; i < h->rows; i++) {
        step_others(o, h, i, grad, rate);
        for (int64_t p = h->first[i]; p < h->first[i + 1]; p++)
            o->coef[p] = (float)(-rate * (double)o->coef[p]);
    }
    if (h->rows > 0) ws_rows_combine(&m, x, o->lanes, o->norm);
    for (int64_t i = 0; i < h->rows && !err; i++) err = measure(o, i, h->row[i], sqrt(o->norm[i]));
    return err;
}

static ws_err step_alone(ws_optim *o, const ws_hits *h, const ws_samples *x, const int64_t *ids,
                         const double *grad, double rate)
{
    ws_err err = WS_OK;

    for (int64_t i = 0; i < h->rows && !err; i++)
        err = o->net->f64 ? ws_optim_row64(o, h, i, x, ids, grad, rate)
                          : step_row(o, h, i, x, ids, grad, rate);
    return err;
}

ws_err ws_optim_step(ws_optim *o, const ws_hits *hits, const ws_samples *x, const int64_t *ids,
                     const double *grad, double rate, ws_moves *moves)
{
    ws_err err = make_room(o, hits);

    *moves = (ws_moves){0};
    if (!err)
        err = o->combines && !o->net->f64 ? step_together(o, hits, x, ids, grad, rate)
                                          : step_alone(o, hits, x, ids, grad, rate);
    if (err) return err;
    *moves = (ws_moves){.k = hits->rows,
                        .row = hits->row,
                        .norm = o->norm,
                        .dbias = o->net->spec.train_bias ? o->dbias : NULL};
    if (!o->combines) return WS_OK;
    moves->first = hits->first;
    moves->pos = hits->pos;
    moves->ids = ids;
    moves->coef = o->coef;
    moves->z = hits->z;
    moves->note = hits->note;
    return WS_OK;
}
