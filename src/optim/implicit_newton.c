/* implicit_newton.c - counts of neurons that fire together -> matrix -> step. */
#include "wingspan/optim/implicit_newton.h"

#include <math.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/spd.h"

struct ws_implicit_newton {
    const ws_net *net;
    int64_t n, entries;
    double *inner;  /* [n x n] <x_i, x_j> */
    uint8_t *alone; /* [n] 1: no neuron fires on this sample, no step can reach it */
    ws_spd *gram;
    double diagonal; /* mean of the diagonal of J J' */
};

static ws_err fill_inner(ws_implicit_newton *s, const ws_samples *x)
{
    const char *what = "a Gauss-Newton step";
    float *row = NULL;
    ws_err err;

    if ((err = ws_alloc(&s->inner, s->n * s->n, sizeof *s->inner, what)) ||
        (err = ws_alloc(&s->alone, s->n, sizeof *s->alone, what)) ||
        (err = ws_alloc(&row, x->d, sizeof *row, what)))
        return err;
    for (int64_t i = 0; i < s->n; i++) {
        ws_samples_row(x, i, row);
        ws_dot_many(row, x, NULL, s->n, s->inner + i * s->n);
    }
    ws_free(&row);
    return WS_OK;
}

ws_err ws_implicit_newton_create(const ws_net *net, const ws_samples *x, int64_t n,
                                 ws_implicit_newton **out)
{
    ws_implicit_newton *s = NULL;
    int64_t entries = n * net->spec.c;
    ws_err err;

    *out = NULL;
    if (entries > WS_SPD_SERIAL)
        return ws_fail(WS_ERR_USAGE,
                       "--weights implicit is for few samples: %lld samples x %d outputs are more "
                       "than %d unknowns; use --samples, or --weights explicit",
                       (long long)n, net->spec.c, WS_SPD_SERIAL);
    if ((err = ws_agree(net->comm, ws_alloc(&s, 1, sizeof *s, "a Gauss-Newton step")))) return err;
    s->net = net;
    s->n = n;
    s->entries = entries;
    err = ws_agree(net->comm, fill_inner(s, x));
    if (!err) err = ws_spd_create(net->comm, entries, WS_SPD_SERIAL, &s->gram);
    if (err)
        ws_implicit_newton_destroy(&s);
    else
        *out = s;
    return err;
}

void ws_implicit_newton_destroy(ws_implicit_newton **s)
{
    if (!*s) return;
    ws_spd_destroy(&(*s)->gram);
    ws_free(&(*s)->inner);
    ws_free(&(*s)->alone);
    ws_free(s);
}

void ws_implicit_newton_set(ws_implicit_newton *s, const int64_t *pairs)
{
    int64_t c = s->net->spec.c, at = 0;
    double s2 = s->net->spec.scale * s->net->spec.scale, sum = 0;

    for (int64_t e = 0; e < s->entries; e++)
        for (int64_t f = 0; f <= e; f++, at++) {
            double v = s2 * (double)pairs[at] * s->inner[e / c * s->n + f / c];

            if (ws_spd_holds(s->gram, e, f)) ws_spd_put(s->gram, e, f, v);
            if (e != f) continue;
            sum += v;
            s->alone[e / c] = pairs[at] == 0;
        }
    s->diagonal = sum / (double)s->entries;
}

/* What the linear model promises: the residual after the step is -u z where something fires. */
static double predict(const ws_implicit_newton *s, const double *r, const double *z, double u)
{
    int64_t c = s->net->spec.c;
    double before = 0, after = 0;

    for (int64_t e = 0; e < s->entries; e++) {
        if (!s->alone[e / c]) before += r[e] * r[e];
        after += u * z[e] * u * z[e];
    }
    return (before - after) / 2;
}

/* Rows by output and sample: what spd.h wants and what we have are the same vector. */
ws_err ws_implicit_newton_solve(ws_implicit_newton *s, const double *r, double damping, double *z,
                                ws_newton_step *step)
{
    int64_t c = s->net->spec.c;
    double u = damping * s->diagonal;
    ws_err err;

    *step = (ws_newton_step){0};
    for (int64_t e = 0; e < s->entries; e++) z[e] = s->alone[e / c] ? 0 : -r[e];
    if ((err = ws_spd_factor(s->gram, u, &step->ok)) || !step->ok) return err;
    if ((err = ws_spd_solve(s->gram, 1, z))) return err;
    step->predicted = predict(s, r, z, u);
    step->ok = isfinite(step->predicted) && step->predicted > 0;
    return WS_OK;
}
