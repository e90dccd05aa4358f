/* certified_decide.c - the exact z of what a query could not exclude, and the answer in order of the
 * neurons.
 *
 * Lost: asking for rows while others are still being chosen, 8 or 32 lines a slot, so that they wait in
 * the second or third cache. MNIST, width 262144: as long at batch 128 and 512, at 4096 a quarter
 * longer, since the rows drive the samples out. */
#include <string.h>

#include "certified.h"
#include "wingspan/core/alloc.h"

enum { AHEAD = 8 }; /* rows */

static const float *row_of(const ws_certified *c, int64_t k)
{
    return c->base.shard.w + c->waiting.visit[k].row * c->base.shard.d;
}

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

ws_err ws_certified_decide(ws_certified *c, const ws_query *q)
{
    ws_waiting *w = &c->waiting;
    ws_err err = WS_OK;

    for (int64_t k = 0; k < w->n && !err; k++) {
        const ws_visit *v = &w->visit[k];
        int64_t before = c->found.n;

        err = ws_scan_decide_ahead(&c->base, q, v->row, c->out_pos + v->from, v->n,
                                   k + AHEAD < w->n ? row_of(c, k + AHEAD) : NULL, &c->found);
        if (!err) put_notes(&c->found, before, c->out_pos + v->from, c->out_z + v->from);
    }
    w->n = 0;
    return err;
}

/* The rows of the answer, and where each begins; at[row] becomes its place among them. */
static void open_rows(ws_certified *c, ws_hits *h)
{
    const ws_hits *f = &c->found;
    int64_t total = 0;

    for (int64_t i = 0; i < f->rows; i++)
        c->at[f->row[i]] += (int32_t)(f->first[i + 1] - f->first[i]);
    for (int64_t r = 0; r < c->base.shard.n; r++) {
        if (c->at[r] == 0) continue;
        h->row[h->rows] = r;
        h->first[h->rows] = total;
        total += c->at[r];
        c->at[r] = (int32_t)h->rows++;
    }
    h->n = total;
}

/* Row i of found, whose positions count from p on. */
static void copy_row(const ws_certified *c, int64_t i, int64_t p, ws_hits *h)
{
    const ws_hits *f = &c->found;
    int64_t from = f->first[i], n = f->first[i + 1] - from, *to = &h->first[c->at[f->row[i]]];

    for (int64_t k = 0; k < n; k++) h->pos[*to + k] = f->pos[from + k] + (int32_t)p;
    memcpy(h->z + *to, f->z + from, (size_t)n * sizeof *h->z);
    memcpy(h->note + *to, f->note + from, (size_t)n * sizeof *h->note);
    *to += n;
}

ws_err ws_certified_answer(ws_certified *c, ws_hits *hits)
{
    const ws_hits *f = &c->found;
    ws_err err;

    if ((err = ws_hits_reserve_rows(hits, f->rows)) || (err = ws_hits_reserve(hits, f->n)))
        return err;
    open_rows(c, hits);
    for (int64_t b = 0, i = 0; b < c->blocks; b++)
        for (; i < c->block[b].rows; i++) copy_row(c, i, c->block[b].first, hits);
    for (int64_t i = 0; i < f->rows; i++) c->at[f->row[i]] = 0;
    /* Each first[i] has moved on to where i + 1 begins. */
    memmove(hits->first + 1, hits->first, (size_t)hits->rows * sizeof *hits->first);
    hits->first[0] = 0;
    return WS_OK;
}
