/* start.c - the network at its start: a table of initialisations, and the rows and signs they name.
 *
 * Every number is keyed by the global id of its neuron, so a shard is the same numbers whichever
 * rank holds it. */
#include <string.h>

#include "wingspan/core/blocks.h"
#include "wingspan/core/random.h"
#include "wingspan/model/net.h"

/* Write n rows from row t on, row t + k from w + k * stride on. */
typedef void rows_of(const ws_net_spec *s, int64_t t, int64_t n, float *w, int64_t stride);

/* ---- rows ---- */

static void independent(const ws_net_spec *s, int64_t t, int64_t n, float *w, int64_t stride)
{
    ws_key key = {s->seed, WS_STREAM_WEIGHT, 0};

    for (int64_t k = 0; k < n; k++)
        ws_random_normal(&key, (uint64_t)(t + k), s->d, s->init_scale, w + k * stride);
}

/* The first of a pair is drawn with its own id. */
static void even_ids(const ws_net_spec *s, int64_t t, int64_t n, float *w, int64_t stride)
{
    for (int64_t k = 0; k < n; k++) independent(s, 2 * (t + k), 1, w + k * stride, stride);
}

static void in_blocks(const ws_net_spec *s, int64_t t, int64_t n, float *w, int64_t stride)
{
    ws_blocks b = ws_blocks_of(s->seed, s->d, s->init_scale);

    ws_blocks_rows(&b, t, n, w, stride);
}

static const struct {
    const char *name;
    int coupled, structured;
    rows_of *rows;
} inits[WS_INITS] = {
    [WS_INIT_GAUSSIAN] = {"gaussian", 0, 0, independent},
    [WS_INIT_COUPLED] = {"coupled", 1, 0, even_ids},
    [WS_INIT_STRUCTURED] = {"structured", 0, 1, in_blocks},
    [WS_INIT_STRUCTURED_COUPLED] = {"structured-coupled", 1, 1, in_blocks},
};

int ws_init_find(const char *name)
{
    for (int k = 0; k < WS_INITS; k++)
        if (strcmp(inits[k].name, name) == 0) return k;
    return -1;
}

int ws_init_is_coupled(ws_init init)
{
    return inits[init].coupled;
}

int ws_init_is_structured(ws_init init)
{
    return inits[init].structured;
}

/* ---- neurons ---- */

/* 1 or -1, fair; output c of a neuron. */
static float sign_of(const ws_net_spec *s, uint64_t id, int32_t c)
{
    ws_key key = {s->seed, WS_STREAM_SIGN, 0};
    uint32_t w[4];

    ws_random_block(&key, id, (uint32_t)c / 128, w);
    return w[c / 32 % 4] >> (c % 32) & 1 ? -1.0f : 1.0f;
}

void ws_net_start(const ws_net_spec *s, int64_t id, float *w, float *b, float *a)
{
    int coupled = inits[s->init].coupled;
    int alone = coupled && id == s->m - 1 && s->m % 2 == 1;
    uint64_t from = (uint64_t)(coupled ? id / 2 * 2 : id);
    float turn = coupled && id % 2 == 1 ? -1.0f : 1.0f;

    if (w) inits[s->init].rows(s, coupled ? id / 2 : id, 1, w, s->d);
    if (b) *b = 0;
    for (int32_t c = 0; a && c < s->c; c++) a[c] = alone ? 0 : turn * sign_of(s, from, c);
}

/* Rows of pairs go to the first of each pair that is here, then to the second. */
void ws_net_start_rows(const ws_net_spec *s, int64_t id, int64_t n, float *w)
{
    int64_t d = s->d, odd = id % 2;

    if (!inits[s->init].coupled) {
        inits[s->init].rows(s, id, n, w, d);
        return;
    }
    if (n > 0 && odd) inits[s->init].rows(s, id / 2, 1, w, d);
    inits[s->init].rows(s, (id + odd) / 2, (n - odd + 1) / 2, w + odd * d, 2 * d);
    for (int64_t k = odd + 1; k < n; k += 2)
        memcpy(w + k * d, w + (k - 1) * d, (size_t)d * sizeof *w);
}
