/* source_blocks.c - structured starts as sources of rows: the transform of a block proposes. */
#include "source_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/blocks.h"
#include "wingspan/index/unwritten.h"

enum { SOME = 64 }; /* ids turned into rows at a time */

typedef struct own {
    ws_blocks blocks;
    float *sign;        /* [chunks x q] */
    ws_samples x;       /* the samples of the probe */
    ws_unwritten *list; /* NULL: products of such numbers cannot be bounded */
    uint32_t *row;      /* [WS_UNWRITTEN_ROWS] */
} own;

/* Row t, if the numbers of its block are still at hand from a proposal. */
static int at_hand(const own *o, int64_t t, float *w)
{
    const float *g = o->list ? ws_unwritten_numbers(o->list, t / o->blocks.q) : NULL;

    if (g) ws_blocks_row(&o->blocks, g, o->sign, t, w);
    return g != NULL;
}

void ws_source_block_rows(const ws_probe *p, const int64_t *id, int64_t k, float *w)
{
    const own *o = p->own;
    int pairs = ws_init_is_coupled(p->spec->init);
    int64_t t[SOME];

    for (int64_t at = 0; at < k; at += SOME) {
        int64_t n = k - at < SOME ? k - at : SOME, have = 0, d = p->spec->d;

        for (int64_t i = 0; i < n; i++) t[i] = id[at + i] >> pairs;
        while (have < n && at_hand(o, t[have], w + (at + have) * d)) have++;
        ws_blocks_some(&o->blocks, o->sign, t + have, n - have, w + (at + have) * d);
    }
}

ws_err ws_source_block_prepare(ws_probe *p)
{
    const char *what = "blocks of rows";
    const ws_net_spec *s = p->spec;
    own *o = NULL;
    ws_err err = ws_alloc(&o, 1, sizeof *o, what);

    if (err) return err;
    p->own = o;
    o->blocks = ws_blocks_of(s->seed, s->d, s->init_scale);
    o->x = *p->x;
    o->x.n = p->n;
    if ((err = ws_alloc(&o->sign, o->blocks.chunks * o->blocks.q, sizeof *o->sign, what)) ||
        (err = ws_alloc(&o->row, WS_UNWRITTEN_ROWS, sizeof *o->row, what)))
        return err;
    ws_blocks_signs(&o->blocks, o->sign);
    err = ws_unwritten_create(&o->blocks, &o->x, &o->list);
    return err == WS_ERR_USAGE ? WS_OK : err;
}

void ws_source_block_release(ws_probe *p)
{
    own *o = p->own;

    if (!o) return;
    ws_free(&o->sign);
    ws_free(&o->row);
    ws_unwritten_destroy(&o->list);
    ws_free(&p->own);
}

int64_t ws_source_block_propose(const ws_probe *p, int64_t first, int64_t n, uint32_t *offset)
{
    const own *o = p->own;
    int64_t each = 1 + ws_init_is_coupled(p->spec->init), q = o->blocks.q, k = 0;
    int64_t end = (first + n - 1) / each / q + 1, most = WS_UNWRITTEN_ROWS / q;

    if (!o->list) return -1;
    for (int64_t block = first / each / q; n > 0 && block < end; block += most) {
        int64_t blocks = end - block < most ? end - block : most;
        int64_t rows = ws_unwritten_rows(o->list, block, blocks, p->threshold, o->row);

        for (int64_t i = 0; i < rows * each; i++) {
            int64_t id = (block * q + o->row[i / each]) * each + i % each;

            if (id >= first && id < first + n) offset[k++] = (uint32_t)(id - first);
        }
    }
    return k;
}
