/* rows.h - the pre-activations of many rows at once, with the bits of ws_dot.
 *
 * Rows lie by columns, eight and more side by side: a vector holds one coordinate of eight rows, and
 * ws_dot's lanes and its fixed tree become additions of whole vectors.  Boxes can be multiplied
 * likewise: with the corner that is largest for x instead of a row the result is an upper bound of
 * every row inside, by as much rounding as the rows have, since each rounding is monotone. */
#ifndef WS_INDEX_ROWS_H
#define WS_INDEX_ROWS_H

#include <stdint.h>

typedef struct ws_rows_ops {
    const char *name;
    /* z[i] = ws_dot(row i, x) + b[i] for i < n, n a multiple of 8.  Coordinate j of row i is
     * c[off[j] + i].  The d numbers of x are float32 values. */
    void (*dots)(const float *c, const int64_t *off, const float *b, const double *x, int64_t d,
                 int64_t n, double *z);
    /* Keep id[i] and z[i] where z[i] > threshold, in order; n a multiple of 8.  Returns how many;
     * writes up to 8 beyond them. */
    int64_t (*keep)(const uint32_t *id, const double *z, int64_t n, double threshold, uint32_t *row,
                    double *value);
    /* c[j * ld + i] = w[i * d + j] for i < n: from rows to columns. */
    void (*turn)(const float *w, int64_t d, int64_t n, float *c, int64_t ld);
} ws_rows_ops;

/** The routines of the path that ws_simd_name() names.  Not collective. */
const ws_rows_ops *ws_rows(void);

#endif
