/* random_impl.h - what random_lanes.c takes from random_avx2.c. */
#ifndef WS_CORE_RANDOM_IMPL_H
#define WS_CORE_RANDOM_IMPL_H

#include "wingspan/core/random.h"

/** ws_random_normal_rows() and ws_random_normal_near() where ws_simd_name() is avx2. */
void ws_random_rows_avx2(const ws_key *k, const int64_t *id, int64_t n, int64_t d, double scale,
                         float *rows);
void ws_random_near_avx2(const ws_key *k, uint64_t first, int step, int64_t d, float *cols);

#endif
