/* probe_simd.c - the sum of core/dot.h with a sample in each lane of a vector.
 *
 * Its 16 virtual lanes are 16 registers of eight samples, so nothing is shuffled; products of two
 * float32 are exact in float64, so only the order of the additions counts, and it is that of
 * ws_dot. Vector units take four rows at a time (probe_kernel.h). */
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

static void rows_portable(const float *w, int64_t k, const double *columns, int64_t groups,
                          int64_t d, double *wide, double *z)
{
    const eight *x = (const eight *)(const void *)columns;

    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j < d; j++) wide[j] = (double)w[i * d + j];
        for (int64_t g = 0; g < groups; g++) {
            eight v;
            group(wide, x + g * d, d, &v);
            memcpy(z + 8 * (i * groups + g), &v, sizeof v);
        }
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define NAME(f) f##_avx2
#define LANES 4
#define VEC __m256d
#define SET _mm256_set1_pd
#define LOAD _mm256_loadu_pd
#define STORE _mm256_storeu_pd
#define FMA _mm256_fmadd_pd
#define ADD _mm256_add_pd
#define SINGLES __m256
#define EACH _mm256_set1_ps
#define TAKE _mm256_loadu_ps
#define FUSE _mm256_fmadd_ps
#define MOST _mm256_max_ps
#include "probe_kernel.h"
#undef TARGET
#undef NAME
#undef LANES
#undef VEC
#undef SET
#undef LOAD
#undef STORE
#undef FMA
#undef ADD
#undef SINGLES
#undef EACH
#undef TAKE
#undef FUSE
#undef MOST

#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define NAME(f) f##_avx512
#define LANES 8
#define VEC __m512d
#define SET _mm512_set1_pd
#define LOAD _mm512_loadu_pd
#define STORE _mm512_storeu_pd
#define FMA _mm512_fmadd_pd
#define ADD _mm512_add_pd
#define SINGLES __m512
#define EACH _mm512_set1_ps
#define TAKE _mm512_loadu_ps
#define FUSE _mm512_fmadd_ps
#define MOST _mm512_max_ps
#include "probe_kernel.h"

static int wide_unit(void)
{
    return strcmp(ws_simd_name(), "avx512") == 0;
}

static int half_unit(void)
{
    return strcmp(ws_simd_name(), "avx2") == 0;
}

void ws_probe_rows(const float *w, int64_t k, const double *columns, int64_t groups, int64_t d,
                   double *wide, double *z)
{
    if (wide_unit())
        rows_avx512(w, k, columns, groups, d, wide, z);
    else if (half_unit())
        rows_avx2(w, k, columns, groups, d, wide, z);
    else
        rows_portable(w, k, columns, groups, d, wide, z);
}

__attribute__((target("avx512f,avx512dq,avx512vl,fma"))) static unsigned
beyond_avx512(const float *cols, const float *scaled, int64_t groups, int64_t d, float cut)
{
    __m512 most = most_avx512(cols, scaled, groups, d);

    return _mm512_cmp_ps_mask(most, _mm512_set1_ps(cut), _CMP_GT_OQ);
}

__attribute__((target("avx2,fma"))) static unsigned
beyond_avx2(const float *cols, const float *scaled, int64_t groups, int64_t d, float cut)
{
    __m256 bar = _mm256_set1_ps(cut), low = most_avx2(cols, scaled, groups, d);
    __m256 high = most_avx2(cols + 8, scaled, groups, d);

    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(low, bar, _CMP_GT_OQ)) |
           (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(high, bar, _CMP_GT_OQ)) << 8;
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
    rows_portable(w, k, columns, groups, d, wide, z);
}

unsigned ws_probe_beyond(const float *cols, const float *scaled, int64_t groups, int64_t d,
                         float cut)
{
    (void)cols, (void)scaled, (void)groups, (void)d, (void)cut;
    return 0xffff;
}
#endif
