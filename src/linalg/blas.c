/* blas.c - the front to OpenBLAS. */
#include "wingspan/linalg/blas.h"

#include <cblas.h>
#include <string.h>

#include "wingspan/core/err.h"

void ws_blas_init(void)
{
    openblas_set_num_threads(1);
}

void ws_sgemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                 int64_t ldb, float *c, int64_t ldc)
{
    if (m == 0 || n == 0) return;
    if (k == 0) {
        for (int64_t i = 0; i < m; i++) memset(c + i * ldc, 0, (size_t)n * sizeof *c);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ws_int(m), ws_int(n), ws_int(k), 1.0f, a,
                ws_int(lda), b, ws_int(ldb), 0.0f, c, ws_int(ldc));
}

void ws_dgemm_nt(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b,
                 int64_t ldb, double *c, int64_t ldc)
{
    WS_ASSERT(k > 0);
    if (m == 0 || n == 0) return;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ws_int(m), ws_int(n), ws_int(k), 1.0, a,
                ws_int(lda), b, ws_int(ldb), 0.0, c, ws_int(ldc));
}

void ws_sgemm(int ta, int tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
              int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    WS_ASSERT(k > 0);
    if (m == 0 || n == 0) return;
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                ws_int(m), ws_int(n), ws_int(k), alpha, a, ws_int(lda), b, ws_int(ldb), beta, c,
                ws_int(ldc));
}

double ws_sgemm_error(int64_t k)
{
    double ku = (double)(k + 2) * 5.9604644775390625e-8; /* 2^-24; room for the final rounding */

    return ku / (1 - ku);
}
