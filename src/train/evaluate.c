/* evaluate.c - outputs of the network for many samples, in blocks: one meeting a block. */
#include <math.h>
#include <string.h>

#include "implicit.h"
#include "run.h"
#include "wingspan/core/alloc.h"

ws_err ws_outputs(ws_net *net, ws_index *ix, const ws_samples *registered, const ws_query *q,
                  ws_filter *f, ws_hits *hits, ws_meeting *meet, ws_err err, double *out)
{
    int64_t entries = q->n * net->spec.c;

    if (!err) err = ws_meeting_open(meet, entries, 0);
    if (!err) err = ws_fired(net, ix, registered, q, f, hits);
    if (!err) err = ws_net_forward(net, hits, q->n, meet->hi, meet->lo);
    if ((err = ws_meeting_hold(meet, net->comm, err, entries, 0))) return err;
    ws_net_outputs(net, meet->hi, meet->lo, entries, out);
    return WS_OK;
}

/* Samples a block: enough to share a weight row, few enough for memory with many outputs. */
static int64_t block_of(int32_t c)
{
    int64_t b = 1048576 / c;

    return b < 64 ? 64 : b > 1024 ? 1024 : b;
}

/* Squared error of a block in the user's units, over all columns. */
static double squared_error(const ws_run *r, const int64_t *ids, int64_t n)
{
    int32_t c = r->targets.c;
    const double *scale = r->ds->prep.y_scale;
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < c; k++) {
            double e = (r->out[i * c + k] - (double)r->targets.value[ids[i] * c + k]) *
                       (scale ? scale[k] : 1);
            sum += e * e;
        }
    return sum;
}

ws_err ws_run_test(ws_run *r)
{
    int64_t n = r->ds->n_test, block = block_of(r->targets.c), correct = 0, right;
    double loss = 0, error = 0;
    int real = strcmp(ws_dataset_kind(r->ds), "targets") == 0;
    ws_query q = {.kind = WS_QUERY_SAMPLE, .threshold = r->net->spec.threshold};

    if (n == 0 || !r->ds->has_y_test || r->tested_at == r->step) return WS_OK;
    for (int64_t at = 0; at < n; at += block) {
        ws_err err = r->pending;

        q.n = n - at < block ? n - at : block;
        q.ids = r->test + at;
        if (!err) err = ws_run_room(r, q.n);
        if ((err = r->implicit ? ws_implicit_outputs(r->implicit->im, r->net, &r->ds->all, q.ids[0],
                                                     q.n, &r->meet, err, r->out)
                               : ws_outputs(r->net, r->ix, &r->ds->all, &q, &r->filter, &r->hits,
                                            &r->meet, err, r->out)))
            return err;
        loss +=
            (double)q.n * ws_loss_batch(r->loss, &r->targets, q.ids, q.n, r->out, r->grad, &right);
        correct = right < 0 ? -1 : correct + right;
        if (real) error += squared_error(r, q.ids, q.n);
    }
    if (r->ix) r->counted = ws_index_count(r->ix);
    r->test_loss = loss / (double)n;
    r->test_accuracy = correct < 0 ? NAN : (double)correct / (double)n;
    r->test_rmse = real ? sqrt(error / ((double)n * r->targets.c)) : NAN;
    r->tested_at = r->step;
    return WS_OK;
}
