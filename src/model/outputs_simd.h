/* outputs_simd.h - the few numbers a pair that outputs and their derivatives are made of: c of them at
 * pos[p] c, for each vector unit. */
#ifndef WS_MODEL_OUTPUTS_SIMD_H
#define WS_MODEL_OUTPUTS_SIMD_H

#include <stdint.h>

#include "wingspan/core/exact.h"

typedef struct ws_outputs_ops {
    /* Add v[p], -v[p] or nothing to hi and lo at pos[p] c + k, as a[k] = 1, -1 or 0 says, for p < n:
     * integers, so that the order does not matter. */
    void (*add)(const float *a, int32_t c, const ws_exact_limbs *v, const int32_t *pos, int64_t n,
                int64_t *hi, int64_t *lo);
    /* sum[p] = the sum over k < c of a[k] grad[pos[p] c + k], in this order, for p < n; every
     * product and every sum is rounded. */
    void (*back)(const float *a, int32_t c, const double *grad, const int32_t *pos, int64_t n,
                 double *sum);
} ws_outputs_ops;

/** The loops for the path that ws_simd_name() names. */
const ws_outputs_ops *ws_outputs_simd(void);

#endif
