/* source.h - the rows that neurons start with, made when they are asked for and never stored.
 *
 * One table of functions a start, so that who walks the neurons (implicit.h) need not know how
 * their rows come about:
 *
 *   rows     the float32 rows of any neurons, the bits of ws_net_start()
 *   signs    their output weights, 1, -1 or 0
 *   propose  of the neurons [first, first + n), those that might fire on some sample of a probe
 *
 * A proposal may name a neuron too many, never one too few: what fires is decided by the exact
 * products of its row (ws_probe_products, the routine of core/dot.h).
 *
 * A new start is one table here: rows and signs are enough, every neuron is then a candidate. One
 * whose rows come in blocks, with a transform that gives the products of a whole block, keeps what
 * it knows of the samples in probe->own (prepare, release) and walks its blocks in propose,
 * lowering probe->threshold by the rounding of its transform; first and n fit no block. */
#ifndef WS_MODEL_SOURCE_H
#define WS_MODEL_SOURCE_H

#include <stdint.h>

#include "wingspan/core/samples.h"
#include "wingspan/model/net.h"

typedef struct ws_probe ws_probe;

typedef struct ws_source {
    /* w [k x d]: the rows of neurons id[0..k), ascending */
    void (*rows)(const ws_probe *p, const int64_t *id, int64_t k, float *w);
    /* a [k x c] */
    void (*signs)(const ws_probe *p, const int64_t *id, int64_t k, int8_t *a);
    /* Optional: fill p->own, and free it; local. */
    ws_err (*prepare)(ws_probe *p);
    void (*release)(ws_probe *p);
    /* Optional: offsets from first, ascending, into offset [n]; how many, or -1: cannot here. */
    int64_t (*propose)(const ws_probe *p, int64_t first, int64_t n, uint32_t *offset);
} ws_source;

/** The table of a start.  Not collective. */
const ws_source *ws_source_of(ws_init init);

/* Samples as those who look for fired neurons want them. */
struct ws_probe {
    const ws_net_spec *spec; /* borrowed */
    const ws_source *source;
    const ws_samples *x; /* borrowed: samples 0 .. n - 1 */
    int64_t n, padded;   /* padded: n rounded up to 8 */
    double threshold;    /* a neuron fires beyond it */
    double norm;         /* the largest ||x_i|| */
    double *columns;     /* [padded / 8][d][8] coordinates of eight samples */
    float *scaled;       /* the same times init_scale, d rounded up to 4 */
    double *wide;        /* [4 (d + padded)] scratch: one thread at a time */
    void *own;           /* of the start */
};

/** Prepare samples 0 .. n - 1 of x.  Not collective.
 *  @return local: WS_ERR_NOMEM; *out NULL then */
ws_err ws_probe_create(const ws_net_spec *spec, const ws_samples *x, int64_t n, ws_probe **out);
void ws_probe_destroy(ws_probe **p);

/** Neurons of [first, first + n), n < 2^32, that may fire on some sample: all that do, and few
 *  others.  Not collective.
 *  @param offset  [n] out: from first, ascending
 *  @return how many */
int64_t ws_probe_candidates(const ws_probe *p, int64_t first, int64_t n, uint32_t *offset);

/** z [k x padded]: z[r padded + i] = <w_r, x_i>, the bits of ws_dot().  Not collective.
 *  Cost: k n d multiply-adds, eight samples side by side. */
void ws_probe_products(const ws_probe *p, const float *w, int64_t k, double *z);

/** Bytes of a probe of n samples.  Not collective. */
double ws_probe_bytes(int64_t n, int64_t d);

#endif
