/* dot64.h - pre-activations and steps of float64 rows with float32 samples.
 *
 * Promise: <w, x> for a float64 row has one value, whatever the caller, the alignment and the vector
 * unit.  Products are rounded to float64 and then added, never fused: lane l of 16 adds the
 * coordinates j = l (mod 16) in ascending order; the lanes are then added in the tree of dot.h.  A
 * sparse sample gives the same bits as the dense one.  The path is the one that dot.h has chosen. */
#ifndef WS_CORE_DOT64_H
#define WS_CORE_DOT64_H

#include <stdint.h>

#include "wingspan/core/samples.h"

/** z[k] = <w, x_{ids[k]}> for k < n, dense or sparse samples; ids NULL means 0..n-1.
 *  Not collective. */
void ws_dot64_many(const double *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z);

/** to = sum_{p<n} coef[p] x_{ids[pos[p]]}, each product rounded and then added, in this order.
 *  Not collective.
 *  @param to  [d] of the samples */
void ws_combine64(double *to, const double *coef, const ws_samples *s, const int64_t *ids,
                  const int32_t *pos, int64_t n);

/** A bound of |ws_dot64_many - <w, x>|, and of |ws_dot - <w, x>|, for ||w|| ||x|| = 1, with room for
 *  the addition of a bias that is no larger.  Not collective. */
double ws_dot64_error(int64_t d);

#endif
