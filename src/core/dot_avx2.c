/* dot_avx2.c - the lanes of dot.h in four registers of four doubles; see dot_avx512.c for why
 * fusing changes no bit. */
#include <stddef.h>
#include <string.h>

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

/* Four bytes at p, less their level. */
AVX2 static inline __m256d apart(const uint8_t *p, const double *level)
{
    int32_t four;
    __m256d zero = _mm256_set1_pd(WS_PACKED_ZERO);

    memcpy(&four, p, sizeof four);
    return _mm256_sub_pd(
        _mm256_add_pd(_mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four))), zero),
        _mm256_loadu_pd(level));
}

AVX2 static double dot_one(const float *w, const uint8_t *x, int64_t d, const double *level)
{
    __m256d a[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                    _mm256_setzero_pd()};
    int64_t j = 0;

    for (; j + 16 <= d; j += 16)
        for (int k = 0; k < 4; k++)
            a[k] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(w + j + 4 * k)),
                                   apart(x + j + 4 * k, level + j + 4 * k), a[k]);
    if (j < d) {
        float wt[16] = {0};
        uint8_t xt[16] = {0};
        double lt[16] = {0};

        for (int l = 0; j + l < d; l++) {
            wt[l] = w[j + l];
            xt[l] = x[j + l];
            lt[l] = level[j + l];
        }
        for (int k = 0; k < 4; k++)
            a[k] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(wt + 4 * k)),
                                   apart(xt + 4 * k, lt + 4 * k), a[k]);
    }
    return sum(a);
}

AVX2 static void dot_bytes(const float *w, const uint8_t *const *x, int64_t n, int64_t d,
                           const double *level, double *z, const ws_fetch *f)
{
    ws_fetch_row(f->row, d);
    for (int64_t k = 0; k < n; k++) z[k] = dot_one(w, x[k], d, level);
}

AVX2 static void combine_bytes(float *w, const float *coef, const ws_bytes *b, int64_t n, int64_t d,
                               double *square, const float *soon)
{
    if (soon) ws_fetch_row(soon, d);
    for (int64_t j = 0; j < d; j += 16) {
        __m256d a[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                        _mm256_setzero_pd()};

        for (int64_t p = 0; p < n; p++) {
            const uint8_t *x = b->x + b->stride * b->at[p] + j;
            __m256d c = _mm256_set1_pd((double)coef[p]);

            for (int k = 0; k < 4; k++)
                a[k] = _mm256_fmadd_pd(c, apart(x + 4 * k, b->level + j + 4 * k), a[k]);
        }
        for (int k = 0; k < 4; k++) {
            __m256d s = _mm256_loadu_pd(square + 4 * k);
            float *to = w + j + 4 * k;

            _mm_storeu_ps(to,
                          _mm256_cvtpd_ps(_mm256_add_pd(_mm256_cvtps_pd(_mm_loadu_ps(to)), a[k])));
            _mm256_storeu_pd(square + 4 * k, _mm256_add_pd(s, _mm256_mul_pd(a[k], a[k])));
        }
    }
}

const ws_dot_ops ws_dot_avx2 = {"avx2",  available, dot,  dot4,      axpy,
                                row_add, NULL,      NULL, dot_bytes, combine_bytes};

#else
static int available(void)
{
    return 0;
}
const ws_dot_ops ws_dot_avx2 = {.name = "avx2", .available = available};
#endif
