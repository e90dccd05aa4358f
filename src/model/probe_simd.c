/* probe_simd.c - the sum of core/dot.h with a sample in each lane of a vector.
 *
 * Its 16 virtual lanes are 16 registers of eight samples, so nothing is shuffled; products of two
 * float32 are exact in float64, so only the order of the additions counts, and it is that of
 * ws_dot. One body, compiled for each vector unit. */
#include <string.h>

#include "probe_simd.h"
#include "wingspan/core/dot.h"

typedef double eight __attribute__((vector_size(64)));

/* Eight samples: lane l adds coordinates l, l + 16, ...; then the fixed tree. */
static inline __attribute__((always_inline)) void group(const double *w, const eight *x, int64_t d,
                                                        eight *z)
{
    eight lane[16];
    int64_t j = 0;

#pragma GCC unroll 16
    for (int l = 0; l < 16; l++) lane[l] = (eight){0};
    for (; j + 16 <= d; j += 16) {
#pragma GCC unroll 16
        for (int l = 0; l < 16; l++) lane[l] += w[j + l] * x[j + l];
    }
    if (j < d) {
#pragma GCC unroll 16
        for (int l = 0; l < 16; l++)
            if (j + l < d) lane[l] += w[j + l] * x[j + l];
    }
#pragma GCC unroll 8
    for (int l = 0; l < 8; l++) lane[l] += lane[l + 8];
#pragma GCC unroll 4
    for (int l = 0; l < 4; l++) lane[l] += lane[l + 4];
    *z = (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

static inline __attribute__((always_inline)) void
row(const float *w, const double *columns, int64_t groups, int64_t d, double *wide, double *z)
{
    const eight *x = (const eight *)(const void *)columns;

    for (int64_t j = 0; j < d; j++) wide[j] = (double)w[j];
    for (int64_t g = 0; g < groups; g++) {
        eight v;
        group(wide, x + g * d, d, &v);
        memcpy(z + 8 * g, &v, sizeof v);
    }
}

static void row_portable(const float *w, const double *columns, int64_t groups, int64_t d,
                         double *wide, double *z)
{
    row(w, columns, groups, d, wide, z);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static void
row_avx2(const float *w, const double *columns, int64_t groups, int64_t d, double *wide, double *z)
{
    row(w, columns, groups, d, wide, z);
}

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))

/* Four rows at a time, so that samples are loaded once for all: virtual lanes in the order of the
 * tree, one sum after the other. The products are exact, so fused sums are the same sums. */
AVX512 static void four_avx512(const double *wide, const double *columns, int64_t groups, int64_t d,
                               double *z, int64_t stride)
{
    for (int64_t g = 0; g < groups; g++) {
        const double *x = columns + g * 8 * d;
        __m512d half[2][4];

#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            __m512d quarter[2][4];

#pragma GCC unroll 2
            for (int q = 0; q < 2; q++) {
                __m512d sum[2][4];

#pragma GCC unroll 2
                for (int e = 0; e < 2; e++) {
                    __m512d a[4], b[4];
                    int64_t j = h + 2 * q + 4 * e;

#pragma GCC unroll 4
                    for (int i = 0; i < 4; i++) a[i] = b[i] = _mm512_setzero_pd();
                    for (; j + 8 < d; j += 16) {
                        __m512d u = _mm512_loadu_pd(x + 8 * j), v = _mm512_loadu_pd(x + 8 * j + 64);

#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++) {
                            a[i] = _mm512_fmadd_pd(_mm512_set1_pd(wide[i * d + j]), u, a[i]);
                            b[i] = _mm512_fmadd_pd(_mm512_set1_pd(wide[i * d + j + 8]), v, b[i]);
                        }
                    }
                    if (j < d) {
                        __m512d u = _mm512_loadu_pd(x + 8 * j);

#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++)
                            a[i] = _mm512_fmadd_pd(_mm512_set1_pd(wide[i * d + j]), u, a[i]);
                    }
#pragma GCC unroll 4
                    for (int i = 0; i < 4; i++) sum[e][i] = _mm512_add_pd(a[i], b[i]);
                }
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) quarter[q][i] = _mm512_add_pd(sum[0][i], sum[1][i]);
            }
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) half[h][i] = _mm512_add_pd(quarter[0][i], quarter[1][i]);
        }
        for (int i = 0; i < 4; i++)
            _mm512_storeu_pd(z + i * stride + 8 * g, _mm512_add_pd(half[0][i], half[1][i]));
    }
}

AVX512 static void rows_avx512(const float *w, int64_t k, const double *columns, int64_t groups,
                               int64_t d, double *wide, double *z)
{
    int64_t stride = 8 * groups;

    for (int64_t i = 0; i < k; i += 4) {
        int64_t few = k - i < 4 ? k - i : 4;
        double *to = few == 4 ? z + i * stride : wide + 4 * d;

        for (int64_t j = 0; j < few * d; j++) wide[j] = (double)w[i * d + j];
        four_avx512(wide, columns, groups, d, to, stride);
        if (few < 4) memcpy(z + i * stride, to, (size_t)(few * stride) * sizeof *z);
    }
}

static int wide_unit(void)
{
    return strcmp(ws_simd_name(), "avx512") == 0;
}

void ws_probe_rows(const float *w, int64_t k, const double *columns, int64_t groups, int64_t d,
                   double *wide, double *z)
{
    int avx2 = strcmp(ws_simd_name(), "avx2") == 0;

    if (wide_unit()) {
        rows_avx512(w, k, columns, groups, d, wide, z);
        return;
    }
    for (int64_t i = 0; i < k; i++)
        (avx2 ? row_avx2 : row_portable)(w + i * d, columns, groups, d, wide, z + i * 8 * groups);
}

__attribute__((target("avx512f"))) static unsigned
beyond_avx512(const float *cols, const float *scaled, int64_t groups, int64_t d, float cut)
{
    __m512 most = _mm512_set1_ps(-3e38f);

    for (int64_t g = 0; g < groups; g++) {
        const float *x = scaled + g * 8 * d;
        __m512 z[8];

#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) z[i] = _mm512_setzero_ps();
        for (int64_t j = 0; j < d; j++) {
            __m512 w = _mm512_loadu_ps(cols + 16 * j);

#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                z[i] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[8 * j + i]), z[i]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) most = _mm512_max_ps(most, z[i]);
    }
    return _mm512_cmp_ps_mask(most, _mm512_set1_ps(cut), _CMP_GT_OQ);
}

/* Eight rows: the first or the last of 16. */
__attribute__((target("avx2,fma"))) static inline unsigned
half_beyond(const float *cols, const float *scaled, int64_t groups, int64_t d, float cut)
{
    __m256 most = _mm256_set1_ps(-3e38f);

    for (int64_t g = 0; g < groups; g++) {
        const float *x = scaled + g * 8 * d;
        __m256 z[8];

#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) z[i] = _mm256_setzero_ps();
        for (int64_t j = 0; j < d; j++) {
            __m256 w = _mm256_loadu_ps(cols + 16 * j);

#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                z[i] = _mm256_fmadd_ps(w, _mm256_set1_ps(x[8 * j + i]), z[i]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) most = _mm256_max_ps(most, z[i]);
    }
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(most, _mm256_set1_ps(cut), _CMP_GT_OQ));
}

__attribute__((target("avx2,fma"))) static unsigned
beyond_avx2(const float *cols, const float *scaled, int64_t groups, int64_t d, float cut)
{
    return half_beyond(cols, scaled, groups, d, cut) | half_beyond(cols + 8, scaled, groups, d, cut)
                                                           << 8;
}

unsigned ws_probe_beyond(const float *cols, const float *scaled, int64_t groups, int64_t d,
                         float cut)
{
    return (wide_unit() ? beyond_avx512 : beyond_avx2)(cols, scaled, groups, d, cut);
}

#else
void ws_probe_rows(const float *w, int64_t k, const double *columns, int64_t groups, int64_t d,
                   double *wide, double *z)
{
    for (int64_t i = 0; i < k; i++)
        row_portable(w + i * d, columns, groups, d, wide, z + i * 8 * groups);
}

unsigned ws_probe_beyond(const float *cols, const float *scaled, int64_t groups, int64_t d,
                         float cut)
{
    (void)cols, (void)scaled, (void)groups, (void)d, (void)cut;
    return 0xffff;
}
#endif
