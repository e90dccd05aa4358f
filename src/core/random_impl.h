/* random_impl.h - what random_lanes.c takes from random_avx2.c. */
#ifndef WS_CORE_RANDOM_IMPL_H
#define WS_CORE_RANDOM_IMPL_H

#include "wingspan/core/random.h"

/** ws_random_normal_near() on AVX2 with fused operations; 0 where these are missing. */
int ws_random_near_avx2(const ws_key *k, uint64_t first, int step, int64_t d, float *cols);

#endif
