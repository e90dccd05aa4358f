/* transform_simd.c - blocks times tiles for each vector unit; the same operations in the same order,
 * none fused, so that all keep the same pairs with the same values.
 *
 * What is above the cut is marked group by group and walked at the end of a unit: where one pair in 160
 * fires, walking the bits of each group at once cost as much as all the sums, in guesses that fail.
 * Compressing each row instead was slower still. */
#include <string.h>

#include "transform.h"
#include "wingspan/core/dot.h"

#define INLINE static inline __attribute__((always_inline))

/* What is above the cut in one unit: a bit each in words of 64 values, and where they begin in the work
 * space; words without any are left out. */
typedef struct marks {
    int words;
    uint64_t word[WS_PANEL * WS_TILE / 64];
    int at[WS_PANEL * WS_TILE / 64];
} marks;

/* ---- any processor ---- */

typedef float float4 __attribute__((vector_size(16)));
typedef int int4 __attribute__((vector_size(16)));

INLINE void above_portable(const float4 *r, float cut, uint64_t *word)
{
    int4 any = {0};
    int64_t some[2];

    *word = 0;
    for (int k = 0; k < 16; k++) any |= r[k] > cut;
    memcpy(some, &any, sizeof some);
    if (!(some[0] | some[1])) return;
    for (int k = 0; k < 64; k++) *word |= (uint64_t)(r[k / 4][k % 4] > cut) << k;
}

#define ONE
#define LESS(a, b) ((a) - (b))
#define TARGET
#define LANES 4
#define NAME(f) f##_portable
#include "transform_kernel.h"
#undef TARGET
#undef LANES
#undef NAME

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- avx2 ---- */

#define TARGET __attribute__((target("avx2")))

TARGET INLINE void above_avx2(const __m256 *r, float cut, uint64_t word[2])
{
    const __m256 c = _mm256_set1_ps(cut);

    word[0] = word[1] = 0;
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++)
        word[k / 8] |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_cmp_ps(r[k], c, _CMP_GT_OQ))
                       << (8 * (k % 8));
}

#define LANES 8
#define NAME(f) f##_avx2
#include "transform_kernel.h"
#undef TARGET
#undef LANES
#undef NAME

/* ---- avx512 ---- */

#define TARGET __attribute__((target("avx512f,avx512bw")))

/* Masks are joined as masks, in 16 instructions: to move each and shift it there takes 40, and 2 % of a
 * listing. */
TARGET INLINE void above_avx512(const __m512 *r, float cut, uint64_t word[4])
{
    const __m512 c = _mm512_set1_ps(cut);

#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __mmask64 k[4];

#pragma GCC unroll 4
        for (int e = 0; e < 4; e++) k[e] = _mm512_cmp_ps_mask(r[4 * i + e], c, _CMP_GT_OQ);
        word[i] = _mm512_kunpackd(_mm512_kunpackw((__mmask32)k[3], (__mmask32)k[2]),
                                  _mm512_kunpackw((__mmask32)k[1], (__mmask32)k[0]));
    }
}

/* 1 x b subtracted from a is a - b, rounded once, by the units that multiply: those that add are busy
 * with the sums. 5 to 9 % (Zen 4). The compiler must not know that it is 1. */
#undef ONE
#undef LESS
#define ONE                                                                                        \
    __m512 one = _mm512_set1_ps(1);                                                                \
    __asm__("" : "+v"(one));
#define LESS(a, b) ((V)_mm512_fnmadd_ps((__m512)(b), one, (__m512)(a)))

#define LANES 16
#define NAME(f) f##_avx512
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
