/* spd.h - one symmetric positive definite system of any order, for all ranks together.
 *
 *   create -> { put ... -> factor -> solve ... }* -> destroy
 *
 * Up to an order of 2048 rank 0 holds the matrix, factors and solves with LAPACK, and broadcasts:
 * the result has the same bits on any number of ranks.  Beyond, the matrix lies block-cyclically
 * (64 x 64) on a near-square grid of ranks and ScaLAPACK does the work; a rank left over by the
 * grid holds nothing.  Either way the caller puts the entries a rank wants, in the lower triangle. */
#ifndef WS_LINALG_SPD_H
#define WS_LINALG_SPD_H

#include <stdint.h>

#include "wingspan/core/err.h"

enum { WS_SPD_SERIAL = 2048 }; /* the largest order left to one rank */

typedef struct ws_spd ws_spd;

/** Create a system of order n.
 *
 *  Collective over comm; n and serial must be the same on every rank.
 *  @param serial  orders up to this go to rank 0: WS_SPD_SERIAL but in tests
 *  @return agreed: WS_ERR_NOMEM, WS_ERR_MISMATCH; *out NULL on error */
ws_err ws_spd_create(const ws_comm *comm, int64_t n, int64_t serial, ws_spd **out);
void ws_spd_destroy(ws_spd **s); /* collective; NULL is fine */

/** Does this rank hold entry (i, j), i >= j?  Not collective. */
int ws_spd_holds(const ws_spd *s, int64_t i, int64_t j);

/** Set entry (i, j), i >= j, that this rank holds.  Not collective.  Entries keep their values
 *  over factorisations. */
void ws_spd_put(ws_spd *s, int64_t i, int64_t j, double v);

/** Factor A + shift I.  Collective.
 *  @param ok  [out] the same on every rank: 0 if the matrix is not positive definite
 *  @return agreed: WS_OK */
ws_err ws_spd_factor(ws_spd *s, double shift, int *ok);

/** Solve (A + shift I) X = B in place.
 *
 *  Collective; B must be the same on every rank and has the same bits on every rank afterwards.
 *  @param b  [k x n] row-major: right-hand side c is b + c n
 *  @return agreed: WS_ERR_NOMEM */
ws_err ws_spd_solve(ws_spd *s, int64_t k, double *b);

/** Eigenvalues of A (without a shift), ascending, on every rank.  Collective; the factor is lost.
 *  @return agreed: WS_ERR_NOMEM, WS_ERR_DIVERGED */
ws_err ws_spd_eigenvalues(ws_spd *s, double *value);

/** Bytes this rank holds for a system of order n.  Not collective. */
double ws_spd_bytes(int64_t n, int size);

#endif
