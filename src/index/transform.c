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
        (err = ws_alloc(&t->row, b->chunks * b->q, sizeof *t->row, what)) ||
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
    ws_free(&t->wide);
    ws_free(&t->work);
}

int64_t ws_transform_bytes(const ws_transform *t)
{
    return t->b.chunks * t->b.q * 8 + t->b.q * WS_TILE * 8 + (t->unit + 16) * WS_TILE * 4;
}

/* H of n numbers, n a power of two; `lanes` vectors side by side. */
static void hadamard(double *v, int64_t n, int64_t lanes)
{
    for (int64_t h = lanes; h < n * lanes; h *= 2) {
        for (int64_t i = 0; i < n * lanes; i += 2 * h) {
            double *restrict a = v + i, *restrict b = v + i + h;

            for (int64_t j = 0; j < h; j++) {
                double d = a[j] - b[j];

                a[j] += b[j];
                b[j] = d;
            }
        }
    }
}

void ws_transform_tile(const ws_transform *t, const ws_samples *x, int64_t from, int64_t n,
                       float *u)
{
    int64_t q = t->b.q, chunk = (t->unit + 16) * WS_TILE;

    memset(u, 0, (size_t)t->tile * sizeof *u);
    for (int64_t l = 0; l < n; l++) { /* as float32 in place first: lines are lanes then */
        ws_samples_row(x, from + l, t->row);
        for (int64_t j = 0; j < t->b.d; j++)
            u[j / q * chunk + line(t, j % q) * WS_TILE + l] = t->sign[j] * t->row[j];
    }
    for (int64_t c = 0; c < t->b.chunks; c++, u += chunk) {
        for (int64_t k = 0; k < q; k++)
            for (int64_t l = 0; l < WS_TILE; l++)
                t->wide[k * WS_TILE + l] = (double)u[line(t, k) * WS_TILE + l];
        hadamard(t->wide, q, WS_TILE);
        /* Where several blocks are one unit each needs the whole. */
        for (int64_t k = 0; k < t->unit; k++)
            for (int64_t l = 0; l < WS_TILE; l++)
                u[line(t, k) * WS_TILE + l] = (float)t->wide[k % q * WS_TILE + l];
    }
}

/* Row r of the panel is in unit r / unit; there, chunk by chunk, at r % unit. */
void ws_transform_panel(const ws_transform *t, int64_t n, const float *numbers, float *g)
{
    int64_t q = t->b.q, chunks = t->b.chunks;
    double wide[WS_BLOCK_ROWS];

    if (n < t->blocks) memset(g, 0, (size_t)t->panel * sizeof *g);
    for (int64_t k = 0; k < n * chunks; k++) {
        int64_t row = k / chunks * q, c = k % chunks;
        float *to = g + (row / t->unit * chunks + c) * t->unit + row % t->unit;

        for (int64_t j = 0; j < q; j++) wide[j] = (double)numbers[k * q + j];
        hadamard(wide, q, 1);
        for (int64_t j = 0; j < q; j++) to[j] = (float)(wide[j] / (double)q);
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

    return ws_transform_simd()(&j);
}

/* In units of 2^-24: G and u are rounded, a sum over chunks rounds once a chunk, each of log2 q
 * passes once; each by its share of sum |G||u| <= ||G|| ||u|| = ||g|| ||x||. One to spare covers the
 * second order and all that float64 rounds. */
double ws_transform_margin(const ws_blocks *b)
{
    double units = 3 + (double)b->chunks + log2((double)b->q);

    return units * 0x1p-24 / (1 - units * 0x1p-24) + (double)(b->d + 8) * 0x1p-53;
}
