/* unwritten.c - panels of rows times all tiles of samples, as hits in the order of the rows.
 *
 * Some panels at a time, so that what they are made of stays in the second cache: tile by tile the
 * transform leaves its hits where those of the panel are collected. Then panel by panel, whose counts and
 * hits the first cache nearly holds, they are put in the order of the rows by counting, and decided. */
#include "wingspan/index/unwritten.h"

#include <math.h>
#include <string.h>

#include "index_impl.h"
#include "propose.h"
#include "transform.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

enum { PANELS = WS_UNWRITTEN_ROWS / WS_PANEL };

static const char what[] = "fired neurons of the start";

/* Hits of a panel, tile by tile. */
typedef struct collected {
    int64_t n, at_capacity, z_capacity;
    uint32_t *at; /* [n] 16 x row + lane */
    float *z;
    int64_t *end; /* [tiles] where those of a tile end */
} collected;

struct ws_unwritten {
    ws_transform t;
    const ws_samples *x;
    double max_norm;
    double norm;           /* largest ||numbers|| of the blocks in hand */
    int64_t first, blocks; /* the blocks in hand */
    int64_t tiles;
    float *u;              /* [tiles][t.tile] */
    float *numbers, *g;    /* [PANELS][t.panel] */
    collected of[PANELS];  /* the first has room for one tile from the start */
    int64_t *ends;         /* [PANELS][tiles] */
    int64_t end[WS_PANEL]; /* of a row of the panel in hand: where its hits end */
    float *row;            /* [d] */
    int64_t *ids;          /* [samples] of a row */
    double *exact;         /* [samples] */
};

/* For the hits of one more tile. */
static ws_err room(collected *c)
{
    int64_t n = c->n + WS_PANEL_HITS;
    ws_err err = ws_grow(&c->at, &c->at_capacity, n, sizeof *c->at, what);

    return err ? err : ws_grow(&c->z, &c->z_capacity, n, sizeof *c->z, what);
}

static ws_err alloc_all(ws_unwritten *f)
{
    ws_err err;

    if ((err = ws_alloc(&f->u, f->tiles * f->t.tile, sizeof *f->u, what)) ||
        (err = ws_alloc(&f->numbers, PANELS * f->t.panel, sizeof *f->numbers, what)) ||
        (err = ws_alloc(&f->g, PANELS * f->t.panel, sizeof *f->g, what)) ||
        (err = ws_alloc(&f->ends, PANELS * f->tiles, sizeof *f->ends, what)) ||
        (err = room(&f->of[0])) || (err = ws_alloc(&f->row, f->t.b.d, sizeof *f->row, what)) ||
        (err = ws_alloc(&f->ids, f->x->n, sizeof *f->ids, what)))
        return err;
    return ws_alloc(&f->exact, f->x->n, sizeof *f->exact, what);
}

ws_err ws_unwritten_create(const ws_blocks *b, const ws_samples *x, ws_unwritten **out)
{
    ws_unwritten *f = NULL;
    double most = ws_samples_longest(x, NULL, x->n);
    ws_err err;

    *out = NULL;
    if (x->n > 0 && !ws_transform_usual(b->scale, most))
        return ws_fail(WS_ERR_USAGE,
                       "a structured start is for samples of usual size, not norm %g: use "
                       "--prepare unit",
                       most);
    if ((err = ws_alloc(&f, 1, sizeof *f, what))) return err;
    f->x = x;
    f->max_norm = most;
    f->tiles = (x->n + WS_TILE - 1) / WS_TILE;
    if ((err = ws_transform_make(&f->t, b)) || (err = alloc_all(f))) {
        ws_unwritten_destroy(&f);
        return err;
    }
    for (int64_t k = 0; k < f->tiles; k++) {
        int64_t left = x->n - k * WS_TILE;

        ws_transform_tile(&f->t, x, k * WS_TILE, left < WS_TILE ? left : WS_TILE,
                          f->u + k * f->t.tile);
    }
    *out = f;
    return WS_OK;
}

void ws_unwritten_destroy(ws_unwritten **out)
{
    ws_unwritten *f = *out;

    if (!f) return;
    ws_transform_free(&f->t);
    ws_free(&f->u);
    ws_free(&f->numbers);
    ws_free(&f->g);
    for (int k = 0; k < PANELS; k++) {
        ws_free(&f->of[k].at);
        ws_free(&f->of[k].z);
    }
    ws_free(&f->ends);
    ws_free(&f->row);
    ws_free(&f->ids);
    ws_free(&f->exact);
    ws_free(out);
}

double ws_unwritten_error(const ws_unwritten *f, double norm)
{
    return ws_transform_margin(&f->t.b) * (norm > 0 ? norm : f->norm) * f->max_norm * (1 + 1e-9) +
           1e-36;
}

int64_t ws_unwritten_bytes(const ws_unwritten *f)
{
    int64_t hits = 0;

    for (int k = 0; k < PANELS; k++) hits += f->of[k].at_capacity + f->of[k].z_capacity;
    return (int64_t)sizeof *f + ws_transform_bytes(&f->t) +
           4 * (f->tiles * f->t.tile + 2 * PANELS * f->t.panel + f->t.b.d + hits) +
           8 * (PANELS * f->tiles + 2 * f->x->n);
}

/* ---- blocks in hand ---- */

/* At most PANELS panels of blocks; returns how many panels. */
static int64_t take_blocks(ws_unwritten *f, int64_t block, int64_t n)
{
    const ws_blocks *b = &f->t.b;
    int64_t panels = 0, floats = b->chunks * b->q;

    ws_blocks_numbers(b, block, n, f->numbers);
    f->first = block;
    f->blocks = n;
    for (int64_t k = 0; k < n; k += f->t.blocks, panels++)
        ws_transform_panel(&f->t, n - k < f->t.blocks ? n - k : f->t.blocks,
                           f->numbers + k * floats, f->g + panels * f->t.panel);
    f->norm = 0;
    for (int64_t k = 0; k < n; k++)
        f->norm = fmax(f->norm, ws_propose_norm(f->numbers + k * floats, floats));
    return panels;
}

const float *ws_unwritten_numbers(const ws_unwritten *f, int64_t block)
{
    int64_t k = block - f->first;

    return k >= 0 && k < f->blocks ? f->numbers + k * f->t.b.chunks * f->t.b.q : NULL;
}

/* Meanwhile the next tile, if there is one, comes from the third cache: a share of it with each panel. */
WS_FETCH fetch_share(const ws_unwritten *f, int64_t tile, int64_t p, int64_t panels)
{
    int64_t share = (f->t.tile + panels - 1) / panels, end = (p + 1) * share;
    const float *u = f->u + (tile + 1) * f->t.tile;

    if (tile + 1 >= f->tiles) return;
    for (int64_t k = p * share; k < end && k < f->t.tile; k += 16) __builtin_prefetch(u + k, 0, 2);
}

/* Without those beyond the last row or sample, which are zeros and may lie above the cut. */
static int64_t without_zeros(uint32_t *at, float *z, int64_t n, int64_t rows, int64_t lanes)
{
    int64_t kept = 0;

    for (int64_t e = 0; e < n; e++) {
        at[kept] = at[e];
        z[kept] = z[e];
        kept += at[e] / WS_TILE < rows && at[e] % WS_TILE < lanes;
    }
    return kept;
}

/* Hits of panel p, of which `rows` rows are blocks in hand, with tile k. */
static ws_err collect_tile(ws_unwritten *f, int64_t p, int64_t k, int64_t rows, float cut)
{
    collected *c = &f->of[p];
    int64_t lanes = f->x->n - k * WS_TILE, n;
    ws_err err = room(c);

    if (err) return err;
    n = ws_transform_list(&f->t, f->u + k * f->t.tile, f->g + p * f->t.panel, rows, cut,
                          c->at + c->n, c->z + c->n);
    if (rows < WS_PANEL || lanes < WS_TILE)
        n = without_zeros(c->at + c->n, c->z + c->n, n, rows, lanes);
    c->n += n;
    c->end[k] = c->n;
    return WS_OK;
}

static ws_err collect(ws_unwritten *f, int64_t panels, int64_t rows, float cut)
{
    ws_err err = WS_OK;

    for (int64_t p = 0; p < panels; p++) {
        f->of[p].n = 0;
        f->of[p].end = f->ends + p * f->tiles;
    }
    for (int64_t k = 0; k < f->tiles; k++) {
        for (int64_t p = 0; p < panels && !err; p++) {
            int64_t left = rows - p * WS_PANEL;

            fetch_share(f, k, p, panels);
            err = collect_tile(f, p, k, left < WS_PANEL ? left : WS_PANEL, cut);
        }
    }
    return err;
}

/* end[r] is where the hits of row r begin, in the order of the rows. */
static void count_rows(ws_unwritten *f, const collected *c)
{
    int64_t at = 0;

    memset(f->end, 0, sizeof f->end);
    for (int64_t e = 0; e < c->n; e++) f->end[c->at[e] / WS_TILE]++;
    for (int64_t r = 0; r < WS_PANEL; r++) {
        int64_t here = f->end[r];

        f->end[r] = at;
        at += here;
    }
}

/* To pos and note [c->n], in the order of the rows and of the samples of a row; end[r] is then where
 * those of row r end. */
static void sort_by_row(ws_unwritten *f, const collected *c, int32_t *pos, float *note)
{
    count_rows(f, c);
    for (int64_t k = 0, e = 0; k < f->tiles; k++) {
        for (; e < c->end[k]; e++) {
            int64_t to = f->end[c->at[e] / WS_TILE]++;

            pos[to] = (int32_t)(k * WS_TILE + c->at[e] % WS_TILE);
            note[to] = c->z[e];
        }
    }
}

/* ---- answers ---- */

/* Of the n candidates of row r of the panel, which are the hits from `from` on, those that fire; z by its
 * definition. */
static void decide(ws_unwritten *f, const float *numbers, int64_t r, int64_t from, int64_t n,
                   double threshold, ws_hits *hits)
{
    const ws_blocks *b = &f->t.b;

    if (n == 0) return;
    ws_blocks_row(b, numbers + r / b->q * b->chunks * b->q, f->t.sign, r, f->row);
    for (int64_t k = 0; k < n; k++) f->ids[k] = hits->pos[from + k];
    ws_dot_many(f->row, f->x, f->ids, n, f->exact);
    for (int64_t k = 0; k < n; k++) {
        hits->pos[hits->n] = hits->pos[from + k];
        hits->note[hits->n] = hits->note[from + k];
        hits->z[hits->n] = f->exact[k];
        hits->n += f->exact[k] > threshold;
    }
}

/* Hits of panel p, whose first row is t. */
static ws_err put_panel(ws_unwritten *f, int64_t p, int64_t t, double threshold, int exact,
                        ws_hits *hits)
{
    const collected *c = &f->of[p];
    const float *numbers = f->numbers + p * f->t.panel;
    int64_t base = hits->n, from = base;
    ws_err err;

    if ((err = ws_hits_reserve_rows(hits, WS_PANEL)) || (err = ws_hits_reserve(hits, c->n)))
        return err;
    sort_by_row(f, c, hits->pos + base, hits->note + base);
    if (!exact)
        for (int64_t k = base; k < base + c->n; k++) hits->z[k] = (double)hits->note[k];
    for (int64_t r = 0; r < WS_PANEL; r++) {
        int64_t end = base + f->end[r];

        hits->row[hits->rows] = t + r;
        hits->first[hits->rows] = hits->n;
        if (exact)
            decide(f, numbers, r, from, end - from, threshold, hits);
        else
            hits->n = end;
        hits->rows += hits->n > hits->first[hits->rows];
        from = end;
    }
    hits->first[hits->rows] = hits->n;
    return WS_OK;
}

/* A float32 below which nothing fires. */
static float cut_of(const ws_unwritten *f, double threshold)
{
    double cut = threshold - ws_unwritten_error(f, 0);

    return (float)(cut - fabs(cut) * 0x1p-22);
}

static ws_err some(ws_unwritten *f, int64_t block, int64_t n, double threshold, int exact,
                   ws_hits *hits)
{
    int64_t q = f->t.b.q, panels = take_blocks(f, block, n);
    ws_err err = collect(f, panels, n * q, cut_of(f, threshold));

    for (int64_t p = 0; p < panels && !err; p++)
        err = put_panel(f, p, block * q + p * WS_PANEL, threshold, exact, hits);
    return err;
}

static ws_err answer(ws_unwritten *f, int64_t block, int64_t n, double threshold, int exact,
                     ws_hits *hits)
{
    int64_t most = PANELS * f->t.blocks;
    ws_err err;

    hits->rows = hits->n = 0;
    if ((err = ws_hits_row(hits, 0))) return err;
    ws_hits_close(hits);
    for (int64_t k = 0; k < n && !err; k += most)
        err = some(f, block + k, n - k < most ? n - k : most, threshold, exact, hits);
    return err;
}

ws_err ws_unwritten_list(ws_unwritten *f, int64_t block, int64_t n, double threshold, ws_hits *hits)
{
    return answer(f, block, n, threshold, 1, hits);
}

ws_err ws_unwritten_propose(ws_unwritten *f, int64_t block, int64_t n, double threshold,
                            ws_hits *hits)
{
    return answer(f, block, n, threshold, 0, hits);
}

/* Rows of one panel that are hit, a bit each. */
static void mark(ws_unwritten *f, int64_t panel, int64_t rows, float cut,
                 uint64_t hit[WS_PANEL / 64])
{
    const collected *c = &f->of[0];

    memset(hit, 0, WS_PANEL / 8);
    for (int64_t k = 0; k < f->tiles; k++) {
        int64_t lanes = f->x->n - k * WS_TILE;
        int64_t n = ws_transform_list(&f->t, f->u + k * f->t.tile, f->g + panel * f->t.panel, rows,
                                      cut, c->at, c->z);

        for (int64_t e = 0; e < n; e++) {
            uint32_t row = c->at[e] / WS_TILE;

            if (c->at[e] % WS_TILE < lanes) hit[row / 64] |= (uint64_t)1 << row % 64;
        }
    }
}

int64_t ws_unwritten_rows(ws_unwritten *f, int64_t block, int64_t n, double threshold,
                          uint32_t *offset)
{
    int64_t rows = n * f->t.b.q, panels = take_blocks(f, block, n), found = 0;
    float cut = cut_of(f, threshold);

    for (int64_t p = 0; p < panels; p++) {
        int64_t left = rows - p * WS_PANEL;
        uint64_t hit[WS_PANEL / 64];

        mark(f, p, left < WS_PANEL ? left : WS_PANEL, cut, hit);
        for (int64_t k = 0; k < WS_PANEL && k < left; k += 64)
            for (uint64_t m = hit[k / 64]; m; m &= m - 1) {
                int64_t row = k + __builtin_ctzll(m);

                if (row < left) offset[found++] = (uint32_t)(p * WS_PANEL + row);
            }
    }
    return found;
}
