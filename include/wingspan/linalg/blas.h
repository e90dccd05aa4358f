/* blas.h - the dense products that wingspan asks of BLAS.
 *
 * BLAS results are proposals: nothing a run's bits depend on comes from here in first-order
 * training.  BLAS runs on one thread a rank; ws_blas_init() sees to it. */
#ifndef WS_LINALG_BLAS_H
#define WS_LINALG_BLAS_H

#include <stdint.h>

/** Put BLAS on one thread.  Not collective; call once at start (any later call is harmless). */
void ws_blas_init(void);

/** C = A B^T, row-major, float32: A [m x k] stride lda, B [n x k] stride ldb, C [m x n] stride
 *  ldc.  Not collective.  k = 0 gives zeros. */
void ws_sgemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                 int64_t ldb, float *c, int64_t ldc);

/** C = A B^T in float64, as ws_sgemm_nt.  Not collective.  Whole numbers whose sums stay below 2^53
 *  are multiplied exactly. */
void ws_dgemm_nt(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b,
                 int64_t ldb, double *c, int64_t ldc);

/** C = alpha op(A) op(B) + beta C, row-major, float32; op(X) is X, or X^T where ta, tb say so.
 *  op(A) [m x k], op(B) [k x n].  Not collective. */
void ws_sgemm(int ta, int tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
              int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/** A bound on |fl(<a,b>) - <a,b>| / (||a|| ||b||) for a float32 product of length k, in any
 *  order of summation, fused or not: k u / (1 - k u) with u = 2^-24, and a little room. */
double ws_sgemm_error(int64_t k);

#endif
