/* spd.c - one rank or a grid: the same calls for both.
 *
 * The matrix is kept beside its factor, since a step may ask for several shifts. */
#include "wingspan/linalg/spd.h"

#include <string.h>

#include "cyclic.h"
#include "wingspan/core/alloc.h"
#include "wingspan/linalg/lapack.h"

struct ws_spd {
    const ws_comm *comm;
    int64_t n;
    int serial;         /* rank 0 alone holds the matrix */
    ws_grid grid;       /* otherwise */
    int64_t rows, cols; /* held here */
    double *a, *factor; /* [rows x cols] column-major */
    double *b;          /* right-hand sides on the grid, or on their way */
    int64_t b_room;
};

ws_err ws_spd_create(const ws_comm *comm, int64_t n, int64_t serial, ws_spd **out)
{
    ws_spd *s = NULL;
    ws_err err;

    *out = NULL;
    if ((err = ws_same(comm, "order of a system", n))) return err;
    if ((err = ws_agree(comm, ws_alloc(&s, 1, sizeof *s, "a linear system")))) return err;
    s->comm = comm;
    s->n = n;
    s->serial = n <= serial;
    if (s->serial) {
        s->rows = s->cols = comm->rank == 0 ? n : 0;
    } else {
        ws_grid_create(comm, &s->grid);
        if (s->grid.row >= 0) {
            s->rows = ws_cyclic_count(n, s->grid.row, s->grid.rows);
            s->cols = ws_cyclic_count(n, s->grid.col, s->grid.cols);
        }
    }
    /* A rank of the grid without a row still passes an array. */
    err = ws_alloc(&s->a, s->rows * s->cols + 1, sizeof *s->a, "a linear system");
    if (!err) err = ws_alloc(&s->factor, s->rows * s->cols + 1, sizeof *s->a, "a linear system");
    if ((err = ws_agree(comm, err))) {
        ws_spd_destroy(&s);
        return err;
    }
    *out = s;
    return WS_OK;
}

void ws_spd_destroy(ws_spd **p)
{
    ws_spd *s = *p;

    if (!s) return;
    if (!s->serial) ws_grid_destroy(&s->grid);
    ws_free(&s->a);
    ws_free(&s->factor);
    ws_free(&s->b);
    ws_free(p);
}

int ws_spd_holds(const ws_spd *s, int64_t i, int64_t j)
{
    if (s->serial) return s->comm->rank == 0;
    return ws_cyclic_place(i, s->grid.rows) == s->grid.row &&
           ws_cyclic_place(j, s->grid.cols) == s->grid.col;
}

/* Where entry (i, j) lies in an array of this rank. */
static int64_t at(const ws_spd *s, int64_t i, int64_t j)
{
    if (s->serial) return j * s->n + i;
    return ws_cyclic_at(j, s->grid.cols) * s->rows + ws_cyclic_at(i, s->grid.rows);
}

void ws_spd_put(ws_spd *s, int64_t i, int64_t j, double v)
{
    s->a[at(s, i, j)] = v;
}

static void copy_with_shift(ws_spd *s, double shift)
{
    if (s->rows * s->cols > 0) memcpy(s->factor, s->a, (size_t)(s->rows * s->cols) * sizeof *s->a);
    for (int64_t i = 0; i < s->n; i++)
        if (ws_spd_holds(s, i, i)) s->factor[at(s, i, i)] += shift;
}

ws_err ws_spd_factor(ws_spd *s, double shift, int *ok)
{
    *ok = 1;
    copy_with_shift(s, shift);
    if (s->serial && s->comm->rank == 0) *ok = ws_cholesky(s->n, s->factor);
    if (!s->serial && s->grid.row >= 0) *ok = ws_cyclic_cholesky(&s->grid, s->n, s->factor);
    MPI_Bcast(ok, 1, MPI_INT, 0, s->comm->mpi);
    return WS_OK;
}

/* This rank's piece of the right-hand sides, then back: everything not held here is zero, so that
 * a sum over ranks puts the pieces together (one addend is not zero: exact). */
static void deal(ws_spd *s, int64_t k, double *b, int back)
{
    const ws_grid *g = &s->grid;

    for (int64_t c = 0; c < k; c++)
        for (int64_t i = 0; i < s->n; i++) {
            int here = g->row >= 0 && ws_cyclic_place(i, g->rows) == g->row &&
                       ws_cyclic_place(c, g->cols) == g->col;
            double *local =
                here ? s->b + ws_cyclic_at(c, g->cols) * s->rows + ws_cyclic_at(i, g->rows) : NULL;
            if (back)
                b[c * s->n + i] = here ? *local : 0;
            else if (here)
                *local = b[c * s->n + i];
        }
}

static ws_err solve_on_grid(ws_spd *s, int64_t k, double *b)
{
    const ws_grid *g = &s->grid;
    int64_t cols = g->row >= 0 ? ws_cyclic_count(k, g->col, g->cols) : 0;
    ws_err err = ws_grow(&s->b, &s->b_room, s->rows * cols + 1, sizeof *s->b, "right-hand sides");

    if ((err = ws_agree(s->comm, err))) return err;
    deal(s, k, b, 0);
    if (g->row >= 0) ws_cyclic_solve(g, s->n, s->factor, k, s->b);
    deal(s, k, b, 1);
    MPI_Allreduce(MPI_IN_PLACE, b, ws_int(k * s->n), MPI_DOUBLE, MPI_SUM, s->comm->mpi);
    return WS_OK;
}

ws_err ws_spd_solve(ws_spd *s, int64_t k, double *b)
{
    if (!s->serial) return solve_on_grid(s, k, b);
    if (s->comm->rank == 0) ws_cholesky_solve(s->n, s->factor, k, b);
    MPI_Bcast(b, ws_int(k * s->n), MPI_DOUBLE, 0, s->comm->mpi);
    return WS_OK;
}

ws_err ws_spd_eigenvalues(ws_spd *s, double *value)
{
    ws_err err = WS_OK;

    copy_with_shift(s, 0);
    if (s->serial && s->comm->rank == 0) err = ws_eigenvalues(s->n, s->factor, value);
    if (!s->serial && s->grid.row >= 0)
        err = ws_cyclic_eigenvalues(&s->grid, s->n, s->factor, value);
    if ((err = ws_agree(s->comm, err))) return err;
    MPI_Bcast(value, ws_int(s->n), MPI_DOUBLE, 0, s->comm->mpi);
    return WS_OK;
}

double ws_spd_bytes(int64_t n, int size)
{
    double share = n <= WS_SPD_SERIAL ? 1 : 1.0 / size;

    return 2 * 8.0 * (double)n * (double)n * share;
}
