/* penalty.c - sum ||theta - theta(0)||^2 as an exact sum of this shard's neurons: integers, so it
 * depends on where the neurons are and not on how they got there. */
#include <math.h>

#include "optim_impl.h"
#include "wingspan/model/net64.h"

static double distance2(const float *a, const float *b, int64_t n)
{
    double sum = 0;

    for (int64_t j = 0; j < n; j++) {
        double e = (double)a[j] - (double)b[j];
        sum += e * e;
    }
    return sum;
}

double ws_penalty_of(const ws_net *net, int64_t row)
{
    const ws_net_spec *s = &net->spec;
    double sum;

    if (net->f64) return ws_net64_moved2(net, row);
    sum = distance2(net->w + row * s->d, net->w0 + row * s->d, s->d);
    if (s->train_bias) sum += distance2(net->b + row, net->b0 + row, 1);
    if (s->train_output) sum += distance2(net->a + row * s->c, net->a0 + row * s->c, s->c);
    return sum;
}

ws_err ws_penalty_move(ws_optim *o, int64_t row, double before, double after)
{
    ws_exact_limbs was, is;

    if (!(after <= ldexp(1, o->penalty_exponent + 29)))
        return ws_fail(
            WS_ERR_DIVERGED,
            "training diverged: neuron %lld is %.3g from its start; use a smaller --rate",
            (long long)(o->net->first + row), sqrt(after));
    was = ws_exact_split(before, o->penalty_exponent);
    is = ws_exact_split(after, o->penalty_exponent);
    o->penalty.hi += is.hi - was.hi;
    o->penalty.lo += is.lo - was.lo;
    ws_exact_carry(&o->penalty.hi, &o->penalty.lo, 1);
    return WS_OK;
}

ws_exact_limbs ws_optim_penalty(const ws_optim *o)
{
    return o->penalty;
}

int ws_optim_penalty_exponent(const ws_optim *o)
{
    return o->penalty_exponent;
}

ws_err ws_optim_restored(ws_optim *o)
{
    ws_err err = WS_OK;

    o->penalty = (ws_exact_limbs){0, 0};
    if (o->spec.ridge == 0) return WS_OK;
    for (int64_t i = 0; i < o->net->n && !err; i++)
        if (o->net->touched[i]) err = ws_penalty_move(o, i, 0, ws_penalty_of(o->net, i));
    return err;
}
