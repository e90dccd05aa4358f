/* forward.c - from fired neurons to outputs, and from the loss's derivative back to them.
 *
 * Outputs are sums over neurons of all ranks, so they are added as integers (core/exact.h). */
#include <math.h>

#include "outputs_simd.h"
#include "wingspan/core/fetch.h"
#include "wingspan/model/net64.h"

/* Rows whose output weights, pairs whose outputs are fetched before their turn; pairs, of so large a batch
 * that no second cache holds the numbers of its outputs: fetching would only be work with fewer; pairs
 * at a time. */
enum { AHEAD = 8, PAIRS = 12, MANY = 1 << 18, FEW = 16 };

/* The c numbers of the sample of pair p, if there is one. */
WS_FETCH prefetch(const ws_hits *h, int64_t p, int32_t c, const void *numbers, int write)
{
    const char *at;

    if (p >= h->n) return;
    at = (const char *)numbers + (size_t)h->pos[p] * (size_t)c * 8;
    for (size_t k = 0; k < (size_t)c * 8; k += 64) {
        if (write)
            __builtin_prefetch(at + k, 1);
        else
            __builtin_prefetch(at + k);
    }
}

static ws_err too_large(const ws_net *net, int64_t row, double v)
{
    return ws_fail(WS_ERR_DIVERGED,
                   "training diverged: the activation of neuron %lld reached %.3g; use a smaller "
                   "--rate",
                   (long long)(net->first + row), v);
}

/* Pairs from .. from + n - 1 of one neuron, n <= FEW, whose output weights are signs. */
static ws_err add_signs(const ws_net *net, const ws_outputs_ops *ops, const ws_hits *h, int64_t row,
                        int64_t from, int64_t n, int64_t *hi, int64_t *lo)
{
    const ws_net_spec *s = &net->spec;
    ws_exact_limbs limbs[FEW];
    int far = h->n > MANY;

    for (int64_t p = 0; p < n; p++) {
        double v = s->phi->value(h->z[from + p], s->threshold);

        if (far) {
            prefetch(h, from + p + PAIRS, s->c, hi, 1);
            prefetch(h, from + p + PAIRS, s->c, lo, 1);
        }
        if (!(fabs(v) <= net->limit)) return too_large(net, row, v);
        limbs[p] = ws_exact_split(v, net->exponent);
    }
    ops->add(net->a + row * s->c, s->c, limbs, h->pos + from, n, hi, lo);
    return WS_OK;
}

/* A pair of a neuron whose output weights are trained. */
static ws_err add_trained(const ws_net *net, int64_t row, double v, int64_t *hi, int64_t *lo)
{
    int32_t c = net->spec.c;

    for (int32_t k = 0; k < c; k++) {
        double t = (net->f64 ? net->f64->a[row * c + k] : (double)net->a[row * c + k]) * v;
        ws_exact_limbs e;

        if (!(fabs(t) <= net->limit)) return too_large(net, row, t);
        e = ws_exact_split(t, net->exponent);
        hi[k] += e.hi;
        lo[k] += e.lo;
    }
    return WS_OK;
}

/* All pairs of one neuron. */
static ws_err add_row(const ws_net *net, const ws_outputs_ops *ops, const ws_hits *h, int64_t i,
                      int64_t *hi, int64_t *lo)
{
    const ws_net_spec *s = &net->spec;
    int64_t end = h->first[i + 1];
    ws_err err = WS_OK;

    for (int64_t p = h->first[i]; p < end && !err; p += FEW) {
        int64_t n = end - p < FEW ? end - p : FEW;

        if (!s->train_output) err = add_signs(net, ops, h, h->row[i], p, n, hi, lo);
        for (int64_t q = p; s->train_output && q < p + n && !err; q++) {
            double v = s->phi->value(h->z[q], s->threshold);
            int64_t at = (int64_t)h->pos[q] * s->c;

            err = fabs(v) <= net->limit ? add_trained(net, h->row[i], v, hi + at, lo + at)
                                        : too_large(net, h->row[i], v);
        }
    }
    return err;
}

ws_err ws_net_forward(const ws_net *net, const ws_hits *hits, int64_t batch, int64_t *hi,
                      int64_t *lo)
{
    const ws_outputs_ops *ops = ws_outputs_simd();
    int64_t entries = batch * net->spec.c;

    for (int64_t i = 0; i < hits->rows; i++) {
        ws_err err;

        if (i + AHEAD < hits->rows) __builtin_prefetch(net->a + hits->row[i + AHEAD] * net->spec.c);
        if ((err = add_row(net, ops, hits, i, hi, lo))) return err;
        /* A row adds at most once to an entry. */
        if (i % WS_EXACT_ADDS == WS_EXACT_ADDS - 1) ws_exact_carry(hi, lo, entries);
    }
    ws_exact_carry(hi, lo, entries);
    return WS_OK;
}

void ws_net_outputs(const ws_net *net, const int64_t *hi, const int64_t *lo, int64_t n, double *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = net->spec.scale * ws_exact_value(hi[i], lo[i], net->exponent);
}

void ws_net_row_coef(const ws_net *net, const ws_hits *hits, int64_t i, const double *grad,
                     float *coef)
{
    const ws_net_spec *s = &net->spec;
    const float *a = net->a + hits->row[i] * s->c;
    int64_t first = hits->first[i], n = hits->first[i + 1] - first;
    const ws_outputs_ops *ops = ws_outputs_simd();
    int far = hits->n > MANY;
    double sum[FEW];

    for (int64_t from = 0; from < n; from += FEW) {
        int64_t k = n - from < FEW ? n - from : FEW, at = first + from;

        if (far)
            for (int64_t p = at; p < at + k; p++) prefetch(hits, p + PAIRS, s->c, grad, 0);
        ops->back(a, s->c, grad, hits->pos + at, k, sum);
        for (int64_t p = 0; p < k; p++)
            coef[from + p] =
                (float)(s->scale * s->phi->slope(hits->z[at + p], s->threshold) * sum[p]);
    }
}

void ws_net_row_output_grad(const ws_net *net, const ws_hits *hits, int64_t i, const double *grad,
                            double *da)
{
    const ws_net_spec *s = &net->spec;

    for (int32_t k = 0; k < s->c; k++) da[k] = 0;
    for (int64_t p = hits->first[i]; p < hits->first[i + 1]; p++) {
        const double *g = grad + (int64_t)hits->pos[p] * s->c;
        double v = s->scale * s->phi->value(hits->z[p], s->threshold);

        for (int32_t k = 0; k < s->c; k++) da[k] += v * g[k];
    }
}
