/* certified_start.c - the first lists of neurons that are still as a structured start made them.
 *
 * Tile by tile of 16 samples, part by part of as many blocks as one segment holds, panel by panel, the
 * transform proposes pairs; they become entries at once, since all rows have one cut and one scale of
 * z, and the runs of a sample come in the order in which a segment has them: nothing is sorted.
 * Rows that have moved, have a bias, or a list that is too long or has a z beyond the scale are left to
 * ws_certified_list(). */
#include <string.h>

#include "certified.h"
#include "transform.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/fmath.h"

/* A panel pays if one row in SPARSE is as it was: 512 products of it cost as much as 16 by bytes. */
enum { SPARSE = 32, LANE = WS_SEGMENT_ROWS + 16 /* no power of two: see transform.c */ };

/* More than this share of all pairs in lists: the time is that of writing them. */
static const double most_share = 0.25;

/* z of entries up to so many deviations have a scale of their own row. */
static const double deviations = 9;

static const char what[] = "first lists of neurons";

/* Blocks whose neurons are one segment. */
typedef struct part {
    int64_t block, panels;
    int64_t rows[WS_SEGMENT_ROWS / WS_PANEL]; /* of each panel */
    int used[WS_SEGMENT_ROWS / WS_PANEL];     /* 0: too few of its rows are as they were */
    float *g;                                 /* [panels][t.panel] */
    int32_t *slot;   /* neuron by neuron of the blocks: its slot; -1: listed otherwise */
    uint32_t *count; /* [slots] entries; beyond: one of them was beyond the scale */
    ws_segment s;
    int64_t capacity; /* of s.entry */
} part;

static const uint32_t beyond = 1u << 31;

typedef struct listing {
    ws_certified *c;
    const ws_start *start;
    ws_transform t;
    part *part;
    int64_t parts;
    double (*sum)[WS_BLOCK_ROWS]; /* [10] */
    double *norm2;                /* [q] */
    float *numbers;               /* of a panel */
    float *u;
    uint32_t *at, *lane; /* hits of a panel; [16][LANE] entries of a part by sample */
    float *z;
    int64_t n[WS_TILE]; /* entries in each lane */
    float cut, step, per_step;
    double most2; /* largest ||numbers||^2 of a block */
    double error; /* of a z */
} listing;

/* ---- rows ---- */

/* Local id of the first neuron of row t; a second would be the next. */
static int64_t neuron_of(const ws_start *s, int64_t t)
{
    return t * (1 + s->pairs) - s->first;
}

static int is_fresh(const ws_certified *c, int64_t k)
{
    const ws_shard *w = &c->base.shard;

    return k >= 0 && k < w->n && !c->base.start->moved[k] && w->b[k] == 0;
}

/* The sum over k < n of the squares at i XOR k: sum[h][j] is that of piece j of length 2^h, and each
 * bit of n is one piece. */
static double shifted_sum(double (*sum)[WS_BLOCK_ROWS], int64_t i, int64_t n)
{
    double total = 0;
    int64_t from = 0;

    for (int h = 9; h >= 0; h--) {
        if (!(n >> h & 1)) continue;
        total += sum[h][(from ^ i) >> h];
        from += (int64_t)1 << h;
    }
    return total;
}

/* ||row i||^2 of a block for all i; returns ||numbers||^2. */
static double squares(listing *l, const float *g)
{
    const ws_blocks *b = &l->t.b;
    int64_t last = (b->chunks - 1) * b->q;
    double whole = 0;

    for (int64_t k = 0; k < last; k++) whole += (double)g[k] * (double)g[k];
    for (int64_t k = 0; k < b->q; k++) l->sum[0][k] = (double)g[last + k] * (double)g[last + k];
    for (int h = 1; (int64_t)1 << h <= b->q; h++)
        for (int64_t k = 0; k < b->q >> h; k++)
            l->sum[h][k] = l->sum[h - 1][2 * k] + l->sum[h - 1][2 * k + 1];
    for (int64_t k = 0; k < b->q; k++) l->norm2[k] = whole + shifted_sum(l->sum, k, b->d - last);
    return whole + shifted_sum(l->sum, 0, b->q);
}

/* ---- parts ---- */

/* Slots for the neurons of panel p that are as they were, if they are enough; returns how many. */
static int32_t panel_slots(const ws_certified *c, part *v, int64_t p, int64_t rows, int32_t next)
{
    const ws_start *s = c->base.start;
    int64_t each = 1 + s->pairs, from = p * WS_PANEL * each;
    int64_t first = neuron_of(s, v->block * s->blocks.q) + from, n = rows * each, fresh = 0;

    for (int64_t k = 0; k < n; k++) fresh += is_fresh(c, first + k);
    v->used[p] = fresh * SPARSE >= n;
    if (!v->used[p]) fresh = 0;
    for (int64_t k = 0; k < n; k++)
        v->slot[from + k] = fresh > 0 && is_fresh(c, first + k) ? next++ : -1;
    return (int32_t)fresh;
}

/* What neurons of panel p start from. */
static void panel_rows(listing *l, const part *v, int64_t p, int64_t blocks)
{
    const ws_blocks *b = &l->t.b;
    int64_t each = 1 + l->start->pairs, first = v->block + p * l->t.blocks;

    for (int64_t k = 0; k < blocks; k++) {
        double all = squares(l, l->numbers + k * b->chunks * b->q);

        l->most2 = fmax(l->most2, all);
        for (int64_t i = 0; i < b->q * each; i++) {
            int32_t slot = v->slot[(p * WS_PANEL + k * b->q) * each + i];
            int64_t id = neuron_of(l->start, (first + k) * b->q) + i;

            if (slot < 0) continue;
            v->s.row[slot] = (int32_t)id;
            l->c->row[id].norm = ws_round_up(
                sqrt(l->norm2[i / each]) * (1 + (double)(b->d + 16) * 0x1p-52) + 0x1p-120);
        }
    }
}

static ws_err part_open(listing *l, part *v, int64_t block, int64_t blocks)
{
    const ws_blocks *b = &l->t.b;
    int64_t neurons = blocks * b->q * (1 + l->start->pairs);
    int32_t slots = 0;
    ws_err err;

    v->block = block;
    v->panels = (blocks + l->t.blocks - 1) / l->t.blocks;
    if ((err = ws_alloc(&v->slot, neurons, sizeof *v->slot, what)) ||
        (err = ws_alloc(&v->count, neurons, sizeof *v->count, what)) ||
        (err = ws_alloc(&v->g, v->panels * l->t.panel, sizeof *v->g, what)))
        return err;
    for (int64_t p = 0, left = blocks; p < v->panels; p++, left -= l->t.blocks) {
        v->rows[p] = (left < l->t.blocks ? left : l->t.blocks) * b->q;
        slots += panel_slots(l->c, v, p, v->rows[p], slots);
    }
    if (slots > 0 && (err = ws_segment_open(l->c, &v->s, slots, 0))) return err;
    for (int64_t p = 0; p < v->panels; p++) {
        int64_t n = v->rows[p] / b->q;

        if (!v->used[p]) continue;
        ws_blocks_numbers(b, block + p * l->t.blocks, n, l->numbers);
        ws_transform_panel(&l->t, n, l->numbers, v->g + p * l->t.panel);
        panel_rows(l, v, p, n);
    }
    return WS_OK;
}

static ws_err open_parts(listing *l)
{
    const ws_shard *w = &l->c->base.shard;
    int64_t each = 1 + l->start->pairs, q = l->t.b.q, size = WS_SEGMENT_ROWS / (q * each);
    int64_t first = l->start->first / each / q;
    int64_t end = ((l->start->first + w->n - 1) / each) / q + 1;
    ws_err err;

    if ((err = ws_alloc(&l->part, (end - first + size - 1) / size, sizeof *l->part, what)))
        return err;
    for (int64_t k = first; k < end && !err; k += size)
        err = part_open(l, &l->part[l->parts++], k, end - k < size ? end - k : size);
    return err;
}

/* ---- entries ---- */

/* Hits of panel p become entries in the lanes of their samples. */
static void take(listing *l, part *v, int64_t p, int64_t hits)
{
    int64_t each = 1 + l->start->pairs;

    for (int64_t e = 0; e < hits; e++) {
        float f = (l->z[e] - l->cut) * l->per_step;
        uint32_t q = f < WS_Z_MASK ? (uint32_t)f : WS_Z_MASK, lane = l->at[e] % WS_TILE;
        int64_t k = (p * WS_PANEL + l->at[e] / WS_TILE) * each;

        for (int64_t end = k + each; k < end; k++) {
            int32_t slot = v->slot[k];

            if (slot < 0) continue;
            l->lane[lane * LANE + l->n[lane]++] = (uint32_t)slot << WS_Z_BITS | q;
            v->count[slot] = (v->count[slot] + 1) | (q == WS_Z_MASK ? beyond : 0);
        }
    }
}

/* The runs of n samples from i on. */
static ws_err append(listing *l, part *v, int64_t i, int64_t n)
{
    ws_segment *s = &v->s;
    ws_err err;

    for (int64_t k = 0; k < n; k++) {
        int64_t more = l->n[k];

        if (s->n + more >= UINT32_MAX)
            return ws_fail(WS_ERR_NOMEM,
                           "lists of %lld samples are too long for an index: use a "
                           "larger --shift or --index scan",
                           (long long)l->c->base.samples.n);
        if ((err = ws_grow(&s->entry, &v->capacity, s->n + more, sizeof *s->entry, what)))
            return err;
        if (more > 0) memcpy(s->entry + s->n, l->lane + k * LANE, (size_t)more * sizeof *s->entry);
        s->n += more;
        s->first[i + k + 1] = (uint32_t)s->n;
    }
    return WS_OK;
}

static ws_err list_tile(listing *l, int64_t i)
{
    const ws_samples *x = &l->c->base.samples;
    int64_t n = x->n - i < WS_TILE ? x->n - i : WS_TILE;
    ws_err err = WS_OK;

    ws_transform_tile(&l->t, x, i, n, l->u);
    for (int64_t k = 0; k < l->parts && !err; k++) {
        part *v = &l->part[k];

        if (v->s.rows == 0) continue;
        memset(l->n, 0, sizeof l->n);
        for (int64_t p = 0; p < v->panels; p++) {
            if (v->used[p])
                take(l, v, p,
                     ws_transform_list(&l->t, l->u, v->g + p * l->t.panel, v->rows[p], l->cut,
                                       l->at, l->z));
        }
        err = append(l, v, i, n);
    }
    return err;
}

/* ---- the whole ---- */

/* The segment of a part is the index's from now on. */
static ws_err part_close(listing *l, part *v)
{
    int64_t longest = l->c->base.samples.n / 2 + 16;
    int error;

    if (v->s.rows == 0) return WS_OK;
    for (int32_t k = 0; k < v->s.rows; k++) {
        ws_row *r = &l->c->row[v->s.row[k]];

        r->length = (int32_t)(v->count[k] & ~beyond);
        r->cut = l->cut;
        r->step = l->step;
        error = ws_certified_error_code(l->error / (double)r->norm / l->c->max_norm);
        r->error = (uint8_t)error;
        r->queued = r->length > longest || v->count[k] >= beyond || error < 0;
    }
    v->s.live = v->s.n;
    ws_shrink(&v->s.entry, v->s.n, sizeof *v->s.entry);
    return ws_segment_add(l->c, &v->s);
}

/* Neurons without a list, or with one that will not do. */
static ws_err list_others(ws_certified *c)
{
    int64_t n = 0;
    ws_err err = WS_OK;

    for (int64_t k = 0; k < c->base.shard.n && !err; k++) {
        if (c->row[k].segment < 0 || c->row[k].queued) c->queue[n++] = k;
        if (n == 0 || (n < WS_SEGMENT_ROWS && k + 1 < c->base.shard.n)) continue;
        err = ws_certified_list(c, c->queue, n);
        n = 0;
    }
    return err;
}

static ws_err work_space(listing *l)
{
    const ws_blocks *b = &l->t.b;
    ws_err err;

    if ((err = ws_alloc(&l->sum, 10, sizeof *l->sum, what)) ||
        (err = ws_alloc(&l->norm2, b->q, sizeof *l->norm2, what)) ||
        (err = ws_alloc(&l->numbers, l->t.panel, sizeof *l->numbers, what)) ||
        (err = ws_alloc(&l->u, l->t.tile, sizeof *l->u, what)) ||
        (err = ws_alloc(&l->at, WS_PANEL_HITS, sizeof *l->at, what)) ||
        (err = ws_alloc(&l->z, WS_PANEL_HITS, sizeof *l->z, what)))
        return err;
    return ws_alloc(&l->lane, WS_TILE * LANE, sizeof *l->lane, what);
}

static void free_all(listing *l)
{
    for (int64_t k = 0; k < l->parts; k++) {
        ws_free(&l->part[k].g);
        ws_free(&l->part[k].slot);
        ws_free(&l->part[k].count);
        ws_segment_free(&l->part[k].s);
    }
    ws_free(&l->part);
    ws_free(&l->sum);
    ws_free(&l->norm2);
    ws_free(&l->numbers);
    ws_free(&l->u);
    ws_free(&l->at);
    ws_free(&l->z);
    ws_free(&l->lane);
    ws_transform_free(&l->t);
}

int ws_certified_start_applies(const ws_certified *c)
{
    const ws_start *s = c->base.start;
    double spread, share;

    if (!s || !ws_transform_usual(s->blocks.scale, c->max_norm)) return 0;
    spread = s->blocks.scale * c->max_norm;
    share = ws_gauss_tail((c->base.threshold - c->slack) / spread);
    return share < most_share && c->base.threshold < 1e30;
}

ws_err ws_certified_start_list(ws_certified *c)
{
    const ws_start *s = c->base.start;
    double top = deviations * s->blocks.scale * c->max_norm;
    listing l = {.c = c, .start = s, .cut = (float)(c->base.threshold - c->slack)};
    ws_err err = ws_transform_make(&l.t, &s->blocks);

    /* As set_step() of certified_lists.c. */
    l.step = ((float)top - l.cut) / (WS_Z_MASK - 3);
    l.step = fmaxf(l.step, 0x1p-22f * fmaxf((float)top, fabsf(l.cut)) + 1e-30f);
    l.per_step = 1 / l.step;
    if (!err) err = work_space(&l);
    if (!err) err = open_parts(&l);
    l.error = ws_transform_margin(&s->blocks) * sqrt(l.most2) * (1 + 1e-9) * c->max_norm;
    for (int64_t i = 0; i < c->base.samples.n && !err; i += WS_TILE) err = list_tile(&l, i);
    for (int64_t k = 0; k < l.parts && !err; k++) err = part_close(&l, &l.part[k]);
    /* What a product costs, as a share of one of length d. */
    if (!err)
        c->base.counts.inner_products +=
            (int64_t)((double)c->base.shard.n * (double)c->base.samples.n *
                      ((double)s->blocks.chunks + log2((double)s->blocks.q)) / (double)s->blocks.d);
    free_all(&l);
    return err ? err : list_others(c);
}
