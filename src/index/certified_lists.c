/* certified_lists.c - listing neurons, and keeping the segments few and fresh. */
#include <math.h>
#include <string.h>

#include "certified.h"
#include "wingspan/core/alloc.h"

void ws_segment_free(ws_segment *s)
{
    ws_free(&s->first);
    ws_free(&s->entry);
    *s = (ws_segment){0};
}

static int64_t segment_bytes(const ws_certified *c, const ws_segment *s)
{
    return s->n * (int64_t)sizeof *s->entry + (c->base.samples.n + 1) * (int64_t)sizeof *s->first;
}

static ws_err segment_open(ws_certified *c, ws_segment *s, int64_t n)
{
    ws_err err = ws_alloc(&s->first, c->base.samples.n + 1, sizeof *s->first, "lists of neurons");

    if (!err && (err = ws_alloc(&s->entry, n, sizeof *s->entry, "lists of neurons")))
        ws_segment_free(s);
    s->n = s->live = n;
    s->id = c->next_id;
    return err;
}

static void segment_add(ws_certified *c, ws_segment *s)
{
    c->next_id++;
    c->segment[c->segments++] = *s;
    c->base.counts.bytes += segment_bytes(c, s);
    c->base.counts.leaf_writes += s->n;
}

static int segment_find(const ws_certified *c, int32_t id)
{
    for (int k = 0; k < c->segments; k++)
        if (c->segment[k].id == id) return k;
    return -1;
}

/* The old entries of a row no longer count. */
static void drop(ws_certified *c, int64_t r)
{
    int k = segment_find(c, c->state[r].segment);

    if (k >= 0) c->segment[k].live -= c->length[r];
    c->state[r].segment = -1;
    c->length[r] = 0;
}

/* Turn pairs by row into entries by sample. */
static void transpose(const ws_pairs *pairs, const int64_t *row, const int32_t *length, int64_t n,
                      int64_t samples, ws_segment *s)
{
    for (int64_t k = 0; k < n; k++)
        for (int64_t p = pairs->first[k]; length[row[k]] && p < pairs->first[k + 1]; p++)
            s->first[pairs->col[p] + 1]++;
    for (int64_t i = 0; i < samples; i++) s->first[i + 1] += s->first[i];
    for (int64_t k = 0; k < n; k++)
        for (int64_t p = pairs->first[k]; length[row[k]] && p < pairs->first[k + 1]; p++)
            s->entry[s->first[pairs->col[p]]++] = (ws_entry){(int32_t)row[k], pairs->z[p]};
    /* Each first[i] has moved on to where i + 1 begins. */
    memmove(s->first + 1, s->first, (size_t)samples * sizeof *s->first);
    s->first[0] = 0;
}

/* What a listing starts from: where the row is now, and what it will leave out. */
static void restart(ws_certified *c, int64_t r)
{
    const ws_shard *w = &c->base.shard;
    double cut = c->base.threshold - (double)w->b[r] - (double)c->rho[r];

    c->norm[r] = ws_propose_norm(w->w + r * w->d, w->d);
    c->moved2[r] = 0;
    c->queued[r] = 0;
    /* Where float32 may overflow nothing can be certified. */
    c->cut[r] = c->norm[r] * c->max_norm < 1e37 ? (float)cut : INFINITY;
    ws_certified_reach(c, r);
}

ws_err ws_certified_list(ws_certified *c, const int64_t *row, int64_t n)
{
    const ws_shard *w = &c->base.shard;
    int64_t samples = c->base.samples.n, most = samples / 2 + 16, total = 0;
    ws_segment s = {0};
    ws_err err;

    for (int64_t k = 0; k < n; k++) {
        drop(c, row[k]);
        restart(c, row[k]);
        c->block_cut[k] = c->cut[row[k]];
    }
    if ((err = ws_propose_rows(c->proposer, w->w, w->d, row, n, c->block_cut, &c->pairs)))
        return err;
    c->base.counts.inner_products += n * samples;
    for (int64_t k = 0; k < n; k++) {
        int64_t length = c->pairs.first[k + 1] - c->pairs.first[k];

        /* A list of half the samples is no better than none: always evaluated. */
        if (length > most || isinf(c->cut[row[k]])) {
            c->cut[row[k]] = INFINITY;
            length = 0;
        }
        c->length[row[k]] = (int32_t)length;
        total += length;
    }
    if ((err = segment_open(c, &s, total))) return err;
    transpose(&c->pairs, row, c->length, n, samples, &s);
    for (int64_t k = 0; k < n; k++) c->state[row[k]].segment = s.id;
    segment_add(c, &s);
    return WS_OK;
}

/* Merge the segments that are marked into one, without their stale entries. */
static ws_err merge(ws_certified *c, const uint8_t mark[WS_SEGMENTS])
{
    int64_t total = 0, at = 0;
    ws_segment to = {0};
    int kept = 0;
    ws_err err;

    for (int k = 0; k < c->segments; k++) total += mark[k] ? c->segment[k].live : 0;
    if ((err = segment_open(c, &to, total))) return err;
    for (int64_t i = 0; i < c->base.samples.n; i++) {
        to.first[i] = at;
        for (int k = 0; k < c->segments; k++) {
            const ws_segment *s = &c->segment[k];
            for (int64_t e = s->first[i]; mark[k] && e < s->first[i + 1]; e++)
                if (c->state[s->entry[e].row].segment == s->id) to.entry[at++] = s->entry[e];
        }
    }
    to.first[c->base.samples.n] = at;
    for (int64_t r = 0; r < c->base.shard.n; r++) {
        int k = segment_find(c, c->state[r].segment);
        if (k >= 0 && mark[k]) c->state[r].segment = to.id;
    }
    for (int k = 0; k < c->segments; k++) {
        if (mark[k]) {
            c->base.counts.bytes -= segment_bytes(c, &c->segment[k]);
            ws_segment_free(&c->segment[k]);
        } else {
            c->segment[kept++] = c->segment[k];
        }
    }
    for (int k = kept; k < c->segments; k++) c->segment[k] = (ws_segment){0};
    c->segments = kept;
    segment_add(c, &to);
    return WS_OK;
}

/* Drop the stale entries of a segment where they lie, and give the memory back. */
static void compact(ws_certified *c, ws_segment *s)
{
    int64_t to = 0, from = 0;

    c->base.counts.bytes -= segment_bytes(c, s);
    for (int64_t i = 0; i < c->base.samples.n; i++) {
        int64_t end = s->first[i + 1];

        for (; from < end; from++)
            if (c->state[s->entry[from].row].segment == s->id) s->entry[to++] = s->entry[from];
        s->first[i + 1] = to;
    }
    s->n = s->live = to;
    ws_shrink(&s->entry, to, sizeof *s->entry);
    c->base.counts.bytes += segment_bytes(c, s);
}

ws_err ws_certified_tidy(ws_certified *c)
{
    uint8_t mark[WS_SEGMENTS] = {0};
    int marked = 0;

    for (int k = 0; k < c->segments; k++)
        if (c->segment[k].n - c->segment[k].live > c->segment[k].n / 8) compact(c, &c->segment[k]);
    if (c->segments == WS_SEGMENTS) {
        /* Full: merge the smaller half, so that an entry is moved a logarithmic number of times. */
        while (marked < WS_SEGMENTS / 2) {
            int least = -1;
            for (int k = 0; k < c->segments; k++)
                if (!mark[k] && (least < 0 || c->segment[k].live < c->segment[least].live))
                    least = k;
            mark[least] = 1;
            marked++;
        }
    }
    return marked ? merge(c, mark) : WS_OK;
}
