/* certified_simd.c - the inner loops of a query of the certified index.
 *
 * The path follows ws_simd_name(). The bounds hold for any order of summation, so the paths may
 * differ in what they let pass by a rounding; what fires does not depend on them. */
#include <immintrin.h>
#include <string.h>

#include "certified.h"
#include "lanes.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/fetch.h"

enum { PAIRS = 6 }; /* pairs whose sketches are fetched before their turn */

/* A listed z that passes whatever the sketch says: the row cannot have moved so far, or has none. What
 * passes is computed, so that any number would do. */
static float sure_of(const ws_batch *b, const ws_row *r, float extra)
{
    return isinf(r->residue) ? -INFINITY : b->threshold + r->reach + extra * (float)b->most_away;
}

/* ---- portable ---- */

static int64_t filter_portable(const uint32_t *entry, int64_t n, const int32_t *bar, uint32_t *out)
{
    int64_t k = 0;

    for (int64_t e = 0; e < n; e++) {
        out[k] = entry[e];
        k += (int32_t)(entry[e] & WS_Z_MASK) > bar[entry[e] >> WS_Z_BITS];
    }
    return k;
}

static int32_t product(const int16_t *t, const int16_t *s)
{
    int32_t sum = 0;

    for (int c = 0; c < WS_SKETCH; c++) sum += t[c] * s[c];
    return sum;
}

static int64_t screen_portable(const ws_batch *b, const ws_row *r, const int16_t *t, float extra,
                               const ws_listed *at, int64_t n, int32_t *out_pos, float *out_z)
{
    float sure = sure_of(b, r, extra);
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++) {
        int64_t p = at[i].pos;
        float z = r->cut + ((float)at[i].q + 0.5f) * r->step, far = z;

        far += r->residue * b->q[p] + extra * b->away[p] + r->offset;
        if (z < sure) far += r->unit * (float)product(t, b->s + p * WS_SKETCH);
        out_pos[k] = at[i].pos;
        out_z[k] = z;
        k += z >= sure || !(far <= b->threshold);
    }
    return k;
}

static int64_t outside_portable(const ws_batch *b, const ws_row *r, const int16_t *t, float extra,
                                int32_t *out)
{
    int64_t k = 0;

    for (int64_t p = 0; p < b->n; p++) {
        float far = r->cut + r->residue * b->q[p] + extra * b->away[p] + r->offset;

        far += r->unit * (float)product(t, b->s + p * WS_SKETCH);
        out[k] = (int32_t)p;
        k += !(far <= b->threshold);
    }
    return k;
}

static float fix_portable(const float *t, int16_t *q, double *square)
{
    float most = 0, inverse;

    *square = 0;
    for (int c = 0; c < WS_SKETCH; c++) {
        most = fmaxf(most, fabsf(t[c]));
        *square += (double)t[c] * (double)t[c];
    }
    inverse = most > 1e-30f ? (WS_FIXED - 0.01f) / most : 0;
    for (int c = 0; c < WS_SKETCH; c++) q[c] = (int16_t)lrintf(t[c] * inverse);
    return inverse > 0 ? 1 / inverse : 0;
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

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,fma")))

/* Bars of the slots of four entries. Sixteen loads are faster than a gather of 16: 0.39 ns an entry
 * instead of 0.62. */
AVX512 static inline __m128i bars(const uint32_t *entry, const int32_t *bar)
{
    return _mm_setr_epi32(bar[entry[0] >> WS_Z_BITS], bar[entry[1] >> WS_Z_BITS],
                          bar[entry[2] >> WS_Z_BITS], bar[entry[3] >> WS_Z_BITS]);
}

/* Those of `in` that are above their bar, to out; returns how many. */
AVX512 static inline int64_t pass(__mmask16 in, __m512i v, __m512i bar, uint32_t *out)
{
    __m512i q = _mm512_and_si512(v, _mm512_set1_epi32(WS_Z_MASK));
    __mmask16 above = _mm512_mask_cmpgt_epi32_mask(in, q, bar);

    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(above, v));
    return __builtin_popcount(above);
}

AVX512 static int64_t filter_avx512(const uint32_t *entry, int64_t n, const int32_t *bar,
                                    uint32_t *out)
{
    int64_t k = 0, e = 0;

    for (; e + 16 <= n; e += 16) {
        __m256i low = _mm256_set_m128i(bars(entry + e + 4, bar), bars(entry + e, bar));
        __m256i high = _mm256_set_m128i(bars(entry + e + 12, bar), bars(entry + e + 8, bar));

        k += pass(0xffff, _mm512_loadu_si512(entry + e),
                  _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1), out + k);
    }
    if (e < n) {
        __mmask16 in = (__mmask16)((1u << (n - e)) - 1);
        __m512i v = _mm512_maskz_loadu_epi32(in, entry + e);

        k +=
            pass(in, v, _mm512_mask_i32gather_epi32(v, in, _mm512_srli_epi32(v, WS_Z_BITS), bar, 4),
                 out + k);
    }
    return k;
}

_Static_assert(WS_SKETCH == 64, "a sketch is two registers");

/* A sketch in two registers, or two rows of a panel. */
typedef struct two {
    __m512i a, b;
} two;

AVX512 static inline two load(const int16_t *s)
{
    return (two){_mm512_loadu_si512(s), _mm512_loadu_si512(s + 32)};
}

/* Sixteen sums of four products each. */
AVX512 static inline __m512i products(two s, two t)
{
    return _mm512_add_epi32(_mm512_madd_epi16(s.a, t.a), _mm512_madd_epi16(s.b, t.b));
}

AVX512 static inline __m512i with(const ws_batch *b, int32_t pos, two t)
{
    return products(load(b->s + (int64_t)pos * WS_SKETCH), t);
}

/* Of whatever there is, that of another row or of none. */
WS_FETCH fetch_sketch(const ws_batch *b, int32_t pos)
{
    __builtin_prefetch(b->s + (int64_t)pos * WS_SKETCH);
    __builtin_prefetch(b->s + (int64_t)pos * WS_SKETCH + 32);
}

/* Four candidates at a time. */
AVX512 static int64_t screen_avx512(const ws_batch *b, const ws_row *r, const int16_t *t,
                                    float extra, const ws_listed *at, int64_t n, int32_t *out_pos,
                                    float *out_z)
{
    const __m128 least = _mm_set1_ps(b->threshold), half = _mm_set1_ps(0.5f);
    const __m128 cut = _mm_set1_ps(r->cut), step = _mm_set1_ps(r->step);
    const __m128 residue = _mm_set1_ps(r->residue), away = _mm_set1_ps(extra);
    const __m128 unit = _mm_set1_ps(r->unit), offset = _mm_set1_ps(r->offset);
    const __m128 sure = _mm_set1_ps(sure_of(b, r, extra));
    const two v = load(t);
    int64_t k = 0;

    for (int64_t i = 0; i < n; i += 4) {
        __mmask8 in = (__mmask8)(n - i < 4 ? (1u << (n - i)) - 1 : 15u), known;
        __m256i both = _mm256_maskz_loadu_epi64(in, at + i);
        __m128 z = _mm_cvtepi32_ps(_mm256_cvtepi64_epi32(both)), far;
        __m128i p = _mm256_cvtepi64_epi32(_mm256_srli_epi64(both, 32));

        for (int l = 0; l < 4; l++) fetch_sketch(b, at[i + WS_SOON + l].pos);
        z = _mm_fmadd_ps(_mm_add_ps(z, half), step, cut);
        known = _mm_cmp_ps_mask(z, sure, _CMP_GE_OQ) & in;
        far = _mm_add_ps(_mm_fmadd_ps(residue, _mm_i32gather_ps(b->q, p, 4), z), offset);
        if (extra > 0) far = _mm_fmadd_ps(away, _mm_i32gather_ps(b->away, p, 4), far);
        far = _mm_fmadd_ps(unit,
                           _mm_cvtepi32_ps(ws_lane_sums(with(b, _mm_extract_epi32(p, 0), v),
                                                        with(b, _mm_extract_epi32(p, 1), v),
                                                        with(b, _mm_extract_epi32(p, 2), v),
                                                        with(b, _mm_extract_epi32(p, 3), v))),
                           far);
        in = _mm_mask_cmp_ps_mask(in, far, least, _CMP_NLE_UQ) | known;
        _mm_storeu_si128((__m128i *)(out_pos + k), _mm_maskz_compress_epi32(in, p));
        _mm_storeu_ps(out_z + k, _mm_maskz_compress_ps(in, z));
        k += __builtin_popcount(in);
    }
    return k;
}

/* Sixteen positions at a time. */
AVX512 static int64_t outside_avx512(const ws_batch *b, const ws_row *r, const int16_t *t,
                                     float extra, int32_t *out)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 residue = _mm512_set1_ps(r->residue), away = _mm512_set1_ps(extra);
    const __m512 base = _mm512_set1_ps(r->cut + r->offset), least = _mm512_set1_ps(b->threshold);
    const __m512 unit = _mm512_set1_ps(r->unit);
    __m512i pair[WS_SKETCH / 2];
    int64_t k = 0;

    for (int c = 0; c < WS_SKETCH / 2; c++) {
        int32_t v;

        memcpy(&v, t + 2 * c, sizeof v);
        pair[c] = _mm512_set1_epi32(v);
    }
    for (int64_t p = 0; p < b->n; p += 16) {
        const int16_t *s = b->panel + p * WS_SKETCH;
        __mmask16 in = (__mmask16)(b->n - p < 16 ? (1u << (b->n - p)) - 1 : 0xffffu);
        __m512 far = _mm512_fmadd_ps(residue, _mm512_loadu_ps(b->q + p), base);
        __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};

#pragma GCC unroll 8
        for (int c = 0; c < WS_SKETCH / 2; c += 4)
            for (int l = 0; l < 2; l++)
                sum[l] =
                    _mm512_add_epi32(sum[l], products(load(s + 32 * (c + 2 * l)),
                                                      (two){pair[c + 2 * l], pair[c + 2 * l + 1]}));
        far = _mm512_fmadd_ps(away, _mm512_loadu_ps(b->away + p), far);
        far = _mm512_fmadd_ps(unit, _mm512_cvtepi32_ps(_mm512_add_epi32(sum[0], sum[1])), far);
        in = _mm512_mask_cmp_ps_mask(in, far, least, _CMP_NLE_UQ);
        if (in == 0) continue;
        _mm512_storeu_si512(
            out + k,
            _mm512_maskz_compress_epi32(in, _mm512_add_epi32(lane, _mm512_set1_epi32((int32_t)p))));
        k += __builtin_popcount(in);
    }
    return k;
}

AVX512 static float fix_avx512(const float *t, int16_t *q, double *square)
{
    __m512 v[WS_SKETCH / 16], most = _mm512_setzero_ps();
    __m512d low = _mm512_setzero_pd(), high = low;
    float top, inverse;

    for (int c = 0; c < WS_SKETCH / 16; c++) {
        __m512d a = _mm512_cvtps_pd(_mm256_loadu_ps(t + 16 * c));
        __m512d b = _mm512_cvtps_pd(_mm256_loadu_ps(t + 16 * c + 8));

        v[c] = _mm512_loadu_ps(t + 16 * c);
        most = _mm512_max_ps(most, _mm512_abs_ps(v[c]));
        low = _mm512_fmadd_pd(a, a, low);
        high = _mm512_fmadd_pd(b, b, high);
    }
    *square = _mm512_reduce_add_pd(_mm512_add_pd(low, high));
    top = _mm512_reduce_max_ps(most);
    inverse = top > 1e-30f ? (WS_FIXED - 0.01f) / top : 0;
    for (int c = 0; c < WS_SKETCH / 16; c++)
        _mm256_storeu_si256((__m256i *)(void *)(q + 16 * c),
                            _mm512_cvtepi32_epi16(
                                _mm512_cvtps_epi32(_mm512_mul_ps(v[c], _mm512_set1_ps(inverse)))));
    return inverse > 0 ? 1 / inverse : 0;
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
                                                combine_portable, fix_portable};
    static const ws_certified_loops avx512 = {filter_avx512, screen_avx512, outside_avx512,
                                              combine_avx512, fix_avx512};

    return strcmp(ws_simd_name(), "avx512") == 0 && __builtin_cpu_supports("avx512bw") ? &avx512
                                                                                       : &portable;
}
