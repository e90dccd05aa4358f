/* random_avx2.c - the numbers of random_lanes.c for processors without AVX-512.
 *
 * The same numbers by the same operations on half as many lanes: what AVX2 does not have (three-way
 * exclusive or, whole numbers of 64 bits to doubles, unsigned words to floats, exponents) is put
 * together from what it has. On one core of Zen 4: 4 ns a number exact, 1.3 ns near. */
#include <string.h>

#include "fmath_impl.h"
#include "random_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define LANE TARGET static inline __attribute__((always_inline))

typedef __m256i lanes; /* four ids, in 64 bits each */
typedef __m256d reals;
typedef __m256 singles;

LANE lanes all(uint64_t v)
{
    return _mm256_set1_epi64x((long long)v);
}

LANE lanes xor3(lanes a, lanes b, lanes c)
{
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}

LANE lanes high(lanes a)
{
    return _mm256_srli_epi64(a, 32);
}

LANE lanes half_product(lanes a, lanes b)
{
    return _mm256_mul_epu32(a, b);
}

LANE lanes weave(lanes even, lanes odd)
{
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

LANE lanes quarter_on(lanes word)
{
    return _mm256_add_epi32(word, _mm256_set1_epi32(1 << 30));
}

LANE reals real(double v)
{
    return _mm256_set1_pd(v);
}

LANE singles single(float v)
{
    return _mm256_set1_ps(v);
}

LANE singles fused(singles a, singles b, singles c)
{
    return _mm256_fmadd_ps(a, b, c);
}

LANE singles size_of(singles v)
{
    return _mm256_andnot_ps(single(-0.0f), v);
}

LANE singles root(singles v)
{
    return _mm256_sqrt_ps(_mm256_max_ps(v, single(0)));
}

LANE singles signed_floats(lanes word)
{
    return _mm256_cvtepi32_ps(word);
}

LANE void put(float *to, singles v)
{
    _mm256_storeu_ps(to, v);
}

/* An unsigned word as a float, rounded once. */
LANE singles floats(lanes word)
{
    singles top = _mm256_cvtepi32_ps(_mm256_srli_epi32(word, 16));
    singles low = _mm256_cvtepi32_ps(_mm256_and_si256(word, _mm256_set1_epi32(0xffff)));

    return fused(top, single(65536), low);
}

LANE void split(lanes word, singles *e, singles *t)
{
    singles u = fused(floats(word), single(0x1p-32f), single(0x1p-33f));
    lanes bits = _mm256_castps_si256(_mm256_mul_ps(u, single(4 / 3.0f)));
    lanes exponent = _mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127));
    lanes back = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(127), exponent), 23);

    *e = _mm256_cvtepi32_ps(exponent);
    *t = _mm256_fmsub_ps(u, _mm256_castsi256_ps(back), single(1));
}

#include "random_kernel.h"

/* ---- exact ---- */

/* A whole number below 2^52, less `less`. */
LANE __m256d whole(lanes v, double less)
{
    const lanes magic = all((uint64_t)1075 << 52);

    return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(v, magic)), real(0x1p52 + less));
}

LANE __m256d log_of(__m256d u)
{
    lanes b = _mm256_castpd_si256(u), m = _mm256_and_si256(b, all(0xfffffffffffffu));
    lanes up = _mm256_cmpgt_epi64(m, all(0x6a09e667f3bccu)); /* -1 or 0 */
    lanes one = _mm256_add_epi64(all((uint64_t)1023 << 52), _mm256_slli_epi64(up, 52));
    __m256d f, k, s, z, t;

    f = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(m, one)), real(1));
    k = whole(_mm256_sub_epi64(_mm256_srli_epi64(b, 52), up), 1023);
    s = _mm256_div_pd(f, _mm256_add_pd(real(2), f));
    z = _mm256_mul_pd(s, s);
    t = _mm256_mul_pd(s, _mm256_sub_pd(f, _mm256_mul_pd(z, poly(ws_log_coef, 8, z))));
    t = _mm256_sub_pd(_mm256_sub_pd(t, _mm256_mul_pd(k, real(WS_LN2_LO))), f);
    return _mm256_sub_pd(_mm256_mul_pd(k, real(WS_LN2_HI)), t);
}

/* v with its sign turned where bit 1 of q is set. */
LANE __m256d turned(__m256d v, lanes q)
{
    lanes sign = _mm256_slli_epi64(_mm256_and_si256(q, all(2)), 62);

    return _mm256_castsi256_pd(_mm256_xor_si256(_mm256_castpd_si256(v), sign));
}

/* pair_of() of random.c for four ids. */
LANE void pair_of(lanes radius, lanes angle, double scale, __m128 *a, __m128 *b)
{
    const lanes low = all(0xffffffffu);
    __m256d word = whole(_mm256_and_si256(radius, low), 0);
    __m256d u = _mm256_mul_pd(_mm256_add_pd(word, real(0.5)), real(0x1p-32));
    __m256d r = _mm256_mul_pd(real(scale), _mm256_sqrt_pd(_mm256_mul_pd(real(-2), log_of(u))));
    lanes ahead = _mm256_and_si256(_mm256_add_epi64(angle, all((uint64_t)1 << 29)), low);
    lanes q = _mm256_srli_epi64(ahead, 30);
    /* angle less q quarter turns, as a signed word: 2^31 more is not negative */
    lanes rest =
        _mm256_sub_epi64(_mm256_add_epi64(angle, all((uint64_t)1 << 31)), _mm256_slli_epi64(q, 30));
    __m256d y =
        _mm256_mul_pd(whole(_mm256_and_si256(rest, low), 0x1p31), real(0x1.921fb54442d18p-30));
    __m256d z = _mm256_mul_pd(y, y);
    __m256d s = _mm256_add_pd(y, _mm256_mul_pd(_mm256_mul_pd(y, z), poly(ws_sin_coef, 7, z)));
    __m256d c = _mm256_add_pd(_mm256_sub_pd(real(1), _mm256_mul_pd(real(0.5), z)),
                              _mm256_mul_pd(_mm256_mul_pd(z, z), poly(ws_cos_coef, 7, z)));
    __m256d odd = _mm256_castsi256_pd(_mm256_slli_epi64(q, 63));
    __m256d si = _mm256_blendv_pd(s, c, odd), co = _mm256_blendv_pd(c, s, odd);

    *a = _mm256_cvtpd_ps(_mm256_mul_pd(r, turned(co, _mm256_add_epi64(q, all(1)))));
    *b = _mm256_cvtpd_ps(_mm256_mul_pd(r, turned(si, q)));
}

/* Four numbers of each of four ids; `few` of either are wanted. */
LANE void put_rows(__m128 v[4], float *rows, int64_t d, int64_t ids, int64_t few)
{
    _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]);
    for (int64_t i = 0; i < 4 && i < ids; i++) {
        float row[4];

        _mm_storeu_ps(few >= 4 ? rows + i * d : row, v[i]);
        if (few < 4) memcpy(rows + i * d, row, (size_t)few * sizeof *row);
    }
}

TARGET void ws_random_rows_avx2(const ws_key *k, const int64_t *id, int64_t n, int64_t d,
                                double scale, float *rows)
{
    for (int64_t i = 0; i < n; i += 4) {
        int64_t some[4];
        lanes ids;

        for (int64_t l = 0; l < 4; l++) some[l] = id[i + l < n ? i + l : n - 1];
        ids = _mm256_loadu_si256((const lanes *)(const void *)some);
        for (int64_t j = 0; j < d; j += 4) {
            lanes c[4];
            __m128 v[4];

            block_of(k, ids, (uint32_t)(j / 4), c);
            pair_of(c[0], c[1], scale, &v[0], &v[1]);
            pair_of(c[2], c[3], scale, &v[2], &v[3]);
            put_rows(v, rows + i * d + j, d, n - i, d - j);
        }
    }
}

/* ---- near ---- */

/* Eight ids. */
LANE void eight(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    const int64_t s = step, at = (int64_t)first;
    lanes even = _mm256_setr_epi64x(at, at + 2 * s, at + 4 * s, at + 6 * s);
    lanes odd = _mm256_add_epi64(even, all((uint64_t)s));

    for (int64_t j = 0; j < d; j += 4) {
        lanes c[4], o[4];

        block_of(k, even, (uint32_t)(j / 4), c);
        block_of(k, odd, (uint32_t)(j / 4), o);
#pragma GCC unroll 2
        for (int p = 0; p < 4; p += 2) near_pair(c, o, p, cols + 16 * (j + p));
    }
}

TARGET void ws_random_near_avx2(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    eight(k, first, step, d, cols);
    eight(k, first + 8 * (uint64_t)step, step, d, cols + 8);
}
#endif
