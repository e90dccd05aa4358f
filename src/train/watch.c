/* watch.c - how far a run moves from where it starts: outputs and loss at the start, the pairs that
 * flip, and the drift of the matrix H.
 *
 * A look asks the index about every sample, which changes nothing, and keeps who fires as bits. H_t - H_0
 * is a difference of counts, so it is exact before its eigenvalues are taken. */
#include <math.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/kernel/bits.h"
#include "wingspan/linalg/spd.h"

struct ws_watcher {
    ws_train_watch *out;
    ws_bits start, now;
    int64_t *count0, *count; /* [n (n + 1) / 2] at the start, now */
    double *value;           /* [n] */
    float *row;
    int64_t *ids; /* [n] 0, 1, ... */
    ws_spd *h;    /* H_t - H_0 */
    ws_hits hits; /* of a look, and what goes with them: those of a step stay as they are */
    ws_filter filter;
    int64_t next;  /* step of the next look */
    int64_t taken; /* step of the last one; -1: none */
    int over;
};

ws_err ws_watch_begin(ws_run *r, ws_train_watch *out)
{
    ws_err err;

    out->output = out->loss = out->least = out->drift = NAN;
    out->flips = 0;
    if (r->opt.resume[0])
        return ws_fail(WS_ERR_USAGE, "a resumed run cannot be watched from its start");
    if (out->gram && strcmp(r->opt.activation, "relu") != 0)
        return ws_fail(WS_ERR_USAGE, "who fires is watched with --activation relu only");
    if (strcmp(r->opt.weights, "implicit") == 0)
        return ws_fail(WS_ERR_USAGE, "a run with --weights implicit cannot be watched");
    if ((err = ws_agree(r->comm, ws_alloc(&r->watcher, 1, sizeof *r->watcher, "watching"))))
        return err;
    r->watcher->out = out;
    r->watcher->next = 1;
    r->watcher->taken = -1;
    return WS_OK;
}

void ws_watch_free(ws_run *r)
{
    ws_watcher *w = r->watcher;

    if (!w) return;
    ws_bits_free(&w->start);
    ws_bits_free(&w->now);
    ws_free(&w->count0);
    ws_free(&w->count);
    ws_free(&w->value);
    ws_free(&w->row);
    ws_free(&w->ids);
    ws_spd_destroy(&w->h);
    ws_hits_free(&w->hits);
    ws_filter_free(&w->filter);
    ws_free(&r->watcher);
}

int ws_watch_over(const ws_run *r)
{
    return r->watcher && r->watcher->over;
}

static ws_err make_room(ws_run *r)
{
    ws_watcher *w = r->watcher;
    int64_t n = r->ds->n, pairs = n * (n + 1) / 2;
    const char *what = "watching who fires";
    ws_err err;

    if ((err = ws_run_room(r, n)) || (err = ws_alloc(&w->ids, n, sizeof *w->ids, what))) return err;
    for (int64_t i = 0; i < n; i++) w->ids[i] = i;
    if (!w->out->gram) return WS_OK;
    if ((err = ws_bits_create(n, r->net->n, &w->start)) ||
        (err = ws_bits_create(n, r->net->n, &w->now)) ||
        (err = ws_alloc(&w->count0, pairs, sizeof *w->count0, what)) ||
        (err = ws_alloc(&w->count, pairs, sizeof *w->count, what)) ||
        (err = ws_alloc(&w->value, n, sizeof *w->value, what)))
        return err;
    return ws_alloc(&w->row, r->ds->d, sizeof *w->row, what);
}

/* Outputs of all samples in r->out, and who fires: neurons that say something. */
static ws_err ask(ws_run *r, ws_bits *to)
{
    ws_watcher *w = r->watcher;
    const ws_hits *h = &w->hits;
    ws_query q = {
        .kind = WS_QUERY_SAMPLE, .n = r->ds->n, .ids = w->ids, .threshold = r->net->spec.threshold};
    ws_err err = ws_outputs(r->net, r->ix, &r->ds->all, &q, &w->filter, &w->hits, &r->meet,
                            r->pending, r->out);

    if (err) return err;
    r->counted = ws_index_count(r->ix);
    w->taken = r->step;
    if (!w->out->gram) return WS_OK;
    ws_bits_clear(to);
    for (int64_t k = 0; k < h->rows; k++)
        for (int64_t p = h->first[k]; p < h->first[k + 1]; p++)
            ws_bits_set(to, h->pos[p], h->row[k], r->net->a[h->row[k] * r->net->spec.c] != 0);
    return WS_OK;
}

/* Eigenvalues of (<x_i, x_j> [+ 1]) (count - less) / m; less NULL: 0.  Collective. */
static ws_err eigenvalues(ws_run *r, const int64_t *count, const int64_t *less)
{
    ws_watcher *w = r->watcher;
    double m = (double)r->net->spec.m, one = r->net->spec.train_bias, inner;
    int64_t at = 0;

    for (int64_t i = 0; i < r->ds->n; i++) {
        ws_samples_row(&r->ds->all, i, w->row);
        for (int64_t j = 0; j <= i; j++, at++) {
            if (!ws_spd_holds(w->h, i, j)) continue;
            ws_dot_many(w->row, &r->ds->all, &j, 1, &inner);
            ws_spd_put(w->h, i, j, (inner + one) * (double)(count[at] - (less ? less[at] : 0)) / m);
        }
    }
    return ws_spd_eigenvalues(w->h, w->value);
}

ws_err ws_watch_start(ws_run *r)
{
    ws_watcher *w = r->watcher;
    int64_t n = r->ds->n, right;
    ws_err err;

    if (!w) return WS_OK;
    if (w->out->gram && n > WS_SPD_SERIAL)
        return ws_fail(WS_ERR_USAGE,
                       "the matrix of %lld samples is too large to be watched: at most %d, see "
                       "--samples",
                       (long long)n, WS_SPD_SERIAL);
    if ((err = ws_agree(r->comm, make_room(r))) || (err = ask(r, &w->start))) return err;
    w->out->loss = ws_loss_batch(r->loss, &r->targets, w->ids, n, r->out, r->grad, &right);
    w->out->output = 0;
    for (int64_t k = 0; k < n * r->targets.c; k++)
        w->out->output = fmax(w->out->output, fabs(r->out[k]));
    if (!w->out->gram) return WS_OK;
    if ((err = ws_spd_create(r->comm, n, WS_SPD_SERIAL, &w->h))) return err;
    ws_bits_count(r->comm, &w->start, 0, n, w->count0);
    if ((err = eigenvalues(r, w->count0, NULL))) return err;
    w->out->least = w->value[0];
    w->out->drift = 0;
    w->over = w->out->least < w->out->least_wanted;
    return WS_OK;
}

ws_err ws_watch_look(ws_run *r, int end)
{
    ws_watcher *w = r->watcher;
    ws_err err;

    if (!w || !w->out->gram || w->taken == r->step || (r->step < w->next && !end)) return WS_OK;
    while (w->next <= r->step) w->next *= 2;
    if ((err = ask(r, &w->now))) return err;
    w->out->flips = ws_bits_differ(&w->start, &w->now);
    MPI_Allreduce(MPI_IN_PLACE, &w->out->flips, 1, MPI_INT64_T, MPI_SUM, r->comm->mpi);
    ws_bits_count(r->comm, &w->now, 0, r->ds->n, w->count);
    if ((err = eigenvalues(r, w->count, w->count0))) return err;
    w->out->drift = fmax(w->out->drift, fmax(-w->value[0], w->value[r->ds->n - 1]));
    return WS_OK;
}
