/* certified_simd.c - the inner loops of a query of the certified index.
 *
 * The path follows ws_simd_name(). The bounds hold for any order of summation, so the paths may
 * differ in what they let pass by a rounding; what fires does not depend on them. */
#include <immintrin.h>
#include <string.h>

#include "certified.h"
#include "wingspan/core/dot.h"

/* ---- portable ---- */

static int64_t filter_portable(const ws_segment *s, int64_t from, int64_t to, int32_t *row,
                               uint32_t *q)
{
    int64_t k = 0;

    for (int64_t e = from; e < to; e++) {
        uint32_t slot = s->entry[e] >> WS_Z_BITS, v = s->entry[e] & WS_Z_MASK;

        row[k] = s->row[slot];
        q[k] = v;
        k += (int32_t)v > s->bar[slot];
    }
    return k;
}

static int64_t screen_portable(const ws_batch *b, const ws_row *r, const float *t, float extra,
                               const int32_t *pos, const uint32_t *q, int64_t n, int32_t *out_pos,
                               float *out_z)
{
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++) {
        const float *s = b->s + (int64_t)pos[i] * WS_SKETCH;
        float z = r->cut + ((float)q[i] + 0.5f) * r->step, sum = 0;

        for (int c = 0; c < WS_SKETCH; c++) sum += t[c] * s[c];
        sum += z + r->residue * b->q[pos[i]] + extra * b->away[pos[i]] + r->rest;
        out_pos[k] = pos[i];
        out_z[k] = z;
        k += !(sum <= b->threshold);
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

static void combine_portable(float *t, float coef, const float *s)
{
    for (int c = 0; c < WS_SKETCH; c++) t[c] += coef * s[c];
}

/* ---- avx512 ---- */

#define AVX512 __attribute__((target("avx512f,fma")))

AVX512 static int64_t filter_avx512(const ws_segment *s, int64_t from, int64_t to, int32_t *row,
                                    uint32_t *q)
{
    const __m512i mask = _mm512_set1_epi32(WS_Z_MASK);
    int64_t k = 0;

    for (int64_t e = from; e < to; e += 16) {
        __mmask16 in = to - e < 16 ? (__mmask16)((1u << (to - e)) - 1) : (__mmask16)0xffff;
        __m512i v = _mm512_maskz_loadu_epi32(in, s->entry + e);
        __m512i slot = _mm512_srli_epi32(v, WS_Z_BITS), z = _mm512_and_si512(v, mask);
        __m512i bar = _mm512_mask_i32gather_epi32(mask, in, slot, s->bar, 4);
        __mmask16 above = _mm512_mask_cmpgt_epi32_mask(in, z, bar);

        if (above == 0) continue;
        _mm512_storeu_si512(q + k, _mm512_maskz_compress_epi32(above, z));
        slot = _mm512_maskz_compress_epi32(above, slot);
        _mm512_storeu_si512(row + k, _mm512_i32gather_epi32(slot, s->row, 4));
        k += __builtin_popcount(above);
    }
    return k;
}

AVX512 static int64_t screen_avx512(const ws_batch *b, const ws_row *r, const float *t, float extra,
                                    const int32_t *pos, const uint32_t *q, int64_t n,
                                    int32_t *out_pos, float *out_z)
{
    const __m512 t0 = _mm512_loadu_ps(t), t1 = _mm512_loadu_ps(t + 16);
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++) {
        const float *s = b->s + (int64_t)pos[i] * WS_SKETCH;
        float z = r->cut + ((float)q[i] + 0.5f) * r->step, sum;

        sum = _mm512_reduce_add_ps(
            _mm512_fmadd_ps(t0, _mm512_loadu_ps(s), _mm512_mul_ps(t1, _mm512_loadu_ps(s + 16))));
        sum += z + r->residue * b->q[pos[i]] + extra * b->away[pos[i]] + r->rest;
        out_pos[k] = pos[i];
        out_z[k] = z;
        k += !(sum <= b->threshold);
    }
    return k;
}

/* Sixteen positions at a time. */
AVX512 static int64_t outside_avx512(const ws_batch *b, const ws_row *r, const float *t,
                                     float extra, int32_t *out)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 residue = _mm512_set1_ps(r->residue), away = _mm512_set1_ps(extra);
    const __m512 base = _mm512_set1_ps(r->cut + r->rest), least = _mm512_set1_ps(b->threshold);
    int64_t k = 0;

    for (int64_t p = 0; p < b->n; p += 16) {
        const float *s = b->s_by_16 + p * WS_SKETCH;
        __mmask16 in = b->n - p < 16 ? (__mmask16)((1u << (b->n - p)) - 1) : (__mmask16)0xffff;
        __m512 x = _mm512_fmadd_ps(residue, _mm512_loadu_ps(b->q + p), base);
        __m512 y = _mm512_mul_ps(away, _mm512_loadu_ps(b->away + p));
        __mmask16 above;

        for (int c = 0; c < WS_SKETCH; c += 2) {
            x = _mm512_fmadd_ps(_mm512_set1_ps(t[c]), _mm512_loadu_ps(s + 16 * c), x);
            y = _mm512_fmadd_ps(_mm512_set1_ps(t[c + 1]), _mm512_loadu_ps(s + 16 * c + 16), y);
        }
        above = _mm512_mask_cmp_ps_mask(in, _mm512_add_ps(x, y), least, _CMP_NLE_UQ);
        if (above == 0) continue;
        __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32((int32_t)p));
        _mm512_storeu_si512(out + k, _mm512_maskz_compress_epi32(above, at));
        k += __builtin_popcount(above);
    }
    return k;
}

AVX512 static void combine_avx512(float *t, float coef, const float *s)
{
    const __m512 k = _mm512_set1_ps(coef);

    _mm512_storeu_ps(t, _mm512_fmadd_ps(k, _mm512_loadu_ps(s), _mm512_loadu_ps(t)));
    _mm512_storeu_ps(t + 16, _mm512_fmadd_ps(k, _mm512_loadu_ps(s + 16), _mm512_loadu_ps(t + 16)));
}

const ws_certified_loops *ws_certified_simd(void)
{
    static const ws_certified_loops portable = {filter_portable, screen_portable, outside_portable,
                                                combine_portable};
    static const ws_certified_loops avx512 = {filter_avx512, screen_avx512, outside_avx512,
                                              combine_avx512};

    return strcmp(ws_simd_name(), "avx512") == 0 ? &avx512 : &portable;
}
