/* lapack.h - small dense factorisations on one rank, one thread.
 *
 * Matrices are column-major float64, as LAPACK has them; a symmetric one needs only its lower
 * triangle.  The bits of a result depend on the machine: where ranks must agree, one computes
 * and the others are told. */
#ifndef WS_LINALG_LAPACK_H
#define WS_LINALG_LAPACK_H

#include <stdint.h>

#include "wingspan/core/err.h"

/** Factor A = L L^T in place, A [n x n] with leading dimension n.  Not collective.
 *  @return 1 if A is positive definite; 0 if not, and A is spoilt
 *
 *  Cost: n^3 / 3 flops. */
int ws_cholesky(int64_t n, double *a);

/** Solve L L^T X = B in place, B [n x k] column-major, L from ws_cholesky().  Not collective.
 *  Cost: 2 n^2 k flops. */
void ws_cholesky_solve(int64_t n, const double *l, int64_t k, double *b);

/** Solve R X = B or R^T X = B in place for an upper triangle R [n x n].  Not collective. */
void ws_triangle_solve(int64_t n, const double *r, int transposed, int64_t k, double *b);

/** Eigenvalues of a symmetric matrix, ascending; A is spoilt.  Not collective.
 *  @return local: WS_ERR_NOMEM; WS_ERR_DIVERGED if the iteration does not converge
 *
 *  Cost: 4 n^3 / 3 flops. */
ws_err ws_eigenvalues(int64_t n, double *a, double *value);

/** Factor A = Q R, A [rows x n] column-major, rows >= n.  Not collective.
 *  @param a  [in,out] spoilt
 *  @param r  [out] [n x n] upper triangle, zeros below
 *  @return local: WS_ERR_NOMEM
 *
 *  Cost: 2 n^2 (rows - n/3) flops. */
ws_err ws_qr(int64_t rows, int64_t n, double *a, double *r);

#endif
