/* fired.c - integer sketches of the 0/1 vectors of fired neurons: this rank's part. */
#include <string.h>

#include "sketch_impl.h"
#include "wingspan/core/alloc.h"

enum { PARTS = 8, BLOCK = 1024 }; /* rows a neuron has in osnap; neurons a transform */

static void add_everywhere(ws_sketch *k, const ws_fired *f, int64_t row, int64_t at, int32_t sign)
{
    for (int64_t p = f->first[row]; p < f->first[row + 1]; p++) k->q[f->pos[p] * k->s + at] += sign;
}

ws_err ws_sketch_add_count(ws_sketch *k, const ws_fired *f)
{
    for (int64_t row = 0; row < f->rows; row++) {
        uint32_t w[4];
        ws_sketch_draw(k, USE_NEURON, f->id[row], 0, w);
        add_everywhere(k, f, row, ws_sketch_below(w, k->s), ws_sketch_sign(w[2]));
    }
    return WS_OK;
}

ws_err ws_sketch_add_osnap(ws_sketch *k, const ws_fired *f)
{
    for (int64_t row = 0; row < f->rows; row++)
        for (int64_t part = 0; part < PARTS; part++) {
            int64_t from = part * k->s / PARTS, end = (part + 1) * k->s / PARTS;
            uint32_t w[4];
            ws_sketch_draw(k, USE_NEURON, f->id[row], (uint32_t)part, w);
            add_everywhere(k, f, row, from + ws_sketch_below(w, end - from), ws_sketch_sign(w[2]));
        }
    return WS_OK;
}

/* The Hadamard transform of BLOCK numbers, in place. */
static void transform(int32_t *v)
{
    for (int64_t h = 1; h < BLOCK; h *= 2)
        for (int64_t i = 0; i < BLOCK; i += 2 * h)
            for (int64_t j = i; j < i + h; j++) {
                int32_t a = v[j], b = v[j + h];
                v[j] = a + b;
                v[j + h] = a - b;
            }
}

/* Neurons of one block of ids, [n x BLOCK] in v: each sample's transform, of which sampled row r
 * sees entry r mod BLOCK with the sign of the block. */
static void add_block(ws_sketch *k, int32_t *v, const uint8_t *used, const int64_t *sampled,
                      int64_t block)
{
    for (int64_t i = 0; i < k->n; i++) {
        int32_t *q = k->q + i * k->s, *t = v + i * BLOCK;
        if (!used[i]) continue;
        transform(t);
        for (int64_t r = 0; r < k->s; r++)
            q[r] += ws_sketch_hadamard(sampled[r] / BLOCK, block) * t[sampled[r] % BLOCK];
        memset(t, 0, BLOCK * sizeof *t);
    }
}

/* Entry (r, neuron) is the Hadamard matrix's at (sampled[r], neuron), times a sign of the neuron.
 * A transform of the order of the next power of two above m is put together from blocks of ids,
 * which need not be whole on a rank. */
ws_err ws_sketch_add_srht(ws_sketch *k, const ws_fired *f)
{
    int64_t order = BLOCK, *sampled = NULL;
    int32_t *v = NULL;
    uint8_t *used = NULL;
    ws_err err;

    while (order < k->m) order *= 2;
    if ((err = ws_alloc(&sampled, k->s, sizeof *sampled, "a sketch")) ||
        (err = ws_alloc(&v, k->n * BLOCK, sizeof *v, "a sketch")) ||
        (err = ws_alloc(&used, k->n, 1, "a sketch")))
        goto done;
    for (int64_t r = 0; r < k->s; r++) {
        uint32_t w[4];
        ws_sketch_draw(k, USE_ROW_NEURON, r, 0, w);
        sampled[r] = ws_sketch_below(w, order);
    }
    for (int64_t row = 0, next; row < f->rows; row = next) {
        int64_t block = f->id[row] / BLOCK;
        memset(used, 0, (size_t)k->n);
        for (next = row; next < f->rows && f->id[next] / BLOCK == block; next++) {
            uint32_t w[4];
            ws_sketch_draw(k, USE_NEURON, f->id[next], 0, w);
            for (int64_t p = f->first[next]; p < f->first[next + 1]; p++) {
                v[f->pos[p] * BLOCK + f->id[next] % BLOCK] = ws_sketch_sign(w[2]);
                used[f->pos[p]] = 1;
            }
        }
        add_block(k, v, used, sampled, block);
    }
done:
    ws_free(&sampled);
    ws_free(&v);
    ws_free(&used);
    return err;
}
