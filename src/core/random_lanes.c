/* random_lanes.c - the numbers of many ids side by side.
 *
 * Ids lie in lanes of 64 bits: the 32 x 32 bit products of Philox then need no shuffling, and the
 * words come out where doubles are made of them. The exact rows do what pair_of() of random.c
 * does, operation by operation, so the bits are the same; the short cut uses float32, fused
 * operations and short polynomials.
 *
 * On one core of Zen 4: 2.0 ns a number exact, 0.66 ns near. The exact ones are made in loops over what
 * does not depend on each other, words (0.4 ns), radii (0.8) and angles (0.8): one chain from the ids to
 * the numbers is longer than what a core looks ahead, and took 2.3. */
#include <string.h>

#include "fmath_impl.h"
#include "random_impl.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

static void rows_one_by_one(const ws_key *k, const int64_t *id, int64_t n, int64_t d, double scale,
                            float *rows)
{
    for (int64_t i = 0; i < n; i++) ws_random_normal(k, (uint64_t)id[i], d, scale, rows + i * d);
}

static void blocks_one_by_one(const ws_key *k, const int64_t *id, int64_t n, uint32_t j,
                              uint32_t *out)
{
    for (int64_t i = 0; i < n; i++) ws_random_block(k, (uint64_t)id[i], j, out + 4 * i);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#define LANE TARGET static inline __attribute__((always_inline))

typedef __m512i lanes;
typedef __m512d reals;
typedef __m512 singles;

LANE lanes all(uint64_t v)
{
    return _mm512_set1_epi64((long long)v);
}

LANE lanes xor3(lanes a, lanes b, lanes c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

LANE lanes high(lanes a)
{
    return _mm512_srli_epi64(a, 32);
}

LANE lanes half_product(lanes a, lanes b)
{
    return _mm512_mul_epu32(a, b);
}

LANE lanes weave(lanes even, lanes odd)
{
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}

LANE lanes quarter_on(lanes word)
{
    return _mm512_add_epi32(word, _mm512_set1_epi32(1 << 30));
}

LANE reals real(double v)
{
    return _mm512_set1_pd(v);
}

LANE singles single(float v)
{
    return _mm512_set1_ps(v);
}

LANE singles fused(singles a, singles b, singles c)
{
    return _mm512_fmadd_ps(a, b, c);
}

LANE singles size_of(singles v)
{
    return _mm512_abs_ps(v);
}

LANE singles root(singles v)
{
    return _mm512_sqrt_ps(_mm512_max_ps(v, single(0)));
}

LANE singles signed_floats(lanes word)
{
    return _mm512_cvtepi32_ps(word);
}

LANE void put(float *to, singles v)
{
    _mm512_storeu_ps(to, v);
}

LANE void split(lanes word, singles *e, singles *t)
{
    singles u = fused(_mm512_cvtepu32_ps(word), single(0x1p-32f), single(0x1p-33f));

    *e = _mm512_getexp_ps(_mm512_mul_ps(u, single(4 / 3.0f)));
    *t = _mm512_sub_ps(_mm512_scalef_ps(u, _mm512_sub_ps(single(0), *e)), single(1));
}

#include "random_kernel.h"

/* ---- exact ---- */

LANE __m512d log_of(__m512d u)
{
    lanes b = _mm512_castpd_si512(u), m = _mm512_and_si512(b, all(0xfffffffffffffu));
    __mmask8 up = _mm512_cmpge_epu64_mask(m, all(0x6a09e667f3bcdu));
    lanes one = _mm512_mask_blend_epi64(up, all((uint64_t)1023 << 52), all((uint64_t)1022 << 52));
    __m512d f = _mm512_sub_pd(_mm512_castsi512_pd(_mm512_or_si512(m, one)), real(1));
    lanes e = _mm512_sub_epi64(_mm512_srli_epi64(b, 52), all(1023));
    __m512d k = _mm512_cvtepi64_pd(_mm512_mask_add_epi64(e, up, e, all(1)));
    __m512d s = _mm512_div_pd(f, _mm512_add_pd(real(2), f)), z = _mm512_mul_pd(s, s);
    __m512d t = _mm512_mul_pd(s, _mm512_sub_pd(f, _mm512_mul_pd(z, poly(ws_log_coef, 8, z))));

    t = _mm512_sub_pd(_mm512_sub_pd(t, _mm512_mul_pd(k, real(WS_LN2_LO))), f);
    return _mm512_sub_pd(_mm512_mul_pd(k, real(WS_LN2_HI)), t);
}

/* v with its sign turned where bit 1 of q is set. */
LANE __m512d turned(__m512d v, lanes q)
{
    lanes sign = _mm512_slli_epi64(_mm512_and_si512(q, all(2)), 62);

    return _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(v), sign));
}

/* pair_of() of random.c for eight ids, in two halves: the radius, and what it is multiplied by. */
LANE __m512d radius_of(lanes word, double scale)
{
    __m512d w = _mm512_cvtepi64_pd(_mm512_and_si512(word, all(0xffffffffu)));
    __m512d u = _mm512_mul_pd(_mm512_add_pd(w, real(0.5)), real(0x1p-32));

    return _mm512_mul_pd(real(scale), _mm512_sqrt_pd(_mm512_mul_pd(real(-2), log_of(u))));
}

LANE void turn(lanes angle, __m512d r, __m256 *a, __m256 *b)
{
    const lanes low = all(0xffffffffu);
    lanes q = _mm512_srli_epi64(
        _mm512_and_si512(_mm512_add_epi64(angle, all((uint64_t)1 << 29)), low), 30);
    lanes rest = _mm512_sub_epi64(angle, _mm512_slli_epi64(q, 30));
    lanes wide = _mm512_srai_epi64(_mm512_slli_epi64(rest, 32), 32);
    __m512d y = _mm512_mul_pd(_mm512_cvtepi64_pd(wide), real(0x1.921fb54442d18p-30));
    __m512d z = _mm512_mul_pd(y, y);
    __m512d s = _mm512_add_pd(y, _mm512_mul_pd(_mm512_mul_pd(y, z), poly(ws_sin_coef, 7, z)));
    __m512d c = _mm512_add_pd(_mm512_sub_pd(real(1), _mm512_mul_pd(real(0.5), z)),
                              _mm512_mul_pd(_mm512_mul_pd(z, z), poly(ws_cos_coef, 7, z)));
    __mmask8 odd = _mm512_test_epi64_mask(q, all(1));
    __m512d si = _mm512_mask_blend_pd(odd, s, c), co = _mm512_mask_blend_pd(odd, c, s);

    *a = _mm512_cvtpd_ps(_mm512_mul_pd(r, turned(co, _mm512_add_epi64(q, all(1)))));
    *b = _mm512_cvtpd_ps(_mm512_mul_pd(r, turned(si, q)));
}

/* Four columns of eight ids -> four numbers of each id. */
LANE void put_rows(const __m256 *v, float *const to[8], int64_t j, int64_t few)
{
    __m256 a = _mm256_unpacklo_ps(v[0], v[1]), b = _mm256_unpackhi_ps(v[0], v[1]);
    __m256 c = _mm256_unpacklo_ps(v[2], v[3]), e = _mm256_unpackhi_ps(v[2], v[3]);
    __m256 t[4] = {_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xee),
                   _mm256_shuffle_ps(b, e, 0x44), _mm256_shuffle_ps(b, e, 0xee)};
    __mmask8 m = (__mmask8)(few >= 4 ? 15 : (1 << few) - 1);

#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        _mm_mask_storeu_ps(to[i] + j, m, _mm256_castps256_ps128(t[i]));
        _mm_mask_storeu_ps(to[i + 4] + j, m, _mm256_extractf128_ps(t[i], 1));
    }
}

/* The eight ids from i on; beyond the last one it comes again. */
static void eight(const int64_t *id, int64_t i, int64_t n, int64_t out[8])
{
    for (int64_t l = 0; l < 8; l++) out[l] = id[i + l < n ? i + l : n - 1];
}

enum { BLOCKS = 8 };

/* Numbers j .. j + d - 1 of eight ids, d at most 4 BLOCKS. */
TARGET static void some_of_eight(const ws_key *k, lanes ids, int64_t j, int64_t d, double scale,
                                 float *const to[8])
{
    lanes c[BLOCKS][4];
    reals r[2 * BLOCKS];
    __m256 v[4 * BLOCKS]; /* columns */
    int blocks = (int)((d + 3) / 4);

    for (int i = 0; i < blocks; i++) block_of(k, ids, (uint32_t)(j / 4 + i), c[i]);
    for (int i = 0; i < 2 * blocks; i++) r[i] = radius_of(c[i / 2][i % 2 * 2], scale);
    for (int i = 0; i < 2 * blocks; i++)
        turn(c[i / 2][i % 2 * 2 + 1], r[i], &v[2 * i], &v[2 * i + 1]);
    for (int i = 0; i < blocks; i++) put_rows(v + 4 * i, to, j + 4 * i, d - 4 * i);
}

TARGET static void rows_avx512(const ws_key *k, const int64_t *id, int64_t n, int64_t d,
                               double scale, float *rows)
{
    for (int64_t i = 0; i < n; i += 8) {
        int64_t some[8];
        float *to[8];
        lanes ids;

        eight(id, i, n, some);
        ids = _mm512_loadu_si512(some);
        for (int64_t l = 0; l < 8; l++) to[l] = rows + (i + l < n ? i + l : n - 1) * d;
        for (int64_t j = 0; j < d; j += 4 * BLOCKS)
            some_of_eight(k, ids, j, d - j < 4 * BLOCKS ? d - j : 4 * BLOCKS, scale, to);
    }
}

/* The four words of each of eight ids, of which the first n are wanted. */
LANE void put_words(const lanes c[4], int64_t n, uint32_t *out)
{
    lanes a = weave(c[0], c[1]), b = weave(c[2], c[3]);
    lanes even = _mm512_unpacklo_epi64(a, b), odd = _mm512_unpackhi_epi64(a, b), v[2] = {even, odd};

    for (int64_t l = 0; l < n; l++)
        memcpy(out + 4 * l, (const uint32_t *)&v[l % 2] + l / 2 * 4, 4 * sizeof *out);
}

TARGET static void blocks_avx512(const ws_key *k, const int64_t *id, int64_t n, uint32_t j,
                                 uint32_t *out)
{
    for (int64_t i = 0; i < n; i += 8) {
        int64_t some[8];
        lanes c[4];

        eight(id, i, n, some);
        block_of(k, _mm512_loadu_si512(some), j, c);
        put_words(c, n - i < 8 ? n - i : 8, out + 4 * i);
    }
}

/* ---- near ---- */

/* The first three rounds, where much is the same for all ids: only id's low half differs. */
LANE void first_rounds(const ws_key *k, lanes id, uint32_t idh, uint32_t j, lanes c[4])
{
    const uint64_t fa = 0xD2511F53u, fb = 0xCD9E8D57u;
    uint32_t k0 = (uint32_t)k->seed, k1 = (uint32_t)(k->seed >> 32);
    uint64_t a = fa * j, b = fb * idh;
    uint32_t c1 = (uint32_t)b, c3 = (uint32_t)a;
    uint32_t c2 = (uint32_t)(a >> 32) ^ ((uint32_t)k->stream << 24 | k->layer) ^ k1;
    lanes v = _mm512_xor_si512(id, all((uint32_t)(b >> 32) ^ k0)), w;

    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    v = _mm512_mul_epu32(v, all(fa));
    b = fb * c2;
    w = _mm512_xor_si512(high(v), all(c3 ^ k1)); /* c2 after two rounds; v is c3 */
    a = fa * ((uint32_t)(b >> 32) ^ c1 ^ k0);    /* c1 is the low half of b */

    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    w = _mm512_mul_epu32(w, all(fb));
    c[0] = _mm512_xor_si512(high(w), all((uint32_t)b ^ k0));
    c[1] = w;
    c[2] = _mm512_xor_si512(v, all((uint32_t)(a >> 32) ^ k1));
    c[3] = all((uint32_t)a);
}

TARGET static void near_avx512(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    const lanes lane = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    uint64_t s = (uint64_t)step;
    lanes even = _mm512_add_epi64(all(first), _mm512_mullo_epi64(lane, all(s)));
    lanes odd = _mm512_add_epi64(even, all(s));
    uint32_t idh = (uint32_t)(first >> 32);

    for (int64_t j = 0; j < d; j += 4) {
        lanes c[4], o[4];

        first_rounds(k, even, idh, (uint32_t)(j / 4), c);
        first_rounds(k, odd, idh, (uint32_t)(j / 4), o);
        rounds(c, 3, k->seed);
        rounds(o, 3, k->seed);
#pragma GCC unroll 2
        for (int p = 0; p < 4; p += 2) near_pair(c, o, p, cols + 16 * (j + p));
    }
}

static int wide_unit(void)
{
    return strcmp(ws_simd_name(), "avx512") == 0;
}

static int half_unit(void)
{
    return strcmp(ws_simd_name(), "avx2") == 0;
}

void ws_random_normal_rows(const ws_key *k, const int64_t *id, int64_t n, int64_t d, double scale,
                           float *rows)
{
    if (wide_unit())
        rows_avx512(k, id, n, d, scale, rows);
    else if (half_unit())
        ws_random_rows_avx2(k, id, n, d, scale, rows);
    else
        rows_one_by_one(k, id, n, d, scale, rows);
}

void ws_random_blocks(const ws_key *k, const int64_t *id, int64_t n, uint32_t j, uint32_t *out)
{
    if (wide_unit())
        blocks_avx512(k, id, n, j, out);
    else
        blocks_one_by_one(k, id, n, j, out);
}

int ws_random_normal_near(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    if (wide_unit())
        near_avx512(k, first, step, d, cols);
    else if (half_unit())
        ws_random_near_avx2(k, first, step, d, cols);
    return wide_unit() || half_unit();
}

#else
void ws_random_normal_rows(const ws_key *k, const int64_t *id, int64_t n, int64_t d, double scale,
                           float *rows)
{
    rows_one_by_one(k, id, n, d, scale, rows);
}

void ws_random_blocks(const ws_key *k, const int64_t *id, int64_t n, uint32_t j, uint32_t *out)
{
    blocks_one_by_one(k, id, n, j, out);
}

int ws_random_normal_near(const ws_key *k, uint64_t first, int step, int64_t d, float *cols)
{
    (void)k, (void)first, (void)step, (void)d, (void)cols;
    return 0;
}
#endif
