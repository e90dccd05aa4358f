/* reach.c - what a step would take if an index cost nothing: the products of the pairs that fire in a
 * batch, row by row, and the update of these rows.
 *
 * It is a bound from below for any index that decides by ws_dot and steps by ws_rows_combine: the same
 * rows in the same order from memory, the same samples from the same cache. The update adds zero, so that
 * at most the sign of a zero changes. */
#include <math.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/train/session.h"

enum { AHEAD = 8, TRIES = 3 }; /* rows ahead; tries */

static const char what[] = "measuring a step";

typedef struct reach {
    const ws_hits *h;
    const float *w;
    const ws_samples *all;
    ws_samples x;
    const int64_t *ids; /* of the batch, in x; NULL: 0, 1, ... */
    int64_t *id, *at;   /* ids of the pairs of a row; [rows] the next pair of each */
    double *z;          /* what their products are */
    float *none;        /* [pairs] 0 */
    double *scratch, *square;
} reach;

/* The pairs of row i with positions below `end`. */
static int64_t pairs_until(reach *m, int64_t i, int64_t end)
{
    const ws_hits *h = m->h;
    int64_t k = 0;

    for (; m->at[i] < h->first[i + 1] && h->pos[m->at[i]] < end; m->at[i]++)
        m->id[k++] = ws_sample_at(m->ids, h->pos[m->at[i]]);
    return k;
}

static void multiply(reach *m, int64_t n)
{
    int64_t d = m->x.d, block = ws_samples_block(m->all);
    const ws_hits *h = m->h;

    if (h->rows > 0) memcpy(m->at, h->first, (size_t)h->rows * sizeof *m->at);
    for (int64_t from = 0; from < n; from += block)
        for (int64_t i = 0; i < h->rows; i++) {
            int64_t soon = i + AHEAD < h->rows ? i + AHEAD : i, k = pairs_until(m, i, from + block);
            ws_samples part = m->x;

            part.n = block < n ? block : n;
            if (k > 0)
                ws_dot_many_ahead(m->w + h->row[i] * d, &part, m->id, k, m->z,
                                  m->w + h->row[soon] * d);
        }
}

static ws_combination update_of(const reach *m, float *w)
{
    const ws_hits *h = m->h;

    return (ws_combination){w, h->rows, h->row, h->first, h->pos, m->none, m->ids};
}

static ws_err make_room(reach *m, int64_t n, float *w)
{
    ws_combination c;
    ws_err err;

    if ((err = ws_alloc(&m->id, n, sizeof *m->id, what)) ||
        (err = ws_alloc(&m->z, n, sizeof *m->z, what)) ||
        (err = ws_alloc(&m->at, m->h->rows, sizeof *m->at, what)) ||
        (err = ws_alloc(&m->square, m->h->rows, sizeof *m->square, what)) ||
        (err = ws_alloc(&m->none, m->h->n, sizeof *m->none, what)))
        return err;
    c = update_of(m, w);
    return ws_alloc(&m->scratch, ws_combine_scratch(&c, &m->x), sizeof *m->scratch, what);
}

static double once(const ws_comm *comm, reach *m, int64_t n, float *w)
{
    ws_combination c = update_of(m, w);
    double start, seconds;

    MPI_Barrier(comm->mpi);
    start = ws_seconds();
    multiply(m, n);
    if (c.k > 0) ws_rows_combine(&c, &m->x, m->scratch, m->square);
    seconds = ws_seconds() - start;
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, comm->mpi);
    return seconds;
}

/* Who fires on the n samples at ids, into r->hits, and the samples as a step would have them. */
static ws_err ask(ws_run *r, int64_t n, reach *m)
{
    ws_query q = {
        .kind = WS_QUERY_SAMPLE, .n = n, .ids = m->ids, .threshold = r->net->spec.threshold};
    ws_err err = ws_near_gather(&r->near, &r->ds->all, m->ids, n, r->ds->n);

    if (err) return err;
    q.copy = r->near.x.n > 0 ? &r->near.x : NULL;
    if ((err = ws_fired(r->net, r->ix, &r->ds->all, &q, &r->filter, &r->hits))) return err;
    if (r->near.x.n > 0) {
        m->x = r->near.x;
        m->ids = NULL;
    }
    return make_room(m, n, r->net->w);
}

ws_err ws_session_reach(ws_session *s, double *seconds)
{
    ws_run *r = ws_session_run(s);
    int64_t n = r->batch;
    reach m = {.h = &r->hits, .w = r->net->w, .all = &r->ds->all, .x = r->ds->all, .ids = r->order};
    ws_err err;

    *seconds = NAN;
    /* The same on every rank, also where a shard is empty. */
    if (!r->ds->all.x || r->net->spec.implicit || r->net->spec.float64 || r->step == 0)
        return WS_OK;
    if (!(err = ws_agree(r->comm, ask(r, n, &m))))
        for (int k = 0; k < TRIES; k++) *seconds = fmin(once(r->comm, &m, n, r->net->w), *seconds);
    ws_free(&m.id);
    ws_free(&m.z);
    ws_free(&m.at);
    ws_free(&m.square);
    ws_free(&m.none);
    ws_free(&m.scratch);
    return err;
}
