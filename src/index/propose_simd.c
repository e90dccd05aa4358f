/* propose_simd.c - one pass over a row of products: keep the positions and values above a cut;
 * and products pair by pair.
 *
 * The path follows ws_simd_name().  All paths keep the same pairs in the same order. */
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

/* ---- pairs ---- */

__attribute__((target("avx512f"))) static void dots4_avx512(const float *w, const float *const x[4],
                                                            int64_t d, float z[4])
{
    __m512 a = _mm512_setzero_ps(), b = a, c = a, e = a;

    for (int64_t j = 0; j < d; j += 16) {
        __mmask16 m = (__mmask16)(d - j < 16 ? (1u << (d - j)) - 1 : 0xffffu);
        __m512 v = _mm512_maskz_loadu_ps(m, w + j);

        a = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(m, x[0] + j), a);
        b = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(m, x[1] + j), b);
        c = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(m, x[2] + j), c);
        e = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(m, x[3] + j), e);
    }
    z[0] = _mm512_reduce_add_ps(a);
    z[1] = _mm512_reduce_add_ps(b);
    z[2] = _mm512_reduce_add_ps(c);
    z[3] = _mm512_reduce_add_ps(e);
}

__attribute__((target("avx2,fma"))) static float sum_avx2(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(s) + _mm_cvtss_f32(_mm_shuffle_ps(s, s, 1));
}

__attribute__((target("avx2,fma"))) static void dots4_avx2(const float *w, const float *const x[4],
                                                           int64_t d, float z[4])
{
    __m256 a[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    int64_t j = 0;

    for (; j + 8 <= d; j += 8)
        for (int k = 0; k < 4; k++)
            a[k] = _mm256_fmadd_ps(_mm256_loadu_ps(w + j), _mm256_loadu_ps(x[k] + j), a[k]);
    for (int k = 0; k < 4; k++) {
        z[k] = sum_avx2(a[k]);
        for (int64_t i = j; i < d; i++) z[k] += w[i] * x[k][i];
    }
}

static void dots4_portable(const float *w, const float *const x[4], int64_t d, float z[4])
{
    for (int k = 0; k < 4; k++) z[k] = (float)ws_dot(w, x[k], d);
}

/* Four at a time; the last of them again if there are not four. */
void ws_propose_dots(const float *w, const float *const *x, int64_t n, int64_t d, float *z)
{
    const char *path = ws_simd_name();
    void (*dots4)(const float *, const float *const[4], int64_t, float[4]) =
        strcmp(path, "avx512") == 0 ? dots4_avx512
        : strcmp(path, "avx2") == 0 ? dots4_avx2
                                    : dots4_portable;

    for (int64_t k = 0; k < n; k += 4) {
        const float *v[4];
        float four[4];
        int64_t here = n - k < 4 ? n - k : 4;

        for (int64_t l = 0; l < 4; l++) v[l] = x[l < here ? k + l : n - 1];
        dots4(w, v, d, four);
        memcpy(z + k, four, (size_t)here * sizeof *z);
    }
}
