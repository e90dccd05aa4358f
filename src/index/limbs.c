/* limbs.c - rows as two bytes a coordinate, and their sums with four samples at a time. */
#include "limbs.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

#include "lanes.h"

enum {
    LEVELS = 16200,   /* 128 h + l is at most this, so that h and l are bytes */
    LONGEST = 1 << 16 /* 255 x 127 x d < 2^31 */
};

static const char what[] = "rows of an index as limbs";

static double most_scale(const ws_samples *x)
{
    double most = 0;

    for (int64_t i = 0; i < x->n; i++) most = fmax(most, fabs((double)x->packed.scale[i]));
    return most;
}

int ws_limbs_apply(const ws_samples *x)
{
    return ws_samples_packed(x) && x->d <= LONGEST && strcmp(ws_simd_name(), "avx512") == 0 &&
           __builtin_cpu_supports("avx512vnni");
}

double ws_limbs_row_error(const ws_samples *x, double max_norm)
{
    double d = (double)x->d;

    /* The row and z as float32; and sums in float64 of numbers that may be much larger than z, if
     * samples are next to the middle. */
    return 0x1p-22 + 256 * sqrt(d) * (d + 8) * 0x1p-52 * most_scale(x) / max_norm;
}

double ws_limbs_error(const ws_samples *x, double max_norm)
{
    /* What limbs leave out, s being at most ||w|| / LEVELS. */
    return sqrt((double)x->d) * 0.501 / LEVELS + ws_limbs_row_error(x, max_norm);
}

/* ---- rows ---- */

/* Bytes of row w, if it is all numbers. */
static void row_make(ws_limbs *l, const ws_samples *x, const float *w, int64_t r)
{
    int8_t *h = l->q + 2 * r * l->stride, *low = h + l->stride;
    double most = 0, middle = 0;
    int numbers = 1;

    memset(h, 0, (size_t)(2 * l->stride));
    for (int64_t j = 0; j < l->d; j++) {
        numbers &= isfinite(w[j]) != 0;
        most = fmax(most, fabs((double)w[j]));
    }
    l->scale[r] = numbers ? most / LEVELS : NAN;
    l->middle[r] = 0;
    if (!numbers || most == 0) return;
    for (int64_t j = 0; j < l->d; j++) {
        int q = (int)lrint((double)w[j] * (LEVELS / most)), a = (q + 64) >> 7;

        h[j] = (int8_t)a;
        low[j] = (int8_t)(q - 128 * a);
        middle += q * (x->packed.level[j] - WS_PACKED_ZERO);
    }
    l->middle[r] = middle;
}

ws_err ws_limbs_rows(ws_limbs *l, const ws_samples *x, const float *w, int64_t n)
{
    ws_err err;

    l->d = x->d;
    l->stride = (x->d + 63) / 64 * 64;
    l->n = 0;
    if ((err = ws_grow(&l->q, &l->q_capacity, 2 * n * l->stride, 1, what)) ||
        (err = ws_grow(&l->scale, &l->scale_capacity, n, sizeof *l->scale, what)) ||
        (err = ws_grow(&l->middle, &l->middle_capacity, n, sizeof *l->middle, what)))
        return err;
    l->n = n;
    for (int64_t r = 0; r < n; r++) row_make(l, x, w + r * x->d, r);
    return WS_OK;
}

void ws_limbs_row(const ws_limbs *l, int64_t r, float *w)
{
    const int8_t *h = l->q + 2 * r * l->stride, *low = h + l->stride;

    for (int64_t j = 0; j < l->d; j++) w[j] = (float)(l->scale[r] * (128 * h[j] + low[j]));
}

int64_t ws_limbs_bytes(const ws_limbs *l)
{
    return l->q_capacity + 8 * (l->scale_capacity + l->middle_capacity);
}

void ws_limbs_free(ws_limbs *l)
{
    ws_free(&l->q);
    ws_free(&l->scale);
    ws_free(&l->middle);
    *l = (ws_limbs){0};
}

/* ---- sums ---- */

#define VNNI __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")))

enum { LIMBS = 4 }; /* of two rows */

/* sum[k][i] = <limb k, sample i>: q + k stride and x[i], of length d. */
VNNI static void four(const int8_t *const q[LIMBS], const uint8_t *const x[4], int64_t d,
                      int32_t sum[LIMBS][4])
{
    __m512i v[LIMBS][4];

#pragma GCC unroll 4
    for (int k = 0; k < LIMBS; k++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) v[k][i] = _mm512_setzero_si512();
    for (int64_t j = 0; j < d; j += 64) {
        __mmask64 in = d - j < 64 ? (1ull << (d - j)) - 1 : ~0ull;
        __m512i b[4];

#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) b[i] = _mm512_maskz_loadu_epi8(in, x[i] + j);
#pragma GCC unroll 4
        for (int k = 0; k < LIMBS; k++) {
            __m512i limb = _mm512_loadu_si512(q[k] + j);

#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) v[k][i] = _mm512_dpbusd_epi32(v[k][i], b[i], limb);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < LIMBS; k++)
        _mm_storeu_si128((__m128i *)(void *)sum[k],
                         ws_lane_sums(v[k][0], v[k][1], v[k][2], v[k][3]));
}

void ws_limbs_products(const ws_limbs *l, const ws_samples *x, int64_t r, int64_t from, int64_t n,
                       float *z)
{
    int64_t row[2] = {r, r + 1 < l->n ? r + 1 : r};
    const int8_t *q[LIMBS];

    for (int k = 0; k < LIMBS; k++) q[k] = l->q + (2 * row[k / 2] + k % 2) * l->stride;
    for (int64_t i = 0; i < n; i += 4) {
        int32_t sum[LIMBS][4];
        const uint8_t *at[4];

        for (int64_t k = 0; k < 4; k++)
            at[k] = x->packed.byte + (from + (i + k < n ? i + k : n - 1)) * x->d;
        four(q, at, x->d, sum);
        for (int k = 0; k < 2; k++)
            for (int64_t m = 0; m < 4 && i + m < n; m++)
                z[k * n + i + m] =
                    (float)((double)x->packed.scale[from + i + m] * l->scale[row[k]] *
                            (128.0 * sum[2 * k][m] + sum[2 * k + 1][m] - l->middle[row[k]]));
    }
}
