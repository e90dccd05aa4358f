/* session.c - a run driven from outside: the stages of ws_train(), one call each. */
#include "wingspan/train/session.h"

#include <math.h>
#include <string.h>

#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"

struct ws_session {
    ws_run run;
    double opened; /* seconds it took */
    void (*between)(void *);
    void *between_arg;
};

ws_err ws_session_open(const ws_comm *comm, const ws_train_options *opt, ws_session **out)
{
    ws_session *s = NULL;
    ws_ckpt *none = NULL;
    ws_err err;

    *out = NULL;
    if (opt->resume[0] || opt->checkpoint[0] || opt->metrics[0] || ws_is_newton(opt))
        return ws_fail(WS_ERR_USAGE, "a session takes no files and no gauss-newton");
    if ((err = ws_agree(comm, ws_alloc(&s, 1, sizeof *s, "run")))) return err;
    s->run.comm = comm;
    s->run.opt = *opt;
    s->run.started = ws_seconds();
    err = ws_run_set_up(&s->run, NULL, &none);
    if (!err) err = ws_run_begin(&s->run, NULL);
    if (err) {
        ws_session_close(&s);
        return err; /* agreed */
    }
    s->opened = ws_seconds() - s->run.started;
    *out = s;
    return WS_OK;
}

ws_run *ws_session_run(ws_session *s)
{
    return &s->run;
}

ws_session_facts ws_session_about(const ws_session *s)
{
    const ws_run *r = &s->run;

    return (ws_session_facts){.n = r->ds->n,
                              .packed = ws_samples_packed(&r->ds->all) &&
                                        !(r->batch < r->ds->n && ws_near_apart(r->batch, r->ds->d)),
                              .n_test = r->ds->n_test,
                              .d = r->ds->d,
                              .width = r->net->spec.m,
                              .outputs = r->targets.c,
                              .batch = r->batch,
                              .per_epoch = r->per_epoch,
                              .rate = r->rate,
                              .index = ws_index_title(r->index_kind),
                              .loss = r->opt.loss,
                              .seconds = s->opened};
}

/* The tally's counts are those of the last step. */
static void add_step(const ws_run *r, ws_session_sums *sums)
{
    const int64_t *count = r->tally.count;

    sums->steps++;
    sums->samples += r->step_samples;
    sums->loss += r->step_loss * (double)r->step_samples;
    sums->pairs += count[COUNT_ACTIVE];
    sums->rows += count[COUNT_UNION];
    sums->candidates += count[COUNT_CANDIDATES];
    sums->relisted += count[COUNT_RELISTED];
    sums->inner_products += count[COUNT_PRODUCTS];
    sums->memory = count[COUNT_MEMORY];
}

static void add_seconds(const ws_tally *t, ws_session_sums *sums)
{
    sums->query = t->query;
    sums->forward = t->forward;
    sums->reduce = t->reduce;
    sums->update = t->update;
    sums->index = t->index;
    sums->bytes_reduced = t->bytes;
    sums->meetings = t->meetings;
}

void ws_session_between(ws_session *s, void (*call)(void *), void *arg)
{
    s->between = call;
    s->between_arg = arg;
}

/* Returns the seconds that it took. */
static double call_between(const ws_session *s)
{
    double start = ws_seconds();

    if (!s->between) return 0;
    s->between(s->between_arg);
    return ws_seconds() - start;
}

ws_err ws_session_steps(ws_session *s, int64_t k, ws_session_sums *sums)
{
    ws_run *r = &s->run;
    double start = ws_seconds(), apart = 0;
    ws_err err = WS_OK;

    memset(sums, 0, sizeof *sums);
    memset(&r->tally, 0, sizeof r->tally);
    for (int64_t i = 0; i < k && !err && !r->stop; i++) {
        if ((err = ws_run_step(r))) break;
        add_step(r, sums);
        apart += call_between(s);
    }
    if (!err) err = ws_agree(r->comm, r->pending);
    if (err) return err;
    sums->seconds = ws_seconds() - start - apart;
    sums->loss /= (double)sums->samples;
    add_seconds(&r->tally, sums);
    return r->stop ? WS_ERR_STOPPED : WS_OK;
}

ws_err ws_session_test(ws_session *s, double *accuracy)
{
    ws_err err = ws_run_test(&s->run);

    *accuracy = s->run.test_accuracy;
    return err;
}

/* Neurons here that have moved at most this far. */
static int64_t count_within(const ws_run *r, double far)
{
    int64_t k = 0;

    for (int64_t i = 0; i < r->net->n; i++) k += ws_index_moved(r->ix, i) <= far;
    return k;
}

double ws_session_moved(const ws_session *s)
{
    const ws_run *r = &s->run;
    double low = 0, high = 0, most = 0;
    int64_t known = 0;

    for (int64_t i = 0; i < r->net->n; i++) {
        double u = ws_index_moved(r->ix, i);

        known += !isnan(u);
        if (u > most) most = u;
    }
    MPI_Allreduce(&most, &high, 1, MPI_DOUBLE, MPI_MAX, r->comm->mpi);
    MPI_Allreduce(MPI_IN_PLACE, &known, 1, MPI_INT64_T, MPI_SUM, r->comm->mpi);
    if (known == 0) return NAN;
    /* Halve the interval until it no longer matters. */
    for (int k = 0; k < 24; k++) {
        double middle = (low + high) / 2;
        int64_t within = count_within(r, middle);

        MPI_Allreduce(MPI_IN_PLACE, &within, 1, MPI_INT64_T, MPI_SUM, r->comm->mpi);
        if (2 * within >= known)
            high = middle;
        else
            low = middle;
    }
    return high;
}

void ws_session_close(ws_session **s)
{
    if (!*s) return;
    ws_run_free(&(*s)->run);
    ws_run_forget_stop();
    ws_free(s);
}
