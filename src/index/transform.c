/* transform.c - tiles of samples and panels of rows; their product is in transform_simd.c. */
#include "transform.h"

#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"

/* Line j of a chunk lies at j + j / (unit / 16): without a spare line there, lines that a pass takes
 * together would fall on one set of the first cache (0.41 instead of 0.27 ns a pair). */
static int64_t line(const ws_transform *t, int64_t j)
{
    return j + j / (t->unit / 16);
}

ws_err ws_transform_make(ws_transform *t, const ws_blocks *b)
{
    const char *what = "transform of the start";
    ws_err err;

    *t = (ws_transform){.b = *b};
    t->unit = b->q < 16 ? 16 : b->q;
    t->blocks = WS_PANEL / b->q;
    t->tile = b->chunks * (t->unit + 16) * WS_TILE;
    t->panel = b->chunks * WS_PANEL;
    if ((err = ws_alloc(&t->sign, b->chunks * b->q, sizeof *t->sign, what)) ||
        (err = ws_alloc(&t->row, b->d * WS_TILE, sizeof *t->row, what)) ||
        (err = ws_alloc(&t->side, b->q * WS_TILE, sizeof *t->side, what)) ||
        (err = ws_alloc(&t->wide, b->q * WS_TILE, sizeof *t->wide, what)) ||
        (err = ws_alloc(&t->work, (t->unit + 16) * WS_TILE, sizeof *t->work, what)))
        return err;
    ws_blocks_signs(b, t->sign);
    return WS_OK;
}

void ws_transform_free(ws_transform *t)
{
    ws_free(&t->sign);
    ws_free(&t->row);
    ws_free(&t->side);
    ws_free(&t->wide);
    ws_free(&t->work);
}

int64_t ws_transform_bytes(const ws_transform *t)
{
    return t->b.chunks * t->b.q * 4 + t->b.d * WS_TILE * 4 + t->b.q * WS_TILE * 12 +
           (t->unit + 16) * WS_TILE * 4;
}

void ws_transform_tile(const ws_transform *t, const ws_samples *x, int64_t from, int64_t n,
                       float *u)
{
    int64_t q = t->b.q, d = t->b.d;

    for (int64_t l = 0; l < n; l++) ws_samples_row(x, from + l, t->row + l * d);
    for (int64_t c = 0; c < t->b.chunks; c++, u += (t->unit + 16) * WS_TILE) {
        int64_t here = d - c * q < q ? d - c * q : q;

        memset(t->side, 0, (size_t)(q * WS_TILE) * sizeof *t->side);
        for (int64_t l = 0; l < n; l++)
            for (int64_t k = 0; k < here; k++)
                t->side[k * WS_TILE + l] = t->sign[c * q + k] * t->row[l * d + c * q + k];
        ws_transform_simd()->hadamard(t->side, t->wide, q);
        /* Where several blocks are one unit each needs the whole. */
        for (int64_t k = 0; k < t->unit; k++)
            memcpy(u + line(t, k) * WS_TILE, t->side + k % q * WS_TILE, WS_TILE * sizeof *u);
    }
}

/* Row r of the panel is in unit r / unit; there, chunk by chunk, at r % unit. */
void ws_transform_panel(const ws_transform *t, int64_t n, const float *numbers, float *g)
{
    const ws_transform_loops *loops = ws_transform_simd();
    int64_t q = t->b.q, chunks = t->b.chunks;

    if (n < t->blocks) memset(g, 0, (size_t)t->panel * sizeof *g);
    for (int64_t k = 0; k < n * chunks; k++) {
        int64_t row = k / chunks * q, c = k % chunks;

        loops->chunk(numbers + k * q, g + (row / t->unit * chunks + c) * t->unit + row % t->unit, q,
                     1 / (double)q);
    }
}

int64_t ws_transform_list(const ws_transform *t, const float *u, const float *g, int64_t rows,
                          float cut, uint32_t *at, float *z)
{
    ws_transform_job j = {.u = u,
                          .g = g,
                          .chunks = t->b.chunks,
                          .q = t->b.q,
                          .unit = t->unit,
                          .units = (rows + t->unit - 1) / t->unit,
                          .cut = cut,
                          .work = t->work,
                          .at = at,
                          .z = z};

    return ws_transform_simd()->list(&j);
}

/* In units of 2^-24: G and u are rounded, a sum over chunks rounds once a chunk, each of log2 q
 * passes once; each by its share of sum |G||u| <= ||G|| ||u|| = ||g|| ||x||. One to spare covers the
 * second order and all that float64 rounds. */
double ws_transform_margin(const ws_blocks *b)
{
    double units = 3 + (double)b->chunks + log2((double)b->q);

    return units * 0x1p-24 / (1 - units * 0x1p-24) * (1 + WS_PACKED_ERROR) + WS_PACKED_ERROR +
           (double)(b->d + 8) * 0x1p-53;
}
