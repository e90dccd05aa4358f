/* certified_lists.c - listing neurons, and keeping the segments few and fresh. */
#include <string.h>

#include "certified.h"
#include "wingspan/core/alloc.h"

/* Segments with fewer neurons than SMALL are merged when there are CROWD of them.  From MANY rows on it
 * pays to make panels of the samples, if they are packed. */
enum { SMALL = WS_SEGMENT_ROWS / 2, CROWD = 16, MANY = 1024 };

static const char lists[] = "lists of neurons";

/* ---- segments ---- */

void ws_segment_free(ws_segment *s)
{
    ws_free(&s->row);
    ws_free(&s->bar);
    ws_free(&s->open);
    ws_free(&s->first);
    ws_free(&s->entry);
    *s = (ws_segment){0};
}

static int64_t segment_bytes(const ws_certified *c, const ws_segment *s)
{
    return s->n * (int64_t)sizeof *s->entry + s->rows * 8 + (s->rows + 63) / 64 * 8 +
           (c->base.samples.n + 1) * 4;
}

ws_err ws_segment_open(const ws_certified *c, ws_segment *s, int64_t rows, int64_t n)
{
    ws_err err;

    if ((err = ws_alloc(&s->row, rows, sizeof *s->row, lists)) ||
        (err = ws_alloc(&s->bar, rows, sizeof *s->bar, lists)) ||
        (err = ws_alloc(&s->open, (rows + 63) / 64, sizeof *s->open, lists)) ||
        (err = ws_alloc(&s->first, c->base.samples.n + 1, sizeof *s->first, lists)) ||
        (err = ws_alloc(&s->entry, n, sizeof *s->entry, lists))) {
        ws_segment_free(s);
        return err;
    }
    s->n = s->live = n;
    s->rows = s->valid = (int32_t)rows;
    return WS_OK;
}

/* A place for one more segment. */
static ws_err segment_place(ws_certified *c, int64_t *place)
{
    ws_err err;

    for (*place = 0; *place < c->segments; ++*place)
        if (c->segment[*place].rows == 0) return WS_OK;
    if ((err = ws_grow(&c->segment, &c->segment_capacity, c->segments + 1, sizeof *c->segment,
                       lists)))
        return err;
    c->segment[c->segments++] = (ws_segment){0};
    return WS_OK;
}

/* The neurons of a new segment are told where their entries are. */
static void segment_put(ws_certified *c, int64_t place, const ws_segment *s)
{
    c->segment[place] = *s;
    for (int32_t k = 0; k < s->rows; k++) {
        ws_row *r = &c->row[s->row[k]];

        r->segment = (int32_t)place;
        r->slot = (uint16_t)k;
        ws_certified_bounds(c, s->row[k]);
    }
    c->base.counts.bytes += segment_bytes(c, s);
    c->base.counts.leaf_writes += s->n;
}

ws_err ws_segment_add(ws_certified *c, ws_segment *s)
{
    int64_t place;
    ws_err err = segment_place(c, &place);

    if (err) return err;
    segment_put(c, place, s);
    *s = (ws_segment){0};
    return WS_OK;
}

/* The old entries of a row no longer count. */
static void drop(ws_certified *c, ws_row *r)
{
    ws_segment *s;

    if (r->segment < 0) return;
    s = &c->segment[r->segment];
    s->live -= r->length;
    s->valid--;
    s->bar[r->slot] = WS_STALE;
    s->open[r->slot / 64] &= ~(1ull << r->slot % 64);
    r->segment = -1;
    r->length = 0;
}

/* ---- listing ---- */

/* What a listing starts from: where the row is now, and what it will leave out. */
static void restart(ws_certified *c, int64_t k)
{
    const ws_shard *w = &c->base.shard;
    ws_row *r = &c->row[k];
    double cut = c->base.threshold - (double)w->b[k] - (double)c->upkeep[k].rho;
    double norm = ws_propose_norm(w->w + k * w->d, w->d);

    r->norm = ws_round_up(norm);
    r->moved2 = 0;
    r->path = r->drift = r->blur = 0;
    c->upkeep[k].debt = 0;
    r->queued = 0;
    memset(c->t + k * WS_SKETCH, 0, WS_SKETCH * sizeof *c->t);
    /* Where float32 may overflow nothing can be certified. */
    r->cut = norm * c->max_norm < 1e30 && fabs(cut) < 1e30 ? (float)cut : INFINITY;
}

/* The scale of a row's entries: all of its z fit into q. */
static void set_step(ws_row *r, const float *z, int64_t n)
{
    float most = r->cut;

    for (int64_t k = 0; k < n; k++) most = fmaxf(most, z[k]);
    r->step = fmaxf((most - r->cut) / (WS_Z_MASK - 3),
                    0x1p-22f * fmaxf(fabsf(most), fabsf(r->cut)) + 1e-30f);
}

static uint32_t entry_of(const ws_row *r, uint32_t slot, float z)
{
    float v = (z - r->cut) / r->step;
    uint32_t q = v > 0 ? (uint32_t)v : 0;

    return slot << WS_Z_BITS | (q < WS_Z_MASK ? q : WS_Z_MASK);
}

/* Turn pairs by row into entries by sample. */
static void transpose(const ws_certified *c, ws_segment *s)
{
    const ws_pairs *pairs = &c->pairs;
    int64_t samples = c->base.samples.n;

    for (int32_t k = 0; k < s->rows; k++)
        for (int64_t p = pairs->first[k]; c->row[s->row[k]].length && p < pairs->first[k + 1]; p++)
            s->first[pairs->col[p] + 1]++;
    for (int64_t i = 0; i < samples; i++) s->first[i + 1] += s->first[i];
    for (int32_t k = 0; k < s->rows; k++) {
        const ws_row *r = &c->row[s->row[k]];

        for (int64_t p = pairs->first[k]; r->length && p < pairs->first[k + 1]; p++)
            s->entry[s->first[pairs->col[p]]++] = entry_of(r, (uint32_t)k, pairs->z[p]);
    }
    /* Each first[i] has moved on to where i + 1 begins. */
    memmove(s->first + 1, s->first, (size_t)samples * sizeof *s->first);
    s->first[0] = 0;
}

/* Accept the pairs of row r, or decide that it has no list: one of half the samples is no better,
 * and a row whose products are not numbers, or too many for a segment, can have none. */
static int64_t accept(ws_certified *c, ws_row *r, int64_t k, int64_t total)
{
    int64_t from = c->pairs.first[k], n = c->pairs.first[k + 1] - from;
    int numbers = 1;

    for (int64_t p = from; p < from + n; p++) numbers &= c->pairs.z[p] < 1e30f;
    if (n > c->base.samples.n / 2 + 16 || isinf(r->cut) || !numbers || total + n > UINT32_MAX) {
        r->cut = INFINITY;
        n = 0;
    }
    set_step(r, c->pairs.z + from, n);
    r->length = (int32_t)n;
    return n;
}

void ws_certified_no_proposer(ws_certified *c)
{
    if (!c->proposer) return;
    c->base.counts.bytes -= c->proposer_bytes;
    c->proposer_bytes = 0;
    ws_proposer_destroy(&c->proposer);
}

/* Panels of the samples as bytes take 0.3 s to make for 60000 of MNIST: not for a few rows, and a
 * structured start lists without them. */
static ws_err need_proposer(ws_certified *c, int64_t n)
{
    ws_err err;

    if (c->proposer) return WS_OK;
    if ((err = (n < MANY ? ws_proposer_create_few : ws_proposer_create_bytes)(&c->proposer)))
        return err;
    err = ws_propose_samples(c->proposer, &c->base.samples, NULL, c->base.samples.n);
    c->proposer_bytes = ws_proposer_bytes(c->proposer);
    c->base.counts.bytes += c->proposer_bytes;
    if (err) ws_certified_no_proposer(c);
    return err;
}

ws_err ws_certified_list(ws_certified *c, const int64_t *row, int64_t n)
{
    const ws_shard *w = &c->base.shard;
    int64_t total = 0;
    ws_segment s = {0};
    ws_err err = need_proposer(c, n);
    int error;

    if (err) return err;
    error = ws_certified_error_code(ws_propose_error(c->proposer));
    for (int64_t k = 0; k < n; k++) {
        drop(c, &c->row[row[k]]);
        restart(c, row[k]);
        c->row[row[k]].error = (uint8_t)error;
        if (error < 0) c->row[row[k]].cut = INFINITY;
        c->block_cut[k] = c->row[row[k]].cut;
    }
    if ((err = ws_propose_rows(c->proposer, w->w, w->d, row, n, c->block_cut, &c->pairs)))
        return err;
    c->base.counts.inner_products += n * c->base.samples.n;
    for (int64_t k = 0; k < n; k++) total += accept(c, &c->row[row[k]], k, total);
    if ((err = ws_segment_open(c, &s, n, total))) return err;
    for (int64_t k = 0; k < n; k++) s.row[k] = (int32_t)row[k];
    transpose(c, &s);
    if ((err = ws_segment_add(c, &s))) ws_segment_free(&s);
    return err;
}

/* ---- keeping segments few and fresh ---- */

/* Slots of the new segment for those of an old one; -1 for stale ones. */
static void renumber(const ws_segment *from, int32_t *slot, ws_segment *to, int32_t *next)
{
    for (int32_t k = 0; k < from->rows; k++) {
        slot[k] = from->bar[k] == WS_STALE ? -1 : *next;
        if (slot[k] >= 0) to->row[(*next)++] = from->row[k];
    }
}

/* Entries of sample i that are not stale. */
static int64_t copy_run(const ws_segment *s, const int32_t *slot, int64_t i, uint32_t *to)
{
    int64_t n = 0;

    for (uint32_t e = s->first[i]; e < s->first[i + 1]; e++) {
        int32_t k = slot[s->entry[e] >> WS_Z_BITS];

        to[n] = (uint32_t)k << WS_Z_BITS | (s->entry[e] & WS_Z_MASK);
        n += k >= 0;
    }
    return n;
}

/* Merge the segments in the list into one, without their stale entries.  slot: WS_SEGMENT_ROWS
 * numbers for each. */
static ws_err merge(ws_certified *c, const int64_t *list, int64_t n, int32_t *slot)
{
    int64_t total = 0, rows = 0, at = 0;
    int32_t next = 0;
    ws_segment to = {0};
    ws_err err;

    for (int64_t k = 0; k < n; k++) total += c->segment[list[k]].live;
    for (int64_t k = 0; k < n; k++) rows += c->segment[list[k]].valid;
    /* One more: a stale entry at the end is written before it is left out. */
    if ((err = ws_segment_open(c, &to, rows, total + 1))) return err;
    to.n = to.live = total;
    for (int64_t k = 0; k < n; k++)
        renumber(&c->segment[list[k]], slot + k * WS_SEGMENT_ROWS, &to, &next);
    for (int64_t i = 0; i < c->base.samples.n; i++) {
        to.first[i] = (uint32_t)at;
        for (int64_t k = 0; k < n; k++)
            at += copy_run(&c->segment[list[k]], slot + k * WS_SEGMENT_ROWS, i, to.entry + at);
    }
    to.first[c->base.samples.n] = (uint32_t)at;
    for (int64_t k = 0; k < n; k++) {
        c->base.counts.bytes -= segment_bytes(c, &c->segment[list[k]]);
        ws_segment_free(&c->segment[list[k]]);
    }
    segment_put(c, list[0], &to);
    return WS_OK;
}

/* Drop the stale entries of a segment where they lie, and give the memory back. */
static void compact(ws_certified *c, ws_segment *s)
{
    uint32_t to = 0, from = 0;

    c->base.counts.bytes -= segment_bytes(c, s);
    for (int64_t i = 0; i < c->base.samples.n; i++) {
        uint32_t end = s->first[i + 1];

        for (; from < end; from++)
            if (s->bar[s->entry[from] >> WS_Z_BITS] != WS_STALE) s->entry[to++] = s->entry[from];
        s->first[i + 1] = to;
    }
    s->n = s->live = to;
    ws_shrink(&s->entry, to, sizeof *s->entry);
    c->base.counts.bytes += segment_bytes(c, s);
}

static ws_err merge_small(ws_certified *c)
{
    int64_t list[CROWD], n = 0, rows = 0, entries = 0;
    int32_t *slot = NULL;
    ws_err err;

    for (int64_t k = 0; k < c->segments && n < CROWD; k++) {
        const ws_segment *s = &c->segment[k];

        if (s->rows == 0 || s->valid >= SMALL || rows + s->valid > WS_SEGMENT_ROWS ||
            entries + s->live >= UINT32_MAX)
            continue;
        list[n++] = k;
        rows += s->valid;
        entries += s->live;
    }
    if (n < CROWD) return WS_OK;
    if ((err = ws_alloc(&slot, CROWD * WS_SEGMENT_ROWS, sizeof *slot, lists))) return err;
    err = merge(c, list, n, slot);
    ws_free(&slot);
    return err;
}

ws_err ws_certified_tidy(ws_certified *c)
{
    for (int64_t k = 0; k < c->segments; k++) {
        ws_segment *s = &c->segment[k];

        if (s->rows > 0 && s->valid == 0) {
            c->base.counts.bytes -= segment_bytes(c, s);
            ws_segment_free(s);
        } else if (s->n - s->live > s->n / 8) {
            compact(c, s);
        }
    }
    return merge_small(c);
}
