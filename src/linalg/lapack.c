/* lapack.c - the front to LAPACK. Hidden lengths of the character arguments are passed, as Fortran
 * compilers expect them. */
#include "wingspan/linalg/lapack.h"

#include <string.h>

#include "wingspan/core/alloc.h"

void dpotrf_(const char *, const int *, double *, const int *, int *, size_t);
void dpotrs_(const char *, const int *, const int *, const double *, const int *, double *,
             const int *, int *, size_t);
void dtrtrs_(const char *, const char *, const char *, const int *, const int *, const double *,
             const int *, double *, const int *, int *, size_t, size_t, size_t);
void dsyev_(const char *, const char *, const int *, double *, const int *, double *, double *,
            const int *, int *, size_t, size_t);
void dgeqrf_(const int *, const int *, double *, const int *, double *, double *, const int *,
             int *);

int ws_cholesky(int64_t n, double *a)
{
    int order = ws_int(n), info = 0;

    if (n == 0) return 1;
    dpotrf_("L", &order, a, &order, &info, 1);
    WS_ASSERT(info >= 0);
    return info == 0;
}

void ws_cholesky_solve(int64_t n, const double *l, int64_t k, double *b)
{
    int order = ws_int(n), columns = ws_int(k), info = 0;

    if (n == 0 || k == 0) return;
    dpotrs_("L", &order, &columns, l, &order, b, &order, &info, 1);
    WS_ASSERT(info == 0);
}

void ws_triangle_solve(int64_t n, const double *r, int transposed, int64_t k, double *b)
{
    int order = ws_int(n), columns = ws_int(k), info = 0;

    if (n == 0 || k == 0) return;
    dtrtrs_("U", transposed ? "T" : "N", "N", &order, &columns, r, &order, b, &order, &info, 1, 1,
            1);
    WS_ASSERT(info >= 0);
}

ws_err ws_eigenvalues(int64_t n, double *a, double *value)
{
    int order = ws_int(n), size = -1, info = 0;
    double best, *work = NULL;
    ws_err err;

    if (n == 0) return WS_OK;
    dsyev_("N", "L", &order, a, &order, value, &best, &size, &info, 1, 1);
    size = (int)best;
    if ((err = ws_alloc(&work, size, sizeof *work, "eigenvalues"))) return err;
    dsyev_("N", "L", &order, a, &order, value, work, &size, &info, 1, 1);
    ws_free(&work);
    WS_ASSERT(info >= 0);
    return info == 0 ? WS_OK
                     : ws_fail(WS_ERR_DIVERGED,
                               "the eigenvalues of a matrix of order %lld were not "
                               "found: its entries are not finite",
                               (long long)n);
}

ws_err ws_qr(int64_t rows, int64_t n, double *a, double *r)
{
    int height = ws_int(rows), width = ws_int(n), size = -1, info = 0;
    double best, *work = NULL, *tau = NULL;
    ws_err err;

    WS_ASSERT(rows >= n);
    if (n == 0) return WS_OK;
    dgeqrf_(&height, &width, a, &height, NULL, &best, &size, &info);
    size = (int)best;
    if ((err = ws_alloc(&tau, n, sizeof *tau, "a QR factorisation")) ||
        (err = ws_alloc(&work, size, sizeof *work, "a QR factorisation"))) {
        ws_free(&tau);
        return err;
    }
    dgeqrf_(&height, &width, a, &height, tau, work, &size, &info);
    WS_ASSERT(info == 0);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < n; i++) r[j * n + i] = i <= j ? a[j * rows + i] : 0;
    ws_free(&work);
    ws_free(&tau);
    return WS_OK;
}
