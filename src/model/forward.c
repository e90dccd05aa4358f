/* forward.c - from fired neurons to outputs, and from the loss's derivative back to them.
 *
 * Outputs are sums over neurons of all ranks, so they are added as integers (core/exact.h).
 * Lost: signs as masks, in vectors, instead of products: 20 ns a pair of ten outputs either way. */
#include <math.h>

#include "wingspan/core/fetch.h"
#include "wingspan/model/net64.h"

/* Rows whose output weights, pairs whose outputs are fetched before their turn; pairs, of so large a batch
 * that no second cache holds the numbers of its outputs: fetching would only be work with fewer. */
enum { AHEAD = 8, PAIRS = 12, MANY = 1 << 20 };

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

/* Add the limbs v, -v or nothing to each output, as a = 1, -1 or 0 says. */
static void add_signed(const float *a, int32_t c, ws_exact_limbs v, int64_t *hi, int64_t *lo)
{
    for (int32_t k = 0; k < c; k++) {
        int64_t s = (int64_t)a[k];
        hi[k] += s * v.hi;
        lo[k] += s * v.lo;
    }
}

static ws_err too_large(const ws_net *net, int64_t row, double v)
{
    return ws_fail(WS_ERR_DIVERGED,
                   "training diverged: the activation of neuron %lld reached %.3g; use a smaller "
                   "--rate",
                   (long long)(net->first + row), v);
}

/* All pairs of one neuron. */
static ws_err add_row(const ws_net *net, const ws_hits *h, int64_t i, int64_t *hi, int64_t *lo)
{
    const ws_net_spec *s = &net->spec;
    int32_t c = s->c;
    int64_t row = h->row[i];
    const float *a = net->a + row * c;
    int far = h->n > MANY;

    for (int64_t p = h->first[i]; p < h->first[i + 1]; p++) {
        double v = s->phi->value(h->z[p], s->threshold);
        int64_t at = (int64_t)h->pos[p] * c;

        if (far) {
            prefetch(h, p + PAIRS, c, hi, 1);
            prefetch(h, p + PAIRS, c, lo, 1);
        }
        if (!(fabs(v) <= net->limit)) return too_large(net, row, v);
        if (!s->train_output) {
            add_signed(a, c, ws_exact_split(v, net->exponent), hi + at, lo + at);
            continue;
        }
        for (int32_t k = 0; k < c; k++) {
            double t = (net->f64 ? net->f64->a[row * c + k] : (double)a[k]) * v;
            ws_exact_limbs e;
            if (!(fabs(t) <= net->limit)) return too_large(net, row, t);
            e = ws_exact_split(t, net->exponent);
            hi[at + k] += e.hi;
            lo[at + k] += e.lo;
        }
    }
    return WS_OK;
}

ws_err ws_net_forward(const ws_net *net, const ws_hits *hits, int64_t batch, int64_t *hi,
                      int64_t *lo)
{
    int64_t entries = batch * net->spec.c;

    for (int64_t i = 0; i < hits->rows; i++) {
        ws_err err;

        if (i + AHEAD < hits->rows) __builtin_prefetch(net->a + hits->row[i + AHEAD] * net->spec.c);
        if ((err = add_row(net, hits, i, hi, lo))) return err;
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

/* <a, grad of the sample at pos[l]> for l < 4, of n: four sums need not wait for each other. */
static void four_sums(const float *a, const double *grad, int32_t c, const int32_t *pos, int64_t n,
                      double sum[4])
{
    const double *g[4];

    for (int64_t l = 0; l < 4; l++) {
        g[l] = grad + (int64_t)pos[l < n ? l : n - 1] * c;
        sum[l] = 0;
    }
    for (int32_t k = 0; k < c; k++) {
        double w = (double)a[k];

        for (int l = 0; l < 4; l++) sum[l] += w * g[l][k];
    }
}

void ws_net_row_coef(const ws_net *net, const ws_hits *hits, int64_t i, const double *grad,
                     float *coef)
{
    const ws_net_spec *s = &net->spec;
    const float *a = net->a + hits->row[i] * s->c;
    int64_t first = hits->first[i], n = hits->first[i + 1] - first;
    const int32_t *pos = hits->pos + first;
    int far = hits->n > MANY;
    double sum[4];

    for (int64_t p = 0; p < n; p++) {
        if (far) prefetch(hits, first + p + PAIRS, s->c, grad, 0);
        if (p % 4 == 0) four_sums(a, grad, s->c, pos + p, n - p, sum);
        coef[p] = (float)(s->scale * s->phi->slope(hits->z[first + p], s->threshold) * sum[p % 4]);
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
