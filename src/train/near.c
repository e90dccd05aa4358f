/* near.c - the samples of a batch, side by side in memory.
 *
 * A step reads each sample of its batch once for every neuron that it fires. Copied together they lie
 * on a few large pages, where the data set, shared by the ranks of a node, lies on small ones: at batch
 * 512 a product then takes 0.85 of the time. Packed samples are copied as bytes, and where a second
 * cache holds them as differences too: at batch 128 the products and the update then take 8.9 ms instead
 * of 11.7. Where the copy would not stay in a cache anyway, or the batch is all of the data, there is
 * none. */
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"

enum { MOST = 64 << 20, APART = 1 << 18 }; /* bytes; numbers of differences */

static const char what[] = "samples of a batch";

int ws_near_apart(int64_t n, int64_t d)
{
    return n * d <= APART;
}

int64_t ws_near_bytes(int64_t n, int64_t n_all, int64_t d, int packed)
{
    int64_t bytes = n * d * (!packed ? 4 : ws_near_apart(n, d) ? 5 : 1);

    return n < n_all && bytes <= MOST ? bytes : 0;
}

static ws_err copy_bytes(ws_near *g, const ws_samples *all, const int64_t *ids, int64_t n)
{
    const ws_packed *from = &all->packed;
    int64_t d = all->d;
    ws_err err;

    if ((err = ws_grow(&g->byte, &g->byte_capacity, n * d, 1, what)) ||
        (err = ws_grow(&g->scale, &g->scale_capacity, n, sizeof *g->scale, what)))
        return err;
    for (int64_t k = 0; k < n; k++) {
        memcpy(g->byte + k * d, from->byte + ids[k] * d, (size_t)d);
        g->scale[k] = from->scale[ids[k]];
    }
    g->x.packed = (ws_packed){g->byte, from->level, g->scale, NULL};
    return WS_OK;
}

/* What was copied, less its levels. */
static ws_err set_apart(ws_near *g, int64_t n, int64_t d)
{
    const ws_packed *p = &g->x.packed;
    ws_err err = ws_grow(&g->row, &g->row_capacity, n * d, sizeof *g->row, what);

    for (int64_t k = 0; k < n && !err; k++)
        for (int64_t j = 0; j < d; j++) g->row[k * d + j] = (float)ws_packed_apart(p, d, k, j);
    g->x.packed.apart = g->row;
    return err;
}

static ws_err copy_floats(ws_near *g, const ws_samples *all, const int64_t *ids, int64_t n)
{
    int64_t d = all->d;
    ws_err err = ws_grow(&g->row, &g->row_capacity, n * d, sizeof *g->row, what);

    if (err) return err;
    for (int64_t k = 0; k < n; k++)
        memcpy(g->row + k * d, all->x + ids[k] * d, (size_t)d * sizeof *g->row);
    g->x.x = g->row;
    return WS_OK;
}

ws_err ws_near_gather(ws_near *g, const ws_samples *all, const int64_t *ids, int64_t n,
                      int64_t n_all)
{
    int packed = ws_samples_packed(all);
    ws_err err;

    g->x = (ws_samples){0};
    if (!all->x || ws_near_bytes(n, n_all, all->d, packed) == 0) return WS_OK;
    if ((err = ws_grow(&g->norm, &g->norm_capacity, n, sizeof *g->norm, what)) ||
        (err = packed ? copy_bytes(g, all, ids, n) : copy_floats(g, all, ids, n)) ||
        (err = packed && ws_near_apart(n, all->d) ? set_apart(g, n, all->d) : WS_OK))
        return err;
    for (int64_t k = 0; k < n; k++) g->norm[k] = ws_samples_norm(all, ids[k]);
    g->x.n = n;
    g->x.d = all->d;
    g->x.norm = g->norm;
    return WS_OK;
}

void ws_near_free(ws_near *g)
{
    ws_free(&g->row);
    ws_free(&g->byte);
    ws_free(&g->scale);
    ws_free(&g->norm);
    *g = (ws_near){0};
}
