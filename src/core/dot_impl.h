/* dot_impl.h - one table of functions a vector unit, all with the same bits. */
#ifndef WS_CORE_DOT_IMPL_H
#define WS_CORE_DOT_IMPL_H

#include <stdint.h>

typedef struct ws_dot_ops {
    const char *name;
    int (*available)(void);
    double (*dot)(const float *w, const float *x, int64_t d);
    /* z[k] = <w, x[k]> for n <= 4 dense vectors */
    void (*dot4)(const float *w, const float *const *x, int64_t n, int64_t d, double *z);
    void (*axpy)(double *acc, double c, const float *x, int64_t d);
    double (*row_add)(float *w, const double *delta, int64_t d);
    /* row_add of the sum of n axpy, in order; NULL: by these, in scratch [d] */
    double (*row_combine)(float *w, const float *coef, const float *x, const int64_t *ids,
                          const int32_t *pos, int64_t n, int64_t d);
} ws_dot_ops;

extern const ws_dot_ops ws_dot_portable, ws_dot_avx2, ws_dot_avx512;

enum { WS_LANES = 16 };

/* The fixed tree: lanes l and l+8, l and l+4, l and l+2, l and l+1. */
static inline double ws_lane_sum(const double lane[WS_LANES])
{
    double s[8];

    for (int l = 0; l < 8; l++) s[l] = lane[l] + lane[l + 8];
    for (int l = 0; l < 4; l++) s[l] = s[l] + s[l + 4];
    for (int l = 0; l < 2; l++) s[l] = s[l] + s[l + 2];
    return s[0] + s[1];
}

#endif
