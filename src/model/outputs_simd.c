/* outputs_simd.c - adding to the outputs of fired pairs, and from their derivatives back.
 *
 * Signs as masks in registers: 8 ns a pair of ten outputs on Zen 4, where products by the signs take 19
 * and masks in vectors of 128 bits 17, all in the second cache. Both limbs of a sample side by side lose
 * (10). So do blocks of samples that the second cache holds, for a batch of 60000: where each row's
 * pairs of a block begin costs more than is gained (13 blocks: 675 ms instead of 340, 3: 290). */
#include "outputs_simd.h"

#include <string.h>

#include "wingspan/core/dot.h"

/* ---- portable ---- */

static void add_portable(const float *a, int32_t c, const ws_exact_limbs *v, const int32_t *pos,
                         int64_t n, int64_t *hi, int64_t *lo)
{
    for (int64_t p = 0; p < n; p++) {
        int64_t *h = hi + (int64_t)pos[p] * c, *l = lo + (int64_t)pos[p] * c;

        for (int32_t k = 0; k < c; k++) {
            int64_t s = (int64_t)a[k];

            h[k] += s * v[p].hi;
            l[k] += s * v[p].lo;
        }
    }
}

/* Four sums need not wait for each other. */
static void back_portable(const float *a, int32_t c, const double *grad, const int32_t *pos,
                          int64_t n, double *sum)
{
    for (int64_t p = 0; p < n; p += 4) {
        const double *g[4];
        double s[4] = {0};

        for (int64_t l = 0; l < 4; l++) g[l] = grad + (int64_t)pos[p + l < n ? p + l : n - 1] * c;
        for (int32_t k = 0; k < c; k++)
            for (int l = 0; l < 4; l++) s[l] += (double)a[k] * g[l][k];
        memcpy(sum + p, s, (size_t)(n - p < 4 ? n - p : 4) * sizeof *s);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- avx512: limbs ---- */

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl")))

enum { BLOCKS = 16 }; /* of eight outputs, at most */

/* Which of eight outputs rise and which fall. */
typedef struct signs {
    __mmask8 plus, minus;
} signs;

AVX512 static inline signs signs_of(const float *a, int32_t n)
{
    __m256 v = _mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1), a), zero = _mm256_setzero_ps();

    return (signs){_mm256_cmp_ps_mask(v, zero, _CMP_GT_OQ),
                   _mm256_cmp_ps_mask(v, zero, _CMP_LT_OQ)};
}

AVX512 static inline void add_eight(int64_t *to, signs s, __m512i v)
{
    __m512i x = _mm512_loadu_si512(to);

    x = _mm512_mask_add_epi64(x, s.plus, x, v);
    _mm512_storeu_si512(to, _mm512_mask_sub_epi64(x, s.minus, x, v));
}

AVX512 static inline void add_two(int64_t *to, signs s, __m128i v)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)to);

    x = _mm_mask_add_epi64(x, s.plus & 3, x, v);
    _mm_storeu_si128((__m128i *)(void *)to, _mm_mask_sub_epi64(x, s.minus & 3, x, v));
}

/* Fewer than eight: no store reaches into another sample. */
AVX512 static inline void add_rest(int64_t *to, signs s, int32_t n, __m512i v)
{
    __m128i two = _mm512_castsi512_si128(v);

    for (; n >= 2; n -= 2, to += 2) {
        add_two(to, s, two);
        s.plus >>= 2;
        s.minus >>= 2;
    }
    if (n > 0) *to += (s.plus & 1 ? 1 : s.minus & 1 ? -1 : 0) * _mm_cvtsi128_si64(two);
}

AVX512 static void add_avx512(const float *a, int32_t c, const ws_exact_limbs *v,
                              const int32_t *pos, int64_t n, int64_t *hi, int64_t *lo)
{
    int32_t whole = c / 8, rest = c % 8;
    signs s[BLOCKS + 1];

    if (whole > BLOCKS) {
        add_portable(a, c, v, pos, n, hi, lo);
        return;
    }
    for (int32_t k = 0; k < whole; k++) s[k] = signs_of(a + 8 * k, 8);
    s[whole] = signs_of(a + 8 * whole, rest);
    for (int64_t p = 0; p < n; p++) {
        int64_t *h = hi + (int64_t)pos[p] * c, *l = lo + (int64_t)pos[p] * c;
        __m512i high = _mm512_set1_epi64(v[p].hi), low = _mm512_set1_epi64(v[p].lo);

        for (int32_t k = 0; k < whole; k++) {
            add_eight(h + 8 * k, s[k], high);
            add_eight(l + 8 * k, s[k], low);
        }
        add_rest(h + 8 * whole, s[whole], rest, high);
        add_rest(l + 8 * whole, s[whole], rest, low);
    }
}

/* ---- avx2: derivatives, a sample in each lane ---- */

#define AVX2 __attribute__((target("avx2")))

/* Coordinates k .. k + 3 of four samples, one coordinate each in to[]. */
AVX2 static inline void turn(const double *const g[4], int32_t k, __m256d to[4])
{
    __m256d a = _mm256_loadu_pd(g[0] + k), b = _mm256_loadu_pd(g[1] + k);
    __m256d c = _mm256_loadu_pd(g[2] + k), d = _mm256_loadu_pd(g[3] + k);
    __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);
    __m256d cd0 = _mm256_unpacklo_pd(c, d), cd1 = _mm256_unpackhi_pd(c, d);

    to[0] = _mm256_permute2f128_pd(ab0, cd0, 0x20);
    to[1] = _mm256_permute2f128_pd(ab1, cd1, 0x20);
    to[2] = _mm256_permute2f128_pd(ab0, cd0, 0x31);
    to[3] = _mm256_permute2f128_pd(ab1, cd1, 0x31);
}

AVX2 static void back_avx2(const float *a, int32_t c, const double *grad, const int32_t *pos,
                           int64_t n, double *sum)
{
    for (int64_t p = 0; p < n; p += 4) {
        const double *g[4];
        double four[4];
        __m256d s = _mm256_setzero_pd();
        int32_t k = 0;

        for (int64_t l = 0; l < 4; l++) g[l] = grad + (int64_t)pos[p + l < n ? p + l : n - 1] * c;
        for (; k + 4 <= c; k += 4) {
            __m256d t[4];

            turn(g, k, t);
            for (int j = 0; j < 4; j++)
                s = _mm256_add_pd(s, _mm256_mul_pd(_mm256_set1_pd((double)a[k + j]), t[j]));
        }
        for (; k < c; k++)
            s = _mm256_add_pd(s, _mm256_mul_pd(_mm256_set1_pd((double)a[k]),
                                               _mm256_setr_pd(g[0][k], g[1][k], g[2][k], g[3][k])));
        _mm256_storeu_pd(four, s);
        memcpy(sum + p, four, (size_t)(n - p < 4 ? n - p : 4) * sizeof *four);
    }
}

static const ws_outputs_ops portable = {add_portable, back_portable},
                            avx2 = {add_portable, back_avx2}, avx512 = {add_avx512, back_avx2};

const ws_outputs_ops *ws_outputs_simd(void)
{
    const char *name = ws_simd_name();

    return strcmp(name, "avx512") == 0 ? &avx512 : strcmp(name, "avx2") == 0 ? &avx2 : &portable;
}

#else
const ws_outputs_ops *ws_outputs_simd(void)
{
    static const ws_outputs_ops portable = {add_portable, back_portable};

    return &portable;
}
#endif
