/* dot_avx512.c - the lanes of dot.h in two registers of eight doubles.
 *
 * Products of two float32 are exact in float64, so the fused multiply-add rounds once, where
 * portable code rounds its addition: the same bits. In row_add the square is not exact and is
 * therefore rounded before it is added. Masked-off coordinates add +0 to a lane, which changes
 * nothing: a lane starts at +0 and can never become -0. */
#include "dot_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))

static int available(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}

typedef struct lanes {
    __m512d lo, hi; /* lanes 0..7 and 8..15 */
} lanes;

AVX512 static inline __m512d low(__m512 v)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

AVX512 static inline __m512d high(__m512 v)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
}

AVX512 static inline double sum(lanes a)
{
    __m512d s = _mm512_add_pd(a.lo, a.hi);
    __m256d t = _mm256_add_pd(_mm512_castpd512_pd256(s), _mm512_extractf64x4_pd(s, 1));
    __m128d u = _mm_add_pd(_mm256_castpd256_pd128(t), _mm256_extractf128_pd(t, 1));

    return _mm_cvtsd_f64(u) + _mm_cvtsd_f64(_mm_unpackhi_pd(u, u));
}

AVX512 static inline void step(lanes *a, __m512 w, __m512 x)
{
    a->lo = _mm512_fmadd_pd(low(w), low(x), a->lo);
    a->hi = _mm512_fmadd_pd(high(w), high(x), a->hi);
}

static inline __mmask16 rest(int64_t n)
{
    return (__mmask16)((1u << n) - 1);
}

AVX512 static double dot(const float *w, const float *x, int64_t d)
{
    lanes a = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    int64_t j = 0;

    for (; j + 16 <= d; j += 16) step(&a, _mm512_loadu_ps(w + j), _mm512_loadu_ps(x + j));
    if (j < d)
        step(&a, _mm512_maskz_loadu_ps(rest(d - j), w + j),
             _mm512_maskz_loadu_ps(rest(d - j), x + j));
    return sum(a);
}

AVX512 static void dot4(const float *w, const float *const x[4], int64_t d, double z[4])
{
    lanes a = {_mm512_setzero_pd(), _mm512_setzero_pd()}, b = a, c = a, e = a;
    const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    int64_t j = 0;

    for (; j + 16 <= d; j += 16) {
        __m512 v = _mm512_loadu_ps(w + j);
        __m512d vl = low(v), vh = high(v);
        __m512 y0 = _mm512_loadu_ps(x0 + j), y1 = _mm512_loadu_ps(x1 + j);
        __m512 y2 = _mm512_loadu_ps(x2 + j), y3 = _mm512_loadu_ps(x3 + j);
        a.lo = _mm512_fmadd_pd(vl, low(y0), a.lo);
        a.hi = _mm512_fmadd_pd(vh, high(y0), a.hi);
        b.lo = _mm512_fmadd_pd(vl, low(y1), b.lo);
        b.hi = _mm512_fmadd_pd(vh, high(y1), b.hi);
        c.lo = _mm512_fmadd_pd(vl, low(y2), c.lo);
        c.hi = _mm512_fmadd_pd(vh, high(y2), c.hi);
        e.lo = _mm512_fmadd_pd(vl, low(y3), e.lo);
        e.hi = _mm512_fmadd_pd(vh, high(y3), e.hi);
    }
    if (j < d) {
        __mmask16 m = rest(d - j);
        __m512 v = _mm512_maskz_loadu_ps(m, w + j);
        step(&a, v, _mm512_maskz_loadu_ps(m, x0 + j));
        step(&b, v, _mm512_maskz_loadu_ps(m, x1 + j));
        step(&c, v, _mm512_maskz_loadu_ps(m, x2 + j));
        step(&e, v, _mm512_maskz_loadu_ps(m, x3 + j));
    }
    z[0] = sum(a);
    z[1] = sum(b);
    z[2] = sum(c);
    z[3] = sum(e);
}

AVX512 static void axpy(double *acc, double c, const float *x, int64_t d)
{
    __m512d k = _mm512_set1_pd(c);
    int64_t j = 0;

    for (; j + 8 <= d; j += 8)
        _mm512_storeu_pd(acc + j, _mm512_fmadd_pd(k, _mm512_cvtps_pd(_mm256_loadu_ps(x + j)),
                                                  _mm512_loadu_pd(acc + j)));
    for (; j < d; j++) acc[j] += c * (double)x[j];
}

AVX512 static double row_add(float *w, const double *delta, int64_t d)
{
    lanes a = {_mm512_setzero_pd(), _mm512_setzero_pd()};

    for (int64_t j = 0; j < d; j += 16) {
        int64_t n = d - j < 16 ? d - j : 16;
        __mmask8 m0 = (__mmask8)(n >= 8 ? 255 : (1u << n) - 1);
        __mmask8 m1 = (__mmask8)(n >= 16 ? 255 : n > 8 ? (1u << (n - 8)) - 1 : 0);
        __m512d d0 = _mm512_maskz_loadu_pd(m0, delta + j);
        __m512d d1 = _mm512_maskz_loadu_pd(m1, delta + j + 8);
        __m512d w0 = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(m0, w + j));
        __m512d w1 = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(m1, w + j + 8));
        _mm256_mask_storeu_ps(w + j, m0, _mm512_cvtpd_ps(_mm512_add_pd(w0, d0)));
        _mm256_mask_storeu_ps(w + j + 8, m1, _mm512_cvtpd_ps(_mm512_add_pd(w1, d1)));
        a.lo = _mm512_add_pd(a.lo, _mm512_mul_pd(d0, d0));
        a.hi = _mm512_add_pd(a.hi, _mm512_mul_pd(d1, d1));
    }
    return sum(a);
}

const ws_dot_ops ws_dot_avx512 = {"avx512", available, dot, dot4, axpy, row_add};

#else
static int available(void)
{
    return 0;
}
const ws_dot_ops ws_dot_avx512 = {.name = "avx512", .available = available};
#endif
