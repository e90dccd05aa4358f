/* newton.h - Gauss-Newton steps for the squared loss, in the space of the residuals.
 *
 * With r = f - y over all n samples and outputs, J = df/dtheta, D = theta - theta(0), ridge weight
 * L and damping t, a step minimises
 *
 *     1/2 |r + J s|^2 + L/2 |D + s|^2 + t/2 |s|^2,
 *
 * and with u = L + t its minimum is  s = J' z - (L/u) D,  (J J' + u) z = -r + (L/u) J D:
 * a system of order n x c instead of one in the parameters.  (J J')z is a sum over neurons,
 *
 *     s_m^2 sum_k a_ki a_kj <x_i, x_j> [k fires on both]      (+1 beside <x_i, x_j>: trained bias)
 *
 * so a product with it walks the fired lists, needs no matrix, and is added exactly: the same bits
 * on any number of ranks.  One output: the matrix is formed and factored.  Several: conjugate
 * gradients on all of them together, preconditioned by the one matrix of order n that all outputs
 * share.  (Leaving the coupling of the outputs out instead ruins convergence: a contraction
 * of 0.5 a step instead of 0.04 on 2000 digits.)
 *
 * The shared matrix may also be estimated by a sketch (wingspan/sketch/sketch.h); its Cholesky factor
 * is the triangle of the sketch's QR.  Or by rows sampled by leverage scores (sketch/leverage.h),
 * from the exact matrix and so at a higher price.  Then one output is solved by conjugate gradients
 * as well.
 *
 * Relu with output weights +-1.  Levenberg (1944), Marquardt (1963); the Gram form as in Cai et al.
 * (2019), Brand, Peng, Song and Weinstein (2021). */
#ifndef WS_OPTIM_NEWTON_H
#define WS_OPTIM_NEWTON_H

#include <stdint.h>

#include "wingspan/core/exact.h"
#include "wingspan/optim/optim.h"

typedef struct ws_newton ws_newton;

typedef struct ws_newton_spec {
    int64_t n;        /* samples: the first n of those registered, all of them in every step */
    double ridge;     /* L */
    double tolerance; /* of conjugate gradients, relative to the right-hand side */
    int most;         /* iterations at most */
    int64_t serial;   /* systems up to this order are solved by rank 0: WS_SPD_SERIAL */
    /* what preconditions: NULL: the exact matrix; "none": nothing; "leverage": 8 n sampled rows; else
     * a kind of sketch of 8 n rows */
    const char *sketch;
    uint64_t seed; /* of the sketch or the sample */
} ws_newton_spec;

/* What a solution promises and what it took. */
typedef struct ws_newton_step {
    int ok;           /* 0: the matrix is not positive definite; use more damping */
    int iterations;   /* of conjugate gradients; 0: solved directly */
    double predicted; /* decrease of 1/2 |r|^2 + L/2 |D|^2 that the linear model promises */
} ws_newton_step;

/** Prepare for steps of a network.
 *
 *  Collective over the network's communicator.
 *  @param o   "gauss-newton", made with the same ridge / n; borrowed: steps go through it
 *  @param x   samples; borrowed
 *  @return agreed: WS_ERR_NOMEM, WS_ERR_USAGE (not relu, trained output weights; leverage with
 *          more than 16384 samples) */
ws_err ws_newton_create(const ws_newton_spec *spec, ws_optim *o, const ws_samples *x,
                        ws_newton **out);
void ws_newton_destroy(ws_newton **nt); /* collective; NULL is fine */

/** Take the derivative where the network is: hits are the fired neurons of all n samples, and must
 *  stay until the next call.
 *
 *  Collective.  Forms the matrix that all outputs share.
 *  @return agreed: WS_ERR_NOMEM
 *
 *  Cost: pairs of samples that fire together, over neurons; n^2 / 2 integers reduced. */
ws_err ws_newton_linearise(ws_newton *nt, const ws_hits *hits);

/** Solve for z.
 *
 *  Collective; every argument has the same bits on every rank, and so have the results.
 *  @param r        [n x c] residuals f - y
 *  @param penalty  |D|^2
 *  @param damping  t, in units of the mean of the diagonal of J J'
 *  @return agreed: WS_ERR_NOMEM, WS_ERR_DIVERGED */
ws_err ws_newton_solve(ws_newton *nt, const double *r, double penalty, double damping,
                       ws_newton_step *step);

/** Take the step of the last solution, keeping what it changes.
 *
 *  Not collective.  moves tells the index; it is valid until the next call.
 *  @return local: WS_ERR_NOMEM, WS_ERR_DIVERGED */
ws_err ws_newton_apply(ws_newton *nt, ws_moves *moves);

/** Put every row back to the bits it had before ws_newton_apply().  Not collective. */
void ws_newton_undo(ws_newton *nt, ws_moves *moves);

/** out = J J' v, [n x c].  Collective; for tests.  @return agreed */
ws_err ws_newton_product(ws_newton *nt, const double *v, double *out);

/** Bytes sent and meetings held by this rank so far, 0 of NULL.  Not collective. */
void ws_newton_traffic(const ws_newton *nt, int64_t *bytes, int64_t *meetings);

/* Where the seconds of linearise and solve went on this rank, so far. */
typedef struct ws_newton_seconds {
    double gram;    /* the shared matrix, or its estimate */
    double pack;    /* inner products of each neuron's samples, put together for products */
    double factor;  /* its factorisation */
    double product; /* products with J J' */
    double shared;  /* solutions with the factored matrix */
} ws_newton_seconds;

/** Not collective. */
const ws_newton_seconds *ws_newton_time(const ws_newton *nt);

/** Bytes a rank with `rows` neurons needs.  Not collective. */
double ws_newton_bytes(const ws_newton_spec *spec, const ws_net_spec *net, int64_t rows, int size);

#endif
