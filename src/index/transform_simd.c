/* transform_simd.c - blocks times tiles for each vector unit; the same operations in the same order,
 * none fused, so that all keep the same pairs with the same values. */
#include <string.h>

#include "transform.h"
#include "wingspan/core/dot.h"

#define INLINE static inline __attribute__((always_inline))

/* ---- any processor ---- */

/* Sixteen rows of `lanes` values each. */
INLINE int64_t emit_values(const float *v, const int lanes, int row, int lane,
                           const ws_transform_job *j, int64_t n)
{
    for (int k = 0; k < 16; k++) {
        for (int l = 0; l < lanes; l++) {
            j->at[n] = (uint32_t)((row + k) * 16 + lane + l);
            j->z[n] = v[k * lanes + l];
            n += v[k * lanes + l] > j->cut;
        }
    }
    return n;
}

typedef float float4 __attribute__((vector_size(16)));
typedef int int4 __attribute__((vector_size(16)));

INLINE int64_t emit_portable(const float4 *r, int row, int lane, const ws_transform_job *j,
                             int64_t n)
{
    int4 any = {0};
    int64_t some[2];

    for (int k = 0; k < 16; k++) any |= r[k] > j->cut;
    memcpy(some, &any, sizeof some);
    if (!(some[0] | some[1])) return n;
    return emit_values((const float *)r, 4, row, lane, j, n);
}

#define TARGET
#define LANES 4
#define NAME(f) f##_portable
#define EMIT emit_portable
#include "transform_kernel.h"
#undef TARGET
#undef LANES
#undef NAME
#undef EMIT

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- avx2 ---- */

#define TARGET __attribute__((target("avx2")))

TARGET INLINE int64_t emit_avx2(const __m256 *r, int row, int lane, const ws_transform_job *j,
                                int64_t n)
{
    const __m256 cut = _mm256_set1_ps(j->cut);
    float v[16 * 8] __attribute__((aligned(32)));
    unsigned mask[16], any = 0;

#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) {
        mask[k] = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(r[k], cut, _CMP_GT_OQ));
        any |= mask[k];
    }
    if (__builtin_expect(any == 0, 1)) return n;
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) _mm256_store_ps(v + 8 * k, r[k]);
    for (int k = 0; k < 16; k++) {
        for (unsigned m = mask[k]; m; m &= m - 1) {
            int l = __builtin_ctz(m);

            j->at[n] = (uint32_t)((row + k) * 16 + lane + l);
            j->z[n++] = v[8 * k + l];
        }
    }
    return n;
}

#define LANES 8
#define NAME(f) f##_avx2
#define EMIT emit_avx2
#include "transform_kernel.h"
#undef TARGET
#undef LANES
#undef NAME
#undef EMIT

/* ---- avx512 ---- */

#define TARGET __attribute__((target("avx512f")))

/* The masks of 16 rows are four words: where nothing fires nothing is stored. Compressing each row
 * instead of walking the bits was 10 % slower where one pair in 700 fires, and no faster where one in
 * 70 does. */
TARGET INLINE int64_t emit_avx512(const __m512 *r, int row, int lane, const ws_transform_job *j,
                                  int64_t n)
{
    const __m512 cut = _mm512_set1_ps(j->cut);
    float v[256] __attribute__((aligned(64)));
    uint64_t w[4] = {0};

#pragma GCC unroll 16
    for (int k = 0; k < 16; k++)
        w[k / 4] |= (uint64_t)_mm512_cmp_ps_mask(r[k], cut, _CMP_GT_OQ) << (16 * (k % 4));
    if (__builtin_expect(!(w[0] | w[1] | w[2] | w[3]), 1)) return n;
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) _mm512_store_ps(v + 16 * k, r[k]);
    for (int g = 0; g < 4; g++) {
        for (uint64_t m = w[g]; m; m &= m - 1) {
            int i = 64 * g + __builtin_ctzll(m);

            j->at[n] = (uint32_t)(row * 16 + lane + i);
            j->z[n++] = v[i];
        }
    }
    return n;
}

#define LANES 16
#define NAME(f) f##_avx512
#define EMIT emit_avx512
#include "transform_kernel.h"
#endif

const ws_transform_loops *ws_transform_simd(void)
{
#if defined(__x86_64__)
    const char *path = ws_simd_name();

    if (strcmp(path, "avx512") == 0) return &loops_avx512;
    if (strcmp(path, "avx2") == 0) return &loops_avx2;
#endif
    return &loops_portable;
}
