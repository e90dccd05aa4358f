/* newton_kernel.h - the inner loops of a product with J J': one neuron, plain arrays.
 *
 * Vectors of four with a fixed order of every sum and no fused multiply-add: the same bits with
 * AVX2 and without.  Outputs are padded to whole vectors, `wide` numbers a sample. */
#ifndef WS_OPTIM_NEWTON_KERNEL_H
#define WS_OPTIM_NEWTON_KERNEL_H

#include <stdint.h>

enum { WS_NEWTON_VECTOR = 4 };

typedef struct ws_newton_kernel {
    /* coef[p] = sum_q a[q] v[pos[p]][q] for p < k, a [wide], v [n x wide] */
    void (*gather)(const double *a, int64_t wide, const double *v, const int32_t *pos, int64_t k,
                   double *coef);
    /* image = G coef, G [k x k] symmetric: its lower triangle row by row, diagonal included */
    void (*triangle)(const float *g, int64_t k, const double *coef, double *image);
    /* sum[pos[p]] += a[q] (image[p] + bias) in limbs at scale 2^e, a = +-1:
     * sum [n x 2 x wide], high limbs first; flip [wide] is room */
    void (*scatter)(const double *a, int64_t wide, const double *image, double bias, int e,
                    const int32_t *pos, int64_t k, int64_t *flip, int64_t *sum);
} ws_newton_kernel;

/** The loops for the vector unit in use (ws_simd_name()).  Not collective. */
const ws_newton_kernel *ws_newton_kernels(void);

#endif
