/* cg.h - preconditioned conjugate gradients (Hestenes and Stiefel, 1952) for A x = b.
 *
 * The operator and the preconditioner are functions of the caller and may be collective; then
 * every rank calls ws_cg with the same bits and gets the same bits, since scalar products are
 * plain sums in a fixed order and touch no BLAS. */
#ifndef WS_LINALG_CG_H
#define WS_LINALG_CG_H

#include <stdint.h>

#include "wingspan/core/err.h"

typedef struct ws_cg_system {
    int64_t n;
    void *of;                                                  /* handed to the functions */
    ws_err (*product)(void *of, const double *v, double *out); /* out = A v, symmetric, positive */
    ws_err (*precondition)(void *of, const double *r, double *z); /* z ~ A^-1 r; NULL: none */
} ws_cg_system;

/** Solve from x = 0 until |b - A x| <= tolerance |b|, for at most `most` iterations.
 *
 *  Collective if the functions are; an error of theirs ends it, so they must agree on errors.
 *
 *  @param x    [n] out
 *  @param rest [n] out: b - A x, as the recurrence has it
 *  @param work [3 n]
 *  @param iterations [out] products taken
 *  @return what the functions return; not reaching the tolerance is no error: see rest
 *
 *  Cost: an iteration is one product, one application of the preconditioner, 10 n flops. */
ws_err ws_cg(const ws_cg_system *s, const double *b, double tolerance, int most, double *x,
             double *rest, double *work, int *iterations);

#endif
