/* rules.c - what each optimiser does with a gradient.
 *
 * Everything in float64, state rounded to float32, in the order of the coordinates.  State is
 * float32 beside float64 weights too: its rounding changes a step by a part in 10^7 of the step, so
 * it bends the path and not the place where steps vanish. */
#include <math.h>

#include "optim_impl.h"
#include "wingspan/core/fmath.h"

/* A parameter as it is, in either precision. */
static inline double at(const group *q, int64_t j)
{
    return q->theta64 ? q->theta64[j] : (double)q->theta[j];
}

/* The gradient of the penalty, and of the decay where a rule adds it to the gradient. */
static double pulled(const ws_optim_spec *s, const group *q, double g, int64_t j, double decay)
{
    double t = at(q, j);

    if (q->start) g += s->ridge * (t - (double)q->start[j]);
    return g + decay * t;
}

static void plain(const ws_optim_spec *s, const group *q, const double *g, double rate,
                  int64_t count, double *delta)
{
    (void)count;
    for (int64_t j = 0; j < q->n; j++) delta[j] = -rate * pulled(s, q, g[j], j, q->decay);
}

static void momentum(const ws_optim_spec *s, const group *q, const double *g, double rate,
                     int64_t count, double *delta)
{
    (void)count;
    for (int64_t j = 0; j < q->n; j++) {
        double v = s->momentum * (double)q->first[j] + pulled(s, q, g[j], j, q->decay);
        q->first[j] = (float)v;
        delta[j] = -rate * (double)q->first[j];
    }
}

/* beta^count, by wingspan's own exp and log. */
static double power(double beta, int64_t count)
{
    return beta > 0 ? ws_exp((double)count * ws_log(beta)) : 0;
}

/* Kingma and Ba (2015), with decoupled decay (Loshchilov and Hutter, 2019). */
static void adam(const ws_optim_spec *s, const group *q, const double *g, double rate,
                 int64_t count, double *delta)
{
    double c1 = 1 / (1 - power(s->beta1, count)), c2 = 1 / (1 - power(s->beta2, count));

    for (int64_t j = 0; j < q->n; j++) {
        double v = pulled(s, q, g[j], j, 0);
        q->first[j] = (float)(s->beta1 * (double)q->first[j] + (1 - s->beta1) * v);
        q->second[j] = (float)(s->beta2 * (double)q->second[j] + (1 - s->beta2) * v * v);
        delta[j] =
            -rate * ((double)q->first[j] * c1 / (sqrt((double)q->second[j] * c2) + s->epsilon) +
                     q->decay * at(q, j));
    }
}

const ws_optim_rule ws_rule_plain = {"plain", NULL, NULL, plain};
const ws_optim_rule ws_rule_momentum = {"momentum", "momentum", NULL, momentum};
const ws_optim_rule ws_rule_adam = {"adam", "moment1", "moment2", adam};
