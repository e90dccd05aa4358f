/* dot_impl.h - one table of functions a vector unit, all with the same bits. */
#ifndef WS_CORE_DOT_IMPL_H
#define WS_CORE_DOT_IMPL_H

#include <stdint.h>

#include "wingspan/core/fetch.h"
#include "wingspan/core/samples.h"

/* Rows that will be asked for soon, fetched line by line between the products: a burst of as many
 * requests would hold up what is computed meanwhile. */
typedef struct ws_fetch {
    const float *row;           /* never NULL: w itself if there is none */
    const float *const *x;      /* [4] the next samples, or NULL */
    const uint8_t *const *byte; /* [4] likewise */
} ws_fetch;

/* Vectors of bytes at x + stride at[p]. */
typedef struct ws_bytes {
    const uint8_t *x;
    const int32_t *at;
    int64_t stride;
    const double *level;
    int ahead; /* so many vectors ahead a line of each is fetched; 0: they are in a cache */
} ws_bytes;

typedef struct ws_dot_ops {
    const char *name;
    int (*available)(void);
    double (*dot)(const float *w, const float *x, int64_t d);
    /* z[k] = <w, x[k]> for n <= 4 dense vectors; meanwhile what ws_fetch names is fetched */
    void (*dot4)(const float *w, const float *const *x, int64_t n, int64_t d, double *z,
                 const ws_fetch *f);
    void (*axpy)(double *acc, double c, const float *x, int64_t d);
    double (*row_add)(float *w, const double *delta, int64_t d);
    /* w += the sum over n <= 4 dense vectors, of d coordinates, a multiple of 16: what begins is
     * sum, or zero if first; where it goes is sum, or w if last, and the squares of it are added to
     * square [16]. NULL: by axpy and row_add */
    void (*combine4)(float *w, const float *coef, const float *const *x, int64_t n, int64_t d,
                     int first, int last, double *sum, double *square, const ws_fetch *f);
    /* The 16 coordinates at w += the sum over n vectors x + 16 pos[p] of 16; squares are added to
     * square [16]. NULL: by combine4 */
    void (*combine_line)(float *w, const float *coef, const float *x, const int32_t *pos, int64_t n,
                         double *square);
    /* z[k] = <w, WS_PACKED_ZERO + x[k] - level> for n <= 4 vectors of bytes */
    void (*dot_bytes)(const float *w, const uint8_t *const *x, int64_t n, int64_t d,
                      const double *level, double *z, const ws_fetch *f);
    /* w += the sum over p < n of coef[p] (WS_PACKED_ZERO + x_p - level), x_p = x + stride at[p], of d
     * coordinates, a multiple of 16; squares are added to square [16]. NULL: by axpy and row_add */
    void (*combine_bytes)(float *w, const float *coef, const ws_bytes *b, int64_t n, int64_t d,
                          double *square, const float *soon);
} ws_dot_ops;

extern const ws_dot_ops ws_dot_portable, ws_dot_avx2, ws_dot_avx512;

/** The table for this machine. */
const ws_dot_ops *ws_dot_chosen(void);

enum { WS_LANES = 16, WS_FETCHED = 4096 /* coordinates at most */ };

/* Samples in a block larger than a second cache are worth fetching ahead: beyond, where they lie in
 * memory, one by one would wait 1.4 times as long; within, each request costs a tenth. */
static inline int ws_samples_far(const ws_samples *s)
{
    return s->n * s->d > 4 << 20;
}

/* The fixed tree: lanes l and l+8, l and l+4, l and l+2, l and l+1. */
static inline double ws_lane_sum(const double lane[WS_LANES])
{
    double s[8];

    for (int l = 0; l < 8; l++) s[l] = lane[l] + lane[l + 8];
    for (int l = 0; l < 4; l++) s[l] = s[l] + s[l + 4];
    for (int l = 0; l < 2; l++) s[l] = s[l] + s[l + 2];
    return s[0] + s[1];
}

/* All at once, where the loops do not do it by the way. */
WS_FETCH ws_fetch_row(const float *row, int64_t d)
{
    for (int64_t j = 0; j < d && j < WS_FETCHED; j += 16) __builtin_prefetch(row + j, 0, 2);
}

#endif
