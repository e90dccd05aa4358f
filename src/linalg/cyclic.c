/* cyclic.c - the front to BLACS and ScaLAPACK. */
#include "cyclic.h"

#include "wingspan/core/alloc.h"

int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int cols);
void Cblacs_gridinfo(int context, int *rows, int *cols, int *row, int *col);
void Cblacs_gridexit(int context);
void pdpotrf_(const char *, const int *, double *, const int *, const int *, const int *, int *,
              size_t);
void pdpotrs_(const char *, const int *, const int *, const double *, const int *, const int *,
              const int *, double *, const int *, const int *, const int *, int *, size_t);
void pdsyev_(const char *, const char *, const int *, double *, const int *, const int *,
             const int *, double *, double *, const int *, const int *, const int *, double *,
             const int *, int *, size_t, size_t);

void ws_grid_create(const ws_comm *comm, ws_grid *g)
{
    int rows = 1;

    while ((rows + 1) * (rows + 1) <= comm->size) rows++;
    g->comm = comm;
    g->handle = g->context = Csys2blacs_handle(comm->mpi);
    Cblacs_gridinit(&g->context, "Row", rows, comm->size / rows);
    g->rows = rows;
    g->cols = comm->size / rows;
    g->row = g->col = -1;
    if (comm->rank < g->rows * g->cols) {
        g->row = comm->rank / g->cols;
        g->col = comm->rank % g->cols;
    }
}

void ws_grid_destroy(ws_grid *g)
{
    if (g->row >= 0) Cblacs_gridexit(g->context);
    Cfree_blacs_system_handle(g->handle);
}

int64_t ws_cyclic_count(int64_t n, int at, int places)
{
    int64_t whole = n / CYCLIC_BLOCK, count = whole / places * CYCLIC_BLOCK;

    if (at < whole % places) return count + CYCLIC_BLOCK;
    return at == whole % places ? count + n % CYCLIC_BLOCK : count;
}

/* ScaLAPACK's description of a matrix of `rows` x `cols`. */
static void describe(const ws_grid *g, int64_t rows, int64_t cols, int d[9])
{
    int64_t here = ws_cyclic_count(rows, g->row, g->rows);
    int text[9] = {1,
                   g->context,
                   ws_int(rows),
                   ws_int(cols),
                   CYCLIC_BLOCK,
                   CYCLIC_BLOCK,
                   0,
                   0,
                   ws_int(here > 0 ? here : 1)};

    for (int i = 0; i < 9; i++) d[i] = text[i];
}

int ws_cyclic_cholesky(const ws_grid *g, int64_t n, double *a)
{
    int order = ws_int(n), one = 1, d[9], info = 0;

    describe(g, n, n, d);
    pdpotrf_("L", &order, a, &one, &one, d, &info, 1);
    WS_ASSERT(info >= 0);
    return info == 0;
}

void ws_cyclic_solve(const ws_grid *g, int64_t n, const double *a, int64_t k, double *b)
{
    int order = ws_int(n), columns = ws_int(k), one = 1, da[9], db[9], info = 0;

    describe(g, n, n, da);
    describe(g, n, k, db);
    pdpotrs_("L", &order, &columns, a, &one, &one, da, b, &one, &one, db, &info, 1);
    WS_ASSERT(info == 0);
}

ws_err ws_cyclic_eigenvalues(const ws_grid *g, int64_t n, double *a, double *value)
{
    int order = ws_int(n), one = 1, d[9], size = -1, info = 0;
    double best[2], none[1], *work = NULL;
    ws_err err;

    describe(g, n, n, d);
    pdsyev_("N", "L", &order, a, &one, &one, d, value, none, &one, &one, d, best, &size, &info, 1,
            1);
    size = (int)best[0] + 2 * order; /* the library's own answer is short on some grids */
    if ((err = ws_alloc(&work, size, sizeof *work, "eigenvalues"))) return err;
    pdsyev_("N", "L", &order, a, &one, &one, d, value, none, &one, &one, d, work, &size, &info, 1,
            1);
    ws_free(&work);
    WS_ASSERT(info >= 0);
    return info == 0 ? WS_OK
                     : ws_fail(WS_ERR_DIVERGED,
                               "the eigenvalues of a matrix of order %lld were not "
                               "found: its entries are not finite",
                               (long long)n);
}
