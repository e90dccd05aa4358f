/* implicit_impl.h - what implicit.c (the held neurons), implicit_pass.c (training samples),
 * implicit_note.c (what is known of them) and implicit_any.c (other samples) share. */
#ifndef WS_MODEL_IMPLICIT_IMPL_H
#define WS_MODEL_IMPLICIT_IMPL_H

#include "wingspan/model/implicit.h"

/* Neurons whose rows are made at a time; neurons of a chunk; neurons proposed at a time. */
enum { BATCH = 64, CHUNK = 4096, BLOCK = 4096 };

/* Ids are kept as 32-bit offsets from the first of their chunk. */
typedef struct chunk {
    int64_t base, n;
} chunk;

typedef struct state {
    uint16_t *count, *sample;
    double *alpha;
    int64_t pairs;
    int64_t count_room, sample_room, alpha_room;
} state;

struct ws_implicit {
    const ws_net *net;
    ws_samples x; /* of training */
    int64_t n;
    ws_probe *probe;
    double *gram; /* [n x padded] <x_j, x_i> */

    chunk *chunk;
    uint32_t *offset; /* [held] */
    int64_t chunks, chunk_room, held, offset_room;
    state now, next; /* next: after the step of the last pass */

    /* implicit_note.c, of the first `noted` held neurons */
    double *start; /* <w(0), x_j> of the samples that displaced a neuron when it was noted */
    float *gap;    /* [held] below the threshold, other samples were at least so far; or -(1 + how
                      many products lie in start): not to be relied on */
    double *apart; /* [n] the largest |<x_j, x_i>|, i other than j */
    double *reach; /* [n] how far a step can move others through sample j */
    int64_t noted, starts, start_room, gap_room;

    /* one batch */
    int64_t *id, *bare;      /* [BATCH] all of it, and those whose rows are needed */
    float *w;                /* [BATCH x d] */
    int8_t *a;               /* [BATCH x c] */
    double *z;               /* [BATCH x padded] */
    double *moved, *value;   /* [padded] products after a step, and of those that fire */
    uint16_t *fired, *fires; /* [n] samples, before and after it */
    uint32_t *candidate;     /* [BLOCK] */
};

/* Where a walk over the held neurons is. */
typedef struct cursor {
    int64_t chunk, i; /* i-th of that chunk */
    int64_t held, pair, start;
} cursor;

/** The neuron at a cursor: its global id, INT64_MAX beyond the last. */
static inline int64_t ws_cursor_id(const ws_implicit *im, const cursor *at)
{
    return at->held < im->held ? im->chunk[at->chunk].base + im->offset[at->held] : INT64_MAX;
}

/** Products of held neuron h in start. */
static inline int64_t ws_starts(const ws_implicit *im, int64_t h)
{
    return im->gap[h] < 0 ? (int64_t)-im->gap[h] - 1 : im->now.count[h];
}

static inline void ws_cursor_next(const ws_implicit *im, cursor *at)
{
    if (at->held < im->noted) at->start += ws_starts(im, at->held);
    at->pair += im->now.count[at->held++];
    if (++at->i < im->chunk[at->chunk].n) return;
    at->chunk++;
    at->i = 0;
}

/** Samples of [0, n) beyond the threshold, ascending, and their products; how many. */
static inline int64_t ws_beyond(const double *z, int64_t n, double threshold, uint16_t *list,
                                double *value)
{
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++) {
        list[k] = (uint16_t)i;
        value[k] = z[i];
        k += z[i] > threshold;
    }
    return k;
}

/** z [n] += sum_p alpha_p gram[sample_p], in this order. */
static inline void ws_displace(double *z, int64_t n, const double *gram, int64_t padded,
                               const uint16_t *sample, const double *alpha, int64_t pairs)
{
    for (int64_t p = 0; p < pairs; p++) {
        const double *g = gram + sample[p] * padded;

        for (int64_t i = 0; i < n; i++) z[i] += alpha[p] * g[i];
    }
}

/** One neuron's share of the outputs on the k samples it fires on, with products z [k]. */
ws_err ws_implicit_output(const ws_net *net, int64_t id, const int8_t *a, const uint16_t *list,
                          const double *z, int64_t k, int64_t *hi, int64_t *lo);

/** Neuron i of the batch, with the k samples in im->fires and im->value: all that it adds to sums. */
ws_err ws_implicit_consume(ws_implicit *im, int64_t i, int64_t k, ws_implicit_sums *sums);

/** Note the next held neuron, which has k samples in its list and products z [n] of its start row.
 *  @return local: WS_ERR_NOMEM */
ws_err ws_implicit_note(ws_implicit *im, const uint16_t *sample, int64_t k, const double *z);

/** What a step can do to any neuron, before a pass.  step may be NULL. */
void ws_implicit_reach(ws_implicit *im, const double *step);

/** Can the neuron at a cursor fire only on samples in its list, before the step and after it? */
int ws_implicit_is_known(const ws_implicit *im, const cursor *at);

/** Rows, signs and products with the probe's samples of the k ids in im->id: into im->w, im->a, z. */
void ws_implicit_batch(ws_implicit *im, int64_t k, const ws_probe *probe, double *z);

#endif
