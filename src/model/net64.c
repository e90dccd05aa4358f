/* net64.c - float64 weights, and how far the float32 rows are from them.
 *
 * The bounds are of this rank alone: they choose what the index proposes, so no bit depends on them. */
#include "wingspan/model/net64.h"

#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot64.h"

static const double slack = 0x1p-18; /* of ||w||; float32 itself rounds by 2^-24 */

ws_err ws_net64_create(ws_net *net)
{
    const ws_net_spec *s = &net->spec;
    ws_net64 *f;
    ws_err err;

    if ((err = ws_alloc(&net->f64, 1, sizeof *net->f64, "float64 weights"))) return err;
    f = net->f64;
    if ((err = ws_alloc(&f->w, net->n * s->d, sizeof *f->w, "float64 weights")) ||
        (err = ws_alloc(&f->b, net->n, sizeof *f->b, "float64 biases")) ||
        (err = ws_alloc(&f->a, net->n * s->c, sizeof *f->a, "float64 output weights")))
        return err;
    return ws_alloc(&f->stale, net->n, sizeof *f->stale, "float64 weights");
}

void ws_net64_destroy(ws_net64 **p)
{
    if (!*p) return;
    ws_free(&(*p)->w);
    ws_free(&(*p)->b);
    ws_free(&(*p)->a);
    ws_free(&(*p)->stale);
    ws_free(&(*p)->row);
    ws_free(&(*p)->norm);
    ws_free(p);
}

double ws_net64_bytes(const ws_net_spec *s, int64_t n)
{
    return (double)n * (sizeof(double) * (double)(s->d + 1 + s->c) + 1);
}

static void widen(double *to, const float *from, int64_t n)
{
    for (int64_t j = 0; j < n; j++) to[j] = (double)from[j];
}

static void narrow(float *to, const double *from, int64_t n)
{
    for (int64_t j = 0; j < n; j++) to[j] = (float)from[j];
}

/* ---- bounds ---- */

/* A power of two with room to grow above v, if v has outgrown the bound. */
static void bound(double *most, double v)
{
    if (v > *most) *most = v < 1e300 ? ldexp(1, ilogb(v) + 2) : v;
}

enum { LANES = 8 }; /* sums side by side: one would wait for its own last addition */

static double root(const double lane[LANES], int64_t d)
{
    double sum = 0;

    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sqrt(sum) * (1 + (double)(d + 8) * 0x1p-52);
}

/* ||w64 - w32||, rounded up; and ||w64||, if it is asked for. */
static double drift_of(const double *w, const float *rounded, int64_t d, double *norm)
{
    double off[LANES] = {0}, size[LANES] = {0};
    int64_t j = 0;

    for (; j + LANES <= d; j += LANES)
        for (int l = 0; l < LANES; l++) {
            double e = w[j + l] - (double)rounded[j + l];
            off[l] += e * e;
            size[l] += w[j + l] * w[j + l];
        }
    for (int l = 0; j < d; j++, l++) {
        double e = w[j] - (double)rounded[j];
        off[l] += e * e;
        size[l] += w[j] * w[j];
    }
    if (norm) *norm = root(size, d);
    return root(off, d);
}

void ws_net64_settle(ws_net *net, int64_t row)
{
    ws_net64 *f = net->f64;
    int64_t d = net->spec.d, c = net->spec.c;
    double norm, drift = drift_of(f->w + row * d, net->w + row * d, d, &norm);

    narrow(net->b + row, f->b + row, 1);
    narrow(net->a + row * c, f->a + row * c, c);
    bound(&f->size, norm);
    bound(&f->bias, fabs(f->b[row]));
    f->loose = slack * f->size;
    if (f->stale[row] || drift <= f->loose) return;
    f->stale[row] = 1;
    f->stale_n++;
}

/* Before training starts; biases get room to begin with, so that the threshold stays as it is. */
static void measure(ws_net *net)
{
    ws_net64 *f = net->f64;

    f->size = f->bias = 0;
    for (int64_t r = 0; r < net->n; r++) ws_net64_settle(net, r);
    f->bias = fmax(f->bias, f->size * net->spec.x_scale);
}

void ws_net64_widen(ws_net *net)
{
    ws_net64 *f = net->f64;

    widen(f->w, net->w, net->n * net->spec.d);
    widen(f->b, net->b, net->n);
    widen(f->a, net->a, net->n * net->spec.c);
    measure(net);
}

void ws_net64_round(ws_net *net)
{
    narrow(net->w, net->f64->w, net->n * net->spec.d);
    measure(net);
}

ws_err ws_net64_refresh(ws_net *net, ws_moves *moves)
{
    ws_net64 *f = net->f64;
    int64_t d = net->spec.d, k = 0;
    ws_err err;

    *moves = (ws_moves){0};
    if (f->stale_n == 0) return WS_OK;
    if ((err = ws_grow(&f->row, &f->row_capacity, f->stale_n, sizeof *f->row, "rows to round")) ||
        (err = ws_grow(&f->norm, &f->norm_capacity, f->stale_n, sizeof *f->norm, "rows to round")))
        return err;
    for (int64_t r = 0; r < net->n && k < f->stale_n; r++) {
        double *w = f->w + r * d;
        float *rounded = net->w + r * d;

        if (!f->stale[r]) continue;
        f->stale[r] = 0;
        f->row[k] = r;
        /* Rounding moves it by no more than it was off, and what rounding is off then. */
        f->norm[k] = drift_of(w, rounded, d, NULL);
        narrow(rounded, w, d);
        f->norm[k++] += drift_of(w, rounded, d, NULL);
    }
    f->stale_n = 0;
    *moves = (ws_moves){.k = k, .row = f->row, .norm = f->norm};
    return WS_OK;
}

double ws_net64_threshold(const ws_net *net, double x_norm)
{
    const ws_net64 *f = net->f64;
    double rounding = 2 * ws_dot64_error(net->spec.d) * (f->size * x_norm + f->bias);
    double lower = f->loose * x_norm + 0x1.01p-24 * f->bias + rounding;

    /* The last: numbers so small that float32 has no full precision there. */
    return nextafter(net->spec.threshold - lower * (1 + 0x1p-40) - 1e-40, -INFINITY);
}

/* ---- what is computed with them ---- */

void ws_net64_z(const ws_net *net, int64_t row, const ws_samples *x, const int64_t *ids, int64_t n,
                double *z)
{
    const ws_net64 *f = net->f64;

    ws_dot64_many(f->w + row * net->spec.d, x, ids, n, z);
    for (int64_t k = 0; k < n; k++) z[k] += f->b[row];
}

void ws_net64_row_coef(const ws_net *net, const ws_hits *hits, int64_t i, const double *grad,
                       double *coef)
{
    const ws_net_spec *s = &net->spec;
    const double *a = net->f64->a + hits->row[i] * s->c;
    int64_t first = hits->first[i];

    for (int64_t p = first; p < hits->first[i + 1]; p++) {
        const double *g = grad + (int64_t)hits->pos[p] * s->c;
        double sum = 0;

        for (int32_t k = 0; k < s->c; k++) sum += a[k] * g[k];
        coef[p - first] = s->scale * s->phi->slope(hits->z[p], s->threshold) * sum;
    }
}

static double distance2(const double *a, const float *start, int64_t n)
{
    double sum = 0;

    for (int64_t j = 0; j < n; j++) {
        double e = a[j] - (double)start[j];
        sum += e * e;
    }
    return sum;
}

double ws_net64_moved2(const ws_net *net, int64_t row)
{
    const ws_net_spec *s = &net->spec;
    const ws_net64 *f = net->f64;
    double sum = distance2(f->w + row * s->d, net->w0 + row * s->d, s->d);

    if (s->train_bias) sum += distance2(f->b + row, net->b0 + row, 1);
    if (s->train_output) sum += distance2(f->a + row * s->c, net->a0 + row * s->c, s->c);
    return sum;
}
