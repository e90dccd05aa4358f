/* newton.c - one Gauss-Newton step, damped as Levenberg and Marquardt do so that the loss never
 * rises.
 *
 *   known: who fires, residuals and loss of the network as it is
 *   1. the shared matrix at this place                                   (collective)
 *   2. solve, take the step, see the loss it leads to                    (collective)
 *   3. if it is lower, stay; else put the rows back, and 2 again with more damping
 *
 * Damping follows the gain, the decrease of the loss by what the linear model promised. The loss
 * of a step in the metrics is the one it led to. */
#include <math.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/fmath.h"
#include "wingspan/linalg/spd.h"

/* Damping stays within [least, largest]; a promise below floor_of_promise of the loss is rounding. */
static const double least = 1e-8, largest = 1e4, floor_of_promise = 1e-13;

static const ws_newton_ways explicit_ways;

ws_newton_spec ws_newton_of(const ws_run *r)
{
    const ws_train_options *o = &r->opt;

    return (ws_newton_spec){.n = r->ds->n,
                            .ridge = o->ridge * (double)r->ds->n,
                            .tolerance = o->cg_tolerance,
                            .most = 1000,
                            .serial = WS_SPD_SERIAL,
                            .sketch =
                                strcmp(o->preconditioner, "gram") == 0 ? NULL : o->preconditioner,
                            .seed = (uint64_t)o->seed};
}

ws_err ws_newton_setup(ws_run *r)
{
    ws_newton_spec spec = ws_newton_of(r);
    ws_err err;

    r->newton.contraction = NAN;
    r->newton.damping = r->opt.damping;
    if (!ws_is_newton(&r->opt)) return WS_OK;
    r->newton.ways = &explicit_ways;
    err = ws_alloc(&r->newton.residual, spec.n * r->targets.c, sizeof *r->newton.residual,
                   "residuals");
    if ((err = ws_agree(r->comm, err))) return err;
    return ws_newton_create(&spec, r->optim, &r->ds->all, &r->newton.nt);
}

static void settle(ws_run *r)
{
    ws_hits swap = r->newton.hits;
    ws_filter filter = r->newton.filter;

    r->newton.hits = r->hits;
    r->hits = swap;
    r->newton.filter = r->filter;
    r->filter = filter;
}

/* The last evaluation is of the network as it is from now on. */
static void stay(ws_run *r, int64_t n)
{
    r->newton.ways->settle(r);
    r->newton.error = 0;
    for (int64_t k = 0; k < n * r->targets.c; k++) {
        double e = r->grad[k] * (double)n;
        r->newton.residual[k] = e;
        r->newton.error += e * e;
    }
    r->newton.loss = r->step_loss;
    r->newton.penalty = r->step_penalty;
    r->newton.correct = r->step_correct;
    r->newton.known = 1;
}

/* Where the run stands, at its start or when it is resumed; and the loss of outputs 0. */
static ws_err look(ws_run *r, const int64_t *ids, int64_t n)
{
    int64_t k = COUNTS + (r->step == 0 ? n : 0), right;
    ws_err err = r->newton.ways->evaluate(r, ids, n, k);

    if (err) return err;
    ws_step_dead(r, k);
    stay(r, n);
    memset(r->out, 0, (size_t)(n * r->targets.c) * sizeof *r->out);
    r->newton.base = ws_loss_batch(r->loss, &r->targets, ids, n, r->out, r->grad, &right);
    return WS_OK;
}

/* What the index must be told, and when it was. */
static void tell(ws_run *r, ws_err err, const ws_moves *moves)
{
    double t = ws_seconds();

    if (!err) err = ws_index_update(r->ix, moves);
    r->tally.index += ws_seconds() - t;
    if (!r->pending) r->pending = err;
}

static void move(ws_run *r)
{
    ws_moves moves;
    double t = ws_seconds();
    ws_err err = ws_newton_apply(r->newton.nt, &moves);

    r->tally.update += ws_seconds() - t;
    ws_filter_moves(r->net, &r->newton.filter, &moves);
    tell(r, err, &moves);
}

static void move_back(ws_run *r)
{
    ws_moves moves;
    double t = ws_seconds();

    ws_newton_undo(r->newton.nt, &moves);
    r->tally.update += ws_seconds() - t;
    tell(r, WS_OK, &moves);
}

static ws_err solve(ws_run *r, double damping, ws_newton_step *s)
{
    return ws_newton_solve(r->newton.nt, r->newton.residual, r->newton.penalty, damping, s);
}

static ws_err linearise(ws_run *r)
{
    return ws_newton_linearise(r->newton.nt, &r->newton.hits);
}

static const ws_newton_ways explicit_ways = {.evaluate = ws_step_evaluate,
                                             .settle = settle,
                                             .linearise = linearise,
                                             .solve = solve,
                                             .move = move,
                                             .move_back = move_back};

/* Less damping after a step that kept its promise, more after one that hardly did. */
static double next_damping(double damping, double gain)
{
    if (gain > 0.75) return fmax(damping / 10, least);
    return gain < 0.25 ? damping * 10 : damping;
}

/* Is the residual so small that the weights may not let it fall further?  For float32 ones a millionth
 * of the targets, for float64 ones 1e-14 of them; or, with k neurons firing on a sample, what half a unit in the last place of each
 * neuron's weights comes to, since a smaller step is lost in them. */
static int at_the_floor(const ws_run *r, int64_t n)
{
    const ws_net_spec *s = &r->net->spec;
    double k = (double)s->m * ws_gauss_tail(r->opt.shift);
    int wide = s->float64 || s->implicit;
    double part = wide ? 1e-28 : 1e-12, ulp = wide ? 0x1p-52 : 0x1p-23;
    double lost = ulp * s->scale * k * s->init_scale * s->x_scale;
    double floor2 = fmax(part * 2 * r->newton.base, lost * lost * s->c);

    return r->newton.error < floor2 * (double)n;
}

/* A step with this damping: *gain > 0 if the run stays there, *promise as a part of the loss. */
static ws_err attempt(ws_run *r, const int64_t *ids, int64_t n, double damping, double *gain,
                      double *promise)
{
    ws_newton_step s;
    double t = ws_seconds();
    ws_err err = r->newton.ways->solve(r, damping, &s);

    r->tally.solve += ws_seconds() - t;
    r->newton.iterations += s.iterations;
    *gain = 0;
    *promise = 1;
    if (err || !s.ok) return err;
    *promise = s.predicted / ((double)n * r->newton.loss);
    if (*promise < floor_of_promise) return WS_OK;
    r->newton.ways->move(r);
    if ((err = r->newton.ways->evaluate(r, ids, n, COUNTS))) return err;
    *gain = (double)n * (r->newton.loss - r->step_loss) / s.predicted;
    if (*gain < 0.75 && at_the_floor(r, n)) *gain = *promise = 0;
    if (!(*gain > 0)) r->newton.ways->move_back(r);
    return WS_OK;
}

/* No step is better than where the run is. */
static void give_up(ws_run *r)
{
    r->newton.stuck = 1;
    r->step_loss = r->newton.loss;
    r->step_correct = r->newton.correct;
    if (r->comm->rank != 0 || r->opt.quiet) return;
    if (r->dead == r->ds->n)
        ws_progress_say(&r->progress, "no neuron fires on any sample, so nothing can be learned: "
                                      "use a smaller --shift or more --width");
    else
        ws_progress_say(&r->progress,
                        "no step lowers the loss any more: it is as low as %s weights allow, or "
                        "the samples contradict each other",
                        r->net->spec.implicit ? "float64" : r->opt.precision);
}

static void accept(ws_run *r, int64_t n, double damping, double gain)
{
    double before = r->newton.error;

    stay(r, n);
    r->newton.contraction = before > 0 ? sqrt(r->newton.error / before) : 0;
    r->newton.damping = next_damping(damping, gain);
    ws_step_count(r, n, COUNTS);
    r->step++;
    r->tally.steps++;
}

ws_err ws_run_newton(ws_run *r, const int64_t *ids, int64_t n)
{
    double damping = r->newton.damping, gain = 0, promise = 1, more = 10, t;
    int64_t bytes, meetings, now_bytes, now_meetings;
    ws_err err;

    ws_newton_traffic(r->newton.nt, &bytes, &meetings);
    if (!r->newton.known && (err = look(r, ids, n))) return err;
    r->newton.iterations = 0;
    t = ws_seconds();
    if (r->newton.loss > 0 && (err = r->newton.ways->linearise(r))) return err;
    r->tally.solve += ws_seconds() - t;
    while (r->newton.loss > 0) {
        if ((err = attempt(r, ids, n, damping, &gain, &promise))) return err;
        if (gain > 0 || promise < floor_of_promise || damping * more > largest) break;
        damping *= more;
        more *= 10;
    }
    ws_newton_traffic(r->newton.nt, &now_bytes, &now_meetings);
    r->tally.bytes += now_bytes - bytes;
    r->tally.meetings += now_meetings - meetings;
    if (gain > 0)
        accept(r, n, damping, gain);
    else
        give_up(r);
    return WS_OK;
}
