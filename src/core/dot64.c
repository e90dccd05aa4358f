/* dot64.c - the lanes of dot64.h in two vectors of eight doubles, which the compiler makes of
 * whatever registers a path has. Nothing is fused (-ffp-contract=off), so all paths round alike. */
#include "wingspan/core/dot64.h"

#include <string.h>

#include "dot_impl.h"
#include "wingspan/core/dot.h"

typedef double doubles __attribute__((vector_size(64)));
typedef float floats __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

/* Eight products more. */
INLINE void step(doubles *a, const double *w, const float *x)
{
    doubles v;
    floats y;

    memcpy(&v, w, sizeof v);
    memcpy(&y, x, sizeof y);
    *a += v * __builtin_convertvector(y, doubles);
}

/* A lane starts at +0 and never becomes -0, so that adding the products of the padding changes
 * nothing. */
INLINE double dot(const double *w, const float *x, int64_t d)
{
    doubles lo = {0}, hi = {0};
    double lane[WS_LANES], wt[WS_LANES] = {0};
    float xt[WS_LANES] = {0};
    int64_t j = 0;

    for (; j + WS_LANES <= d; j += WS_LANES) {
        step(&lo, w + j, x + j);
        step(&hi, w + j + 8, x + j + 8);
    }
    if (j < d) {
        memcpy(wt, w + j, (size_t)(d - j) * sizeof *w);
        memcpy(xt, x + j, (size_t)(d - j) * sizeof *x);
        step(&lo, wt, xt);
        step(&hi, wt + 8, xt + 8);
    }
    memcpy(lane, &lo, sizeof lo);
    memcpy(lane + 8, &hi, sizeof hi);
    return ws_lane_sum(lane);
}

INLINE void dots(const double *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z)
{
    for (int64_t k = 0; k < n; k++) z[k] = dot(w, s->x + (ids ? ids[k] : k) * s->d, s->d);
}

INLINE void axpy(double *acc, double c, const float *x, int64_t d)
{
    for (int64_t j = 0; j < d; j++) acc[j] += c * (double)x[j];
}

/* ---- the paths ---- */

typedef struct path {
    void (*dots)(const double *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z);
    void (*axpy)(double *acc, double c, const float *x, int64_t d);
} path;

#define PATH(name, target)                                                                         \
    target static void dots_##name(const double *w, const ws_samples *s, const int64_t *ids,       \
                                   int64_t n, double *z)                                           \
    {                                                                                              \
        dots(w, s, ids, n, z);                                                                     \
    }                                                                                              \
    target static void axpy_##name(double *acc, double c, const float *x, int64_t d)               \
    {                                                                                              \
        axpy(acc, c, x, d);                                                                        \
    }                                                                                              \
    static const path name = {dots_##name, axpy_##name};

PATH(portable, )
#if defined(__x86_64__)
PATH(avx2, __attribute__((target("avx2,fma"))))
PATH(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))))
#endif

static const path *chosen(void)
{
#if defined(__x86_64__)
    const char *word = ws_simd_name();

    if (strcmp(word, "avx512") == 0) return &avx512;
    if (strcmp(word, "avx2") == 0) return &avx2;
#endif
    return &portable;
}

/* ---- the front ---- */

static double dot_sparse(const double *w, const ws_samples *s, int64_t i)
{
    double lane[WS_LANES] = {0};

    for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++)
        lane[s->col[k] % WS_LANES] += w[s->col[k]] * (double)s->val[k];
    return ws_lane_sum(lane);
}

void ws_dot64_many(const double *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z)
{
    if (s->x) {
        chosen()->dots(w, s, ids, n, z);
        return;
    }
    for (int64_t k = 0; k < n; k++) z[k] = dot_sparse(w, s, ids ? ids[k] : k);
}

void ws_axpy64_sample(double *acc, double c, const ws_samples *s, int64_t i)
{
    if (s->x) {
        chosen()->axpy(acc, c, s->x + i * s->d, s->d);
        return;
    }
    for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++) acc[s->col[k]] += c * (double)s->val[k];
}

/* Each product is rounded once and then added at most d/16 + 5 times; a bias once. */
double ws_dot64_error(int64_t d)
{
    return ((double)d / 16 + 10) * 0x1.01p-53;
}
