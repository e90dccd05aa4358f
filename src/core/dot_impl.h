/* dot_impl.h - one table of functions a vector unit, all with the same bits. */
#ifndef WS_CORE_DOT_IMPL_H
#define WS_CORE_DOT_IMPL_H

#include <stdint.h>

#include "wingspan/core/fetch.h"
#include "wingspan/core/samples.h"

/* Rows that will be asked for soon, fetched line by line between the products: a burst of as many
 * requests would hold up what is computed meanwhile. */
typedef struct ws_fetch {
    const float *row;      /* never NULL: w itself if there is none */
    const float *const *x; /* [4] the next samples, or NULL */
} ws_fetch;

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
    /* to[j] = (byte[j] - middle[j]) * scale for j < d; the bytes at `later` are fetched meanwhile */
    void (*unpack)(float *to, const uint8_t *byte, const float *middle, float scale, int64_t d,
                   const uint8_t *later);
    /* The 16 coordinates at w += the sum over n vectors x + 16 pos[p] of 16; squares are added to
     * square [16]. NULL: by combine4 */
    void (*combine_line)(float *w, const float *coef, const float *x, const int32_t *pos, int64_t n,
                         double *square);
} ws_dot_ops;

extern const ws_dot_ops ws_dot_portable, ws_dot_avx2, ws_dot_avx512;

/** The table for this machine. */
const ws_dot_ops *ws_dot_chosen(void);

enum { WS_LANES = 16, WS_FETCHED = 4096 /* coordinates at most */ };

/* The number that a byte of a packed sample stands for, and all from coordinate j on. */
static inline float ws_unpack_one(uint8_t byte, float middle, float scale)
{
    return ((float)byte - middle) * scale;
}

static inline void ws_unpack_rest(float *to, const uint8_t *byte, const float *middle, float scale,
                                  int64_t j, int64_t d)
{
    for (; j < d; j++) to[j] = ws_unpack_one(byte[j], middle[j], scale);
}

/* Sample i of a packed view into to [d], which is returned; sample `later` will be asked for soon. */
static inline const float *ws_unpack(const ws_samples *s, int64_t i, int64_t later, float *to)
{
    ws_dot_chosen()->unpack(to, s->packed.byte + i * s->d, s->packed.middle, s->packed.scale[i],
                            s->d, s->packed.byte + later * s->d);
    return to;
}

/* Room for four unpacked samples: one stands at every multiple of ws_packed_stride(d), without gaps
 * that are a power of two, which would put all four at the same places of a first cache. */
typedef struct ws_unpacked {
    float x[4 * WS_PACKED_MOST] __attribute__((aligned(64)));
} ws_unpacked;

static inline int64_t ws_packed_stride(int64_t d)
{
    return (d + WS_LANES - 1) / WS_LANES * WS_LANES;
}

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
