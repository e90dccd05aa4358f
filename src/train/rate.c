/* rate.c - the step size of --rate auto, lambda-max and theory.
 *
 * L = largest eigenvalue of H = curvature x J J^T / n, the Gram matrix of the mean loss at the
 * start, J the derivative of all outputs of all samples by all trained parameters. For n above
 * 4096 a fixed random sample of 4096 stands for all (fewer where so many would fire more than
 * 2^27 pairs). J J^T is a sum over neurons, so a product
 * with it is one pass over the fired pairs and one meeting; power iteration does the rest.
 * gd: 1/L;  sgd: (1 - momentum) / (L + curvature max_i |J_i|^2 / batch), which is safe for any batch;
 * lambda-max: (1 - momentum)/L for both. */
#include <math.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/random.h"
#include "wingspan/kernel/ntk.h"

enum { SAMPLE = 4096, ROUNDS = 60, PAIRS = 1 << 27, THEORY = 16384 };

typedef struct power {
    int64_t n, entries; /* samples; n x c */
    const int64_t *ids;
    double *v, *jv;     /* [entries] unit vector, its image */
    double *row, *da;   /* [d], [c] */
    float *rowf, *coef; /* [d], [fired pairs of a row] */
    int64_t coef_room;
    int64_t *row_ids; /* [n] samples that fire the row at hand */
    double *q;        /* [n] their products with it */
    int exponent;     /* of the exact sums */
} power;

/* Samples that stand for all. */
static int64_t sample_size(const ws_run *r)
{
    double active = r->net->spec.phi->smooth ? 1 : ws_gauss_tail(r->opt.shift);
    double most = PAIRS / fmax(1, active * (double)r->net->spec.m);
    int64_t n = r->ds->n < SAMPLE ? r->ds->n : SAMPLE;

    return (double)n <= most ? n : most < 64 ? 64 : (int64_t)most;
}

/* A power of two near the largest product of two derivatives. */
static int exponent_of(const ws_run *r)
{
    const ws_net_spec *s = &r->net->spec;
    double z = fmax(1, s->phi->smooth ? r->spread * r->spread : 1), x = fmax(1, s->x_scale);

    return ilogb(s->scale * s->scale * x * x * z);
}

static ws_err power_alloc(power *w, const ws_run *r)
{
    ws_err err;

    w->entries = w->n * r->targets.c;
    if ((err = ws_alloc(&w->v, w->entries, sizeof *w->v, "power iteration")) ||
        (err = ws_alloc(&w->jv, w->entries, sizeof *w->jv, "power iteration")) ||
        (err = ws_alloc(&w->row, r->ds->d, sizeof *w->row, "power iteration")) ||
        (err = ws_alloc(&w->rowf, r->ds->d, sizeof *w->rowf, "power iteration")) ||
        (err = ws_alloc(&w->row_ids, w->n, sizeof *w->row_ids, "power iteration")) ||
        (err = ws_alloc(&w->q, w->n, sizeof *w->q, "power iteration")) ||
        (err = ws_alloc(&w->da, r->targets.c, sizeof *w->da, "power iteration")))
        return err;
    return ws_grow(&w->coef, &w->coef_room, w->n, sizeof *w->coef, "power iteration");
}

static void power_free(power *w)
{
    ws_free(&w->v);
    ws_free(&w->jv);
    ws_free(&w->row);
    ws_free(&w->rowf);
    ws_free(&w->da);
    ws_free(&w->coef);
    ws_free(&w->row_ids);
    ws_free(&w->q);
}

/* Add v to an exact sum. */
static ws_err add_exact(int64_t *hi, int64_t *lo, double v, int exponent)
{
    ws_exact_limbs e;

    if (!(fabs(v) <= ldexp(1, exponent + 29)))
        return ws_fail(WS_ERR_DIVERGED, "--rate auto cannot be found for data of this size: give "
                                        "--rate, or --prepare unit");
    e = ws_exact_split(v, exponent);
    *hi += e.hi;
    *lo += e.lo;
    return WS_OK;
}

/* Row i of hits: its share of J J^T v. */
static ws_err row_product(const ws_run *r, power *w, int64_t i, int64_t *hi, int64_t *lo)
{
    const ws_net *net = r->net;
    const ws_net_spec *s = &net->spec;
    const ws_hits *h = &r->hits;
    int64_t first = h->first[i], n = h->first[i + 1] - first, neuron = h->row[i];
    double db = 0;

    /* J^T v for this neuron: row, bias, output weights. */
    ws_net_row_coef(net, h, i, w->v, w->coef);
    memset(w->row, 0, (size_t)s->d * sizeof *w->row);
    for (int64_t p = 0; p < n; p++) {
        w->row_ids[p] = w->ids[h->pos[first + p]];
        ws_axpy_sample(w->row, w->coef[p], &r->ds->all, w->row_ids[p]);
        db += s->train_bias ? (double)w->coef[p] : 0;
    }
    for (int64_t j = 0; j < s->d; j++) w->rowf[j] = (float)w->row[j];
    if (s->train_output) ws_net_row_output_grad(net, h, i, w->v, w->da);

    /* J applied to it. */
    ws_dot_many(w->rowf, &r->ds->all, w->row_ids, n, w->q);
    for (int64_t p = 0; p < n; p++) {
        int64_t at = h->pos[first + p] * s->c;
        double z = h->z[first + p];
        double dz = s->scale * s->phi->slope(z, s->threshold) * (w->q[p] + db);

        for (int32_t c = 0; c < s->c; c++) {
            double t = (double)net->a[neuron * s->c + c] * dz;
            ws_err err;
            if (s->train_output) t += s->scale * s->phi->value(z, s->threshold) * w->da[c];
            if ((err = add_exact(hi + at + c, lo + at + c, t, w->exponent))) return err;
        }
    }
    return WS_OK;
}

/* w->jv = J J^T w->v. */
static ws_err product(ws_run *r, power *w)
{
    ws_err err = ws_meeting_open(&r->meet, w->entries, 0);

    for (int64_t i = 0; i < r->hits.rows && !err; i++) {
        err = row_product(r, w, i, r->meet.hi, r->meet.lo);
        if (i % WS_EXACT_ADDS == WS_EXACT_ADDS - 1)
            ws_exact_carry(r->meet.hi, r->meet.lo, w->entries);
    }
    if ((err = ws_meeting_hold(&r->meet, r->comm, err, w->entries, 0))) return err;
    for (int64_t e = 0; e < w->entries; e++)
        w->jv[e] = ws_exact_value(r->meet.hi[e], r->meet.lo[e], w->exponent);
    return WS_OK;
}

/* max_i |J_i|^2 for one output: sum over neurons of the squared derivative. */
static ws_err largest_row(ws_run *r, const power *w, double *largest)
{
    const ws_net_spec *s = &r->net->spec;
    const ws_hits *h = &r->hits;
    ws_err err = ws_meeting_open(&r->meet, w->n, 0);

    for (int64_t i = 0; i < h->rows && !err; i++) {
        for (int64_t p = h->first[i]; p < h->first[i + 1]; p++) {
            double x = ws_samples_norm(&r->ds->all, w->ids[h->pos[p]]);
            double slope = s->phi->slope(h->z[p], s->threshold);
            double value = s->phi->value(h->z[p], s->threshold);
            double t = s->scale * s->scale *
                       (slope * slope * (x * x + s->train_bias) + s->train_output * value * value);
            if (!err)
                err = add_exact(r->meet.hi + h->pos[p], r->meet.lo + h->pos[p], t, w->exponent);
        }
        if (i % WS_EXACT_ADDS == WS_EXACT_ADDS - 1) ws_exact_carry(r->meet.hi, r->meet.lo, w->n);
    }
    if ((err = ws_meeting_hold(&r->meet, r->comm, err, w->n, 0))) return err;
    *largest = 0;
    for (int64_t i = 0; i < w->n; i++)
        *largest = fmax(*largest, ws_exact_value(r->meet.hi[i], r->meet.lo[i], w->exponent));
    return WS_OK;
}

static double normalise(double *v, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) sum += v[i] * v[i];
    sum = sqrt(sum);
    for (int64_t i = 0; i < n && sum > 0; i++) v[i] /= sum;
    return sum;
}

/* Power iteration to 0.1 %: the norm of J J^T v for unit v. */
static ws_err largest_eigenvalue(ws_run *r, power *w, double *lambda)
{
    ws_key key = {(uint64_t)r->opt.seed, WS_STREAM_POWER, 0};
    double old = 0;

    for (int64_t e = 0; e < w->entries; e++)
        w->v[e] = ws_random_uniform(&key, (uint64_t)e, 0) - 0.5;
    normalise(w->v, w->entries);
    for (int k = 0; k < ROUNDS; k++) {
        ws_err err = product(r, w);

        if (err) return err;
        *lambda = normalise(w->jv, w->entries);
        memcpy(w->v, w->jv, (size_t)w->entries * sizeof *w->v);
        if (fabs(*lambda - old) <= 1e-3 * *lambda) break;
        old = *lambda;
    }
    return WS_OK;
}

static ws_err measure(ws_run *r, power *w, double *lambda, double *largest)
{
    ws_query q = {.kind = WS_QUERY_SAMPLE, .threshold = r->net->spec.threshold};
    ws_key key = {(uint64_t)r->opt.seed, WS_STREAM_POWER, 1};
    ws_err err = WS_OK;

    w->n = sample_size(r);
    w->exponent = exponent_of(r);
    ws_random_permutation(&key, 0, r->ds->n, r->order);
    r->order_epoch = -1; /* the order of the first epoch is drawn when it begins */
    w->ids = r->order;
    q.n = w->n;
    q.ids = w->ids;
    err = power_alloc(w, r);
    if (!err) err = ws_fired(r->net, r->ix, &r->ds->all, &q, &r->filter, &r->hits);
    if ((err = ws_agree(r->comm, err))) return err;
    if ((err = largest_row(r, w, largest))) return err;
    return largest_eigenvalue(r, w, lambda);
}

/* lambda-max, or auto for gd: 1 / L; auto for sgd adds what one batch can differ by. */
static ws_err by_largest(ws_run *r)
{
    const ws_train_options *o = &r->opt;
    double lambda = 0, largest = 0, l;
    power w = {0};
    ws_err err = measure(r, &w, &lambda, &largest);

    power_free(&w);
    if (err) return err;
    r->counted = ws_index_count(r->ix);
    r->lambda = l = r->loss->curvature * lambda / (double)sample_size(r);
    if (isnan(o->rate) && strcmp(o->optimizer, "sgd") == 0)
        l += r->loss->curvature * largest / (double)r->batch;
    l += o->ridge;
    if (!(l > 0))
        return ws_fail(WS_ERR_DATA,
                       "no neuron fires on any sample, so nothing can be learned: use a --shift "
                       "smaller than %g or more --width",
                       o->shift);
    r->rate = r->opt.rate = (1 - o->momentum) / l;
    return WS_OK;
}

/* The step for which convergence is proved (Yang et al., JMLR 2024; Du et al., 2019): for the plain
 * sum of squares and s_m = 1/sqrt(m) it is  c l e^(B^2) / n^2, l the least eigenvalue of the limiting
 * kernel and B the shift; the mean over samples has n times that. The papers leave c open: it is 1
 * here, which is stable always, since l <= 2 Q(B) and L <= 2 n Q(B) with Q(B) <= e^(-B^2/2)/2. */
static ws_err by_theory(ws_run *r)
{
    const ws_train_options *o = &r->opt;
    const ws_net_spec *s = &r->net->spec;
    double n = (double)r->ds->n;
    ws_spectrum k;
    ws_err err;

    if (strcmp(o->loss, "squared") != 0)
        return ws_fail(WS_ERR_USAGE, "--rate theory goes with --loss squared, not %s", o->loss);
    if (r->ds->n > THEORY)
        return ws_fail(
            WS_ERR_USAGE,
            "--rate theory needs every eigenvalue of a kernel of %lld samples, and %d is "
            "the most: use --samples or --rate auto",
            (long long)r->ds->n, THEORY);
    if ((err = ws_ntk_spectrum(r->comm, &r->ds->all, r->ds->n, o->shift, s->train_bias, NULL, &k)))
        return err;
    if (ws_spectrum_is_singular(&k))
        return ws_fail(WS_ERR_DATA,
                       "--rate theory: the limiting kernel of %s is singular (two samples are the "
                       "same or opposite), so nothing is proved: use --rate auto",
                       r->ds->name);
    r->rate = r->opt.rate =
        k.least * ws_exp(o->shift * o->shift) / (n * s->scale * s->scale * (double)s->m);
    return WS_OK;
}

ws_err ws_run_rate(ws_run *r)
{
    const ws_train_options *o = &r->opt;

    r->rate = o->rate;
    r->lambda = NAN;
    if (o->rate > 0) return WS_OK;
    if (o->rate == WS_RATE_THEORY) return by_theory(r);
    if (strcmp(o->optimizer, "adam") != 0) return by_largest(r);
    r->rate = r->opt.rate = 0.1 * o->init_scale / sqrt((double)r->ds->d);
    return WS_OK;
}
