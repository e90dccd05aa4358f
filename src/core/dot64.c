/* dot64.c - the lanes of dot64.h in two vectors of eight doubles, which the compiler makes of
 * whatever registers a path has. Nothing is fused (-ffp-contract=off), so all paths round alike. */
#include "wingspan/core/dot64.h"

#include <string.h>

#include "dot_impl.h"
#include "wingspan/core/dot.h"

typedef double doubles __attribute__((vector_size(64)));
typedef float floats __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

enum { FEW = 4, AHEAD = 1024 }; /* samples that share a row; floats of the next ones to fetch */

/* Eight products more: with a row, or with a coefficient. */
INLINE void add(doubles *a, const double *w, const float *x)
{
    doubles v;
    floats y;

    memcpy(&v, w, sizeof v);
    memcpy(&y, x, sizeof y);
    *a += v * __builtin_convertvector(y, doubles);
}

INLINE void add_scaled(doubles *a, double c, const float *x)
{
    floats y;

    memcpy(&y, x, sizeof y);
    *a += c * __builtin_convertvector(y, doubles);
}

INLINE double sum(const doubles *a)
{
    double lane[WS_LANES];

    memcpy(lane, a, sizeof lane);
    return ws_lane_sum(lane);
}

/* z[k] = <w, x[k]>, k < n, which is a constant where this is inlined: one sum alone would wait for its
 * own last addition at every step. A lane starts at +0 and never becomes -0, so that adding the
 * products of the padding changes nothing. */
INLINE void dots(const double *w, const float *const *x, const int n, int64_t d, double *z)
{
    doubles a[FEW][2] = {{{0}}};
    int64_t j = 0;

    for (; j + WS_LANES <= d; j += WS_LANES)
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) {
            add(&a[k][0], w + j, x[k] + j);
            add(&a[k][1], w + j + 8, x[k] + j + 8);
        }
    if (j < d) {
        double wt[WS_LANES] = {0};

        memcpy(wt, w + j, (size_t)(d - j) * sizeof *w);
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) {
            float xt[WS_LANES] = {0};

            memcpy(xt, x[k] + j, (size_t)(d - j) * sizeof *xt);
            add(&a[k][0], wt, xt);
            add(&a[k][1], wt + 8, xt + 8);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) z[k] = sum(a[k]);
}

static const float *row_of(const ws_samples *s, const int64_t *ids, int64_t k)
{
    return s->x + ws_sample_at(ids, k) * s->d;
}

WS_FETCH prefetch(const float *x, int64_t d)
{
    for (int64_t j = 0; j < d && j < AHEAD; j += 16) __builtin_prefetch(x + j);
}

INLINE void dot_many(const double *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z)
{
    const float *x[FEW];
    int64_t k = 0;

    for (; k + FEW <= n; k += FEW) {
        for (int l = 0; l < FEW; l++) x[l] = row_of(s, ids, k + l);
        for (int64_t l = k + FEW; ids && l < n && l < k + 2 * FEW; l++)
            prefetch(row_of(s, ids, l), s->d);
        dots(w, x, FEW, s->d, z + k);
    }
    for (; k < n; k++) {
        x[0] = row_of(s, ids, k);
        dots(w, x, 1, s->d, z + k);
    }
}

/* Coordinates j .. j + 8 n - 1 of the combination, n constant: they stay in registers. */
INLINE void combine_block(double *to, const double *coef, const ws_samples *s, const int64_t *ids,
                          const int32_t *pos, int64_t pairs, int64_t j, const int n)
{
    doubles a[FEW] = {{0}};

    for (int64_t p = 0; p < pairs; p++) {
        const float *x = s->x + ws_sample_at(ids, pos[p]) * s->d + j;

#pragma GCC unroll 4
        for (int k = 0; k < n; k++) add_scaled(&a[k], coef[p], x + 8 * k);
    }
    memcpy(to + j, a, (size_t)n * sizeof *a);
}

INLINE void combine(double *to, const double *coef, const ws_samples *s, const int64_t *ids,
                    const int32_t *pos, int64_t pairs)
{
    int64_t j = 0;

    for (; j + 8 * FEW <= s->d; j += 8 * FEW) combine_block(to, coef, s, ids, pos, pairs, j, FEW);
    for (; j + 8 <= s->d; j += 8) combine_block(to, coef, s, ids, pos, pairs, j, 1);
    for (; j < s->d; j++) {
        to[j] = 0;
        for (int64_t p = 0; p < pairs; p++)
            to[j] += coef[p] * (double)s->x[ws_sample_at(ids, pos[p]) * s->d + j];
    }
}

/* ---- the paths ---- */

typedef struct path {
    void (*dots)(const double *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z);
    void (*combine)(double *to, const double *coef, const ws_samples *s, const int64_t *ids,
                    const int32_t *pos, int64_t pairs);
} path;

#define PATH(name, target)                                                                         \
    target static void dots_##name(const double *w, const ws_samples *s, const int64_t *ids,       \
                                   int64_t n, double *z)                                           \
    {                                                                                              \
        dot_many(w, s, ids, n, z);                                                                 \
    }                                                                                              \
    target static void combine_##name(double *to, const double *coef, const ws_samples *s,         \
                                      const int64_t *ids, const int32_t *pos, int64_t pairs)       \
    {                                                                                              \
        combine(to, coef, s, ids, pos, pairs);                                                     \
    }                                                                                              \
    static const path name = {dots_##name, combine_##name};

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
    for (int64_t k = 0; k < n; k++) z[k] = dot_sparse(w, s, ws_sample_at(ids, k));
}

void ws_combine64(double *to, const double *coef, const ws_samples *s, const int64_t *ids,
                  const int32_t *pos, int64_t n)
{
    if (s->x) {
        chosen()->combine(to, coef, s, ids, pos, n);
        return;
    }
    memset(to, 0, (size_t)s->d * sizeof *to);
    for (int64_t p = 0; p < n; p++) {
        int64_t i = ws_sample_at(ids, pos[p]);

        for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++)
            to[s->col[k]] += coef[p] * (double)s->val[k];
    }
}

/* Each product is rounded once and then added at most d/16 + 5 times; a bias once. */
double ws_dot64_error(int64_t d)
{
    return ((double)d / 16 + 10) * 0x1.01p-53;
}
