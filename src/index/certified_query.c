/* certified_query.c - which of the listed pairs, and which of the others, must be computed.
 *
 * Segment by segment, so that everything about its neurons stays in cache:
 *   1. entries of the samples asked about that the first bound lets pass
 *   2. counting sort by slot
 *   3. slot by slot, those that the sketch lets pass too; where the list may be incomplete at this
 *      threshold, also the unlisted samples that the sketch cannot exclude
 *   4. ws_dot on what is left, each weight row fetched ahead of its turn (certified_decide.c)
 * Of many samples, so many at a time that they stay in a cache. */
#include <string.h>

#include "certified.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fetch.h"

static const char what[] = "candidates of an index query";

enum { RUNS = 8, SLOTS = 16, LINE = 16 }; /* runs, slots ahead; floats or entries of a cache line */

/* Products of a listing that take as long as one ws_dot on a row that is at hand, and coordinates of
 * samples compared with the sketch that do. A row is listed again once what its unlisted samples cost
 * is the cost of listing it. MNIST, width 262144, shift 3, batch 512, rate 384, rows computed a fired
 * pair in epochs 1 to 3: 3 products: 1.46 1.66 1.53; 20: 1.27 1.21 1.17, and 2 s of an epoch of 15 s
 * for listing again instead of 1. */
static const double products_a_dot = 12, sketch_a_dot = 0.3;

/* ---- 0. the samples of the query by position ---- */

static ws_err batch_room(ws_certified *c, int64_t n)
{
    ws_batch *b = &c->batch;
    int64_t *room = c->batch_capacity;
    ws_err err;

    if ((err = ws_grow(&b->s, &room[0], n * WS_SKETCH, sizeof *b->s, what)) ||
        (err = ws_grow(&b->panel, &room[1], n * WS_SKETCH, sizeof *b->panel, what)) ||
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
        int16_t *s = b->s + p * WS_SKETCH;
        int known = p < q->n && c->sketch.on;

        if (known)
            memcpy(s, c->sketch.fixed + q->ids[p] * WS_SKETCH, WS_SKETCH * sizeof *s);
        else
            memset(s, 0, WS_SKETCH * sizeof *s);
        b->q[p] = known ? c->sketch.q[q->ids[p]] : 0;
        b->away[p] = 0;
        if (p < q->n && q->kind == WS_QUERY_NEAR) {
            b->away[p] = ws_round_up(q->radius[p] * (1 + 1e-5) + WS_PACKED_ERROR * c->max_norm);
            b->most_away = fmax(b->most_away, (double)b->away[p]);
        }
        for (int64_t k = 0; k < WS_SKETCH; k += 2)
            memcpy(b->panel + p / 16 * 16 * WS_SKETCH + k * 16 + p % 16 * 2, s + k, 2 * sizeof *s);
    }
    return WS_OK;
}

/* ||w|| now, rounded up, where points lie away from their samples. */
static float extra_of(const ws_certified *c, const ws_row *r)
{
    return c->batch.most_away > 0 ? ws_round_up(((double)r->norm + sqrt(r->moved2)) * (1 + 1e-9))
                                  : 0;
}

/* ---- 1. entries of one segment ---- */

/* At another threshold, or near a sample, the bound is worked out entry by entry. */
static int64_t filter_slowly(const ws_certified *c, const ws_segment *s, double threshold,
                             int64_t from, int64_t to, float away, uint32_t *out)
{
    int64_t k = 0;

    for (int64_t e = from; e < to; e++) {
        int32_t slot = (int32_t)(s->entry[e] >> WS_Z_BITS);
        const ws_row *r = &c->row[s->row[slot]];
        double z = (double)r->cut + ((double)(s->entry[e] & WS_Z_MASK) + 0.5) * (double)r->step;

        z += (double)r->reach + (double)extra_of(c, r) * (double)away;
        out[k] = s->entry[e];
        k += s->bar[slot] != WS_STALE && !(z <= threshold);
    }
    return k;
}

/* Runs lie anywhere in memory: where they are is fetched well ahead, then all their lines. */
WS_FETCH prefetch_run(const ws_segment *s, const ws_query *q, int64_t p)
{
    if (p + 2 * RUNS < q->n) __builtin_prefetch(&s->first[q->ids[p + 2 * RUNS]]);
    if (p + RUNS < q->n) {
        const uint32_t *first = s->first + q->ids[p + RUNS], *end = s->entry + first[1];

        for (const uint32_t *e = s->entry + first[0]; e < end; e += LINE) __builtin_prefetch(e);
    }
}

/* Does the query ask what bar and open were made for? */
static int usual(const ws_certified *c, const ws_query *q)
{
    return q->kind == WS_QUERY_SAMPLE && q->threshold == c->base.threshold;
}

/* Candidates of the segment, sample by sample. */
static ws_err collect(ws_certified *c, const ws_segment *s, const ws_query *q)
{
    int fast = usual(c, q);
    int64_t n = 0;

    for (int64_t p = 0; p < q->n; p++) {
        int64_t from = s->first[q->ids[p]], to = s->first[q->ids[p] + 1];
        ws_err err =
            ws_grow(&c->cand, &c->capacity[0], n + to - from + WS_SOON, sizeof *c->cand, what);

        if (err) return err;
        prefetch_run(s, q, p);
        n += fast ? c->loops->filter(s->entry + from, to - from, s->bar, c->cand + n)
                  : filter_slowly(c, s, q->threshold, from, to, c->batch.away[p], c->cand + n);
        c->cand_end[p] = n;
        c->base.counts.node_visits += to - from;
    }
    /* Entries of a segment are fewer than 2^32, but offsets have a sign. */
    return n < INT32_MAX ? WS_OK
                         : ws_fail(WS_ERR_NOMEM,
                                   "a segment of the index has %lld candidates: use a smaller "
                                   "--batch",
                                   (long long)n);
}

/* ---- 2. by slot ---- */

/* Stable, so that a slot's come in ascending position: count[k] is then where slot k ends. Places are
 * fetched before they are written, also for what lies beyond the last candidate. */
static ws_err sort(ws_certified *c, int32_t slots, int64_t samples)
{
    int64_t n = c->cand_end[samples - 1], i = 0;
    int32_t at = 0;
    ws_err err = ws_grow(&c->by_slot, &c->capacity[1], n + 4 + WS_SOON, sizeof *c->by_slot, what);

    if (err) return err;
    memset(c->count, 0, sizeof c->count);
    for (int64_t k = 0; k < n; k++) c->count[c->cand[k] >> WS_Z_BITS]++;
    for (int32_t k = 0; k < slots; k++) {
        int32_t here = c->count[k];

        c->count[k] = at;
        at += here;
    }
    for (int64_t p = 0; p < samples; p++)
        for (; i < c->cand_end[p]; i++) {
            __builtin_prefetch(&c->by_slot[c->count[c->cand[i + WS_SOON] >> WS_Z_BITS]], 1);
            c->by_slot[c->count[c->cand[i] >> WS_Z_BITS]++] =
                (ws_listed){c->cand[i] & WS_Z_MASK, (int32_t)p};
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
    ws_upkeep *u = &c->upkeep[k];
    int64_t far = c->loops->outside(&c->batch, r, c->t_fixed + k * WS_SKETCH, extra, c->far);
    int64_t all = unite(c->far, far, c->out_pos + out, c->out_z + out, listed);
    double price = (double)c->base.samples.n / products_a_dot;

    c->base.counts.node_visits += c->batch.n;
    u->debt += (float)((double)(all - listed) +
                       sketch_a_dot * (double)c->batch.n * WS_SKETCH / (double)c->base.shard.d);
    if (!r->queued && !isinf(r->cut) && (double)u->debt > price) {
        r->queued = 1;
        c->queue[c->queue_n++] = k;
    }
    return all;
}

static ws_err out_room(ws_certified *c, int64_t n)
{
    ws_err err;

    if (n <= c->capacity[2] && n <= c->capacity[3]) return WS_OK;
    if ((err = ws_grow(&c->out_pos, &c->capacity[2], n, sizeof *c->out_pos, what))) return err;
    return ws_grow(&c->out_z, &c->capacity[3], n, sizeof *c->out_z, what);
}

/* What must be computed of row k, whose candidates are from .. from + n - 1, goes to out; returns
 * how much that is. */
static int64_t screen_row(ws_certified *c, const ws_query *q, int64_t k, int64_t from, int64_t n,
                          int64_t out, ws_err *err)
{
    const ws_row *r = &c->row[k];
    float extra = extra_of(c, r);
    double gap = (double)r->cut + (double)r->reach + (double)extra * c->batch.most_away;
    int complete = gap <= q->threshold;
    int64_t kept = 0;

    if ((n == 0 && complete) || (q->mask && !q->mask[k])) return 0;
    if ((*err = out_room(c, out + n + (complete ? 0 : q->n) + 16))) return 0;
    if (n > 0)
        kept = c->loops->screen(&c->batch, r, c->t_fixed + k * WS_SKETCH, extra, c->by_slot + from,
                                n, c->out_pos + out, c->out_z + out);
    return complete ? kept : add_outside(c, k, extra, out, kept);
}

/* The slots that have candidates, or whose neurons may fire on samples that are not listed. */
static int32_t slots_to_look_at(ws_certified *c, const ws_segment *s, const ws_query *q)
{
    int all = !usual(c, q);
    int32_t n = 0, end = 0;

    for (int32_t k = 0; k < s->rows; k++) {
        c->look[n] = k;
        n += c->count[k] > end || (s->open[k / 64] >> k % 64 & 1) || (all && s->bar[k] != WS_STALE);
        end = c->count[k];
    }
    return n;
}

/* What is known of a neuron, ahead of its turn. */
WS_FETCH prefetch_slot(const ws_certified *c, const ws_segment *s, int32_t i, int32_t n)
{
    int64_t k;

    if (i >= n) return;
    k = s->row[c->look[i]];
    __builtin_prefetch(&c->row[k]);
    for (int j = 0; j < WS_SKETCH; j += 32) __builtin_prefetch(c->t_fixed + k * WS_SKETCH + j);
}

static ws_err screen(ws_certified *c, const ws_segment *s, const ws_query *q)
{
    int64_t out = 0;
    int32_t n = slots_to_look_at(c, s, q);
    ws_err err = WS_OK;

    for (int32_t i = 0; i < n && !err; i++) {
        int32_t k = c->look[i], from = k > 0 ? c->count[k - 1] : 0;
        int64_t kept;

        prefetch_slot(c, s, i + SLOTS, n);
        kept = screen_row(c, q, s->row[k], from, c->count[k] - from, out, &err);
        if (kept == 0) continue;
        c->waiting.visit[c->waiting.n++] = (ws_visit){out, s->row[k], (int32_t)kept};
        out += kept;
    }
    return err;
}

/* ---- all of it ---- */

/* The part of a query that asks about n samples from p on; x, copy: room for views. */
static ws_query part_of(const ws_query *q, int64_t p, int64_t n, ws_samples *x, ws_samples *copy)
{
    ws_query part = *q;

    part.n = n;
    part.ids += p;
    if (q->radius) part.radius += p;
    if (q->x) part.x = ws_samples_from(q->x, p, n, x);
    if (q->copy) part.copy = ws_samples_from(q->copy, p, n, copy);
    return part;
}

static ws_err query_block(ws_certified *c, const ws_query *q)
{
    ws_err err = prepare_batch(c, q);

    for (int64_t k = 0; k < c->segments && !err; k++) {
        const ws_segment *s = &c->segment[k];

        if (s->rows == 0) continue;
        if ((err = collect(c, s, q)) || (err = sort(c, s->rows, q->n)) || (err = screen(c, s, q)))
            return err;
        err = ws_certified_decide(c, q);
    }
    return err;
}

ws_err ws_certified_query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    ws_certified *c = (ws_certified *)ix;
    int64_t size;
    ws_err err;

    if (ix->shard.n == 0) return WS_OK;
    size = ws_samples_block(&ix->samples);
    c->loops = ws_certified_simd();
    c->found.rows = c->found.n = c->blocks = c->waiting.n = 0;
    c->asked += q->n;
    if ((err = ws_scan_prepare(ix, q->n)) ||
        (err = ws_grow(&c->far, &c->capacity[4], q->n + 16, sizeof *c->far, what)) ||
        (err = ws_grow(&c->cand_end, &c->capacity[5], q->n, sizeof *c->cand_end, what)) ||
        (err = ws_grow(&c->block, &c->block_capacity, (q->n + size - 1) / size, sizeof *c->block,
                       what)))
        return err;
    for (int64_t p = 0; p < q->n && !err; p += size) {
        ws_samples x, copy;
        ws_query part = part_of(q, p, q->n - p < size ? q->n - p : size, &x, &copy);

        err = query_block(c, &part);
        c->block[c->blocks++] = (ws_found_block){p, c->found.rows};
    }
    return err ? err : ws_certified_answer(c, hits);
}

void ws_certified_query_free(ws_certified *c)
{
    ws_free(&c->batch.s);
    ws_free(&c->batch.panel);
    ws_free(&c->batch.q);
    ws_free(&c->batch.away);
    c->batch = (ws_batch){0};
    ws_free(&c->cand);
    ws_free(&c->cand_end);
    ws_free(&c->by_slot);
    ws_free(&c->out_pos);
    ws_free(&c->out_z);
    ws_free(&c->far);
    ws_free(&c->block);
    c->blocks = c->block_capacity = 0;
    ws_hits_free(&c->found);
    memset(c->capacity, 0, sizeof c->capacity);
    memset(c->batch_capacity, 0, sizeof c->batch_capacity);
}
