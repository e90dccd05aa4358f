/* leaves.h - float32 upper bounds of z_r(x_i) for every neuron here and every registered sample,
 * kept true while neurons move.  Shared by dtree and wtree, which store them each in its way. */
#ifndef WS_INDEX_LEAVES_H
#define WS_INDEX_LEAVES_H

#include <emmintrin.h>
#include <float.h>
#include <math.h>

#include "index_impl.h"

/* What is known of a neuron's leaves: bounds of ||w||, of how far they lie above the truth for
 * ||x|| = 1, and of how far they may. */
typedef struct ws_leaves_row {
    float norm, loose, limit;
} ws_leaves_row;

typedef struct ws_leaves {
    ws_index *ix;
    int64_t stride;     /* samples rounded up to 4 */
    float *gram;        /* [samples x stride] */
    float *norm;        /* [stride] of the samples, rounded up */
    ws_leaves_row *row; /* [neurons] */
} ws_leaves;

/* Takes the leaves of neuron r with samples a .. a + n - 1. */
typedef void ws_leaves_put(ws_index *ix, int64_t r, int64_t a, int64_t n, const float *leaf);

/** Measure and multiply: all leaves go to put().  Not collective. */
ws_err ws_leaves_build(ws_leaves *v, ws_index *ix, ws_leaves_put *put);
void ws_leaves_free(ws_leaves *v);
int64_t ws_leaves_held(const ws_leaves *v);
double ws_leaves_bytes(const ws_index_plan *p);

/** Fill change [stride] with what move k of m does to its neuron's leaves: returns 0 if it is to be
 *  added to them by ws_leaves_add(), 1 if these are new leaves.  Counts.  Not collective. */
int ws_leaves_change(ws_leaves *v, const ws_moves *m, int64_t k, float *change);

/* What a leaf is raised by when something is added: half an ulp for the sum, and what raising it
 * rounds. */
#define WS_LEAVES_ROOM 0x1p-22f

/** leaf + change, not less than the exact sum; infinity for what is no bound: such a leaf is always
 *  looked at. */
static inline __m128 ws_leaves_add(__m128 leaf, __m128 change)
{
    const __m128 magnitude = _mm_castsi128_ps(_mm_set1_epi32(0x7fffffff));
    __m128 sum = _mm_add_ps(leaf, change), size = _mm_and_ps(sum, magnitude);
    __m128 bound = _mm_cmplt_ps(size, _mm_set1_ps(FLT_MAX / 2));

    sum = _mm_add_ps(sum, _mm_mul_ps(size, _mm_set1_ps(WS_LEAVES_ROOM)));
    return _mm_or_ps(_mm_and_ps(bound, sum), _mm_andnot_ps(bound, _mm_set1_ps(INFINITY)));
}

/* The largest float32 that is not above v: leaf > v means leaf > that. */
static inline float ws_leaves_cut(double v)
{
    float f = (float)v;

    return (double)f > v ? nextafterf(f, -INFINITY) : f;
}

#endif
