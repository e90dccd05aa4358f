/* trial.c - where the estimates are close, the machine decides: each candidate is built on a slice
 * of this rank's rows and of the registered samples, asked and told a few times, and timed.
 *
 * The rows are copied, so the run does not notice; the kinds are exact, so its bits cannot depend
 * on the choice.  Times are added over the ranks, rank 0 decides, all are told. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"

#include "index_impl.h"

/* Rows of a slice; kinds tried at most; rounds after the first. */
enum { ROWS = 4096, TRIED = 3, ROUNDS = 4, REASON = 200 };
#define BUILD_FLOPS 4e9  /* of building on a slice: bounds the samples */
#define CLOSE 5          /* estimates further apart than this are believed */
#define WORTH_SECONDS 10 /* an estimated run shorter than this is not worth a trial */
#define KIND_SECONDS 0.3 /* no further round of a kind after this */

typedef struct trial {
    const ws_comm *comm;
    const ws_shard *shard; /* all rows here */
    ws_shard slice;        /* those of the trial, copied */
    ws_samples x;          /* the first registered samples */
    int64_t batch;
    const ws_index_plan *plan;
    float *w;
    int64_t *ids;
    double *delta, *norm;
    float *coef;
    int64_t norm_room, coef_room;
    ws_hits hits;
} trial;

static ws_err open_trial(trial *t)
{
    int64_t d = t->slice.d;
    ws_err err;

    if ((err = ws_alloc(&t->w, t->slice.n * d, sizeof *t->w, "trial of an index")) ||
        (err = ws_alloc(&t->ids, t->x.n, sizeof *t->ids, "trial of an index")))
        return err;
    t->slice.w = t->w;
    return ws_alloc(&t->delta, d, sizeof *t->delta, "trial of an index");
}

static void close_trial(trial *t)
{
    ws_free(&t->w);
    ws_free(&t->ids);
    ws_free(&t->delta);
    ws_free(&t->norm);
    ws_free(&t->coef);
    ws_hits_free(&t->hits);
}

/* Every neuron of the answer moves a hundredth of the spread of z along its samples, up or down. */
static ws_err move(trial *t, ws_moves *m)
{
    const ws_hits *h = &t->hits;
    int64_t d = t->slice.d;
    float size = (float)(0.01 * t->plan->spread);
    ws_err err = ws_grow(&t->norm, &t->norm_room, h->rows, sizeof *t->norm, "trial of an index");

    if (!err) err = ws_grow(&t->coef, &t->coef_room, h->n, sizeof *t->coef, "trial of an index");
    if (err) return err;
    for (int64_t i = 0; i < h->rows; i++) {
        memset(t->delta, 0, (size_t)d * sizeof *t->delta);
        for (int64_t p = h->first[i]; p < h->first[i + 1]; p++) {
            t->coef[p] = (h->row[i] + h->pos[p]) & 1 ? size : -size;
            ws_axpy_sample(t->delta, t->coef[p], &t->x, t->ids[h->pos[p]]);
        }
        t->norm[i] = sqrt(ws_row_add(t->w + h->row[i] * d, t->delta, d)) * (1 + 1e-12);
    }
    *m = (ws_moves){.k = h->rows,
                    .row = h->row,
                    .norm = t->norm,
                    .first = h->first,
                    .pos = h->pos,
                    .ids = t->ids,
                    .coef = t->coef,
                    .z = h->z,
                    .note = h->note};
    return WS_OK;
}

/* One step on the round's batch; its seconds without the moving. */
static ws_err step(trial *t, ws_index *ix, int64_t round, double *seconds)
{
    ws_query q = {
        .kind = WS_QUERY_SAMPLE, .n = t->batch, .ids = t->ids, .threshold = t->plan->threshold};
    double s = ws_seconds();
    ws_moves m;
    ws_err err;

    for (int64_t k = 0; k < t->batch; k++) t->ids[k] = (round * t->batch + k) % t->x.n;
    err = ws_index_query(ix, &q, &t->hits);
    *seconds = ws_seconds() - s;
    if (err || (err = move(t, &m))) return err;
    s = ws_seconds();
    err = ws_index_update(ix, &m);
    *seconds += ws_seconds() - s;
    return err;
}

/* The mean seconds of a step here.  Local. */
static ws_err rounds(trial *t, ws_index *ix, double *mean)
{
    double total = 0, s, began = ws_seconds();
    int64_t n = 0;
    ws_err err = step(t, ix, 0, &s); /* buffers grow in the first */

    while (!err && n < ROUNDS && (n == 0 || ws_seconds() - began < KIND_SECONDS)) {
        err = step(t, ix, ++n, &s);
        total += s;
    }
    *mean = err ? 0 : total / (double)n;
    return err;
}

/* Seconds of a step with this kind, over all ranks.  Collective; agreed. */
static ws_err time_kind(trial *t, const char *kind, double *seconds)
{
    ws_index *ix = NULL;
    ws_err err;

    if (t->slice.n > 0) memcpy(t->w, t->shard->w, (size_t)(t->slice.n * t->slice.d) * sizeof *t->w);
    if ((err = ws_index_create(t->comm, kind, &t->plan->opt, &ix))) return err;
    if (!(err = ws_index_build(ix, &t->slice, &t->x, t->plan->threshold)))
        err = ws_agree(t->comm, rounds(t, ix, seconds));
    ws_index_destroy(&ix);
    if (!err) MPI_Allreduce(MPI_IN_PLACE, seconds, 1, MPI_DOUBLE, MPI_SUM, t->comm->mpi);
    return err;
}

/* Rank 0 names the fastest for all, and says why. */
static int decide(const trial *t, const ws_candidate *list, const double *seconds, int n,
                  char reason[200])
{
    int best = 0, used = 0;

    for (int k = 1; k < n; k++)
        if (seconds[k] < seconds[best]) best = k;
    MPI_Bcast(&best, 1, MPI_INT, 0, t->comm->mpi);
    for (int k = 0; k < n; k++)
        used += snprintf(reason + used, (size_t)(REASON - used), "%s%s %.3g ms", k ? ", " : "",
                         list[k].kind, seconds[k] / t->comm->size * 1e3);
    snprintf(reason + used, (size_t)(REASON - used),
             " a step: measured on %lld neurons and %lld samples a rank",
             (long long)(t->plan->n < ROWS ? t->plan->n : ROWS), (long long)t->x.n);
    return best;
}

int ws_index_close(const ws_index_plan *p)
{
    ws_candidate list[WS_INDEX_CANDIDATES];
    int k = 0, n = p->smooth ? 0 : ws_index_candidates(p, list);
    double seconds = n ? list[0].cost * 1e-9 * (double)p->n * (double)p->steps : 0;

    while (k < n && k < TRIED && list[k].cost <= CLOSE * list[0].cost) k++;
    return seconds < WORTH_SECONDS ? 1 : k;
}

ws_err ws_index_trial(const ws_comm *comm, const ws_shard *shard, const ws_samples *registered,
                      const ws_index_plan *p, const char **kind, char reason[200])
{
    ws_candidate list[WS_INDEX_CANDIDATES];
    double seconds[WS_INDEX_CANDIDATES] = {0}, room = BUILD_FLOPS / (2.0 * ROWS * (double)p->d);
    int n = ws_index_close(p);
    trial t = {.comm = comm, .shard = shard, .slice = *shard, .x = *registered, .plan = p};
    ws_err err;

    if (n < 2) return WS_OK;
    ws_index_candidates(p, list);
    if (t.slice.n > ROWS) t.slice.n = ROWS;
    if ((double)t.x.n > fmax(256, room)) t.x.n = (int64_t)fmax(256, room);
    t.batch = p->batch < t.x.n ? p->batch : t.x.n;
    err = ws_agree(comm, open_trial(&t));
    for (int k = 0; k < n && !err; k++) err = time_kind(&t, list[k].kind, &seconds[k]);
    if (!err) *kind = list[decide(&t, list, seconds, n, reason)].kind;
    close_trial(&t);
    return err == WS_ERR_NOMEM ? WS_OK : err; /* the estimates then stand */
}
