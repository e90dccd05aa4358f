/* report.c - what a run says while it goes: JSON Lines for programs, a line for people. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/version.h"

/* Every option under its own name; numbers stay numbers. */
static void put_options(ws_metrics *m, const ws_train_options *o)
{
    for (const ws_opt *row = ws_train_table; row->name; row++) {
        const char *at = (const char *)o + row->field;
        char text[WS_OPT_TEXT];

        if (row->type == WS_OPT_STR)
            ws_metrics_text(m, row->name, at);
        else if (row->type == WS_OPT_INT)
            ws_metrics_int(m, row->name, *(const int64_t *)(const void *)at);
        else if (row->type == WS_OPT_FLAG)
            ws_metrics_flag(m, row->name, *(const int *)(const void *)at);
        else if (isnan(*(const double *)(const void *)at)) {
            ws_option_text(row, o, text, sizeof text);
            ws_metrics_text(m, row->name, text);
        } else
            ws_metrics_real(m, row->name, *(const double *)(const void *)at);
    }
}

static ws_err put_run(ws_run *r)
{
    ws_metrics *m = r->metrics;
    char sum[32];

    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)r->ds->checksum);
    ws_metrics_begin(m, "run");
    ws_metrics_text(m, "version", WS_VERSION);
    ws_metrics_int(m, "ranks", r->comm->size);
    put_options(m, &r->opt);
    ws_metrics_text(m, "dataset", r->ds->name);
    ws_metrics_text(m, "dataset_kind", ws_dataset_kind(r->ds));
    ws_metrics_text(m, "dataset_checksum", sum);
    ws_metrics_int(m, "samples", r->ds->n);
    ws_metrics_int(m, "samples_test", r->ds->n_test);
    ws_metrics_int(m, "dim", r->ds->d);
    ws_metrics_int(m, "outputs", r->targets.c);
    ws_metrics_text(m, "index_kind", ws_index_title(r->index_kind));
    ws_metrics_text(m, "index_reason", r->index_reason);
    ws_metrics_flag(m, "index_exact", !r->ix || ws_index_is_exact(r->ix));
    ws_metrics_text(m, "simd", ws_simd_name());
    ws_metrics_real(m, "lambda_max", r->lambda);
    ws_metrics_int(m, "resumed_at", r->step);
    return ws_metrics_end(m);
}

/* Collective: rank 0's verdict on its file becomes everybody's. */
ws_err ws_report_open(ws_run *r)
{
    ws_err err = WS_OK;

    if (r->comm->rank == 0 && r->opt.metrics[0]) {
        err = ws_metrics_open(r->opt.metrics, r->opt.resume[0] ? r->step : -1, &r->metrics);
        if (!err) err = put_run(r);
    }
    return ws_agree(r->comm, err);
}

static void put_seconds(ws_metrics *m, const char *key, double total, int64_t steps)
{
    ws_metrics_real(m, key, steps ? total / (double)steps : 0);
}

/* Parts of seconds_solve. */
static void put_newton(ws_run *r)
{
    ws_metrics *m = r->metrics;
    ws_newton_seconds now = {0}, *told = &r->newton.told;
    int64_t steps = r->tally.steps;

    if (r->newton.nt) now = *ws_newton_time(r->newton.nt);
    put_seconds(m, "seconds_gram", now.gram - told->gram, steps);
    put_seconds(m, "seconds_pack", now.pack - told->pack, steps);
    put_seconds(m, "seconds_factor", now.factor - told->factor, steps);
    put_seconds(m, "seconds_product", now.product - told->product, steps);
    put_seconds(m, "seconds_shared", now.shared - told->shared, steps);
    *told = now;
    ws_metrics_real(m, "contraction", r->newton.contraction);
    ws_metrics_int(m, "cg_iterations", r->newton.iterations);
    ws_metrics_real(m, "damping", r->newton.damping);
}

static ws_err put_step(ws_run *r)
{
    ws_metrics *m = r->metrics;
    const ws_tally *t = &r->tally;
    double n = (double)r->step_samples;

    ws_metrics_begin(m, "step");
    ws_metrics_int(m, "step", r->step);
    ws_metrics_real(m, "epoch", (double)r->step / (double)r->per_epoch);
    ws_metrics_real(m, "loss", r->step_loss);
    ws_metrics_real(m, "accuracy", r->step_correct < 0 ? NAN : (double)r->step_correct / n);
    ws_metrics_real(m, "seconds", run_seconds(r, ws_seconds()));
    ws_metrics_real(m, "active_mean", (double)t->count[COUNT_ACTIVE] / n);
    ws_metrics_real(m, "union_fraction", (double)t->count[COUNT_UNION] / (double)r->net->spec.m);
    ws_metrics_real(m, "flips", r->per_epoch == 1 ? (double)t->count[COUNT_FLIPS] : NAN);
    ws_metrics_real(m, "candidates_mean", (double)t->count[COUNT_CANDIDATES] / n);
    ws_metrics_int(m, "inner_products", t->count[COUNT_PRODUCTS]);
    ws_metrics_int(m, "node_visits", t->count[COUNT_VISITS]);
    ws_metrics_int(m, "leaf_writes", t->count[COUNT_WRITES]);
    ws_metrics_int(m, "relisted", t->count[COUNT_RELISTED]);
    ws_metrics_real(m, "recall", r->checked ? (double)r->found / (double)r->checked : NAN);
    ws_metrics_int(m, "bytes_reduced", t->steps ? t->bytes / t->steps : 0);
    ws_metrics_int(m, "collectives", t->steps ? t->meetings / t->steps : 0);
    ws_metrics_int(m, "memory_bytes", t->count[COUNT_MEMORY] + r->ds->bytes);
    if (r->opt.verify_index > 0) {
        ws_metrics_int(m, "verified", r->verified);
        ws_metrics_int(m, "missed", r->missed);
        put_seconds(m, "seconds_verify", t->verify, t->steps);
    }
    put_seconds(m, "seconds_query", t->query, t->steps);
    put_seconds(m, "seconds_forward", t->forward, t->steps);
    put_seconds(m, "seconds_reduce", t->reduce, t->steps);
    put_seconds(m, "seconds_update", t->update, t->steps);
    put_seconds(m, "seconds_solve", t->solve, t->steps);
    put_seconds(m, "seconds_index", t->index, t->steps);
    put_seconds(m, "seconds_checkpoint", t->checkpoint, t->steps);
    ws_metrics_real(m, "rate", r->rate);
    if (r->newton.ways) put_newton(r);
    if (r->tested_at == r->step) {
        ws_metrics_real(m, "test_loss", r->test_loss);
        ws_metrics_real(m, "test_accuracy", r->test_accuracy);
        ws_metrics_real(m, "test_rmse", r->test_rmse);
    }
    return ws_metrics_end(m);
}

/* What the progress line says. */
static void describe(const ws_run *r, char *text, size_t size)
{
    int n = snprintf(text, size, "step %lld  epoch %.2f  loss %.5f", (long long)r->step,
                     (double)r->step / (double)r->per_epoch, r->step_loss);

    if (r->step_correct >= 0 && n > 0 && (size_t)n < size)
        n += snprintf(text + n, size - (size_t)n, "  accuracy %.4f",
                      (double)r->epoch_correct / (double)r->epoch_samples);
    if (r->tested_at == r->step && n > 0 && (size_t)n < size) {
        if (!isnan(r->test_rmse))
            snprintf(text + n, size - (size_t)n, "  test rmse %.6g", r->test_rmse);
        else if (!isnan(r->test_accuracy))
            snprintf(text + n, size - (size_t)n, "  test accuracy %.4f", r->test_accuracy);
        else
            snprintf(text + n, size - (size_t)n, "  test loss %.5f", r->test_loss);
    }
}

ws_err ws_report_step(ws_run *r, int logged)
{
    char text[200];
    ws_err err = WS_OK;

    if (r->comm->rank != 0) {
        if (logged) memset(&r->tally, 0, sizeof r->tally);
        return WS_OK;
    }
    if (!r->opt.quiet) {
        describe(r, text, sizeof text);
        ws_progress_show(&r->progress, r->step, text, logged);
    }
    if (logged && r->metrics) err = put_step(r);
    if (logged) memset(&r->tally, 0, sizeof r->tally);
    return err;
}

ws_err ws_report_end(ws_run *r, const char *status)
{
    ws_metrics *m = r->metrics;

    if (r->comm->rank != 0) return WS_OK;
    ws_progress_stop(&r->progress);
    if (!m) return WS_OK;
    ws_metrics_begin(m, "end");
    ws_metrics_text(m, "status", status);
    ws_metrics_int(m, "step", r->step);
    ws_metrics_real(m, "loss", r->step > 0 || r->newton.stuck ? r->step_loss : NAN);
    ws_metrics_real(m, "accuracy",
                    r->epoch_samples > 0 && r->epoch_correct >= 0
                        ? (double)r->epoch_correct / (double)r->epoch_samples
                        : NAN);
    if (r->opt.verify_index > 0) {
        ws_metrics_int(m, "verified", r->verified);
        ws_metrics_int(m, "missed", r->missed);
    }
    ws_metrics_real(m, "test_accuracy", r->test_accuracy);
    ws_metrics_real(m, "test_loss", r->test_loss);
    ws_metrics_real(m, "test_rmse", r->test_rmse);
    ws_metrics_real(m, "seconds", run_seconds(r, ws_seconds()));
    return ws_metrics_end(m);
}
