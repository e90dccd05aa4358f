/* certified_simd.c - the inner loops of a query of the certified index.
 *
 * The path follows ws_simd_name(). The bounds hold for any order of summation, so the paths may
 * differ in what they let pass by a rounding; what fires does not depend on them. */
#include <immintrin.h>
#include <string.h>

#include "certified.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fetch.h"

enum { PAIRS = 6 }; /* pairs whose sketches are fetched before their turn */

/* A listed z from which no sketch is asked: the row cannot have moved so far, or has none. What passes
 * without being asked is computed, so that any number would do. */
static float sure_of(const ws_batch *b, const ws_row *r, float extra)
{
    return isinf(r->residue) ? -INFINITY : b->threshold + r->reach + extra * (float)b->most_away;
}

/* ---- portable ---- */

static int64_t filter_portable(const ws_segment *s, int64_t from, int64_t to, int32_t *slot,
                               uint32_t *q)
{
    int64_t k = 0;

    for (int64_t e = from; e < to; e++) {
        slot[k] = (int32_t)(s->entry[e] >> WS_Z_BITS);
        q[k] = s->entry[e] & WS_Z_MASK;
        k += (int32_t)q[k] > s->bar[slot[k]];
    }
    return k;
}

static int64_t screen_portable(const ws_batch *b, const ws_row *r, const float *t, float extra,
                               const int32_t *pos, const uint32_t *q, int64_t n, int32_t *out_pos,
                               float *out_z)
{
    float sure = sure_of(b, r, extra);
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++) {
        const float *s = b->s + (int64_t)pos[i] * WS_SKETCH;
        float z = r->cut + ((float)q[i] + 0.5f) * r->step, sum = 0;

        for (int c = 0; c < WS_SKETCH; c++) sum += t[c] * s[c];
        sum += z + r->residue * b->q[pos[i]] + extra * b->away[pos[i]] + r->rest;
        out_pos[k] = pos[i];
        out_z[k] = z;
        k += z >= sure || !(sum <= b->threshold);
    }
    return k;
}

static int64_t outside_portable(const ws_batch *b, const ws_row *r, const float *t, float extra,
                                int32_t *out)
{
    int64_t k = 0;

    for (int64_t p = 0; p < b->n; p++) {
        const float *s = b->s + p * WS_SKETCH;
        float sum = 0;

        for (int c = 0; c < WS_SKETCH; c++) sum += t[c] * s[c];
        sum += r->cut + r->residue * b->q[p] + extra * b->away[p] + r->rest;
        out[k] = (int32_t)p;
        k += !(sum <= b->threshold);
    }
    return k;
}

/* The sketch of pair p, if there is one. */
WS_FETCH prefetch_sketch(const float *s, const int64_t *ids, const int32_t *pos, int64_t p,
                         int64_t more)
{
    if (p >= more) return;
    s += ids[pos[p]] * WS_SKETCH;
    for (int c = 0; c < WS_SKETCH; c += 16) __builtin_prefetch(s + c);
}

static void combine_portable(float *t, const float *coef, const float *s, const int64_t *ids,
                             const int32_t *pos, int64_t n, int64_t more)
{
    for (int64_t p = 0; p < n; p++) {
        const float *at = s + ids[pos[p]] * WS_SKETCH;

        prefetch_sketch(s, ids, pos, p + PAIRS, more);
        for (int c = 0; c < WS_SKETCH; c++) t[c] += coef[p] * at[c];
    }
}

/* ---- avx512 ---- */

#define AVX512 __attribute__((target("avx512f,avx512vl,fma")))

AVX512 static int64_t filter_avx512(const ws_segment *s, int64_t from, int64_t to, int32_t *slot,
                                    uint32_t *q)
{
    const __m512i mask = _mm512_set1_epi32(WS_Z_MASK);
    int64_t k = 0;

    for (int64_t e = from; e < to; e += 16) {
        __mmask16 in = (__mmask16)(to - e < 16 ? (1u << (to - e)) - 1 : 0xffffu);
        __m512i v = _mm512_maskz_loadu_epi32(in, s->entry + e);
        __m512i at = _mm512_srli_epi32(v, WS_Z_BITS), z = _mm512_and_si512(v, mask);
        __m512i bar = _mm512_mask_i32gather_epi32(mask, in, at, s->bar, 4);
        __mmask16 above = _mm512_mask_cmpgt_epi32_mask(in, z, bar);

        if (above == 0) continue;
        _mm512_storeu_si512(q + k, _mm512_maskz_compress_epi32(above, z));
        _mm512_storeu_si512(slot + k, _mm512_maskz_compress_epi32(above, at));
        k += __builtin_popcount(above);
    }
    return k;
}

/* Sixteen lanes of t times s, not yet added up. */
AVX512 static inline __attribute__((always_inline)) __m512 lanes(const __m512 *t, const float *s)
{
    __m512 sum = _mm512_mul_ps(t[0], _mm512_loadu_ps(s));

#pragma GCC unroll 8
    for (int c = 1; c < WS_SKETCH / 16; c++)
        sum = _mm512_fmadd_ps(t[c], _mm512_loadu_ps(s + 16 * c), sum);
    return sum;
}

/* The sums of the lanes of four. */
AVX512 static inline __m128 sums(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    __m512d p = _mm512_castps_pd(ab), q = _mm512_castps_pd(cd);
    __m512 v = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(p, q)),
                             _mm512_castpd_ps(_mm512_unpackhi_pd(p, q)));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v),
                                _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));

    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* Four candidates at a time. */
AVX512 static int64_t screen_avx512(const ws_batch *b, const ws_row *r, const float *t, float extra,
                                    const int32_t *pos, const uint32_t *q, int64_t n,
                                    int32_t *out_pos, float *out_z)
{
    const __m128 least = _mm_set1_ps(b->threshold - r->rest), half = _mm_set1_ps(0.5f);
    const __m128 cut = _mm_set1_ps(r->cut), step = _mm_set1_ps(r->step);
    const __m128 residue = _mm_set1_ps(r->residue), away = _mm_set1_ps(extra);
    const __m128 sure = _mm_set1_ps(sure_of(b, r, extra));
    __m512 v[WS_SKETCH / 16];
    int64_t k = 0;

    for (int c = 0; c < WS_SKETCH / 16; c++) v[c] = _mm512_loadu_ps(t + 16 * c);
    for (int64_t i = 0; i < n; i += 4) {
        __mmask8 in = (__mmask8)(n - i < 4 ? (1u << (n - i)) - 1 : 15u);
        __m128i p = _mm_maskz_loadu_epi32(in, pos + i);
        __m128 z = _mm_cvtepi32_ps(_mm_maskz_loadu_epi32(in, q + i)), far;
        __mmask8 known;
        __m128i at;
        __m512 sum[4];

        z = _mm_fmadd_ps(_mm_add_ps(z, half), step, cut);
        known = _mm_cmp_ps_mask(z, sure, _CMP_GE_OQ) & in;
        if (known == in) {
            _mm_storeu_si128((__m128i *)(out_pos + k), p);
            _mm_storeu_ps(out_z + k, z);
            k += __builtin_popcount(in);
            continue;
        }
        /* One that is asked stands in for those that are not: their sketches stay where they are. */
        at = _mm_mask_set1_epi32(p, known, pos[i + __builtin_ctz(in & ~known)]);
        far = _mm_fmadd_ps(residue, _mm_i32gather_ps(b->q, at, 4), z);
        if (extra > 0) far = _mm_fmadd_ps(away, _mm_i32gather_ps(b->away, at, 4), far);
        sum[0] = lanes(v, b->s + (int64_t)_mm_extract_epi32(at, 0) * WS_SKETCH);
        sum[1] = lanes(v, b->s + (int64_t)_mm_extract_epi32(at, 1) * WS_SKETCH);
        sum[2] = lanes(v, b->s + (int64_t)_mm_extract_epi32(at, 2) * WS_SKETCH);
        sum[3] = lanes(v, b->s + (int64_t)_mm_extract_epi32(at, 3) * WS_SKETCH);
        far = _mm_add_ps(sums(sum[0], sum[1], sum[2], sum[3]), far);
        in = _mm_mask_cmp_ps_mask(in, far, least, _CMP_NLE_UQ) | known;
        _mm_storeu_si128((__m128i *)(out_pos + k), _mm_maskz_compress_epi32(in, p));
        _mm_storeu_ps(out_z + k, _mm_maskz_compress_ps(in, z));
        k += __builtin_popcount(in);
    }
    return k;
}

/* The length of t beyond its head, and what it takes to round it up. */
AVX512 static inline float tail_of(const float *t)
{
    __m512 sum = _mm512_setzero_ps();

    for (int c = WS_HEAD; c < WS_SKETCH; c += 16) {
        __m512 v = _mm512_loadu_ps(t + c);

        sum = _mm512_fmadd_ps(v, v, sum);
    }
    return sqrtf(_mm512_reduce_add_ps(sum)) * 1.00001f;
}

/* v[0..3] plus coordinates from .. to - 1 of t times those of 16 samples. */
AVX512 static inline __attribute__((always_inline)) void
more(__m512 v[4], const float *t, const float *s, const int from, const int to)
{
    for (int c = from; c < to; c += 4) {
#pragma GCC unroll 4
        for (int l = 0; l < 4; l++)
            v[l] =
                _mm512_fmadd_ps(_mm512_set1_ps(t[c + l]), _mm512_loadu_ps(s + 16 * (c + l)), v[l]);
    }
}

AVX512 static inline __m512 total(const __m512 v[4])
{
    return _mm512_add_ps(_mm512_add_ps(v[0], v[1]), _mm512_add_ps(v[2], v[3]));
}

/* Sixteen positions at a time; most are excluded by their head, with the lengths of the tails. */
AVX512 static int64_t outside_avx512(const ws_batch *b, const ws_row *r, const float *t,
                                     float extra, int32_t *out)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 residue = _mm512_set1_ps(r->residue), away = _mm512_set1_ps(extra);
    const __m512 base = _mm512_set1_ps(r->cut + r->rest), least = _mm512_set1_ps(b->threshold);
    const __m512 tail = _mm512_set1_ps(tail_of(t));
    int64_t k = 0;

    for (int64_t p = 0; p < b->n; p += 16) {
        const float *s = b->s_by_16 + p * WS_SKETCH;
        __mmask16 above = (__mmask16)(b->n - p < 16 ? (1u << (b->n - p)) - 1 : 0xffffu);
        __m512 v[4] = {base, _mm512_mul_ps(residue, _mm512_loadu_ps(b->q + p)),
                       _mm512_mul_ps(away, _mm512_loadu_ps(b->away + p)), _mm512_setzero_ps()};
        __m512 rest = _mm512_mul_ps(tail, _mm512_loadu_ps(b->tail + p));

        more(v, t, s, 0, WS_HEAD);
        above = _mm512_mask_cmp_ps_mask(above, _mm512_add_ps(total(v), rest), least, _CMP_NLE_UQ);
        if (above == 0) continue;
        more(v, t, s, WS_HEAD, WS_SKETCH);
        above = _mm512_mask_cmp_ps_mask(above, total(v), least, _CMP_NLE_UQ);
        if (above == 0) continue;
        __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32((int32_t)p));
        _mm512_storeu_si512(out + k, _mm512_maskz_compress_epi32(above, at));
        k += __builtin_popcount(above);
    }
    return k;
}

AVX512 static void combine_avx512(float *t, const float *coef, const float *s, const int64_t *ids,
                                  const int32_t *pos, int64_t n, int64_t more)
{
    __m512 v[WS_SKETCH / 16];

#pragma GCC unroll 4
    for (int c = 0; c < WS_SKETCH / 16; c++) v[c] = _mm512_loadu_ps(t + 16 * c);
    for (int64_t p = 0; p < n; p++) {
        const float *at = s + ids[pos[p]] * WS_SKETCH;
        const __m512 k = _mm512_set1_ps(coef[p]);

        prefetch_sketch(s, ids, pos, p + PAIRS, more);
#pragma GCC unroll 4
        for (int c = 0; c < WS_SKETCH / 16; c++)
            v[c] = _mm512_fmadd_ps(k, _mm512_loadu_ps(at + 16 * c), v[c]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < WS_SKETCH / 16; c++) _mm512_storeu_ps(t + 16 * c, v[c]);
}

const ws_certified_loops *ws_certified_simd(void)
{
    static const ws_certified_loops portable = {filter_portable, screen_portable, outside_portable,
                                                combine_portable};
    static const ws_certified_loops avx512 = {filter_avx512, screen_avx512, outside_avx512,
                                              combine_avx512};

    return strcmp(ws_simd_name(), "avx512") == 0 ? &avx512 : &portable;
}
