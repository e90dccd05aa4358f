/* dot_avx512.c - the lanes of dot.h in two registers of eight doubles.
 *
 * Products of two float32 are exact in float64, so the fused multiply-add rounds once, where
 * portable code rounds its addition: the same bits. In row_add the square is not exact and is
 * therefore rounded before it is added. Masked-off coordinates add +0 to a lane, which changes
 * nothing: a lane starts at +0 and can never become -0. */
#include <stddef.h>

#include "dot_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { LINES = 16 }; /* vectors fetched ahead of their turn */

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

/* Four doubles of a register of lanes: converting half a register at a time is faster than a whole
 * one on some machines, and no slower on others. */
AVX512 static inline __m256d wide(const float *p)
{
    return _mm256_cvtps_pd(_mm_loadu_ps(p));
}

/* Lanes 0..3, 4..7, 8..11, 12..15. */
AVX512 static inline double sum4(const __m256d a[4])
{
    __m256d s = _mm256_add_pd(_mm256_add_pd(a[0], a[2]), _mm256_add_pd(a[1], a[3]));
    __m128d u = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));

    return _mm_cvtsd_f64(u) + _mm_cvtsd_f64(_mm_unpackhi_pd(u, u));
}

/* The lines of the rows in f that belong to coordinate j; n and later are constants. */
AVX512 static inline __attribute__((always_inline)) void fetch(const ws_fetch *f, const int n,
                                                               const int later, int64_t j)
{
    __builtin_prefetch(f->row + j, 0, 2);
#pragma GCC unroll 4
    for (int k = 0; later && k < n; k++) __builtin_prefetch(f->x[k] + j);
}

/* n is a constant where this is inlined, so that all lanes stay in registers: one sum alone would
 * wait for its own last addition at every step. */
AVX512 static inline __attribute__((always_inline)) void few(const float *w, const float *const *x,
                                                             const int n, int64_t d, double *z,
                                                             const ws_fetch *f, const int later)
{
    const ws_fetch ahead = *f;
    __m256d a[4][4];
    float wt[16] = {0}, xt[4][16] = {{0}};
    int64_t j = 0;

#pragma GCC unroll 16
    for (int k = 0; k < 4 * n; k++) a[k / 4][k % 4] = _mm256_setzero_pd();
    for (; j + 16 <= d; j += 16) {
        fetch(&ahead, n, later, j);
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            __m256d v = wide(w + j + 4 * q);

#pragma GCC unroll 4
            for (int k = 0; k < n; k++)
                a[k][q] = _mm256_fmadd_pd(v, wide(x[k] + j + 4 * q), a[k][q]);
        }
    }
    if (j < d) {
        __mmask16 m = rest(d - j);

        _mm512_storeu_ps(wt, _mm512_maskz_loadu_ps(m, w + j));
        for (int k = 0; k < n; k++) _mm512_storeu_ps(xt[k], _mm512_maskz_loadu_ps(m, x[k] + j));
#pragma GCC unroll 16
        for (int k = 0; k < 4 * n; k++)
            a[k / 4][k % 4] =
                _mm256_fmadd_pd(wide(wt + k % 4 * 4), wide(xt[k / 4] + k % 4 * 4), a[k / 4][k % 4]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) z[k] = sum4(a[k]);
}

AVX512 static void dot4(const float *w, const float *const *x, int64_t n, int64_t d, double *z,
                        const ws_fetch *f)
{
    switch (n * 2 + (f->x != NULL)) {
    case 2:
    case 3:
        few(w, x, 1, d, z, f, 0);
        return;
    case 4:
    case 5:
        few(w, x, 2, d, z, f, 0);
        return;
    case 6:
    case 7:
        few(w, x, 3, d, z, f, 0);
        return;
    case 8:
        few(w, x, 4, d, z, f, 0);
        return;
    case 9:
        few(w, x, 4, d, z, f, 1);
    }
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

/* n, first, last and later are constants where this is inlined. */
AVX512 static inline __attribute__((always_inline)) void
combine(float *w, const float *coef, const float *const *x, const int n, int64_t d, const int first,
        const int last, double *sum, __m256d square[4], const ws_fetch *f, const int later)
{
    const ws_fetch ahead = *f;
    __m256d c[4];

#pragma GCC unroll 4
    for (int k = 0; k < n; k++) c[k] = _mm256_set1_pd((double)coef[k]);
    for (int64_t j = 0; j < d; j += 16) {
        fetch(&ahead, n, later, j);
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            int64_t at = j + 4 * q;
            __m256d v = first ? _mm256_setzero_pd() : _mm256_loadu_pd(sum + at);

#pragma GCC unroll 4
            for (int k = 0; k < n; k++) v = _mm256_fmadd_pd(c[k], wide(x[k] + at), v);
            if (!last) {
                _mm256_storeu_pd(sum + at, v);
                continue;
            }
            _mm_storeu_ps(w + at, _mm256_cvtpd_ps(_mm256_add_pd(wide(w + at), v)));
            square[q] = _mm256_add_pd(square[q], _mm256_mul_pd(v, v));
        }
    }
}

/* Fewer than four are the last. */
AVX512 static void combine4(float *w, const float *coef, const float *const *x, int64_t n,
                            int64_t d, int first, int last, double *sum, double *square,
                            const ws_fetch *f)
{
    __m256d s[4];

    for (int k = 0; k < 4; k++) s[k] = _mm256_loadu_pd(square + 4 * k);
#define CASE(n, first, last, later)                                                                \
    case n * 8 + first * 4 + last * 2 + later:                                                     \
        combine(w, coef, x, n, d, first, last, sum, s, f, later);                                  \
        break
    switch (n * 8 + (first != 0) * 4 + (last != 0) * 2 + (f->x != NULL)) {
        CASE(1, 1, 1, 0);
        CASE(2, 1, 1, 0);
        CASE(3, 1, 1, 0);
        CASE(4, 1, 1, 0);
        CASE(1, 0, 1, 0);
        CASE(2, 0, 1, 0);
        CASE(3, 0, 1, 0);
        CASE(4, 0, 1, 0);
        CASE(4, 1, 0, 0);
        CASE(4, 0, 0, 0);
        CASE(4, 1, 0, 1);
        CASE(4, 0, 0, 1);
    }
#undef CASE
    for (int k = 0; k < 4; k++) _mm256_storeu_pd(square + 4 * k, s[k]);
}

AVX512 static void combine_line(float *w, const float *coef, const float *x, const int32_t *pos,
                                int64_t n, double *square)
{
    __m256d v[4];

    for (int q = 0; q < 4; q++) v[q] = _mm256_setzero_pd();
    for (int64_t p = 0; p < n; p++) {
        const float *at = x + (int64_t)pos[p] * 16;
        __m256d c = _mm256_set1_pd((double)coef[p]);

        __builtin_prefetch(x + (int64_t)pos[p + LINES < n ? p + LINES : n - 1] * 16);
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) v[q] = _mm256_fmadd_pd(c, wide(at + 4 * q), v[q]);
    }
    for (int q = 0; q < 4; q++) {
        __m256d s = _mm256_loadu_pd(square + 4 * q);

        _mm_storeu_ps(w + 4 * q, _mm256_cvtpd_ps(_mm256_add_pd(wide(w + 4 * q), v[q])));
        _mm256_storeu_pd(square + 4 * q, _mm256_add_pd(s, _mm256_mul_pd(v[q], v[q])));
    }
}

/* ---- bytes ---- */

#define VBMI                                                                                       \
    __attribute__((                                                                                \
        target("avx512f,avx512dq,avx512vl,avx512bw,avx512vbmi,fma"))) /* Ice Lake, Zen 4 */

/* A byte becomes the sixth of a double that is WS_PACKED_ZERO: no conversion. Cycles for sixteen
 * coordinates of one sample on Zen 4, with the difference and the sum: 3.9; unpacked to float32 in the
 * first cache and read from there 5.7, to registers 7.0; by conversions of integers 4.9; each line of
 * 16 float32 from the second cache 4.6, from the third 8. */
static const uint64_t sixth = 0x2020202020202020;

typedef struct places {
    __m512i low, high; /* where bytes 0..7 and 8..15 go */
    __m512d zero;
} places;

VBMI static inline places places_make(void)
{
    __m512i low = _mm512_setr_epi64(0, 1ll << 40, 2ll << 40, 3ll << 40, 4ll << 40, 5ll << 40,
                                    6ll << 40, 7ll << 40);

    return (places){low, _mm512_add_epi64(low, _mm512_set1_epi64(8ll << 40)),
                    _mm512_set1_pd(WS_PACKED_ZERO)};
}

VBMI static inline __m512d place(const places *p, __m512i at, __m128i bytes)
{
    return _mm512_castsi512_pd(_mm512_mask_permutexvar_epi8(_mm512_castpd_si512(p->zero), sixth, at,
                                                            _mm512_castsi128_si512(bytes)));
}

/* Sixteen numbers and their levels, of which those beyond a mask are zero. */
typedef struct sixteen {
    __m512d w0, w1, level0, level1;
} sixteen;

VBMI static inline void bytes_add(const places *p, __m128i bytes, const sixteen *v, lanes *a)
{
    a->lo = _mm512_fmadd_pd(v->w0, _mm512_sub_pd(place(p, p->low, bytes), v->level0), a->lo);
    a->hi = _mm512_fmadd_pd(v->w1, _mm512_sub_pd(place(p, p->high, bytes), v->level1), a->hi);
}

/* n and later are constants where this is inlined. */
VBMI static inline __attribute__((always_inline)) void
bytes_few(const float *w, const uint8_t *const *x, const int n, int64_t d, const double *level,
          double *z, const ws_fetch *f, const int later)
{
    const places p = places_make();
    const float *soon = f->row;
    lanes a[4];
    sixteen v;
    int64_t j = 0;

#pragma GCC unroll 4
    for (int k = 0; k < n; k++) a[k] = (lanes){_mm512_setzero_pd(), _mm512_setzero_pd()};
    for (; j + 16 <= d; j += 16) {
        v = (sixteen){_mm512_cvtps_pd(_mm256_loadu_ps(w + j)),
                      _mm512_cvtps_pd(_mm256_loadu_ps(w + j + 8)), _mm512_loadu_pd(level + j),
                      _mm512_loadu_pd(level + j + 8)};
        __builtin_prefetch(soon + j, 0, 2);
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) {
            if (later && j % 64 == 0) __builtin_prefetch(f->byte[k] + j);
            bytes_add(&p, _mm_loadu_si128((const __m128i *)(const void *)(x[k] + j)), &v, &a[k]);
        }
    }
    if (j < d) {
        __mmask16 m = rest(d - j);

        v = (sixteen){low(_mm512_maskz_loadu_ps(m, w + j)), high(_mm512_maskz_loadu_ps(m, w + j)),
                      _mm512_maskz_loadu_pd((__mmask8)m, level + j),
                      _mm512_maskz_loadu_pd((__mmask8)(m >> 8), level + j + 8)};
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) bytes_add(&p, _mm_maskz_loadu_epi8(m, x[k] + j), &v, &a[k]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) z[k] = sum(a[k]);
}

VBMI static void bytes_any(const float *w, const uint8_t *const *x, int64_t n, int64_t d,
                           const double *level, double *z, const ws_fetch *f)
{
#define CASE(n, later)                                                                             \
    case n * 2 + later:                                                                            \
        bytes_few(w, x, n, d, level, z, f, later);                                                 \
        break
    switch (n * 2 + (f->byte != NULL)) {
        CASE(1, 0);
        CASE(2, 0);
        CASE(3, 0);
        CASE(4, 0);
        CASE(4, 1);
    }
#undef CASE
}

static int places_bytes(void)
{
    return __builtin_cpu_supports("avx512vbmi");
}

/* Without the instruction that places bytes the other table is as good. */
static void dot_bytes(const float *w, const uint8_t *const *x, int64_t n, int64_t d,
                      const double *level, double *z, const ws_fetch *f)
{
    (places_bytes() ? bytes_any : ws_dot_avx2.dot_bytes)(w, x, n, d, level, z, f);
}

enum { WIDENED = 512 }; /* coefficients of a row that are widened once for all its coordinates */

/* 16 `groups` coordinates from j on of a row plus samples; wide: coef in float64, or NULL. groups, ahead,
 * 0 or not, and whether there is a wide, are constants where this is inlined. */
VBMI static inline __attribute__((always_inline)) void
bytes_combine(float *w, const float *coef, const double *wide, const ws_bytes *b, int64_t n,
              int64_t j, const int groups, const int ahead, lanes *square)
{
    const places p = places_make();
    const uint8_t *x = b->x + j;
    const double *level = b->level + j;
    lanes a[4];

#pragma GCC unroll 4
    for (int g = 0; g < groups; g++) a[g] = (lanes){_mm512_setzero_pd(), _mm512_setzero_pd()};
    for (int64_t q = 0; q < n; q++) {
        const uint8_t *at = x + b->stride * b->at[q];
        __m512d c = _mm512_set1_pd(wide ? wide[q] : (double)coef[q]);

        if (ahead)
            __builtin_prefetch(x + b->stride * b->at[q + b->ahead < n ? q + b->ahead : n - 1]);
#pragma GCC unroll 4
        for (int g = 0; g < groups; g++) {
            sixteen v = {c, c, _mm512_loadu_pd(level + 16 * g),
                         _mm512_loadu_pd(level + 16 * g + 8)};

            bytes_add(&p, _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * g)), &v, &a[g]);
        }
    }
    w += j;
#pragma GCC unroll 4
    for (int g = 0; g < groups; g++) {
        float *to = w + 16 * g;

        _mm256_storeu_ps(
            to, _mm512_cvtpd_ps(_mm512_add_pd(_mm512_cvtps_pd(_mm256_loadu_ps(to)), a[g].lo)));
        _mm256_storeu_ps(to + 8, _mm512_cvtpd_ps(_mm512_add_pd(
                                     _mm512_cvtps_pd(_mm256_loadu_ps(to + 8)), a[g].hi)));
        square->lo = _mm512_add_pd(square->lo, _mm512_mul_pd(a[g].lo, a[g].lo));
        square->hi = _mm512_add_pd(square->hi, _mm512_mul_pd(a[g].hi, a[g].hi));
    }
}

/* All coordinates, 64 at a time. */
VBMI static inline __attribute__((always_inline)) void
bytes_combine_all(float *w, const float *coef, const double *wide, const ws_bytes *b, int64_t n,
                  int64_t d, const int ahead, lanes *s, const float *soon)
{
    int64_t j = 0;

    for (; j + 64 <= d; j += 64) {
        for (int k = 0; soon && k < 64; k += 16) __builtin_prefetch(soon + j + k, 0, 2);
        bytes_combine(w, coef, wide, b, n, j, 4, ahead, s);
    }
    for (; j < d; j += 16) {
        if (soon) __builtin_prefetch(soon + j, 0, 2);
        bytes_combine(w, coef, wide, b, n, j, 1, 0, s);
    }
}

VBMI static void bytes_combine_any(float *w, const float *coef, const ws_bytes *b, int64_t n,
                                   int64_t d, double *square, const float *soon)
{
    double wide[WIDENED];
    lanes s = {_mm512_loadu_pd(square), _mm512_loadu_pd(square + 8)};

    for (int64_t q = 0; q < n && n <= WIDENED; q += 8) {
        __mmask8 m = (__mmask8)(n - q < 8 ? (1u << (n - q)) - 1 : 255);

        _mm512_mask_storeu_pd(wide + q, m, _mm512_cvtps_pd(_mm256_maskz_loadu_ps(m, coef + q)));
    }
    if (n > WIDENED)
        bytes_combine_all(w, coef, NULL, b, n, d, 1, &s, soon);
    else if (b->ahead)
        bytes_combine_all(w, coef, wide, b, n, d, 1, &s, soon);
    else
        bytes_combine_all(w, coef, wide, b, n, d, 0, &s, soon);
    _mm512_storeu_pd(square, s.lo);
    _mm512_storeu_pd(square + 8, s.hi);
}

static void combine_bytes(float *w, const float *coef, const ws_bytes *b, int64_t n, int64_t d,
                          double *square, const float *soon)
{
    (places_bytes() ? bytes_combine_any : ws_dot_avx2.combine_bytes)(w, coef, b, n, d, square,
                                                                     soon);
}

const ws_dot_ops ws_dot_avx512 = {"avx512", available, dot,          dot4,      axpy,
                                  row_add,  combine4,  combine_line, dot_bytes, combine_bytes};

#else
static int available(void)
{
    return 0;
}
const ws_dot_ops ws_dot_avx512 = {.name = "avx512", .available = available};
#endif
