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

#define AVX2 __attribute__((target("avx2,fma"))) static inline __attribute__((always_inline))

typedef __m256i lanes; /* four ids, in 64 bits each */

AVX2 lanes all(uint64_t v)
{
    return _mm256_set1_epi64x((long long)v);
}

AVX2 lanes xor3(lanes a, lanes b, lanes c)
{
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}

AVX2 lanes high(lanes a)
{
    return _mm256_srli_epi64(a, 32);
}

/* Philox on the low halves of lanes; the high halves end as rubbish. */
AVX2 void block_of(const ws_key *k, lanes id, uint32_t j, lanes c[4])
{
    const lanes ma = all(0xD2511F53u), mb = all(0xCD9E8D57u);

    c[0] = all(j);
    c[1] = id;
    c[2] = high(id);
    c[3] = all((uint32_t)k->stream << 24 | k->layer);
#pragma GCC unroll 10
    for (int r = 0; r < 10; r++) {
        uint32_t k0 = (uint32_t)k->seed + (uint32_t)r * 0x9E3779B9u;
        uint32_t k1 = (uint32_t)(k->seed >> 32) + (uint32_t)r * 0xBB67AE85u;
        lanes a = _mm256_mul_epu32(c[0], ma), b = _mm256_mul_epu32(c[2], mb);

        c[0] = xor3(high(b), c[1], all(k0));
        c[2] = xor3(high(a), c[3], all(k1));
        c[1] = b;
        c[3] = a;
    }
}

/* ---- exact ---- */

AVX2 __m256d real(double v)
{
    return _mm256_set1_pd(v);
}

/* A whole number below 2^52, less `less`. */
AVX2 __m256d whole(lanes v, double less)
{
    const lanes magic = all((uint64_t)1075 << 52);

    return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(v, magic)), real(0x1p52 + less));
}

/* s = s x + c, rounded twice as plain C does. */
AVX2 __m256d then(__m256d s, __m256d x, double c)
{
    return _mm256_add_pd(_mm256_mul_pd(s, x), real(c));
}

AVX2 __m256d log_tail(__m256d z)
{
    __m256d s = real(0x1.0c0aff044a970p-3);

    s = then(s, z, 0x1.0fbde0f4ad17bp-3);
    s = then(s, z, 0x1.3b1c3c1c81c8fp-3);
    s = then(s, z, 0x1.745cf8e4bba1bp-3);
    s = then(s, z, 0x1.c71c7201a55d7p-3);
    s = then(s, z, 0x1.2492492476a1ap-2);
    s = then(s, z, 0x1.9999999999a39p-2);
    return then(s, z, 0x1.5555555555555p-1);
}

AVX2 __m256d sin_tail(__m256d z)
{
    __m256d s = real(-0x1.ab17bdcbd3414p-41);

    s = then(s, z, 0x1.61217ee5cca1bp-33);
    s = then(s, z, -0x1.ae64541295cdfp-26);
    s = then(s, z, 0x1.71de3a54607a5p-19);
    s = then(s, z, -0x1.a01a01a019937p-13);
    s = then(s, z, 0x1.1111111111110p-7);
    return then(s, z, -0x1.5555555555555p-3);
}

AVX2 __m256d cos_tail(__m256d z)
{
    __m256d s = real(0x1.ab78473be59d7p-45);

    s = then(s, z, -0x1.9394b9eb4d56dp-37);
    s = then(s, z, 0x1.1eed8deb82809p-29);
    s = then(s, z, -0x1.27e4fb7712ca2p-22);
    s = then(s, z, 0x1.a01a01a019d0ap-16);
    s = then(s, z, -0x1.6c16c16c16c16p-10);
    return then(s, z, 0x1.5555555555555p-5);
}

AVX2 __m256d log_of(__m256d u)
{
    lanes b = _mm256_castpd_si256(u), m = _mm256_and_si256(b, all(0xfffffffffffffu));
    lanes up = _mm256_cmpgt_epi64(m, all(0x6a09e667f3bccu)); /* -1 or 0 */
    lanes one = _mm256_add_epi64(all((uint64_t)1023 << 52), _mm256_slli_epi64(up, 52));
    __m256d f, k, s, z, t;

    f = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(m, one)), real(1));
    k = whole(_mm256_sub_epi64(_mm256_srli_epi64(b, 52), up), 1023);
    s = _mm256_div_pd(f, _mm256_add_pd(real(2), f));
    z = _mm256_mul_pd(s, s);
    t = _mm256_mul_pd(s, _mm256_sub_pd(f, _mm256_mul_pd(z, log_tail(z))));
    t = _mm256_sub_pd(_mm256_sub_pd(t, _mm256_mul_pd(k, real(WS_LN2_LO))), f);
    return _mm256_sub_pd(_mm256_mul_pd(k, real(WS_LN2_HI)), t);
}

/* v with its sign turned where bit 1 of q is set. */
AVX2 __m256d turned(__m256d v, lanes q)
{
    lanes sign = _mm256_slli_epi64(_mm256_and_si256(q, all(2)), 62);

    return _mm256_castsi256_pd(_mm256_xor_si256(_mm256_castpd_si256(v), sign));
}

/* pair_of() of random.c for four ids. */
AVX2 void pair_of(lanes radius, lanes angle, double scale, __m128 *a, __m128 *b)
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
    __m256d s = _mm256_add_pd(y, _mm256_mul_pd(_mm256_mul_pd(y, z), sin_tail(z)));
    __m256d c = _mm256_add_pd(_mm256_sub_pd(real(1), _mm256_mul_pd(real(0.5), z)),
                              _mm256_mul_pd(_mm256_mul_pd(z, z), cos_tail(z)));
    __m256d odd = _mm256_castsi256_pd(_mm256_slli_epi64(q, 63));
    __m256d si = _mm256_blendv_pd(s, c, odd), co = _mm256_blendv_pd(c, s, odd);

    *a = _mm256_cvtpd_ps(_mm256_mul_pd(r, turned(co, _mm256_add_epi64(q, all(1)))));
    *b = _mm256_cvtpd_ps(_mm256_mul_pd(r, turned(si, q)));
}

/* Four numbers of each of four ids; `few` of either are wanted. */
AVX2 void put_rows(__m128 v[4], float *rows, int64_t d, int64_t ids, int64_t few)
{
    _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]);
    for (int64_t i = 0; i < 4 && i < ids; i++) {
        float row[4];

        _mm_storeu_ps(few >= 4 ? rows + i * d : row, v[i]);
        if (few < 4) memcpy(rows + i * d, row, (size_t)few * sizeof *row);
    }
}

__attribute__((target("avx2,fma"))) static void exact(const ws_key *k, const int64_t *id, int64_t n,
                                                      int64_t d, double scale, float *rows)
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

int ws_random_rows_avx2(const ws_key *k, const int64_t *id, int64_t n, int64_t d, double scale,
                        float *rows)
{
    if (!__builtin_cpu_supports("fma")) return 0;
    exact(k, id, n, d, scale, rows);
    return 1;
}

/* ---- near ---- */

AVX2 __m256 single(float v)
{
    return _mm256_set1_ps(v);
}

/* An unsigned word as a float, rounded once. */
AVX2 __m256 floats(lanes word)
{
    __m256 top = _mm256_cvtepi32_ps(_mm256_srli_epi32(word, 16));
    __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(word, _mm256_set1_epi32(0xffff)));

    return _mm256_fmadd_ps(top, single(65536), low);
}

/* sqrt(-2 log u); log(1 + t) = t P(t) on [-1/4, 1/2], P to 7e-5. */
AVX2 __m256 near_radius(lanes word)
{
    __m256 u = _mm256_fmadd_ps(floats(word), single(0x1p-32f), single(0x1p-33f));
    lanes bits = _mm256_castps_si256(_mm256_mul_ps(u, single(4 / 3.0f)));
    lanes exponent = _mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127));
    lanes back = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(127), exponent), 23);
    __m256 e = _mm256_cvtepi32_ps(exponent);
    __m256 t = _mm256_fmsub_ps(u, _mm256_castsi256_ps(back), single(1));
    __m256 p = single(-2 * 0.1357012291f);

    p = _mm256_fmadd_ps(p, t, single(2 * 0.2566522681f));
    p = _mm256_fmadd_ps(p, t, single(-2 * 0.3385741891f));
    p = _mm256_fmadd_ps(p, t, single(2 * 0.5000501874f));
    p = _mm256_fmadd_ps(p, t, single(-2 * 0.9999484807f));
    p = _mm256_fmadd_ps(e, single(-2 * 0.693147181f), _mm256_mul_ps(p, t));
    return _mm256_sqrt_ps(_mm256_max_ps(p, single(0)));
}

AVX2 __m256 size_of(__m256 v)
{
    return _mm256_andnot_ps(single(-0.0f), v);
}

/* sin(pi t), t = word 2^-31 as a signed number, through u = t (1 - |t|): to 3e-5. */
AVX2 __m256 near_sine(lanes word)
{
    __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(word), single(0x1p-31f));
    __m256 u = _mm256_fnmadd_ps(t, size_of(t), t), v = size_of(u);
    __m256 p = _mm256_fmadd_ps(single(1.194760262f), v, single(3.13409293f));

    return _mm256_mul_ps(u, _mm256_fmadd_ps(p, v, single(3.141696977f)));
}

/* Words of even and odd ids, in halves of 32 bits. */
AVX2 lanes weave(lanes even, lanes odd)
{
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

/* Eight ids. */
AVX2 void eight(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    const int64_t s = step, at = (int64_t)first;
    lanes even = _mm256_setr_epi64x(at, at + 2 * s, at + 4 * s, at + 6 * s);
    lanes odd = _mm256_add_epi64(even, all((uint64_t)s));

    for (int64_t j = 0; j < d; j += 4) {
        lanes c[4], o[4];

        block_of(k, even, (uint32_t)(j / 4), c);
        block_of(k, odd, (uint32_t)(j / 4), o);
#pragma GCC unroll 2
        for (int p = 0; p < 4; p += 2) {
            __m256 r = near_radius(weave(c[p], o[p]));
            lanes turn = weave(c[p + 1], o[p + 1]);
            lanes ahead = _mm256_add_epi32(turn, _mm256_set1_epi32(1 << 30));

            _mm256_storeu_ps(cols + 16 * (j + p), _mm256_mul_ps(r, near_sine(ahead)));
            _mm256_storeu_ps(cols + 16 * (j + p + 1), _mm256_mul_ps(r, near_sine(turn)));
        }
    }
}

__attribute__((target("avx2,fma"))) static void near(const ws_key *k, uint64_t first, int step,
                                                     int64_t d, float *cols)
{
    eight(k, first, step, d, cols);
    eight(k, first + 8 * (uint64_t)step, step, d, cols + 8);
}

int ws_random_near_avx2(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    if (!__builtin_cpu_supports("fma")) return 0;
    near(k, first, step, d, cols);
    return 1;
}

#else
int ws_random_rows_avx2(const ws_key *k, const int64_t *id, int64_t n, int64_t d, double scale,
                        float *rows)
{
    (void)k, (void)id, (void)n, (void)d, (void)scale, (void)rows;
    return 0;
}

int ws_random_near_avx2(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    (void)k, (void)first, (void)step, (void)d, (void)cols;
    return 0;
}
#endif
