/* source.c - the starts of --init as sources of rows; here gaussian and coupled.
 *
 * Their proposal walks 16 rows at a time: rough numbers (ws_random_normal_near), products in
 * float32, and a threshold lowered by all that this may be wrong. Of 2^30 neurons in 32 dimensions
 * 3.2 % are proposed and 3.0 % fire on one of 16 samples. */
#include "wingspan/model/source.h"

#include <math.h>

#include "probe_simd.h"
#include "source_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/random.h"

enum { SOME = 64, ROWS = 16 }; /* ids turned into rows at a time; rows proposed at a time */

static int is_coupled(const ws_net_spec *s)
{
    return ws_init_is_coupled(s->init);
}

static void rows(const ws_probe *p, const int64_t *id, int64_t k, float *w)
{
    const ws_net_spec *s = p->spec;
    ws_key key = {s->seed, WS_STREAM_WEIGHT, 0};
    int64_t from[SOME];

    for (int64_t at = 0; at < k; at += SOME) {
        int64_t n = k - at < SOME ? k - at : SOME;

        for (int64_t i = 0; i < n; i++) from[i] = is_coupled(s) ? id[at + i] / 2 * 2 : id[at + i];
        ws_random_normal_rows(&key, from, n, s->d, s->init_scale, w + at * s->d);
    }
}

/* As ws_net_start() has them: bit c % 32 of word c / 32 of the id's stream. */
void ws_source_signs(const ws_probe *p, const int64_t *id, int64_t k, int8_t *a)
{
    const ws_net_spec *s = p->spec;
    ws_key key = {s->seed, WS_STREAM_SIGN, 0};
    int coupled = is_coupled(s);
    int64_t from[SOME];
    uint32_t word[4 * SOME];

    for (int64_t at = 0; at < k; at += SOME) {
        int64_t n = k - at < SOME ? k - at : SOME;

        for (int64_t i = 0; i < n; i++) from[i] = coupled ? id[at + i] / 2 * 2 : id[at + i];
        for (int32_t c = 0; c < s->c; c++) {
            if (c % 128 == 0) ws_random_blocks(&key, from, n, (uint32_t)c / 128, word);
            for (int64_t i = 0; i < n; i++) {
                int minus = (int)(word[4 * i + c / 32 % 4] >> (c % 32) & 1);
                int turn = coupled && id[at + i] % 2 == 1;
                int alone = coupled && id[at + i] == s->m - 1 && s->m % 2 == 1;

                a[(at + i) * s->c + c] = (int8_t)(alone ? 0 : minus ^ turn ? -1 : 1);
            }
        }
    }
}

/* What the products of a proposal may be wrong by: the numbers themselves, each at most 6.8, and
 * d float32 additions. */
static double margin(const ws_probe *p)
{
    double d = (double)p->spec->d, rounding = (d + 4) * 0x1p-24 * 6.8;

    return 1.01 * p->spec->init_scale * p->norm * sqrt(d) * (WS_RANDOM_NEAR + rounding);
}

/* The neurons that share row r, within [0, n) of first; offsets come out ascending. */
static int64_t put(const ws_net_spec *s, int64_t row, int64_t first, int64_t n, uint32_t *offset)
{
    int64_t k = 0;

    for (int64_t id = row; id < row + (is_coupled(s) ? 2 : 1); id++)
        if (id >= first && id < first + n) offset[k++] = (uint32_t)(id - first);
    return k;
}

static int64_t propose(const ws_probe *p, int64_t first, int64_t n, uint32_t *offset)
{
    const ws_net_spec *s = p->spec;
    ws_key key = {s->seed, WS_STREAM_WEIGHT, 0};
    int step = is_coupled(s) ? 2 : 1;
    int64_t wide = (s->d + 3) / 4 * 4, span = ROWS * step, k = 0;
    float cut = (float)(p->threshold - margin(p)), *cols = p->own;

    cut -= fabsf(cut) * 0x1p-22f; /* rounding to float32 must not raise it */
    if (!cols) return -1;
    for (int64_t r = first / span * span; r < first + n; r += span) {
        unsigned mask;

        if (!ws_random_normal_near(&key, (uint64_t)r, step, s->d, cols)) return -1;
        mask = ws_probe_beyond(cols, p->scaled, p->padded / 8, wide, cut);
        for (; mask; mask &= mask - 1)
            k += put(s, r + __builtin_ctz(mask) * step, first, n, offset + k);
    }
    return k;
}

static ws_err prepare(ws_probe *p)
{
    return ws_alloc(&p->own, ROWS * ((p->spec->d + 3) / 4 * 4), sizeof(float), "rows at a time");
}

static void release(ws_probe *p)
{
    ws_free(&p->own);
}

/* By ws_init. */
static const ws_source table[WS_INITS] = {
    [WS_INIT_GAUSSIAN] = {rows, ws_source_signs, prepare, release, propose},
    [WS_INIT_COUPLED] = {rows, ws_source_signs, prepare, release, propose},
    [WS_INIT_STRUCTURED] = WS_SOURCE_BLOCKS,
    [WS_INIT_STRUCTURED_COUPLED] = WS_SOURCE_BLOCKS,
};

const ws_source *ws_source_of(ws_init init)
{
    return &table[init];
}
