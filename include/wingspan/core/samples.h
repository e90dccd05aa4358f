/* samples.h - a block of input vectors, dense, packed or sparse, as every room sees them.
 *
 * A view: it owns nothing.  A sparse sample stands for the dense vector with zeros filled in, and every
 * result has the same bits in both forms.
 *
 * A packed sample is x_i = scale_i (byte_i - middle) without any rounding, and products and combinations
 * (dot.h) read the bytes wherever a view has them: float32 rows are four times as many bytes to fetch,
 * and to unpack one takes as long as to multiply it.  The float32 row x beside it is x_i with every
 * coordinate rounded once, good for whatever proposes and bounds; norms hold for both. */
#ifndef WS_CORE_SAMPLES_H
#define WS_CORE_SAMPLES_H

#include <stdint.h>

/* Samples that were bytes: x_ij = (WS_PACKED_ZERO + byte_ij - level_j) scale_i. Levels are WS_PACKED_ZERO
 * + middle_j, multiples of 2^-14, so that a difference has 22 bits at most, and its product with a
 * float32 number is exact in float64. While a second cache holds them, differences are faster. */
typedef struct ws_packed {
    const uint8_t *byte; /* [n x d] row-major, or NULL: not known in this form */
    const double *level; /* [d] */
    const float *scale;  /* [n] */
    const float *apart;  /* [n x d] the differences, or NULL */
} ws_packed;

typedef struct ws_samples {
    int64_t n, d;
    const float *x;     /* [n x d] row-major, or NULL if sparse or only packed */
    ws_packed packed;   /* what x rounds, if it is known */
    const int64_t *ptr; /* [n + 1] sparse: where sample i starts in col and val */
    const int32_t *col; /* [ptr[n]] ascending in each sample, 0 <= col < d */
    const float *val;   /* [ptr[n]] */
    const double *norm; /* [n] ||x_i|| rounded up, packed or not; or NULL if not known */
} ws_samples;

/* The number whose last eight bits before the point a byte takes: a vector unit puts it there. */
enum { WS_PACKED_ZERO = 4096 };

/* A packed sample and its float32 row differ by less than this, as a share of its norm. */
#define WS_PACKED_ERROR 0x1.1p-24

/** Is it packed samples that products and combinations read?  Not collective. */
static inline int ws_samples_packed(const ws_samples *s)
{
    return s->packed.byte ? 1 : 0;
}

/** Which sample a position of a batch means; ids NULL: itself.  Not collective. */
static inline int64_t ws_sample_at(const int64_t *ids, int64_t pos)
{
    return ids ? ids[pos] : pos;
}

/** byte_ij - middle_j of packed samples of length d.  Not collective. */
static inline double ws_packed_apart(const ws_packed *p, int64_t d, int64_t i, int64_t j)
{
    return (double)WS_PACKED_ZERO + (double)p->byte[i * d + j] - p->level[j];
}

/** How many of the samples, a multiple of 16, stay in a cache while all neurons pass.  Not collective. */
int64_t ws_samples_block(const ws_samples *s);

/** An upper bound of ||x_i||: norm[i] where known, else computed.  Not collective. */
double ws_samples_norm(const ws_samples *s, int64_t i);

/** The largest ws_samples_norm() of n samples, ids NULL: 0..n-1; NaN if one is.  Not collective. */
double ws_samples_longest(const ws_samples *s, const int64_t *ids, int64_t n);

/** A view of the n samples from i on, written to *out, which is returned.  Not collective. */
const ws_samples *ws_samples_from(const ws_samples *s, int64_t i, int64_t n, ws_samples *out);

/** Write sample i as a dense row; a packed one rounded to float32.  Not collective. */
void ws_samples_row(const ws_samples *s, int64_t i, float *row);

#endif
