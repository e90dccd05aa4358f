/* implicit_any.c - the network on samples it was not trained on: every neuron of the shard is
 * looked at, block by block, the held ones where they are now; and its rows written out. */
#include <math.h>

#include "implicit_impl.h"
#include "wingspan/core/alloc.h"

typedef struct walk {
    ws_implicit *im;
    const ws_probe *probe;
    double *cross; /* [n x probe->padded] <x_j, x_i>, x_j of training */
    double *z;     /* [BATCH x probe->padded] */
    uint16_t *list;
    double *value;
    cursor at;                         /* the next held neuron */
    int64_t k;                         /* neurons in the batch */
    int64_t pair[BATCH], count[BATCH]; /* their displacements */
    int64_t *hi, *lo, since;
} walk;

static ws_err open_walk(walk *w)
{
    const char *what = "products with other samples";
    int64_t padded = w->probe->padded;
    ws_err err;

    if ((err = ws_alloc(&w->cross, w->im->n * padded, sizeof *w->cross, what)) ||
        (err = ws_alloc(&w->z, BATCH * padded, sizeof *w->z, what)) ||
        (err = ws_alloc(&w->list, w->probe->n + 1, sizeof *w->list, what)) ||
        (err = ws_alloc(&w->value, w->probe->n + 1, sizeof *w->value, what)))
        return err;
    for (int64_t j = 0; j < w->im->n; j++) {
        ws_samples_row(&w->im->x, j, w->im->w);
        ws_probe_products(w->probe, w->im->w, 1, w->cross + j * padded);
    }
    return WS_OK;
}

static void close_walk(walk *w)
{
    ws_free(&w->cross);
    ws_free(&w->z);
    ws_free(&w->list);
    ws_free(&w->value);
}

static ws_err flush(walk *w)
{
    ws_implicit *im = w->im;
    const ws_probe *p = w->probe;
    const ws_net *net = im->net;
    ws_err err = WS_OK;

    ws_implicit_batch(im, w->k, p, w->z);
    for (int64_t i = 0; i < w->k && !err; i++) {
        double *z = w->z + i * p->padded;
        int64_t k;

        ws_displace(z, p->n, w->cross, p->padded, im->now.sample + w->pair[i],
                    im->now.alpha + w->pair[i], w->count[i]);
        k = ws_beyond(z, p->n, net->spec.threshold, w->list, w->value);
        err = ws_implicit_output(net, im->id[i], im->a + i * net->spec.c, w->list, w->value, k,
                                 w->hi, w->lo);
    }
    if ((w->since += w->k) > WS_EXACT_ADDS - BATCH) {
        ws_exact_carry(w->hi, w->lo, p->n * net->spec.c);
        w->since = 0;
    }
    w->k = 0;
    return err;
}

/* One neuron more: held ones come with their displacement. */
static ws_err look_at(walk *w, int64_t id)
{
    ws_implicit *im = w->im;

    im->id[w->k] = id;
    w->pair[w->k] = w->count[w->k] = 0;
    if (ws_cursor_id(im, &w->at) == id) {
        w->pair[w->k] = w->at.pair;
        w->count[w->k] = im->now.count[w->at.held];
        ws_cursor_next(im, &w->at);
    }
    return ++w->k == BATCH ? flush(w) : WS_OK;
}

/* The candidates of a block and the neurons held in it, both ascending. */
static ws_err look_at_block(walk *w, int64_t first, int64_t n)
{
    const uint32_t *offset = w->im->candidate;
    int64_t k = ws_probe_candidates(w->probe, first, n, w->im->candidate);
    ws_err err = WS_OK;

    for (int64_t i = 0; !err;) {
        int64_t held = ws_cursor_id(w->im, &w->at), id = i < k ? first + offset[i] : INT64_MAX;

        if (held < id) id = held;
        if (id >= first + n) break;
        i += i < k && first + offset[i] == id;
        err = look_at(w, id);
    }
    return err;
}

ws_err ws_implicit_any(ws_implicit *im, const ws_probe *probe, int64_t *hi, int64_t *lo)
{
    walk w = {.im = im, .probe = probe, .hi = hi, .lo = lo};
    ws_err err = open_walk(&w);

    for (int64_t at = 0; at < im->net->n && !err; at += BLOCK)
        err = look_at_block(&w, im->net->first + at,
                            im->net->n - at < BLOCK ? im->net->n - at : BLOCK);
    if (!err && w.k > 0) err = flush(&w);
    ws_exact_carry(hi, lo, probe->n * im->net->spec.c);
    close_walk(&w);
    return err;
}

/* A row in float64 and back. */
static void displace_row(const ws_implicit *im, const cursor *at, float *row, double *wide)
{
    int64_t d = im->net->spec.d;

    for (int64_t j = 0; j < d; j++) wide[j] = (double)row[j];
    for (int64_t p = at->pair; p < at->pair + im->now.count[at->held]; p++) {
        ws_samples_row(&im->x, im->now.sample[p], im->w);
        for (int64_t j = 0; j < d; j++) wide[j] += im->now.alpha[p] * (double)im->w[j];
    }
    for (int64_t j = 0; j < d; j++) row[j] = (float)wide[j];
}

ws_err ws_implicit_write(ws_implicit *im, ws_net *to)
{
    double *wide = NULL;
    ws_err err = ws_alloc(&wide, to->spec.d, sizeof *wide, "a row");

    if (err) return err;
    for (cursor at = {0}; at.held < im->held; ws_cursor_next(im, &at)) {
        int64_t local = ws_cursor_id(im, &at) - to->first;

        displace_row(im, &at, to->w + local * to->spec.d, wide);
        to->touched[local] = 1;
    }
    ws_free(&wide);
    return WS_OK;
}
