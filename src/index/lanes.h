/* lanes.h - sums of the lanes of vectors of 32-bit integers, for the loops of this room. */
#ifndef WS_INDEX_LANES_H
#define WS_INDEX_LANES_H

#include <immintrin.h>

/** The sums of the sixteen lanes of each of four vectors. */
__attribute__((target("avx512f"))) static inline __m128i ws_lane_sums(__m512i a, __m512i b,
                                                                      __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));

    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

#endif
