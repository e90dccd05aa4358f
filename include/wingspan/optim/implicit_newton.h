/* implicit_newton.h - the system of a Gauss-Newton step of an implicit network.
 *
 * As newton.h, without ridge, but formed whole: a pass over the held neurons is dear (their rows are
 * made anew), so there are no products with J J'. With n x c unknowns, row (i, c), column (j, c'),
 *
 *     J J' = s_m^2 <x_i, x_j> sum_r a_rc a_rc' [r fires on both],
 *
 * the sum being integers that ride in the meeting of the pass (ws_implicit_sums.pairs); it is
 * factored and solved by spd.h on one rank, n c <= 2048: the same bits on any number of ranks. */
#ifndef WS_OPTIM_IMPLICIT_NEWTON_H
#define WS_OPTIM_IMPLICIT_NEWTON_H

#include <stdint.h>

#include "wingspan/core/samples.h"
#include "wingspan/model/net.h"
#include "wingspan/optim/newton.h"

typedef struct ws_implicit_newton ws_implicit_newton;

/** Prepare for steps.
 *
 *  Collective over the network's communicator.
 *  @param x  samples, 0 .. n - 1 are those of training; borrowed
 *  @return agreed: WS_ERR_NOMEM, WS_ERR_USAGE (n c > 2048); *out NULL on error */
ws_err ws_implicit_newton_create(const ws_net *net, const ws_samples *x, int64_t n,
                                 ws_implicit_newton **out);
void ws_implicit_newton_destroy(ws_implicit_newton **s); /* collective; NULL is fine */

/** The matrix at the place of a pass, from its pairs summed over ranks.  Not collective. */
void ws_implicit_newton_set(ws_implicit_newton *s, const int64_t *pairs);

/** Solve (J J' + t) z = -r; the step is z as ws_implicit_pass() takes it.
 *
 *  Collective; arguments and results have the same bits on every rank.
 *  @param r        [n x c] residuals f - y
 *  @param damping  t, in units of the mean of the diagonal of J J'
 *  @param z        [n x c] out
 *  @return agreed: WS_ERR_NOMEM */
ws_err ws_implicit_newton_solve(ws_implicit_newton *s, const double *r, double damping, double *z,
                                ws_newton_step *step);

#endif
