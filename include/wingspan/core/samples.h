/* samples.h - a block of input vectors, dense, packed or sparse, as every room sees them.
 *
 * A view: it owns nothing.  A sparse sample stands for the dense vector with zeros filled
 * in, a packed one for what it unpacks to, and every result has the same bits in any form. */
#ifndef WS_CORE_SAMPLES_H
#define WS_CORE_SAMPLES_H

#include <stdint.h>

/* Samples that were bytes: x_ij = (byte_ij - middle_j) * scale_i, both operations rounded to float32.
 * A quarter of the memory, for batches that no second cache holds. */
typedef struct ws_packed {
    const uint8_t *byte; /* [n x d] row-major, or NULL: not known in this form */
    const float *middle; /* [d] multiples of 2^-14, so that differences are exact */
    const float *scale;  /* [n] */
} ws_packed;

typedef struct ws_samples {
    int64_t n, d;
    const float *x;     /* [n x d] row-major, or NULL if sparse or only packed */
    ws_packed packed;   /* the same bits again; d <= WS_PACKED_MOST */
    const int64_t *ptr; /* [n + 1] sparse: where sample i starts in col and val */
    const int32_t *col; /* [ptr[n]] ascending in each sample, 0 <= col < d */
    const float *val;   /* [ptr[n]] */
    const double *norm; /* [n] ||x_i|| rounded up, or NULL if not known */
} ws_samples;

/* Coordinates of a packed sample at most; of all samples of a view, beyond which bytes are faster. */
enum { WS_PACKED_MOST = 4096, WS_PACKED_FROM = 2 << 20 };

/** Is it the packed form that products and combinations should read?  Not collective. */
static inline int ws_samples_packed(const ws_samples *s)
{
    return s->packed.byte && (!s->x || s->n * s->d > WS_PACKED_FROM);
}

/** How many of the samples, a multiple of 16, stay in a cache while all neurons pass.  Not collective. */
int64_t ws_samples_block(const ws_samples *s);

/** An upper bound of ||x_i||: norm[i] where known, else computed.  Not collective. */
double ws_samples_norm(const ws_samples *s, int64_t i);

/** A view of the n samples from i on, written to *out, which is returned.  Not collective. */
const ws_samples *ws_samples_from(const ws_samples *s, int64_t i, int64_t n, ws_samples *out);

/** Write sample i as a dense row.  Not collective. */
void ws_samples_row(const ws_samples *s, int64_t i, float *row);

#endif
