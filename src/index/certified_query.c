/* certified_query.c - which of the listed pairs, and which of the others, must be computed.
 *
 *   1. entries of the samples asked about that the first bound lets pass, segment by segment
 *   2. counting sort by row
 *   3. row by row, those that the sketch lets pass too; where the list may be incomplete at this
 *      threshold, also the unlisted samples that the sketch cannot exclude
 *   4. ws_dot on what is left, each weight row fetched once, ahead of its turn */
#include <string.h>

#include "certified.h"
#include "wingspan/core/alloc.h"

static const char what[] = "candidates of an index query";

enum { AHEAD = 4, LINE = 16, MOST_LINES = 256 }; /* rows; floats; lines of a row */

/* Slow and fast ways to compute: products of sgemm that take as long as one ws_dot, and
 * coordinates of samples compared with the sketch. */
static const double products_a_dot = 3, sketch_a_dot = 0.3;

/* ---- 0. the samples of the query by position ---- */

static ws_err batch_room(ws_certified *c, int64_t n)
{
    ws_batch *b = &c->batch;
    int64_t *room = c->batch_capacity;
    ws_err err;

    if ((err = ws_grow(&b->s, &room[0], n * WS_SKETCH, sizeof *b->s, what)) ||
        (err = ws_grow(&b->s_by_16, &room[1], n * WS_SKETCH, sizeof *b->s_by_16, what)) ||
        (err = ws_grow(&b->q, &room[2], n, sizeof *b->q, what)))
        return err;
    return ws_grow(&b->away, &room[3], n, sizeof *b->away, what);
}

static float round_down(double v)
{
    return nextafterf((float)v, -INFINITY);
}

static ws_err prepare_batch(ws_certified *c, const ws_query *q)
{
    ws_batch *b = &c->batch;
    int64_t padded = (q->n + 15) / 16 * 16;
    ws_err err = batch_room(c, padded);

    if (err) return err;
    b->n = q->n;
    b->most_away = 0;
    b->threshold = round_down(q->threshold);
    for (int64_t p = 0; p < padded; p++) {
        float *s = b->s + p * WS_SKETCH;
        int known = p < q->n && c->sketch.on;

        if (known)
            memcpy(s, c->sketch.s + q->ids[p] * WS_SKETCH, WS_SKETCH * sizeof *s);
        else
            memset(s, 0, WS_SKETCH * sizeof *s);
        b->q[p] = known ? c->sketch.q[q->ids[p]] : 0;
        b->away[p] = 0;
        if (p < q->n && q->kind == WS_QUERY_NEAR) {
            b->away[p] = ws_round_up(q->radius[p] * (1 + 1e-5));
            b->most_away = fmax(b->most_away, (double)b->away[p]);
        }
        for (int64_t k = 0; k < WS_SKETCH; k++)
            b->s_by_16[(p / 16 * WS_SKETCH + k) * 16 + p % 16] = s[k];
    }
    return WS_OK;
}

/* ||w|| now, rounded up, where points lie away from their samples. */
static float extra_of(const ws_certified *c, const ws_row *r)
{
    return c->batch.most_away > 0 ? ws_round_up(((double)r->norm + sqrt(r->moved2)) * (1 + 1e-9))
                                  : 0;
}

/* ---- 1. entries ---- */

static ws_err candidate_room(ws_certified *c, int64_t n)
{
    int64_t *room = c->capacity;
    ws_err err;

    if (n <= room[0] && n <= room[1] && n <= room[2]) return WS_OK;
    if ((err = ws_grow(&c->cand_row, &room[0], n, sizeof *c->cand_row, what)) ||
        (err = ws_grow(&c->cand_pos, &room[1], n, sizeof *c->cand_pos, what)))
        return err;
    return ws_grow(&c->cand_q, &room[2], n, sizeof *c->cand_q, what);
}

/* At another threshold, or near a sample, the bound is worked out entry by entry. */
static int64_t filter_slowly(const ws_certified *c, const ws_segment *s, double threshold,
                             int64_t from, int64_t to, float away, int32_t *row, uint32_t *q)
{
    int64_t k = 0;

    for (int64_t e = from; e < to; e++) {
        uint32_t slot = s->entry[e] >> WS_Z_BITS;
        const ws_row *r = &c->row[s->row[slot]];
        double z;

        row[k] = s->row[slot];
        q[k] = s->entry[e] & WS_Z_MASK;
        z = (double)r->cut + ((double)q[k] + 0.5) * (double)r->step + (double)r->reach +
            (double)extra_of(c, r) * (double)away;
        k += s->bar[slot] != WS_STALE && !(z <= threshold);
    }
    return k;
}

static void prefetch_run(const ws_segment *s, const ws_query *q, int64_t p)
{
    if (p + 8 < q->n) __builtin_prefetch(&s->first[q->ids[p + 8]]);
    if (p + 4 < q->n) {
        const uint32_t *e = s->entry + s->first[q->ids[p + 4]];

        for (int k = 0; k < 6; k++) __builtin_prefetch(e + LINE * k);
    }
}

static ws_err collect_segment(ws_certified *c, const ws_segment *s, const ws_query *q, int fast,
                              int64_t *n)
{
    for (int64_t p = 0; p < q->n; p++) {
        int64_t from = s->first[q->ids[p]], to = s->first[q->ids[p] + 1], k;
        ws_err err = candidate_room(c, *n + to - from + 16);

        if (err) return err;
        prefetch_run(s, q, p);
        k = fast ? c->loops->filter(s, from, to, c->cand_row + *n, c->cand_q + *n)
                 : filter_slowly(c, s, q->threshold, from, to, c->batch.away[p], c->cand_row + *n,
                                 c->cand_q + *n);
        for (int64_t i = 0; i < k; i++) c->cand_pos[*n + i] = (int32_t)p;
        *n += k;
        c->base.counts.node_visits += to - from;
    }
    return WS_OK;
}

/* All candidates; a row's come in ascending position, since it is in one segment. */
static ws_err collect(ws_certified *c, const ws_query *q, int64_t *n)
{
    int fast = q->kind == WS_QUERY_SAMPLE && q->threshold == c->base.threshold;
    ws_err err = WS_OK;

    *n = 0;
    for (int64_t k = 0; k < c->segments && !err; k++)
        if (c->segment[k].n > 0) err = collect_segment(c, &c->segment[k], q, fast, n);
    if (!err && *n >= INT32_MAX)
        err = ws_fail(WS_ERR_NOMEM,
                      "an index query has %lld candidates on this rank: use more ranks, or a "
                      "smaller --batch",
                      (long long)*n);
    return err;
}

/* ---- 2. by row ---- */

/* Stable: count[r] is then where row r ends. */
static ws_err sort(ws_certified *c, int64_t n)
{
    int64_t rows = c->base.shard.n;
    int32_t at = 0;
    ws_err err;

    if ((err = ws_grow(&c->pos, &c->capacity[3], n, sizeof *c->pos, what)) ||
        (err = ws_grow(&c->q, &c->capacity[4], n, sizeof *c->q, what)))
        return err;
    memset(c->count, 0, (size_t)(rows + 1) * sizeof *c->count);
    for (int64_t i = 0; i < n; i++) c->count[c->cand_row[i]]++;
    for (int64_t r = 0; r < rows; r++) {
        int32_t k = c->count[r];

        c->count[r] = at;
        at += k;
    }
    for (int64_t i = 0; i < n; i++) {
        int32_t to = c->count[c->cand_row[i]]++;

        c->pos[to] = c->cand_pos[i];
        c->q[to] = c->cand_q[i];
    }
    return WS_OK;
}

/* ---- 3. what the sketch lets pass ---- */

/* Add the positions far[0..n) to out[0..k), both ascending, those in both once; from the end, in
 * place. Returns how many there are then. */
static int64_t unite(const int32_t *far, int64_t n, int32_t *pos, float *z, int64_t k)
{
    int64_t i = 0, total = n + k, to;

    for (int64_t j = 0; j < k; j++) {
        while (i < n && far[i] < pos[j]) i++;
        total -= i < n && far[i] == pos[j];
    }
    for (to = total; n > 0;) {
        int listed = k > 0 && pos[k - 1] >= far[n - 1];

        n -= !listed || pos[k - 1] == far[n - 1];
        k -= listed;
        to--;
        pos[to] = listed ? pos[k] : far[n];
        z[to] = listed ? z[k] : NAN;
    }
    return total;
}

/* Unlisted samples may fire this row: take those that the sketch cannot exclude. */
static int64_t add_outside(ws_certified *c, int64_t k, float extra, int64_t out, int64_t listed)
{
    ws_row *r = &c->row[k];
    int64_t far = c->loops->outside(&c->batch, r, c->t + k * WS_SKETCH, extra, c->far);
    int64_t all = unite(c->far, far, c->out_pos + out, c->out_z + out, listed);
    double price = (double)c->base.samples.n / products_a_dot;

    c->base.counts.node_visits += c->batch.n;
    r->debt += (float)((double)(all - listed) +
                       sketch_a_dot * (double)c->batch.n * WS_SKETCH / (double)c->base.shard.d);
    if (!r->queued && !isinf(r->cut) && (double)r->debt > price) {
        r->queued = 1;
        c->queue[c->queue_n++] = k;
    }
    return all;
}

static ws_err screen(ws_certified *c, const ws_query *q, int64_t *rows)
{
    int64_t out = 0, from = 0;

    *rows = 0;
    for (int64_t k = 0; k < c->base.shard.n; k++) {
        int64_t to = c->count[k], n = to - from, kept = 0;
        const ws_row *r = &c->row[k];
        float extra = extra_of(c, r);
        double gap = (double)r->cut + (double)r->reach + (double)extra * c->batch.most_away;
        int complete = gap <= q->threshold;

        if ((n > 0 || !complete) && (!q->mask || q->mask[k])) {
            int64_t most = out + n + (complete ? 0 : q->n) + 16;
            ws_err err;

            if ((err = ws_grow(&c->out_pos, &c->capacity[5], most, sizeof *c->out_pos, what)) ||
                (err = ws_grow(&c->out_z, &c->capacity[6], most, sizeof *c->out_z, what)))
                return err;
            if (n > 0)
                kept = c->loops->screen(&c->batch, r, c->t + k * WS_SKETCH, extra, c->pos + from,
                                        c->q + from, n, c->out_pos + out, c->out_z + out);
            if (!complete) kept = add_outside(c, k, extra, out, kept);
        }
        if (kept > 0) {
            c->visit_row[*rows] = k;
            c->visit_first[(*rows)++] = out;
            out += kept;
        }
        from = to;
    }
    c->visit_first[*rows] = out;
    return WS_OK;
}

/* ---- 4. decide ---- */

/* Hits are a part of the candidates, in order: give each the listed z. */
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

static void prefetch_row(const ws_certified *c, int64_t k, int64_t rows)
{
    int64_t lines = (c->base.shard.d + LINE - 1) / LINE;
    const float *w;

    if (k >= rows) return;
    w = c->base.shard.w + c->visit_row[k] * c->base.shard.d;
    for (int64_t i = 0; i < lines && i < MOST_LINES; i++) __builtin_prefetch(w + LINE * i, 0, 2);
}

static ws_err decide(ws_certified *c, const ws_query *q, int64_t rows, ws_hits *hits)
{
    ws_err err = WS_OK;

    for (int64_t k = 0; k < rows && !err; k++) {
        int64_t from = c->visit_first[k], n = c->visit_first[k + 1] - from, before = hits->n;

        prefetch_row(c, k + AHEAD, rows);
        err = ws_scan_decide(&c->base, q, c->visit_row[k], c->out_pos + from, n, hits);
        if (!err) put_notes(hits, before, c->out_pos + from, c->out_z + from);
    }
    return err;
}

ws_err ws_certified_query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    ws_certified *c = (ws_certified *)ix;
    int64_t n, rows;
    ws_err err;

    if (ix->shard.n == 0) return WS_OK;
    c->loops = ws_certified_simd();
    if ((err = ws_scan_prepare(ix, q->n)) || (err = prepare_batch(c, q)) ||
        (err = ws_grow(&c->far, &c->capacity[7], q->n + 16, sizeof *c->far, what)) ||
        (err = collect(c, q, &n)) || (err = sort(c, n)) || (err = screen(c, q, &rows)))
        return err;
    return decide(c, q, rows, hits);
}

void ws_certified_query_free(ws_certified *c)
{
    ws_free(&c->batch.s);
    ws_free(&c->batch.s_by_16);
    ws_free(&c->batch.q);
    ws_free(&c->batch.away);
    c->batch = (ws_batch){0};
    ws_free(&c->cand_row);
    ws_free(&c->cand_pos);
    ws_free(&c->cand_q);
    ws_free(&c->pos);
    ws_free(&c->q);
    ws_free(&c->out_pos);
    ws_free(&c->out_z);
    ws_free(&c->far);
    memset(c->capacity, 0, sizeof c->capacity);
    memset(c->batch_capacity, 0, sizeof c->batch_capacity);
}
