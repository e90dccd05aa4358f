/* verify.c - random queries of training, checked against the definition of what fires: K an epoch
 * (--verify-index K), each on the shard of every rank.
 *
 * Draw j of an epoch falls into the j-th of K equal stretches of it, so checks are spread over the
 * steps; where in it, and on which sample of that batch, comes from a stream of its own, keyed by
 * the epoch: the same on any number of ranks, and no number of the run changes. */
#include <math.h>
#include <stdlib.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/random.h"

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

/* Drop what comes twice in a row. */
static int64_t distinct(int32_t *pos, int64_t n)
{
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++)
        if (k == 0 || pos[k - 1] != pos[i]) pos[k++] = pos[i];
    return k;
}

/* The draws that fall on this step: r->check.queries of them, at r->check.n positions in the
 * batch of n. */
static ws_err choose(ws_run *r, int64_t n)
{
    ws_key key = {(uint64_t)r->opt.seed, WS_STREAM_VERIFY, 0};
    uint64_t epoch = (uint64_t)run_epoch(r);
    double step = (double)(r->step % r->per_epoch), steps = (double)r->per_epoch;
    double all = (double)r->opt.verify_index, a_step = all / steps;
    int64_t first = (int64_t)fmax(0, floor(step * a_step) - 1);
    int64_t end = (int64_t)fmin(all, ceil((step + 1) * a_step) + 1);
    ws_err err = ws_grow(&r->check.pos, &r->check.capacity, end - first, sizeof *r->check.pos,
                         "samples to verify");

    for (int64_t j = first; j < end && !err; j++) {
        double u = ws_random_uniform(&key, epoch, 2 * (uint32_t)j);
        double v = ws_random_uniform(&key, epoch, 2 * (uint32_t)j + 1);

        if (fmin(floor(((double)j + u) / a_step), steps - 1) == step)
            r->check.pos[r->check.queries++] = (int32_t)(v * (double)n);
    }
    if (r->check.queries > 0)
        qsort(r->check.pos, (size_t)r->check.queries, sizeof *r->check.pos, ascending);
    r->check.n = distinct(r->check.pos, r->check.queries);
    return err;
}

static ws_err verdict(const ws_run *r, const ws_query *q, const ws_difference *d)
{
    int64_t amiss = d->missed + d->extra + d->changed;

    if (amiss == 0 || (!ws_index_is_exact(r->ix) && d->missed == amiss)) return WS_OK;
    return ws_fail(WS_ERR_INEXACT,
                   "index %s is wrong about neuron %lld on sample %lld (rank %d, step %lld: %lld "
                   "missed, %lld reported wrongly); report it, and use --index scan",
                   ws_index_kind(r->ix), (long long)(r->net->first + d->row),
                   (long long)q->ids[d->pos], r->comm->rank, (long long)r->step + 1,
                   (long long)d->missed, (long long)(d->extra + d->changed));
}

void ws_run_count_missed(ws_run *r)
{
    int64_t missed = r->check.missed;

    MPI_Allreduce(MPI_IN_PLACE, &missed, 1, MPI_INT64_T, MPI_SUM, r->comm->mpi);
    r->missed += missed;
}

ws_err ws_run_verify(ws_run *r, const ws_query *q)
{
    ws_query truth = *q;
    ws_difference d = {0};
    double t = ws_seconds();
    ws_err err;

    r->check.n = r->check.queries = r->check.missed = 0;
    if (r->opt.verify_index == 0) return WS_OK;
    if (r->net->spec.phi->smooth) truth.threshold = -INFINITY; /* every neuron */
    err = choose(r, q->n);
    if (!err && r->check.n > 0)
        err = ws_fired_verify(r->net, r->ix, &r->ds->all, &truth, &r->hits, r->check.pos,
                              r->check.n, &d);
    if (!err) err = verdict(r, q, &d);
    r->check.missed = d.missed;
    r->tally.verify += ws_seconds() - t;
    return err;
}
