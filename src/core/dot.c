/* dot.c - the front of the vector units: chosen once, from the processor or WINGSPAN_SIMD. */
#include "wingspan/core/dot.h"

#include <stdlib.h>
#include <string.h>

#include "dot_impl.h"

static const ws_dot_ops *const paths[] = {&ws_dot_avx512, &ws_dot_avx2, &ws_dot_portable};
static const ws_dot_ops *chosen;

enum { PATHS = sizeof paths / sizeof *paths };

static const ws_dot_ops *choose(void)
{
    const char *word = getenv("WINGSPAN_SIMD");
    int from = 0;

    for (int i = 0; word && i < PATHS; i++)
        if (strcmp(word, paths[i]->name) == 0) from = i;
    while (!paths[from]->available()) from++;
    return chosen = paths[from];
}

static inline const ws_dot_ops *ops(void)
{
    return chosen ? chosen : choose();
}

const char *ws_simd_name(void)
{
    return ops()->name;
}

int ws_simd_select(const char *name)
{
    for (int i = 0; i < PATHS; i++)
        if (strcmp(name, paths[i]->name) == 0 && paths[i]->available()) {
            chosen = paths[i];
            return 1;
        }
    return 0;
}

double ws_dot(const float *w, const float *x, int64_t d)
{
    return ops()->dot(w, x, d);
}

double ws_norm2(const float *w, int64_t d)
{
    return ops()->dot(w, w, d);
}

/* A coordinate that is not stored is a zero: it would add +0 to its lane. */
static double dot_sparse(const float *w, const ws_samples *s, int64_t i)
{
    double lane[WS_LANES] = {0};

    for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++)
        lane[s->col[k] % WS_LANES] += (double)w[s->col[k]] * (double)s->val[k];
    return ws_lane_sum(lane);
}

static const float *row_of(const ws_samples *s, const int64_t *ids, int64_t k)
{
    return s->x + (ids ? ids[k] : k) * s->d;
}

static void prefetch(const float *x, int64_t d)
{
    for (int64_t j = 0; j < d && j < 1024; j += 16) __builtin_prefetch(x + j);
}

void ws_dot_many(const float *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z)
{
    const ws_dot_ops *o = ops();
    int64_t k = 0;

    if (!s->x) {
        for (; k < n; k++) z[k] = dot_sparse(w, s, ids ? ids[k] : k);
        return;
    }
    for (; k < n; k += 4) {
        int64_t few = n - k < 4 ? n - k : 4;
        const float *x[4];

        for (int64_t l = 0; l < few; l++) x[l] = row_of(s, ids, k + l);
        for (int64_t l = k + 4; ids && l < n && l < k + 8; l++) prefetch(row_of(s, ids, l), s->d);
        o->dot4(w, x, few, s->d, z + k);
    }
}

void ws_axpy(double *acc, float c, const float *x, int64_t d)
{
    ops()->axpy(acc, (double)c, x, d);
}

void ws_axpy_sample(double *acc, float c, const ws_samples *s, int64_t i)
{
    if (s->x) {
        ops()->axpy(acc, (double)c, s->x + i * s->d, s->d);
        return;
    }
    for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++)
        acc[s->col[k]] += (double)c * (double)s->val[k];
}

double ws_row_combine(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                      const int32_t *pos, int64_t n, double *scratch)
{
    if (s->x && ops()->row_combine) return ops()->row_combine(w, coef, s->x, ids, pos, n, s->d);
    memset(scratch, 0, (size_t)s->d * sizeof *scratch);
    for (int64_t p = 0; p < n; p++) ws_axpy_sample(scratch, coef[p], s, ids[pos[p]]);
    return ops()->row_add(w, scratch, s->d);
}

double ws_row_add(float *w, const double *delta, int64_t d)
{
    return ops()->row_add(w, delta, d);
}
