/* step.c - one step of a first-order optimiser, one meeting of all ranks; and its stages 1 to 4,
 * which Gauss-Newton (newton.c) uses to see where it stands.
 *
 *   1. the index names the fired neurons of this shard for each sample of the batch    (local)
 *   2. their activations are added up exactly into this shard's share of the outputs   (local)
 *   3. one reduction: outputs, counts, errors, stop requests                           (meeting)
 *   4. loss and gradient, the same bits on every rank                                  (local)
 *   5. every fired neuron here is stepped, and the index is told                       (local) */
#include <math.h>
#include <signal.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/hash.h"
#include "wingspan/core/random.h"

static volatile sig_atomic_t stop_flag;

void ws_train_request_stop(void)
{
    stop_flag = 1;
}

void ws_run_forget_stop(void)
{
    stop_flag = 0;
}

/* The samples of this step: a slice of this epoch's order. */
static const int64_t *batch_of(ws_run *r, int64_t *n)
{
    int64_t epoch = run_epoch(r), at = (r->step % r->per_epoch) * r->batch;

    if (r->order_epoch != epoch) {
        ws_key key = {(uint64_t)r->opt.seed, WS_STREAM_SHUFFLE, 0};
        if (r->per_epoch > 1)
            ws_random_permutation(&key, (uint64_t)epoch, r->ds->n, r->order);
        else
            for (int64_t i = 0; i < r->ds->n; i++) r->order[i] = i;
        r->order_epoch = epoch;
    }
    *n = r->ds->n - at < r->batch ? r->ds->n - at : r->batch;
    return r->order + at;
}

/* Pairs of two rows' positions that are in one but not in the other; both ascending. */
static int64_t differ(const int32_t *a, int64_t na, const int32_t *b, int64_t nb)
{
    int64_t i = 0, j = 0, both = 0;

    if (na == nb && (na == 0 || memcmp(a, b, (size_t)na * sizeof *a) == 0)) return 0;
    while (i < na && j < nb) {
        both += a[i] == b[j];
        if (a[i] < b[j])
            i++;
        else if (a[i] > b[j])
            j++;
        else
            i++, j++;
    }
    return na + nb - 2 * both;
}

/* Full batch: pairs that changed since the step before; then remember this step's. */
static ws_err count_flips(ws_run *r, int64_t *flips)
{
    const ws_hits *h = &r->hits;
    int64_t i = 0, j = 0;
    ws_err err;

    *flips = 0;
    while (r->before.first && (i < h->rows || j < r->before.rows)) {
        int64_t a = i < h->rows ? h->row[i] : INT64_MAX;
        int64_t b = j < r->before.rows ? r->before.row[j] : INT64_MAX;
        int64_t fi = a <= b ? h->first[i] : 0, ni = a <= b ? h->first[i + 1] - fi : 0;
        int64_t fj = b <= a ? r->before.first[j] : 0, nj = b <= a ? r->before.first[j + 1] - fj : 0;

        *flips += differ(h->pos + fi, ni, r->before.pos + fj, nj);
        i += a <= b;
        j += b <= a;
    }
    if ((err = ws_grow(&r->before.row, &r->before.row_capacity, h->rows, sizeof *h->row,
                       "who fired in the step before")) ||
        (err = ws_grow(&r->before.first, &r->before.first_capacity, h->rows + 1, sizeof *h->first,
                       "who fired in the step before")) ||
        (err = ws_grow(&r->before.pos, &r->before.capacity, h->n, sizeof *h->pos,
                       "who fired in the step before")))
        return err;
    if (h->rows) memcpy(r->before.row, h->row, (size_t)h->rows * sizeof *h->row);
    if (h->n) memcpy(r->before.pos, h->pos, (size_t)h->n * sizeof *h->pos);
    r->before.first[0] = 0;
    if (h->rows) memcpy(r->before.first, h->first, (size_t)(h->rows + 1) * sizeof *h->first);
    r->before.rows = h->rows;
    r->before.n = h->n;
    return WS_OK;
}

int ws_stop_asked(void)
{
    return stop_flag != 0;
}

void ws_step_wishes(const ws_run *r, int64_t *count)
{
    count[COUNT_MEMORY] = ws_alloc_bytes();
    count[COUNT_STOP] = stop_flag != 0;
    count[COUNT_SAVE] =
        r->comm->rank == 0 && r->save_seconds > 0 && ws_seconds() - r->saved_at >= r->save_seconds;
}

/* What this rank puts into the plain counts of the meeting. */
static void fill_counts(ws_run *r, int64_t flips, int64_t *count)
{
    ws_index_counts now = ws_index_count(r->ix);

    count[COUNT_ACTIVE] = r->hits.n;
    count[COUNT_UNION] = r->hits.rows;
    count[COUNT_CANDIDATES] = now.candidates - r->counted.candidates;
    count[COUNT_PRODUCTS] = now.inner_products - r->counted.inner_products;
    count[COUNT_VISITS] = now.node_visits - r->counted.node_visits;
    count[COUNT_WRITES] = now.leaf_writes - r->counted.leaf_writes;
    count[COUNT_RELISTED] = now.relisted - r->counted.relisted;
    count[COUNT_CHECKED] = now.checked - r->counted.checked;
    count[COUNT_FOUND] = now.found - r->counted.found;
    count[COUNT_FLIPS] = flips;
    ws_step_wishes(r, count);
    count[COUNT_VERIFIED] = r->comm->rank == 0 ? r->check.queries : 0;
    count[COUNT_MISSED] = r->check.missed;
    r->counted = now;
}

/* In the first epoch every sample is watched: did any neuron fire on it? */
static void fill_fired(const ws_hits *h, int64_t *fired)
{
    for (int64_t p = 0; p < h->n; p++) fired[h->pos[p]] = 1;
}

/* Stages 1 and 2: everything this rank does before the meeting. */
static ws_err local_share(ws_run *r, const int64_t *ids, int64_t n, int64_t k)
{
    int64_t entries = n * r->targets.c, flips = 0;
    ws_query q = {.kind = WS_QUERY_SAMPLE, .n = n, .ids = ids, .threshold = r->net->spec.threshold};
    double t0 = ws_seconds(), t1;
    ws_exact_limbs penalty = ws_optim_penalty(r->optim);
    ws_err err;

    ws_index_tick(r->ix, r->step);
    if ((err = r->pending) || (err = ws_run_room(r, n)) ||
        (err = ws_meeting_open(&r->meet, entries + 1, k)) ||
        (err = ws_near_gather(&r->near, &r->ds->all, ids, n, r->ds->n)))
        return err;
    q.copy = r->near.x.n > 0 ? &r->near.x : NULL;
    if ((err = ws_fired(r->net, r->ix, &r->ds->all, &q, &r->filter, &r->hits))) return err;
    r->tally.query += ws_seconds() - t0;
    q.copy = NULL; /* verified by the data itself */
    if ((err = ws_run_verify(r, &q))) return err;
    t1 = ws_seconds();
    err = ws_net_forward(r->net, &r->hits, n, r->meet.hi, r->meet.lo);
    r->meet.hi[entries] = penalty.hi;
    r->meet.lo[entries] = penalty.lo;
    if (!err && r->per_epoch == 1) err = count_flips(r, &flips);
    fill_counts(r, flips, r->meet.count);
    if (k > COUNTS) fill_fired(&r->hits, r->meet.count + COUNTS);
    r->tally.forward += ws_seconds() - t1;
    return err;
}

/* Stage 4: the same on every rank. */
static ws_err loss_of_batch(ws_run *r, const int64_t *ids, int64_t n)
{
    int64_t entries = n * r->targets.c;
    double penalty = ws_exact_value(r->meet.hi[entries], r->meet.lo[entries],
                                    ws_optim_penalty_exponent(r->optim));

    ws_net_outputs(r->net, r->meet.hi, r->meet.lo, entries, r->out);
    return ws_step_loss(r, ids, n, penalty);
}

ws_err ws_step_loss(ws_run *r, const int64_t *ids, int64_t n, double penalty)
{
    int64_t entries = n * r->targets.c;

    r->step_loss = ws_loss_batch(r->loss, &r->targets, ids, n, r->out, r->grad, &r->step_correct);
    r->step_loss += r->opt.ridge / 2 * penalty;
    r->step_penalty = penalty;
    r->step_samples = n;
    r->meet.hash = ws_hash(r->grad, (size_t)entries * sizeof *r->grad, (uint64_t)r->step);
    if (!isfinite(r->step_loss))
        return ws_fail(WS_ERR_DIVERGED,
                       "training diverged: the loss is not finite at step %lld; use a smaller "
                       "--rate",
                       (long long)r->step + 1);
    return WS_OK;
}

/* Stage 5. */
static ws_err update(ws_run *r, const int64_t *ids)
{
    ws_moves moves = {0};
    double t0 = ws_seconds(), t1;
    int copied = r->near.x.n > 0;
    ws_err err = ws_optim_step(
        r->optim, &r->hits, copied ? &r->near.x : &r->ds->all, copied ? NULL : ids, r->grad,
        ws_schedule_rate(&(ws_schedule){.name = r->opt.schedule,
                                        .rate = r->rate,
                                        .total = r->total,
                                        .every = r->opt.rate_every * r->per_epoch,
                                        .factor = r->opt.rate_factor},
                         r->step),
        &moves);

    r->tally.update += (t1 = ws_seconds()) - t0;
    if (moves.coef) moves.ids = ids;
    ws_filter_moves(r->net, &r->filter, &moves);
    if (!err) err = ws_index_update(r->ix, &moves);
    r->tally.index += ws_seconds() - t1;
    return err;
}

/* Keep the loss of every stride-th step; when full, every other one goes. */
static void remember_loss(ws_run *r)
{
    if (r->step % r->history_stride) return;
    if (r->history_n == HISTORY) {
        for (int64_t i = 0; i < HISTORY / 2; i++) r->history[i] = r->history[2 * i];
        r->history_n = HISTORY / 2;
        r->history_stride *= 2;
        if (r->step % r->history_stride) return;
    }
    r->history[r->history_n++] = r->step_loss;
}

void ws_step_dead(ws_run *r, int64_t k)
{
    for (int64_t i = COUNTS; i < k; i++) r->dead += r->meet.count[i] == 0;
}

void ws_step_count(ws_run *r, int64_t n, int64_t k)
{
    if (r->step % r->per_epoch == 0) {
        r->epoch_loss = 0;
        r->epoch_samples = r->epoch_correct = 0;
    }
    r->epoch_loss += r->step_loss * (double)n;
    r->epoch_samples += n;
    r->epoch_correct += r->step_correct;
    ws_step_dead(r, k);
    memcpy(r->tally.count, r->meet.count, sizeof r->tally.count);
    r->checked += r->meet.count[COUNT_CHECKED];
    r->found += r->meet.count[COUNT_FOUND];
    r->stop = r->meet.count[COUNT_STOP] > 0;
    r->save = r->meet.count[COUNT_SAVE] > 0;
    r->verified += r->meet.count[COUNT_VERIFIED];
    r->missed += r->meet.count[COUNT_MISSED];
    remember_loss(r);
}

ws_err ws_step_evaluate(ws_run *r, const int64_t *ids, int64_t n, int64_t k)
{
    int64_t entries = n * r->targets.c, bytes = r->meet.bytes, meetings = r->meet.meetings;
    ws_err err = local_share(r, ids, n, k);
    double t = ws_seconds();

    err = ws_meeting_hold(&r->meet, r->comm, err, entries + 1, k);
    r->tally.reduce += ws_seconds() - t;
    r->tally.bytes += r->meet.bytes - bytes;
    r->tally.meetings += r->meet.meetings - meetings;
    if (err == WS_ERR_INEXACT) ws_run_count_missed(r);
    return err ? err : loss_of_batch(r, ids, n);
}

ws_err ws_run_step(ws_run *r)
{
    int64_t n, k;
    const int64_t *ids = batch_of(r, &n);
    ws_err err;

    if (r->newton.ways) return ws_run_newton(r, ids, n);
    k = COUNTS + (r->step < r->per_epoch ? n : 0);
    /* From here the error is the same on all ranks, or waits for the next meeting. */
    if ((err = ws_step_evaluate(r, ids, n, k))) return err;
    ws_step_count(r, n, k);
    r->pending = update(r, ids);
    r->step++;
    r->tally.steps++;
    return WS_OK;
}
