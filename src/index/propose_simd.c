/* propose_simd.c - one pass over a row of products: keep the positions and values above a cut.
 *
 * The path follows ws_simd_name().  All paths write the same pairs in the same order. */
#include <immintrin.h>
#include <string.h>

#include "wingspan/core/dot.h"

#include "propose.h"

static int64_t compress_portable(const float *z, int64_t n, float cut, int32_t base, int32_t *col,
                                 float *out)
{
    int64_t k = 0;

    for (int64_t j = 0; j < n; j++) {
        col[k] = base + (int32_t)j;
        out[k] = z[j];
        k += !(z[j] <= cut);
    }
    return k;
}

/* Few pass: a block without any costs one compare. */
__attribute__((target("avx2"))) static int64_t compress_avx2(const float *z, int64_t n, float cut,
                                                             int32_t base, int32_t *col, float *out)
{
    const __m256 c = _mm256_set1_ps(cut);
    int64_t k = 0, j = 0;

    for (; j + 8 <= n; j += 8) {
        __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(z + j), c, _CMP_NLE_UQ);
        unsigned mask = (unsigned)_mm256_movemask_ps(above);

        for (; mask; mask &= mask - 1) {
            int64_t i = j + __builtin_ctz(mask);

            col[k] = base + (int32_t)i;
            out[k++] = z[i];
        }
    }
    return k + compress_portable(z + j, n - j, cut, base + (int32_t)j, col + k, out + k);
}

/* Compressing in a register and storing it whole is much faster on some machines than the
 * compressing store, hence the room for 16 more. */
__attribute__((target("avx512f"))) static int64_t
compress_avx512(const float *z, int64_t n, float cut, int32_t base, int32_t *col, float *out)
{
    const __m512 c = _mm512_set1_ps(cut);
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    int64_t k = 0, j = 0;

    for (; j + 16 <= n; j += 16) {
        __m512 v = _mm512_loadu_ps(z + j);
        __mmask16 above = _mm512_cmp_ps_mask(v, c, _CMP_NLE_UQ);

        if (above == 0) continue;
        __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32(base + (int32_t)j));
        _mm512_storeu_si512(col + k, _mm512_maskz_compress_epi32(above, at));
        _mm512_storeu_ps(out + k, _mm512_maskz_compress_ps(above, v));
        k += __builtin_popcount(above);
    }
    return k + compress_portable(z + j, n - j, cut, base + (int32_t)j, col + k, out + k);
}

ws_compress *ws_propose_compress(void)
{
    const char *path = ws_simd_name();

    if (strcmp(path, "avx512") == 0) return compress_avx512;
    if (strcmp(path, "avx2") == 0) return compress_avx2;
    return compress_portable;
}
