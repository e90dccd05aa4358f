/* unwritten.c - panels of rows times all tiles of samples, as hits in the order of the rows.
 *
 * Some panels at a time, so that what they are made of stays in the second cache: tile by tile the
 * hits of all of them are staged, then put in the order of the rows by counting, and decided. */
#include "wingspan/index/unwritten.h"

#include <math.h>
#include <string.h>

#include "index_impl.h"
#include "propose.h"
#include "transform.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

enum { PANELS = WS_UNWRITTEN_ROWS / WS_PANEL, ROWS = WS_UNWRITTEN_ROWS };

static const char what[] = "fired neurons of the start";

struct ws_unwritten {
    ws_transform t;
    const ws_samples *x;
    double max_norm;
    double norm;           /* largest ||numbers|| of the blocks in hand */
    int64_t first, blocks; /* the blocks in hand */
    int64_t tiles;
    float *u;           /* [tiles][t.tile] */
    float *numbers, *g; /* [PANELS][t.panel] */
    uint32_t *at;       /* [WS_PANEL_HITS] */
    float *z;
    int64_t staged, stage_capacity, stage_z_capacity, order_capacity;
    struct {
        int32_t row, pos; /* row of those in hand */
    } * stage;
    float *stage_z;
    int32_t *order; /* staged hits by row */
    int64_t *end;   /* [ROWS + 1] where the hits of a row end */
    float *row;     /* [d] */
    int64_t *ids;   /* [samples] of a row */
    double *exact;  /* [samples] */
};

static ws_err alloc_all(ws_unwritten *f)
{
    ws_err err;

    if ((err = ws_alloc(&f->u, f->tiles * f->t.tile, sizeof *f->u, what)) ||
        (err = ws_alloc(&f->numbers, PANELS * f->t.panel, sizeof *f->numbers, what)) ||
        (err = ws_alloc(&f->g, PANELS * f->t.panel, sizeof *f->g, what)) ||
        (err = ws_alloc(&f->at, WS_PANEL_HITS, sizeof *f->at, what)) ||
        (err = ws_alloc(&f->z, WS_PANEL_HITS, sizeof *f->z, what)) ||
        (err = ws_alloc(&f->end, ROWS + 1, sizeof *f->end, what)) ||
        (err = ws_alloc(&f->row, f->t.b.d, sizeof *f->row, what)) ||
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
    ws_free(&f->at);
    ws_free(&f->z);
    ws_free(&f->stage);
    ws_free(&f->stage_z);
    ws_free(&f->order);
    ws_free(&f->end);
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
    return (int64_t)sizeof *f + ws_transform_bytes(&f->t) +
           4 * (f->tiles * f->t.tile + 2 * PANELS * f->t.panel + f->t.b.d + 2 * WS_PANEL_HITS) +
           8 * (ROWS + 1 + 2 * f->x->n) + 8 * f->stage_capacity +
           4 * (f->stage_z_capacity + f->order_capacity);
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

static ws_err stage_room(ws_unwritten *f, int64_t n)
{
    ws_err err = ws_grow(&f->stage, &f->stage_capacity, n, sizeof *f->stage, what);

    return err ? err : ws_grow(&f->stage_z, &f->stage_z_capacity, n, sizeof *f->stage_z, what);
}

/* Meanwhile the next tile, if there is one, comes from the third cache: a share of it with each panel. */
WS_FETCH fetch_share(const ws_unwritten *f, int64_t tile, int64_t p, int64_t panels)
{
    int64_t share = (f->t.tile + panels - 1) / panels, end = (p + 1) * share;
    const float *u = f->u + (tile + 1) * f->t.tile;

    if (tile + 1 >= f->tiles) return;
    for (int64_t k = p * share; k < end && k < f->t.tile; k += 16) __builtin_prefetch(u + k, 0, 2);
}

/* Hits of all panels, tile by tile. The lanes beyond the last sample are zeros, whatever the cut. */
static ws_err stage_all(ws_unwritten *f, int64_t panels, int64_t rows, float cut)
{
    ws_err err = WS_OK;

    f->staged = 0;
    for (int64_t k = 0; k < f->tiles; k++) {
        for (int64_t p = 0; p < panels; p++) {
            int64_t left = rows - p * WS_PANEL, n;

            fetch_share(f, k, p, panels);
            n = ws_transform_list(&f->t, f->u + k * f->t.tile, f->g + p * f->t.panel,
                                  left < WS_PANEL ? left : WS_PANEL, cut, f->at, f->z);

            if ((err = stage_room(f, f->staged + n + 1))) return err;
            for (int64_t e = 0; e < n; e++) {
                int64_t row = p * WS_PANEL + f->at[e] / WS_TILE;
                int64_t pos = k * WS_TILE + f->at[e] % WS_TILE;

                f->stage[f->staged].row = (int32_t)row;
                f->stage[f->staged].pos = (int32_t)pos;
                f->stage_z[f->staged] = f->z[e];
                f->staged += row < rows && pos < f->x->n;
            }
        }
    }
    return err;
}

/* end[r] is where the hits of row r begin, in the order of the rows. */
static ws_err count_rows(ws_unwritten *f, int64_t rows)
{
    int64_t at = 0;

    if (f->staged > INT32_MAX)
        return ws_fail(WS_ERR_NOMEM,
                       "%lld pairs fire on a few thousand neurons: use a larger --shift",
                       (long long)f->staged);
    memset(f->end, 0, (size_t)(rows + 1) * sizeof *f->end);
    for (int64_t e = 0; e < f->staged; e++) f->end[f->stage[e].row]++;
    for (int64_t r = 0; r <= rows; r++) {
        int64_t here = f->end[r];

        f->end[r] = at;
        at += here;
    }
    return WS_OK;
}

/* Stable: the samples of a row stay in order. end[r] is then where they end. */
static ws_err sort_by_row(ws_unwritten *f)
{
    ws_err err = ws_grow(&f->order, &f->order_capacity, f->staged, sizeof *f->order, what);

    for (int64_t e = 0; e < f->staged && !err; e++)
        f->order[f->end[f->stage[e].row]++] = (int32_t)e;
    return err;
}

/* ---- answers ---- */

/* z of the n candidates order[0..n) of a row, by its definition. */
static void decide(ws_unwritten *f, int64_t r, int64_t t, const int32_t *order, int64_t n)
{
    const ws_blocks *b = &f->t.b;

    ws_blocks_row(b, f->numbers + r / b->q * b->chunks * b->q, f->t.sign, t, f->row);
    for (int64_t k = 0; k < n; k++) f->ids[k] = f->stage[order[k]].pos;
    ws_dot_many(f->row, f->x, f->ids, n, f->exact);
}

static ws_err put_row(ws_unwritten *f, int64_t r, int64_t t, const int32_t *order, int64_t n,
                      double threshold, ws_hits *hits)
{
    ws_err err;

    if ((err = ws_hits_row(hits, t)) || (err = ws_hits_reserve(hits, n))) return err;
    decide(f, r, t, order, n);
    for (int64_t k = 0; k < n; k++) {
        hits->pos[hits->n] = f->stage[order[k]].pos;
        hits->z[hits->n] = f->exact[k];
        hits->note[hits->n] = f->stage_z[order[k]];
        hits->n += f->exact[k] > threshold;
    }
    ws_hits_close(hits);
    return WS_OK;
}

static ws_err put_exact(ws_unwritten *f, int64_t first, int64_t rows, double threshold,
                        ws_hits *hits)
{
    int64_t from = 0;
    ws_err err = sort_by_row(f);

    for (int64_t r = 0; r < rows && !err; r++) {
        int64_t k = f->end[r] - from;

        if (k > 0) err = put_row(f, r, first + r, f->order + from, k, threshold, hits);
        from += k;
    }
    return err;
}

/* As staged, straight to their places. */
static ws_err put_proposed(ws_unwritten *f, int64_t first, int64_t rows, ws_hits *hits)
{
    int64_t base = hits->n;
    ws_err err;

    if ((err = ws_hits_reserve_rows(hits, rows)) || (err = ws_hits_reserve(hits, f->staged)))
        return err;
    for (int64_t e = 0; e < f->staged; e++) {
        int64_t at = base + f->end[f->stage[e].row]++;

        hits->pos[at] = f->stage[e].pos;
        hits->z[at] = (double)f->stage_z[e];
        hits->note[at] = f->stage_z[e];
    }
    for (int64_t r = 0; r < rows; r++) {
        if (base + f->end[r] == hits->n) continue;
        hits->row[hits->rows] = first + r;
        hits->first[hits->rows++] = hits->n;
        hits->n = base + f->end[r];
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
    int64_t rows = n * f->t.b.q, panels = take_blocks(f, block, n);
    ws_err err;

    if ((err = stage_all(f, panels, rows, cut_of(f, threshold))) || (err = count_rows(f, rows)))
        return err;
    return exact ? put_exact(f, block * f->t.b.q, rows, threshold, hits)
                 : put_proposed(f, block * f->t.b.q, rows, hits);
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
    memset(hit, 0, WS_PANEL / 8);
    for (int64_t k = 0; k < f->tiles; k++) {
        int64_t lanes = f->x->n - k * WS_TILE;
        int64_t n = ws_transform_list(&f->t, f->u + k * f->t.tile, f->g + panel * f->t.panel, rows,
                                      cut, f->at, f->z);

        for (int64_t e = 0; e < n; e++) {
            uint32_t row = f->at[e] / WS_TILE;

            if (f->at[e] % WS_TILE < lanes) hit[row / 64] |= (uint64_t)1 << row % 64;
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
