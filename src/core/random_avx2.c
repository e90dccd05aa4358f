/* random_avx2.c - the near numbers of random_lanes.c for processors without AVX-512.
 *
 * The same numbers by the same operations on half as many lanes: what AVX2 does not have (three-way
 * exclusive or, unsigned words to floats, exponents) is put together from what it has. */
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
AVX2 void block_of(const ws_key *k, lanes id, uint32_t idh, uint32_t j, lanes c[4])
{
    const lanes ma = all(0xD2511F53u), mb = all(0xCD9E8D57u);

    c[0] = all(j);
    c[1] = id;
    c[2] = all(idh);
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

AVX2 __m256 single(float v)
{
    return _mm256_set1_ps(v);
}

/* An unsigned word as a float, rounded once. */
AVX2 __m256 real(lanes word)
{
    __m256 top = _mm256_cvtepi32_ps(_mm256_srli_epi32(word, 16));
    __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(word, _mm256_set1_epi32(0xffff)));

    return _mm256_fmadd_ps(top, single(65536), low);
}

/* sqrt(-2 log u); log(1 + t) = t P(t) on [-1/4, 1/2], P to 7e-5. */
AVX2 __m256 near_radius(lanes word)
{
    __m256 u = _mm256_fmadd_ps(real(word), single(0x1p-32f), single(0x1p-33f));
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
    uint32_t idh = (uint32_t)(first >> 32);

    for (int64_t j = 0; j < d; j += 4) {
        lanes c[4], o[4];

        block_of(k, even, idh, (uint32_t)(j / 4), c);
        block_of(k, odd, idh, (uint32_t)(j / 4), o);
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
int ws_random_near_avx2(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    (void)k, (void)first, (void)step, (void)d, (void)cols;
    return 0;
}
#endif
