/* probe_simd.h - products of rows with eight samples at a time, for each vector unit. */
#ifndef WS_MODEL_PROBE_SIMD_H
#define WS_MODEL_PROBE_SIMD_H

#include <stdint.h>

/** z [k x groups x 8] = products of k rows with samples in columns [groups][d][8]; the bits of
 *  ws_dot.  wide is scratch [4 d + 32 groups]. */
void ws_probe_rows(const float *w, int64_t k, const double *columns, int64_t groups, int64_t d,
                   double *wide, double *z);

/** Bit l is set if neuron l of 16 may be beyond the cut on some sample: rows in cols [d][16],
 *  samples in scaled [groups][d][8], d a multiple of 4.  Only where ws_random_normal_near works. */
unsigned ws_probe_beyond(const float *cols, const float *scaled, int64_t groups, int64_t d,
                         float cut);

#endif
