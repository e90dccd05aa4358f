/* samples.h - a block of input vectors, dense or sparse, as every room sees them.
 *
 * A view: it owns nothing.  A sparse sample stands for the dense vector with zeros filled
 * in, and every result has the same bits in either form. */
#ifndef WS_CORE_SAMPLES_H
#define WS_CORE_SAMPLES_H

#include <stdint.h>

typedef struct ws_samples {
    int64_t n, d;
    const float *x;     /* [n x d] row-major, or NULL if sparse */
    const int64_t *ptr; /* [n + 1] sparse: where sample i starts in col and val */
    const int32_t *col; /* [ptr[n]] ascending in each sample, 0 <= col < d */
    const float *val;   /* [ptr[n]] */
    const double *norm; /* [n] ||x_i|| rounded up, or NULL if not known */
} ws_samples;

/** An upper bound of ||x_i||: norm[i] where known, else computed.  Not collective. */
double ws_samples_norm(const ws_samples *s, int64_t i);

/** A view of the n samples from i on, written to *out, which is returned.  Not collective. */
const ws_samples *ws_samples_from(const ws_samples *s, int64_t i, int64_t n, ws_samples *out);

/** Write sample i as a dense row.  Not collective. */
void ws_samples_row(const ws_samples *s, int64_t i, float *row);

#endif
