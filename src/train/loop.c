/* loop.c - ws_train: set up, resume, step until a limit, say what happens, save what is due. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/fmath.h"

static ws_err alloc_state(ws_run *r)
{
    ws_err err;

    if ((err = ws_alloc(&r->order, r->ds->n, sizeof *r->order, "order of the samples")) ||
        (err = ws_alloc(&r->test, r->ds->n_test, sizeof *r->test, "test samples")) ||
        (err = ws_alloc(&r->history, HISTORY, sizeof *r->history, "history of the loss")))
        return err;
    for (int64_t i = 0; i < r->ds->n_test; i++) r->test[i] = r->ds->n + i;
    r->order_epoch = r->tested_at = r->saved_step = -1;
    r->history_stride = 1;
    r->test_loss = r->test_accuracy = r->test_rmse = r->lambda = r->rate = NAN;
    return WS_OK;
}

static void say_warnings(ws_run *r)
{
    if (r->comm->rank != 0 || r->opt.quiet) return;
    for (int i = 0; i < r->ds->warnings; i++)
        ws_progress_say(&r->progress, "warning: %s", r->ds->warning[i]);
    if (r->net->spec.m < 2 * (int64_t)r->comm->size)
        ws_progress_say(&r->progress, "warning: width %lld leaves some of the %d ranks idle",
                        (long long)r->net->spec.m, r->comm->size);
}

/* The shift at which an expected three neurons fire on the least lucky of n samples. */
static double cure(int64_t m, int64_t n)
{
    double want = (ws_log((double)n) + 3) / (double)m, lo = 0, hi = 40;

    for (int k = 0; k < 60; k++) {
        double mid = (lo + hi) / 2;
        if (ws_gauss_tail(mid) > want)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static void say_dead(ws_run *r)
{
    if (r->comm->rank != 0 || r->opt.quiet || r->dead == 0 || r->step != r->per_epoch) return;
    ws_progress_say(&r->progress,
                    "warning: no neuron fires on %lld of %lld samples, which cannot be learned; "
                    "--shift %.2f or more --width would cure it",
                    (long long)r->dead, (long long)r->ds->n, cure(r->net->spec.m, r->ds->n));
}

/* Before the index is built, which can take a while. */
static void say_start(ws_run *r)
{
    const ws_net_spec *s = &r->net->spec;

    if (r->comm->rank != 0 || r->opt.quiet) return;
    ws_progress_say(&r->progress, "%s: %lld samples, %lld to test, %lld columns, %d output%s",
                    r->ds->name, (long long)r->ds->n, (long long)r->ds->n_test, (long long)r->ds->d,
                    s->c, s->c > 1 ? "s" : "");
    ws_progress_say(&r->progress, "width %lld over %d rank%s, %s, shift %.3g", (long long)s->m,
                    r->comm->size, r->comm->size > 1 ? "s" : "", s->phi->name, r->opt.shift);
}

static void say_index(ws_run *r)
{
    if (r->comm->rank != 0 || r->opt.quiet) return;
    ws_progress_say(&r->progress, "index %s: %s", ws_index_title(r->index_kind), r->index_reason);
}

static void say_rate(ws_run *r)
{
    if (r->comm->rank != 0 || r->opt.quiet) return;
    if (r->newton.ways)
        ws_progress_say(&r->progress,
                        "%s with loss %s, damping %.4g, at most %lld steps of %lld samples",
                        r->opt.optimizer, r->opt.loss, r->newton.damping, (long long)r->total,
                        (long long)r->batch);
    else
        ws_progress_say(&r->progress, "%s with loss %s, rate %.4g, %lld steps of %lld samples",
                        r->opt.optimizer, r->opt.loss, r->rate, (long long)r->total,
                        (long long)r->batch);
    if (r->step > 0) ws_progress_say(&r->progress, "resumed at step %lld", (long long)r->step);
}

static void say_approximate(ws_run *r)
{
    if (r->comm->rank != 0 || r->opt.quiet) return;
    ws_progress_say(&r->progress,
                    "warning: index %s is approximate: it may miss neurons that fire; "
                    "--verify-index counts them",
                    r->index_kind);
}

/* Open what a resumed run goes on from.  Collective; *c NULL means a fresh start. */
static ws_err open_resume(ws_run *r, const ws_opt_given *given, ws_ckpt **c)
{
    ws_train_options *o = &r->opt;
    char file[WS_OPT_TEXT];
    int automatic = strcmp(o->resume, "auto") == 0;
    ws_err err;

    *c = NULL;
    if (!o->resume[0]) return WS_OK;
    if (automatic && !o->checkpoint[0])
        return ws_fail(WS_ERR_USAGE, "--resume auto looks at --checkpoint, which is not given");
    snprintf(file, sizeof file, "%s", automatic ? o->checkpoint : o->resume);
    if (automatic && !ws_ckpt_exists(r->comm, file)) {
        o->resume[0] = 0;
        return WS_OK;
    }
    if ((err = ws_ckpt_open(r->comm, file, 1, c))) return err;
    if (!o->checkpoint[0]) snprintf(o->checkpoint, sizeof o->checkpoint, "%s", file);
    return ws_resume_options(*c, o, given);
}

ws_err ws_run_set_up(ws_run *r, const ws_opt_given *given, ws_ckpt **c)
{
    ws_preparation stored = {0};
    ws_err err;

    if ((err = open_resume(r, given, c))) return err;
    if ((err = ws_options_check(&r->opt))) return err;
    if (r->opt.checkpoint[0] && !r->opt.dry_run &&
        (err = ws_ckpt_probe(r->comm, r->opt.checkpoint)))
        return err;
    if (*c) err = ws_resume_preparation(*c, r->comm, &stored);
    if (!err) err = ws_run_data(r, *c ? &stored : NULL);
    ws_preparation_free(&stored);
    if (err) return err;
    if (*c && (err = ws_resume_data_matches(*c, r->ds))) return err;
    return ws_run_resolve(r);
}

static ws_err begin_explicit(ws_run *r, ws_ckpt *c)
{
    ws_err err;

    if ((err = ws_newton_setup(r))) return err;
    if (c && (err = ws_resume_state(c, r))) return err;
    if ((err = ws_run_try_index(r))) return err;
    say_index(r);
    if ((err = ws_run_index(r))) return err;
    if (!ws_index_is_exact(r->ix)) say_approximate(r);
    return WS_OK;
}

ws_err ws_run_begin(ws_run *r, ws_ckpt *c)
{
    ws_err err;

    if ((err = ws_agree(r->comm, alloc_state(r)))) return err;
    if ((err = ws_run_network(r))) return err;
    if (r->comm->rank == 0 && c && ws_ckpt_note(c)[0] && !r->opt.quiet)
        ws_progress_say(&r->progress, "warning: %s", ws_ckpt_note(c));
    say_warnings(r);
    say_start(r);
    if ((err = r->net->spec.implicit ? ws_implicit_begin(r, c) : begin_explicit(r, c))) return err;
    if (!c && !r->newton.ways && (err = ws_run_rate(r))) return err;
    if ((err = ws_watch_start(r))) return err;
    r->saved_at = ws_seconds();
    if ((err = ws_report_open(r))) return err;
    say_rate(r);
    ws_progress_start(&r->progress, r->step, r->total);
    return WS_OK;
}

static int is_due(const ws_run *r)
{
    return r->opt.checkpoint[0] && ((r->save_steps > 0 && r->step % r->save_steps == 0) || r->save);
}

static int target_reached(const ws_run *r)
{
    double n = (double)r->epoch_samples;

    if (r->step % r->per_epoch != 0 || r->epoch_samples == 0) return 0;
    return r->epoch_loss / n <= r->opt.target_loss ||
           (double)r->epoch_correct / n >= r->opt.target_accuracy;
}

/* Steps until a limit, a target or a stop request.  Collective; agreed. */
static ws_err steps(ws_run *r)
{
    while (r->step < r->total && !r->stop && !r->newton.stuck && !target_reached(r) &&
           !ws_watch_over(r)) {
        int epoch_end, logged;
        ws_err err = ws_run_step(r);

        if (err) return err;
        if (r->newton.stuck) break;
        epoch_end = r->step % r->per_epoch == 0;
        logged = r->step % r->opt.log_every == 0 || r->step == r->total || r->stop ||
                 (epoch_end && r->per_epoch > 1);
        if (epoch_end && (r->per_epoch > 1 || logged) && !r->implicit && (err = ws_run_test(r)))
            return err;
        say_dead(r);
        if ((err = ws_watch_look(r, 0))) return err;
        if (is_due(r) && (err = ws_run_save(r))) return err;
        /* Rank 0 alone writes; a full disk there waits for the next meeting. */
        if ((err = ws_report_step(r, logged)) && !r->pending) r->pending = err;
    }
    return ws_agree(r->comm, r->pending);
}

static ws_err finish(ws_run *r)
{
    /* Of implicit weights a test looks at every neuron: too long for one who was told to stop. */
    ws_err err = r->implicit && r->stop ? WS_OK : ws_run_test(r);

    if (!err) err = ws_watch_look(r, 1);
    if (!err && r->opt.checkpoint[0] && r->saved_step != r->step) err = ws_run_save(r);
    return err;
}

static void fill_result(const ws_run *r, ws_train_result *t)
{
    t->step = r->step;
    t->epoch = r->step / r->per_epoch;
    t->loss = r->step > 0 || r->newton.stuck ? r->step_loss : NAN;
    t->accuracy = r->epoch_samples > 0 && r->epoch_correct >= 0
                      ? (double)r->epoch_correct / (double)r->epoch_samples
                      : NAN;
    t->test_accuracy = r->test_accuracy;
    t->test_rmse = r->test_rmse;
    t->verified = r->verified;
    t->missed = r->missed;
    t->seconds = run_seconds(r, ws_seconds());
    t->stopped = r->stop && r->step < r->total;
}

static ws_err run(ws_run *r, const ws_opt_given *given, ws_train_result *result)
{
    ws_ckpt *c = NULL;
    ws_plan plan;
    ws_err last, err = ws_run_set_up(r, given, &c);

    if (!err && r->opt.dry_run) {
        if (!(err = ws_run_plan(r, &plan)) && r->comm->rank == 0) ws_plan_print(r, &plan);
        ws_ckpt_close(&c);
        return err;
    }
    if (!err) err = ws_run_begin(r, c);
    ws_ckpt_close(&c);
    if (!err) err = steps(r);
    if (!err) err = finish(r);
    if (!err) fill_result(r, result);
    last = ws_agree(r->comm, ws_report_end(r, err               ? "failed"
                                              : result->stopped ? "stopped"
                                                                : "finished"));
    if (!err) err = last;
    return err ? err : result->stopped ? WS_ERR_STOPPED : WS_OK;
}

static ws_err train(const ws_comm *comm, const ws_train_options *opt, const ws_opt_given *given,
                    ws_train_watch *watch, ws_train_result *result)
{
    ws_run *r = NULL;
    ws_err err = ws_agree(comm, ws_alloc(&r, 1, sizeof *r, "run"));

    memset(result, 0, sizeof *result);
    result->loss = result->accuracy = result->test_accuracy = result->test_rmse = NAN;
    if (!err) {
        r->comm = comm;
        r->opt = *opt;
        r->started = ws_seconds();
        if (watch) err = ws_watch_begin(r, watch);
        if (!err) err = run(r, given, result);
        ws_watch_free(r);
        ws_run_free(r);
    }
    ws_run_forget_stop();
    ws_free(&r);
    return err;
}

ws_err ws_train(const ws_comm *comm, const ws_train_options *opt, const ws_opt_given *given,
                ws_train_result *result)
{
    return train(comm, opt, given, NULL, result);
}

ws_err ws_train_watched(const ws_comm *comm, const ws_train_options *opt, ws_train_watch *watch,
                        ws_train_result *result)
{
    return train(comm, opt, NULL, watch, result);
}
