/* cyclic.h - square matrices in 64 x 64 blocks dealt over a grid of ranks, and what ScaLAPACK does
 * with them.  Private to the room. */
#ifndef WS_LINALG_CYCLIC_H
#define WS_LINALG_CYCLIC_H

#include <stdint.h>

#include "wingspan/core/err.h"

enum { CYCLIC_BLOCK = 64 };

typedef struct ws_grid {
    const ws_comm *comm;
    int handle, context; /* BLACS */
    int rows, cols;      /* of the grid; ranks beyond rows x cols hold nothing */
    int row, col;        /* this rank's place; -1 outside */
} ws_grid;

/** The most nearly square grid of at most comm->size ranks.  Collective. */
void ws_grid_create(const ws_comm *comm, ws_grid *g);
void ws_grid_destroy(ws_grid *g);

/** Rows (or columns) of n that fall to place `at` of `places`.  Not collective. */
int64_t ws_cyclic_count(int64_t n, int at, int places);

/** Place that holds index i, and its position there.  Not collective. */
static inline int ws_cyclic_place(int64_t i, int places)
{
    return (int)(i / CYCLIC_BLOCK % places);
}

static inline int64_t ws_cyclic_at(int64_t i, int places)
{
    return i / CYCLIC_BLOCK / places * CYCLIC_BLOCK + i % CYCLIC_BLOCK;
}

/* The matrix functions below are collective over the grid's ranks and are called by those only;
 * local arrays are column-major with as many rows as the rank has (at least 1). */

/** Factor the lower triangle; the same answer on every rank of the grid: 1 positive definite. */
int ws_cyclic_cholesky(const ws_grid *g, int64_t n, double *a);

/** Solve for k right-hand sides dealt like the columns of a matrix of n x k. */
void ws_cyclic_solve(const ws_grid *g, int64_t n, const double *a, int64_t k, double *b);

/** Eigenvalues, ascending, on every rank of the grid; a is spoilt.
 *  @return local, the same on every rank of the grid: WS_ERR_NOMEM, WS_ERR_DIVERGED */
ws_err ws_cyclic_eigenvalues(const ws_grid *g, int64_t n, double *a, double *value);

#endif
