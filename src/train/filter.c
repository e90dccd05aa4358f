/* filter.c - who fires: the one place where training, tests and prediction ask the index.
 *
 * A float32 network is answered by the index as it is. In a float64 network (model/net64.h) the index
 * works on float32 rows: it is asked with a lower threshold, so that it names every pair that fires
 * and a few more; then z is computed in float64 for what it named, and what does not fire is dropped.
 * What is left is what a scan in float64 would give, with the same bits. */
#include <math.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/model/net64.h"

enum { AHEAD = 3 }; /* rows */

double ws_fired_threshold(const ws_net *net)
{
    return net->f64 ? ws_net64_threshold(net, net->spec.x_scale) : net->spec.threshold;
}

void ws_filter_free(ws_filter *f)
{
    ws_free(&f->z);
    ws_free(&f->id);
    ws_free(&f->fresh);
    *f = (ws_filter){0};
}

static double longest(const ws_samples *x)
{
    double most = 0;

    for (int64_t i = 0; i < x->n; i++) most = fmax(most, ws_samples_norm(x, i));
    return most;
}

/* Row i of the hits as the index gave it goes down to pair `to`; returns where the next one goes. */
static int64_t keep_row(const ws_net *net, const ws_samples *x, const int64_t *ids, ws_filter *f,
                        ws_hits *h, int64_t i, int64_t to)
{
    int64_t first = h->first[i], n = h->first[i + 1] - first;
    int all = net->spec.phi->smooth;

    for (int64_t p = 0; p < n; p++) f->id[p] = ws_sample_at(ids, h->pos[first + p]);
    ws_net64_z(net, h->row[i], x, f->id, n, f->fresh);
    for (int64_t p = 0; p < n; p++) {
        if (!all && !(f->fresh[p] > net->spec.threshold)) continue;
        f->z[to] = h->z[first + p];
        h->pos[to] = h->pos[first + p];
        h->note[to] = h->note[first + p];
        h->z[to++] = f->fresh[p];
    }
    return to;
}

static ws_err filter(const ws_net *net, const ws_samples *x, const int64_t *ids, int64_t samples,
                     ws_filter *f, ws_hits *h)
{
    int64_t rows = 0, n = 0;
    ws_err err;

    if ((err = ws_grow(&f->z, &f->z_capacity, h->n, sizeof *f->z, "fired pairs")) ||
        (err = ws_grow(&f->id, &f->id_capacity, samples, sizeof *f->id, "fired pairs")) ||
        (err = ws_grow(&f->fresh, &f->fresh_capacity, samples, sizeof *f->fresh, "fired pairs")))
        return err;
    for (int64_t i = 0; i < h->rows; i++) {
        int64_t end;

        if (i + AHEAD < h->rows) ws_net64_prefetch(net, h->row[i + AHEAD]);
        end = keep_row(net, x, ids, f, h, i, n);
        if (end == n) continue;
        h->row[rows] = h->row[i];
        h->first[rows++] = n; /* rows <= i: what is still to be read lies behind */
        n = end;
    }
    h->first[rows] = n;
    h->rows = rows;
    h->n = n;
    return WS_OK;
}

ws_err ws_fired(ws_net *net, ws_index *ix, const ws_samples *registered, const ws_query *q,
                ws_filter *f, ws_hits *hits)
{
    ws_query lower = *q;
    const ws_samples *x = q->kind == WS_QUERY_SAMPLE ? registered : q->x;
    ws_moves moves;
    ws_err err;

    if (!net->f64) return ws_index_query(ix, q, hits);
    hits->rows = hits->n = 0;
    if ((err = ws_net64_refresh(net, &moves)) || (err = ws_index_update(ix, &moves))) return err;
    lower.threshold =
        q->kind == WS_QUERY_SAMPLE ? ws_fired_threshold(net) : ws_net64_threshold(net, longest(x));
    if ((err = ws_index_query(ix, &lower, hits))) return err;
    err = filter(net, x, q->kind == WS_QUERY_SAMPLE ? q->ids : NULL, q->n, f, hits);
    if (err) hits->rows = hits->n = 0;
    return err;
}

void ws_filter_moves(const ws_net *net, const ws_filter *f, ws_moves *moves)
{
    if (net->f64 && moves->z) moves->z = f->z;
}

/* ---- is an answer right? ---- */

static void amiss(ws_difference *d, int64_t *count, int64_t row, int32_t pos)
{
    if (d->missed + d->extra + d->changed == 0) {
        d->row = row;
        d->pos = pos;
    }
    ++*count;
}

/* Neuron r on the samples at pos[0..k), whose pre-activations are z; `from` and `end` bound its pairs
 * in the answer. */
static void verify_row(const ws_net *net, const ws_hits *h, int64_t from, int64_t end, int64_t r,
                       const int32_t *pos, int64_t k, const double *z, ws_difference *d)
{
    for (int64_t j = 0; j < k; j++) {
        int fires = net->spec.phi->smooth || z[j] > net->spec.threshold, told;

        while (from < end && h->pos[from] < pos[j]) from++;
        told = from < end && h->pos[from] == pos[j];
        d->pairs += fires;
        if (fires && !told)
            amiss(d, &d->missed, r, pos[j]);
        else if (told && !fires)
            amiss(d, &d->extra, r, pos[j]);
        else if (told && memcmp(&h->z[from], &z[j], sizeof *z) != 0)
            amiss(d, &d->changed, r, pos[j]);
    }
}

ws_err ws_fired_verify(const ws_net *net, const ws_index *ix, const ws_samples *registered,
                       const ws_query *q, const ws_hits *hits, const int32_t *pos, int64_t k,
                       ws_difference *d)
{
    int64_t *id = NULL, i = 0;
    double *z = NULL;
    ws_err err;

    if (!net->f64) return ws_index_verify(ix, q, hits, pos, k, d);
    *d = (ws_difference){.row = -1, .pos = -1};
    err = ws_alloc(&id, k, sizeof *id, "samples to verify");
    if (!err) err = ws_alloc(&z, k, sizeof *z, "samples to verify");
    for (int64_t j = 0; j < k && !err; j++) id[j] = q->ids[pos[j]];
    for (int64_t r = 0; r < net->n && k > 0 && !err; r++) {
        int here = i < hits->rows && hits->row[i] == r;

        ws_net64_z(net, r, registered, id, k, z);
        verify_row(net, hits, here ? hits->first[i] : 0, here ? hits->first[i + 1] : 0, r, pos, k,
                   z, d);
        i += here;
    }
    ws_free(&id);
    ws_free(&z);
    return err;
}
