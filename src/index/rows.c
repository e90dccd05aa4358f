/* rows.c - the routines of rows.h for each vector unit. */
#include "rows.h"

#include <string.h>

#include "wingspan/core/dot.h"

typedef float float8 __attribute__((vector_size(32)));
typedef double double8 __attribute__((vector_size(64)));

/* ---- any processor ---- */

#define LOAD(v, p)                                                                                 \
    do {                                                                                           \
        float8 f_;                                                                                 \
        memcpy(&f_, p, sizeof f_);                                                                 \
        v = __builtin_convertvector(f_, double8);                                                  \
    } while (0)
#define TARGET
#define NAME(f) f##_portable
#include "rows_kernel.h"
#undef TARGET
#undef NAME

static int64_t keep_portable(const uint32_t *id, const double *z, int64_t n, double threshold,
                             uint32_t *row, double *value)
{
    int64_t k = 0;

    for (int64_t i = 0; i < n; i++) {
        row[k] = id[i];
        value[k] = z[i];
        k += z[i] > threshold;
    }
    return k;
}

static void turn_portable(const float *w, int64_t d, int64_t n, float *c, int64_t ld)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++) c[j * ld + i] = w[i * d + j];
}

static const ws_rows_ops portable = {"portable", dots_portable, keep_portable, turn_portable};

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- avx2 ---- */

#define TARGET __attribute__((target("avx2,fma")))
#define NAME(f) f##_avx2
#include "rows_kernel.h"
#undef TARGET
#undef NAME

static const ws_rows_ops avx2 = {"avx2", dots_avx2, keep_portable, turn_portable};

/* ---- avx512 ---- */

#undef LOAD
#define LOAD(v, p) v = _mm512_cvtps_pd(_mm256_loadu_ps(p))
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#define NAME(f) f##_avx512
#include "rows_kernel.h"

/* Compressed in a register and stored whole: see propose_simd.c. */
TARGET static int64_t keep_avx512(const uint32_t *id, const double *z, int64_t n, double threshold,
                                  uint32_t *row, double *value)
{
    const __m512d t = _mm512_set1_pd(threshold);
    int64_t k = 0;

    for (int64_t i = 0; i < n; i += 8) {
        __m512d v = _mm512_loadu_pd(z + i);
        __mmask8 above = _mm512_cmp_pd_mask(v, t, _CMP_GT_OQ);

        if (above == 0) continue;
        _mm256_storeu_si256(
            (__m256i *)(void *)(row + k),
            _mm256_maskz_compress_epi32(
                above, _mm256_loadu_si256((const __m256i *)(const void *)(id + i))));
        _mm512_storeu_pd(value + k, _mm512_maskz_compress_pd(above, v));
        k += __builtin_popcount(above);
    }
    return k;
}

/* Sixteen rows are d registers; column j takes lane i from place i d + j of these, two registers at
 * a time. */
TARGET static inline __attribute__((always_inline)) void turn_fixed(const float *w, const int d,
                                                                    int64_t n, float *c, int64_t ld)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i first = _mm512_mullo_epi32(lane, _mm512_set1_epi32(d));

    for (int64_t i = 0; i < n; i += 16) {
        __m512 r[8];

#pragma GCC unroll 8
        for (int s = 0; s < d; s++) r[s] = _mm512_loadu_ps(w + i * d + 16 * s);
#pragma GCC unroll 8
        for (int j = 0; j < d; j++) {
            __m512i at = _mm512_add_epi32(first, _mm512_set1_epi32(j));
            __m512 v = _mm512_setzero_ps();

#pragma GCC unroll 4
            for (int s = 0; s < d; s += 2) {
                __mmask16 here =
                    _mm512_cmpeq_epi32_mask(_mm512_srli_epi32(at, 5), _mm512_set1_epi32(s / 2));
                __m512 u = _mm512_permutex2var_ps(r[s], at, r[s + 1 < d ? s + 1 : s]);
                v = _mm512_mask_mov_ps(v, here, u);
            }
            _mm512_storeu_ps(c + j * ld + i, v);
        }
    }
}

TARGET static void turn_avx512(const float *w, int64_t d, int64_t n, float *c, int64_t ld)
{
    int64_t whole = d <= 8 ? n / 16 * 16 : 0;

    switch (d) {
    case 1:
        turn_fixed(w, 1, whole, c, ld);
        break;
    case 2:
        turn_fixed(w, 2, whole, c, ld);
        break;
    case 3:
        turn_fixed(w, 3, whole, c, ld);
        break;
    case 4:
        turn_fixed(w, 4, whole, c, ld);
        break;
    case 5:
        turn_fixed(w, 5, whole, c, ld);
        break;
    case 6:
        turn_fixed(w, 6, whole, c, ld);
        break;
    case 7:
        turn_fixed(w, 7, whole, c, ld);
        break;
    case 8:
        turn_fixed(w, 8, whole, c, ld);
        break;
    }
    turn_portable(w + whole * d, d, n - whole, c + whole, ld);
}

static const ws_rows_ops avx512 = {"avx512", dots_avx512, keep_avx512, turn_avx512};
#endif

const ws_rows_ops *ws_rows(void)
{
#if defined(__x86_64__)
    const char *path = ws_simd_name();

    if (strcmp(path, "avx512") == 0) return &avx512;
    if (strcmp(path, "avx2") == 0) return &avx2;
#endif
    return &portable;
}
