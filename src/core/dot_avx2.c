/* dot_avx2.c - the lanes of dot.h in four registers of four doubles; see dot_avx512.c for why
 * fusing changes no bit. */
#include <stddef.h>

#include "dot_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))

static int available(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

AVX2 static inline double sum(const __m256d a[4])
{
    /* lanes l and l+8: registers 0 and 2, 1 and 3; then l and l+4, l+2, l+1 */
    __m256d s = _mm256_add_pd(_mm256_add_pd(a[0], a[2]), _mm256_add_pd(a[1], a[3]));
    __m128d u = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));

    return _mm_cvtsd_f64(u) + _mm_cvtsd_f64(_mm_unpackhi_pd(u, u));
}

AVX2 static double dot(const float *w, const float *x, int64_t d)
{
    __m256d a[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                    _mm256_setzero_pd()};
    float wt[16] = {0}, xt[16] = {0};
    int64_t j = 0;

    for (; j + 16 <= d; j += 16)
        for (int k = 0; k < 4; k++)
            a[k] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(w + j + 4 * k)),
                                   _mm256_cvtps_pd(_mm_loadu_ps(x + j + 4 * k)), a[k]);
    if (j < d) {
        for (int l = 0; j + l < d; l++) {
            wt[l] = w[j + l];
            xt[l] = x[j + l];
        }
        for (int k = 0; k < 4; k++)
            a[k] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(wt + 4 * k)),
                                   _mm256_cvtps_pd(_mm_loadu_ps(xt + 4 * k)), a[k]);
    }
    return sum(a);
}

AVX2 static void dot4(const float *w, const float *const *x, int64_t n, int64_t d, double *z,
                      const ws_fetch *f)
{
    ws_fetch_row(f->row, d);
    for (int64_t k = 0; k < n; k++) z[k] = dot(w, x[k], d);
}

AVX2 static void axpy(double *acc, double c, const float *x, int64_t d)
{
    __m256d k = _mm256_set1_pd(c);
    int64_t j = 0;

    for (; j + 4 <= d; j += 4)
        _mm256_storeu_pd(acc + j, _mm256_fmadd_pd(k, _mm256_cvtps_pd(_mm_loadu_ps(x + j)),
                                                  _mm256_loadu_pd(acc + j)));
    for (; j < d; j++) acc[j] += c * (double)x[j];
}

AVX2 static double row_add(float *w, const double *delta, int64_t d)
{
    __m256d a[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                    _mm256_setzero_pd()};
    double t[16] = {0};
    int64_t j = 0;

    for (; j + 16 <= d; j += 16)
        for (int k = 0; k < 4; k++) {
            __m256d v = _mm256_loadu_pd(delta + j + 4 * k);
            __m256d r = _mm256_cvtps_pd(_mm_loadu_ps(w + j + 4 * k));
            _mm_storeu_ps(w + j + 4 * k, _mm256_cvtpd_ps(_mm256_add_pd(r, v)));
            a[k] = _mm256_add_pd(a[k], _mm256_mul_pd(v, v));
        }
    if (j < d) {
        for (int l = 0; j + l < d; l++) {
            t[l] = delta[j + l] * delta[j + l];
            w[j + l] = (float)((double)w[j + l] + delta[j + l]);
        }
        for (int k = 0; k < 4; k++) a[k] = _mm256_add_pd(a[k], _mm256_loadu_pd(t + 4 * k));
    }
    return sum(a);
}

AVX2 static void unpack(float *to, const uint8_t *byte, const float *middle, float scale, int64_t d,
                        const uint8_t *later)
{
    __m256 s = _mm256_set1_ps(scale);
    int64_t j = 0;

    for (; j + 8 <= d; j += 8) {
        __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)(byte + j));
        __m256 v = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b));

        if (j % 64 == 0) __builtin_prefetch(later + j);
        _mm256_storeu_ps(to + j, _mm256_mul_ps(_mm256_sub_ps(v, _mm256_loadu_ps(middle + j)), s));
    }
    ws_unpack_rest(to, byte, middle, scale, j, d);
}

const ws_dot_ops ws_dot_avx2 = {"avx2", available, dot, dot4, axpy, row_add, NULL, unpack, NULL};

#else
static int available(void)
{
    return 0;
}
const ws_dot_ops ws_dot_avx2 = {.name = "avx2", .available = available};
#endif
