/* certified.c - the kind: build, query, bytes. What it promises is in certified.h. */
#include "certified.h"

#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/fmath.h"

/* Segments at the start: a listing needs its pairs by row and by sample at the same time, and
 * parts of the whole keep that small. */
enum { PARTS = 32 };

static const double default_slack = 0.8;

/* ---- build ---- */

static ws_err alloc_rows(ws_certified *c)
{
    int64_t n = c->base.shard.n;
    const char *what = "lists of neurons";
    ws_err err;

    if ((err = ws_alloc(&c->state, n, sizeof *c->state, what)) ||
        (err = ws_alloc(&c->cut, n, sizeof *c->cut, what)) ||
        (err = ws_alloc(&c->rho, n, sizeof *c->rho, what)) ||
        (err = ws_alloc(&c->moved2, n, sizeof *c->moved2, what)) ||
        (err = ws_alloc(&c->norm, n, sizeof *c->norm, what)) ||
        (err = ws_alloc(&c->length, n, sizeof *c->length, what)) ||
        (err = ws_alloc(&c->queued, n, sizeof *c->queued, what)) ||
        (err = ws_alloc(&c->queue, n, sizeof *c->queue, what)) ||
        (err = ws_alloc(&c->block_cut, n, sizeof *c->block_cut, what)) ||
        (err = ws_alloc(&c->count, n + 1, sizeof *c->count, what)))
        return err;
    c->base.counts.bytes += n * 65;
    return ws_proposer_create_bytes(&c->proposer);
}

static ws_err build(ws_index *ix)
{
    ws_certified *c = (ws_certified *)ix;
    int64_t n = ix->shard.n, part = (n + PARTS - 1) / PARTS;
    ws_err err = alloc_rows(c);

    if (err || n == 0) return err;
    c->slack = ix->opt.slack > 0 ? ix->opt.slack : default_slack;
    for (int64_t r = 0; r < n; r++) {
        c->rho[r] = (float)c->slack;
        c->state[r].segment = -1;
    }
    if ((err = ws_propose_samples(c->proposer, &ix->samples, NULL, ix->samples.n))) return err;
    c->max_norm = ws_propose_max_norm(c->proposer);
    for (int64_t from = 0; from < n && !err; from += part) {
        int64_t k = n - from < part ? n - from : part;
        for (int64_t i = 0; i < k; i++) c->queue[i] = from + i;
        err = ws_certified_list(c, c->queue, k);
    }
    /* The room for the pairs of a part is not needed again: later listings are small. */
    ws_pairs_free(&c->pairs);
    ws_proposer_destroy(&c->proposer);
    if (!err && !(err = ws_proposer_create_bytes(&c->proposer)))
        err = ws_propose_samples(c->proposer, &ix->samples, NULL, ix->samples.n);
    ix->counts.bytes += ws_proposer_bytes(c->proposer);
    return err;
}

/* ---- query ---- */

static ws_err make_room(ws_certified *c, int64_t n)
{
    const char *what = "candidates of an index query";
    ws_err err;

    if ((err = ws_grow(&c->cand_row, &c->capacity[0], n, sizeof *c->cand_row, what)) ||
        (err = ws_grow(&c->cand_pos, &c->capacity[1], n, sizeof *c->cand_pos, what)) ||
        (err = ws_grow(&c->cand_z, &c->capacity[2], n, sizeof *c->cand_z, what)))
        return err;
    return WS_OK;
}

/* Entries of one sample that today's displacement does not exclude; appended without a branch. */
static int64_t filter(ws_certified *c, const ws_segment *s, int64_t sample, int32_t pos,
                      double threshold, int64_t n)
{
    for (int64_t e = s->first[sample]; e < s->first[sample + 1]; e++) {
        ws_entry v = s->entry[e];
        ws_row_state row = c->state[v.row];

        c->cand_row[n] = v.row;
        c->cand_pos[n] = pos;
        c->cand_z[n] = v.z;
        n += !((double)v.z + (double)row.reach <= threshold) & (row.segment == s->id);
    }
    return n;
}

/* Candidates of all samples asked about; *n of them, each row's in ascending position. */
static ws_err collect(ws_certified *c, const ws_query *q, double threshold, int64_t *n)
{
    *n = 0;
    for (int k = 0; k < c->segments; k++) {
        const ws_segment *s = &c->segment[k];

        for (int64_t p = 0; p < q->n; p++) {
            int64_t i = q->ids[p], entries = s->first[i + 1] - s->first[i];
            ws_err err = make_room(c, *n + entries + 1);

            if (err) return err;
            *n = filter(c, s, i, (int32_t)p, threshold, *n);
            c->base.counts.node_visits += entries;
        }
    }
    return WS_OK;
}

/* Counting sort by row, stable: count[r] is then where row r ends. */
static ws_err sort(ws_certified *c, int64_t n)
{
    int64_t rows = c->base.shard.n, at = 0;
    ws_err err;

    if ((err = ws_grow(&c->pos, &c->capacity[3], n, sizeof *c->pos, "candidates")) ||
        (err = ws_grow(&c->z, &c->capacity[4], n, sizeof *c->z, "candidates")))
        return err;
    memset(c->count, 0, (size_t)(rows + 1) * sizeof *c->count);
    for (int64_t i = 0; i < n; i++) c->count[c->cand_row[i]]++;
    for (int64_t r = 0; r < rows; r++) {
        int64_t k = c->count[r];
        c->count[r] = at;
        at += k;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t to = c->count[c->cand_row[i]]++;
        c->pos[to] = c->cand_pos[i];
        c->z[to] = c->cand_z[i];
    }
    return WS_OK;
}

/* The listed z of what has fired: hits from `from` on are a part of the candidates, in order. */
static void put_notes(ws_hits *h, int64_t from, const int32_t *pos, const float *z)
{
    for (int64_t i = from; i < h->n; i++) {
        while (*pos != h->pos[i]) {
            pos++;
            z++;
        }
        h->note[i] = *z;
    }
}

/* One row: its candidates, or the whole batch if its list says nothing at this threshold. */
static ws_err decide(ws_certified *c, const ws_query *q, int64_t r, double threshold, int64_t from,
                     int64_t to, ws_hits *hits)
{
    int64_t before = hits->n;
    ws_err err;

    if (!((double)c->cut[r] + (double)c->state[r].reach <= threshold)) {
        err = ws_scan_decide(&c->base, q, r, NULL, q->n, hits);
        for (int64_t i = before; !err && i < hits->n; i++) hits->note[i] = NAN;
        return err;
    }
    if (to == from) return WS_OK;
    err = ws_scan_decide(&c->base, q, r, c->pos + from, to - from, hits);
    if (!err) put_notes(hits, before, c->pos + from, c->z + from);
    return err;
}

/* For points near a sample the threshold is lowered by the most that the distance can add. */
static double lowered(const ws_certified *c, const ws_query *q)
{
    double radius = 0, norm = 0, most;

    if (q->kind != WS_QUERY_NEAR) return q->threshold;
    for (int64_t p = 0; p < q->n; p++) radius = fmax(radius, q->radius[p]);
    for (int64_t r = 0; r < c->base.shard.n; r++)
        norm = fmax(norm, c->norm[r] + sqrt(c->moved2[r]));
    most = radius * norm;
    return q->threshold - most * (1 + 1e-6) - 1e-12 * (norm * c->max_norm + fabs(q->threshold));
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    ws_certified *c = (ws_certified *)ix;
    double threshold = lowered(c, q);
    int64_t n, from = 0;
    ws_err err;

    if (ix->shard.n == 0) return WS_OK;
    if ((err = ws_scan_prepare(ix, q->n)) || (err = collect(c, q, threshold, &n)) ||
        (err = sort(c, n)))
        return err;
    for (int64_t r = 0; r < ix->shard.n && !err; r++) {
        int64_t to = c->count[r];
        if (!q->mask || q->mask[r]) err = decide(c, q, r, threshold, from, to, hits);
        from = to;
    }
    return err;
}

/* ---- the rest ---- */

static void destroy(ws_index *ix)
{
    ws_certified *c = (ws_certified *)ix;

    for (int k = 0; k < c->segments; k++) ws_segment_free(&c->segment[k]);
    c->segments = 0;
    c->queue_n = 0;
    ws_proposer_destroy(&c->proposer);
    ws_pairs_free(&c->pairs);
    ws_free(&c->state);
    ws_free(&c->cut);
    ws_free(&c->rho);
    ws_free(&c->moved2);
    ws_free(&c->norm);
    ws_free(&c->length);
    ws_free(&c->queued);
    ws_free(&c->queue);
    ws_free(&c->block_cut);
    ws_free(&c->count);
    ws_free(&c->cand_row);
    ws_free(&c->cand_pos);
    ws_free(&c->cand_z);
    ws_free(&c->pos);
    ws_free(&c->z);
    memset(c->capacity, 0, sizeof c->capacity);
}

static double bytes(const ws_index_plan *p)
{
    double slack = p->opt.slack > 0 ? p->opt.slack : default_slack;
    double share = p->spread > 0 ? ws_gauss_tail((p->threshold - slack) / p->spread) : 1;
    double entries = (double)p->n * (double)p->registered * fmin(share, 1);

    /* Lists; a part of them twice more, by row and with room to grow, while they are made, which is
     * also the room that the longer lists of moved neurons will take; and what a row has. */
    return entries * sizeof(ws_entry) * (1 + 3.0 / PARTS) + 65 * (double)p->n +
           8.0 * PARTS * (double)p->registered +
           (double)ws_proposer_bytes_plan(p->registered, p->d);
}

const ws_index_ops ws_index_certified = {
    .name = "certified",
    .size = sizeof(ws_certified),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE | 1u << WS_QUERY_NEAR,
    .build = build,
    .query = query,
    .update = ws_certified_update,
    .destroy = destroy,
    .bytes = bytes,
};
