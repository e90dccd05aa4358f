/* newton_kernel.c - one body of each loop, compiled for AVX2 and for any processor: four lanes of
 * float64, which wider units run as fast as they read the triangles from memory. */
#include "newton_kernel.h"

#include <string.h>

#include "wingspan/core/dot.h"
#include "wingspan/core/exact.h"

#define INLINE static inline __attribute__((always_inline))

typedef double vec __attribute__((vector_size(32), aligned(8), may_alias));
typedef float half __attribute__((vector_size(16), aligned(4), may_alias));
typedef int64_t ints __attribute__((vector_size(32), aligned(8), may_alias));

enum { V = WS_NEWTON_VECTOR };

INLINE void gather(const double *a, int64_t wide, const double *v, const int32_t *pos, int64_t k,
                   double *coef)
{
    for (int64_t p = 0; p < k; p++) {
        const double *from = v + pos[p] * wide;
        vec s = *(const vec *)a * *(const vec *)from;

        for (int64_t q = V; q < wide; q += V) s += *(const vec *)(a + q) * *(const vec *)(from + q);
        coef[p] = (s[0] + s[2]) + (s[1] + s[3]);
    }
}

/* Row p of the triangle serves twice: its scalar product with coef, and coef[p] times it for the
 * entries above the diagonal.  Eight lanes, so that sums do not wait for each other. */
INLINE void triangle(const float *g, int64_t k, const double *coef, double *image)
{
    for (int64_t p = 0; p < k; g += ++p) {
        vec s = {0}, t = {0}, c = {coef[p], coef[p], coef[p], coef[p]};
        double few = 0;
        int64_t q = 0;

        for (; q + 2 * V <= p; q += 2 * V) {
            vec g0 = __builtin_convertvector(*(const half *)(g + q), vec);
            vec g1 = __builtin_convertvector(*(const half *)(g + q + V), vec);
            s += g0 * *(const vec *)(coef + q);
            t += g1 * *(const vec *)(coef + q + V);
            *(vec *)(image + q) += g0 * c;
            *(vec *)(image + q + V) += g1 * c;
        }
        if (q + V <= p) {
            vec g0 = __builtin_convertvector(*(const half *)(g + q), vec);
            s += g0 * *(const vec *)(coef + q);
            *(vec *)(image + q) += g0 * c;
            q += V;
        }
        for (; q < p; q++) {
            few += (double)g[q] * coef[q];
            image[q] += (double)g[q] * coef[p];
        }
        s += t;
        image[p] = ((s[0] + s[2]) + (s[1] + s[3])) + (few + (double)g[p] * coef[p]);
    }
}

/* x times +-1 is (x ^ f) - f with f = 0 or -1; what padding adds up is never read. */
INLINE void scatter(const double *a, int64_t wide, const double *image, double bias, int e,
                    const int32_t *pos, int64_t k, int64_t *flip, int64_t *sum)
{
    for (int64_t q = 0; q < wide; q++) flip[q] = a[q] < 0 ? -1 : 0;
    for (int64_t p = 0; p < k; p++) {
        ws_exact_limbs t = ws_exact_split(image[p] + bias, e);
        ints h = {t.hi, t.hi, t.hi, t.hi}, l = {t.lo, t.lo, t.lo, t.lo};
        int64_t *hi = sum + pos[p] * 2 * wide, *lo = hi + wide;

        for (int64_t q = 0; q < wide; q += V) {
            ints f = *(const ints *)(flip + q);
            *(ints *)(hi + q) += (h ^ f) - f;
            *(ints *)(lo + q) += (l ^ f) - f;
        }
    }
}

#define KERNEL(suffix, attribute)                                                                  \
    attribute static void gather_##suffix(const double *a, int64_t wide, const double *v,          \
                                          const int32_t *pos, int64_t k, double *coef)             \
    {                                                                                              \
        gather(a, wide, v, pos, k, coef);                                                          \
    }                                                                                              \
    attribute static void triangle_##suffix(const float *g, int64_t k, const double *coef,         \
                                            double *image)                                         \
    {                                                                                              \
        triangle(g, k, coef, image);                                                               \
    }                                                                                              \
    attribute static void scatter_##suffix(const double *a, int64_t wide, const double *image,     \
                                           double bias, int e, const int32_t *pos, int64_t k,      \
                                           int64_t *flip, int64_t *sum)                            \
    {                                                                                              \
        scatter(a, wide, image, bias, e, pos, k, flip, sum);                                       \
    }                                                                                              \
    static const ws_newton_kernel kernel_##suffix = {gather_##suffix, triangle_##suffix,           \
                                                     scatter_##suffix};

KERNEL(portable, )
#if defined(__x86_64__)
KERNEL(avx2, __attribute__((target("avx2"))))
#endif

const ws_newton_kernel *ws_newton_kernels(void)
{
#if defined(__x86_64__)
    if (strcmp(ws_simd_name(), "portable") != 0) return &kernel_avx2;
#endif
    return &kernel_portable;
}
