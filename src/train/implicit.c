/* implicit.c - a run with --weights implicit: the listing at its start, the passes of its steps. */
#include "implicit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/hash.h"

/* Numbers made between two looks at the stop flag: about 0.2 s. */
static const double round_of = 0x1p28;

ws_err ws_implicit_check(const ws_train_options *o)
{
    const char *wrong =
        !ws_is_newton(o)                          ? "--optimizer other than gauss-newton"
        : strcmp(o->activation, "relu") != 0      ? "a smooth --activation"
        : strcmp(o->bias, "fixed") != 0           ? "--bias trained"
        : strcmp(o->output_weights, "fixed") != 0 ? "--output-weights trained"
        : o->ridge > 0                            ? "--ridge (neurons that never fire would move)"
        : strcmp(o->preconditioner, "gram") != 0  ? "--preconditioner (it solves directly)"
        : strcmp(o->index, "auto") != 0           ? "--index (it holds all that ever fires)"
        : strcmp(o->precision, "float32") != 0    ? "--precision (its displacements are float64)"
        : o->verify_index > 0                     ? "--verify-index (it has no index)"
                                                  : NULL;

    if (!ws_is_implicit(o) || !wrong) return WS_OK;
    return ws_fail(WS_ERR_USAGE, "--weights implicit does not go with %s", wrong);
}

/* ---- the start ---- */

static ws_err create(ws_run *r)
{
    struct ws_implicit_run *q = NULL;
    int64_t n = r->ds->n, entries = n * r->targets.c;
    ws_err err;

    if ((err = ws_agree(r->comm, ws_alloc(&r->implicit, 1, sizeof *q, "an implicit network"))))
        return err;
    q = r->implicit;
    if ((err = ws_implicit_newton_create(r->net, &r->ds->all, n, &q->system))) return err;
    err = ws_implicit_create(r->net, &r->ds->all, n, &q->im);
    q->places = 2 * entries + entries * (entries + 1) / 2;
    if (!err) err = ws_alloc(&q->place, q->places, sizeof *q->place, "sums of a checkpoint");
    if (!err) err = ws_alloc(&q->z, entries, sizeof *q->z, "a Gauss-Newton step");
    if (!err) err = ws_alloc(&r->newton.residual, entries, sizeof(double), "residuals");
    r->newton.contraction = NAN;
    r->newton.damping = r->opt.damping;
    return ws_agree(r->comm, err);
}

/* Sums at zero in the meeting, after k plain counts.  Local. */
static ws_err open_sums(ws_run *r, int64_t k)
{
    int64_t entries = r->ds->n * r->targets.c;
    ws_err err = ws_meeting_open(&r->meet, entries, k + entries * (entries + 1) / 2);

    r->implicit->sums = (ws_implicit_sums){0};
    if (err) return err;
    r->implicit->sums.hi = r->meet.hi;
    r->implicit->sums.lo = r->meet.lo;
    r->implicit->sums.pairs = r->meet.count + k;
    return WS_OK;
}

static void say_listing(ws_run *r, int64_t done, double *said)
{
    double now = ws_seconds(), part = (double)done / (double)r->net->n;
    int log = now - *said > 10 || done == r->net->n;
    char text[200];

    if (r->comm->rank != 0 || r->opt.quiet) return;
    snprintf(text, sizeof text, "listing the neurons that fire: %.0f %%, %lld on rank 0",
             100 * part, (long long)ws_implicit_held(r->implicit->im));
    ws_progress_show(&r->progress, done, text, log);
    if (log) *said = now;
}

/* Pieces of the same number on every rank, and a short meeting after each: an error or a stop
 * request of one rank ends the listing of all. */
static ws_err list(ws_run *r)
{
    ws_layout *l = &r->net->layout;
    double most = (double)(l->m / l->size + 2), said = ws_seconds();
    int64_t rounds = (int64_t)ceil(most * (double)r->net->spec.d / round_of);
    ws_err err = ws_agree(r->comm, open_sums(r, COUNTS + r->ds->n));

    if (r->net->n > 0) ws_progress_start(&r->progress, 0, r->net->n);
    for (int64_t k = 0; k < rounds && !err && !r->stop; k++) {
        int64_t from = (int64_t)((__int128)r->net->n * k / rounds);
        int64_t to = (int64_t)((__int128)r->net->n * (k + 1) / rounds);
        int said_stop[2];

        err = ws_implicit_list(r->implicit->im, from, to, &r->implicit->sums);
        said_stop[0] = ws_stop_asked();
        said_stop[1] = err != WS_OK;
        MPI_Allreduce(MPI_IN_PLACE, said_stop, 2, MPI_INT, MPI_MAX, r->comm->mpi);
        r->stop = said_stop[0];
        if (said_stop[1]) err = ws_agree(r->comm, err);
        if (!err) say_listing(r, to, &said);
    }
    ws_progress_stop(&r->progress);
    r->implicit->listed = r->implicit->fresh = !r->stop;
    return err;
}

ws_err ws_implicit_begin(ws_run *r, ws_ckpt *c)
{
    double t;
    ws_err err = create(r);

    r->newton.ways = &ws_implicit_ways;
    if (err || (c && (err = ws_resume_state(c, r)))) return err;
    t = ws_seconds();
    if (!r->implicit->listed) err = list(r);
    r->tally.index += ws_seconds() - t;
    return err;
}

void ws_implicit_end(ws_run *r)
{
    if (!r->implicit) return;
    ws_implicit_destroy(&r->implicit->im);
    ws_implicit_newton_destroy(&r->implicit->system);
    ws_free(&r->implicit->z);
    ws_free(&r->implicit->place);
    ws_free(&r->implicit);
}

/* ---- a pass, as newton.c wants it ---- */

static void fill_counts(ws_run *r, const ws_implicit_sums *s, int64_t *count)
{
    count[COUNT_ACTIVE] = s->active;
    count[COUNT_UNION] = s->fired;
    count[COUNT_CANDIDATES] = count[COUNT_PRODUCTS] = s->products;
    count[COUNT_WRITES] = ws_implicit_pairs(r->implicit->im);
    count[COUNT_FLIPS] = s->flips;
    ws_step_wishes(r, count);
}

/* How many neurons fire on each sample, while the first step is watched. */
static void fill_flags(ws_run *r, int64_t k)
{
    for (int64_t i = 0; i < k - COUNTS; i++) {
        int64_t e = i * r->targets.c;
        r->meet.count[COUNTS + i] = r->implicit->sums.pairs[e * (e + 1) / 2 + e];
    }
}

/* This rank's part; k plain counts: COUNTS, and a flag a sample while the first step is watched. */
static ws_err local_share(ws_run *r, int64_t n, int64_t k)
{
    struct ws_implicit_run *q = r->implicit;
    double t = ws_seconds();
    ws_err err;

    if ((err = r->pending) || (err = ws_run_room(r, n))) return err;
    if (!q->fresh) {
        if ((err = open_sums(r, k))) return err;
        err = ws_implicit_pass(q->im, q->stepping ? q->z : NULL, &q->sums);
    }
    fill_counts(r, &q->sums, r->meet.count);
    fill_flags(r, k);
    q->fresh = 0;
    r->tally.forward += ws_seconds() - t;
    return err;
}

/* The meeting that was held before the checkpoint was written. */
static ws_err recall(ws_run *r, int64_t n, int64_t k)
{
    struct ws_implicit_run *q = r->implicit;
    int64_t entries = n * r->targets.c;
    ws_err err = r->pending;

    q->restored = 0;
    if (!err) err = ws_run_room(r, n);
    if (!err) err = open_sums(r, k);
    if ((err = ws_agree(r->comm, err))) return err;
    memcpy(r->meet.hi, q->place, (size_t)(2 * entries) * sizeof *q->place); /* lo follows hi */
    memcpy(q->sums.pairs, q->place + 2 * entries,
           (size_t)(q->places - 2 * entries) * sizeof *q->place);
    fill_flags(r, k);
    return WS_OK;
}

static ws_err meet(ws_run *r, int64_t n, int64_t k)
{
    int64_t entries = n * r->targets.c, bytes = r->meet.bytes, meetings = r->meet.meetings;
    ws_err err = local_share(r, n, k);
    double t = ws_seconds();

    err = ws_meeting_hold(&r->meet, r->comm, err, entries, k + entries * (entries + 1) / 2);
    r->tally.reduce += ws_seconds() - t;
    r->tally.bytes += r->meet.bytes - bytes;
    r->tally.meetings += r->meet.meetings - meetings;
    return err;
}

static ws_err evaluate(ws_run *r, const int64_t *ids, int64_t n, int64_t k)
{
    int64_t entries = n * r->targets.c;
    ws_err err = r->implicit->restored ? recall(r, n, k) : meet(r, n, k);

    r->implicit->counts = k;
    if (err) return err;
    ws_net_outputs(r->net, r->meet.hi, r->meet.lo, entries, r->out);
    return ws_step_loss(r, ids, n, 0);
}

/* The step of the last pass is taken for good, and the matrix there is the next one's. */
static void settle(ws_run *r)
{
    struct ws_implicit_run *q = r->implicit;
    int64_t entries = r->ds->n * r->targets.c;

    if (q->stepping) ws_implicit_keep(q->im);
    q->stepping = 0;
    q->placed = 1;
    memcpy(q->place, r->meet.hi, (size_t)(2 * entries) * sizeof *q->place); /* lo follows hi */
    memcpy(q->place + 2 * entries, r->meet.count + q->counts,
           (size_t)(q->places - 2 * entries) * sizeof *q->place);
    ws_implicit_newton_set(q->system, r->meet.count + q->counts);
}

static ws_err linearise(ws_run *r)
{
    (void)r; /* settle() has */
    return WS_OK;
}

static ws_err solve(ws_run *r, double damping, ws_newton_step *s)
{
    return ws_implicit_newton_solve(r->implicit->system, r->newton.residual, damping,
                                    r->implicit->z, s);
}

static void move(ws_run *r)
{
    r->implicit->stepping = 1;
}

static void move_back(ws_run *r)
{
    r->implicit->stepping = 0;
}

const ws_newton_ways ws_implicit_ways = {.evaluate = evaluate,
                                         .settle = settle,
                                         .linearise = linearise,
                                         .solve = solve,
                                         .move = move,
                                         .move_back = move_back};

/* ---- other samples ---- */

ws_err ws_implicit_outputs(ws_implicit *im, const ws_net *net, const ws_samples *all, int64_t first,
                           int64_t n, ws_meeting *meet, ws_err err, double *out)
{
    int64_t entries = n * net->spec.c;
    ws_samples x = *all;
    ws_probe *probe = NULL;

    x.n = n;
    if (x.x) x.x += first * x.d;
    if (x.ptr) x.ptr += first;
    if (x.norm) x.norm += first;
    if (!err) err = ws_meeting_open(meet, entries, 0);
    if (!err) err = ws_probe_create(&net->spec, &x, n, &probe);
    if (!err) err = ws_implicit_any(im, probe, meet->hi, meet->lo);
    ws_probe_destroy(&probe);
    if ((err = ws_meeting_hold(meet, net->comm, err, entries, 0))) return err;
    ws_net_outputs(net, meet->hi, meet->lo, entries, out);
    return WS_OK;
}
