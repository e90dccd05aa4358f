/* run.h - everything a training run holds, and the stages that work on it.
 *
 *   options -> setup (data, network, optimiser, index) -> [resume] -> rate -> loop of steps
 *   a step: query -> forward -> one meeting of all ranks -> loss -> update -> tell the index
 *
 * A failure of local work after the meeting is kept in `pending` and rides in the next one. */
#ifndef WS_TRAIN_RUN_H
#define WS_TRAIN_RUN_H

#include "wingspan/core/exact.h"
#include "wingspan/core/metrics.h"
#include "wingspan/core/progress.h"
#include "wingspan/index/index.h"
#include "wingspan/io/checkpoint.h"
#include "wingspan/io/dataset.h"
#include "wingspan/model/loss.h"
#include "wingspan/model/net.h"
#include "wingspan/optim/newton.h"
#include "wingspan/optim/optim.h"
#include "wingspan/train/train.h"

/* Plain counts that ride in a step's meeting, added over ranks. */
enum {
    COUNT_ACTIVE,     /* fired pairs */
    COUNT_UNION,      /* neurons that fired on something */
    COUNT_CANDIDATES, /* pairs handed to the exact routine */
    COUNT_PRODUCTS,   /* inner products */
    COUNT_VISITS,     /* tree nodes */
    COUNT_WRITES,     /* leaves or list entries */
    COUNT_RELISTED,   /* neurons listed again */
    COUNT_CHECKED,    /* approximate index: fired pairs that were also scanned for */
    COUNT_FOUND,      /* and those of them that it found */
    COUNT_FLIPS,      /* pairs that changed since the step before (full batch only) */
    COUNT_MEMORY,     /* bytes held, data apart */
    COUNT_STOP,       /* ranks that were asked to stop */
    COUNT_SAVE,       /* rank 0: a checkpoint is due by the clock */
    COUNT_VERIFIED,   /* rank 0: samples whose answer every rank has checked */
    COUNT_MISSED,     /* those of them that an approximate index missed */
    COUNTS
};

enum { HISTORY = 100000 }; /* values of the loss kept */

/* What was measured since the last line of metrics, and the values of the last step. */
typedef struct ws_tally {
    double query, forward, reduce, update, solve, index, checkpoint, verify; /* seconds */
    int64_t steps;
    int64_t count[COUNTS]; /* of the last step */
    int64_t bytes, meetings;
} ws_tally;

/* What a float64 network keeps of a query beside its hits; {0} to start, empty in a float32 one. */
typedef struct ws_filter {
    double *z; /* [pairs] z of the float32 rows, as the index gave it */
    int64_t *id;
    double *fresh;
    int64_t z_capacity, id_capacity, fresh_capacity;
} ws_filter;
/* How a Gauss-Newton step is taken, for explicit and implicit weights (newton.c, implicit.c). */
struct ws_run;
typedef struct ws_newton_ways {
    /* stages 1 to 4 of step.c, at the place where the last move led */
    ws_err (*evaluate)(struct ws_run *r, const int64_t *ids, int64_t n, int64_t k);
    void (*settle)(struct ws_run *r); /* the run stays there; local */
    ws_err (*linearise)(struct ws_run *r);
    ws_err (*solve)(struct ws_run *r, double damping, ws_newton_step *s);
    void (*move)(struct ws_run *r); /* take the last solution, or put it back; local */
    void (*move_back)(struct ws_run *r);
} ws_newton_ways;

extern const ws_newton_ways ws_implicit_ways;

/* The samples of a batch, side by side; {0} to start (near.c). */
typedef struct ws_near {
    ws_samples x;  /* n = 0: they are not copied */
    float *row;    /* [n x d], or */
    uint8_t *byte; /* [n x d] with */
    float *scale;  /* [n] */
    double *norm;  /* [n] */
    int64_t row_capacity, byte_capacity, scale_capacity, norm_capacity;
} ws_near;

typedef struct ws_watcher ws_watcher; /* watch.c */

typedef struct ws_run {
    const ws_comm *comm;
    ws_watcher *watcher;  /* NULL: nobody watches */
    ws_train_options opt; /* resolved: no auto left, but for index */
    ws_dataset *ds;
    ws_targets targets;
    const ws_loss *loss;
    ws_net *net;
    ws_optim *optim;
    ws_index *ix;
    const char *index_kind;
    char index_reason[200];
    double spread; /* standard deviation of z at the start */
    double rate;   /* first step's */
    double lambda; /* largest eigenvalue behind --rate auto; NaN if a rate was given */
    int64_t batch, per_epoch, total; /* samples a step, steps an epoch, steps in all */

    int64_t step;        /* steps done; epoch and position follow from it */
    int64_t order_epoch; /* the epoch that order is of; -1: none yet */
    int64_t *order;      /* [n] order of the samples in this epoch */
    int64_t *test;       /* [n_test] n, n + 1, ... */

    ws_hits hits;
    ws_filter filter; /* of hits */
    ws_near near;     /* the batch of this step */
    ws_meeting meet;
    double *out, *grad; /* [room x c] */
    int64_t room;       /* samples out and grad have room for */
    ws_err pending;
    ws_index_counts counted;
    struct {
        int64_t rows, n, row_capacity, first_capacity, capacity;
        int64_t *row, *first;
        int32_t *pos;
    } before;               /* full batch: who fired in the step before */
    int64_t checked, found; /* COUNT_CHECKED, COUNT_FOUND of all steps of this run */
    struct {
        int32_t *pos; /* [n] positions in the batch, ascending */
        int64_t capacity, n, queries, missed;
    } check;                  /* of this step on this rank (verify.c) */
    int64_t verified, missed; /* since the program began, over all ranks */
    int64_t dead;             /* samples of epoch 0 on which nothing fired */
    int stop, save;           /* what the last meeting said */

    struct ws_implicit_run *implicit; /* --weights implicit (implicit.h); NULL: net has its rows */
    struct {
        const ws_newton_ways *ways; /* NULL: a first-order optimiser */
        ws_newton *nt;              /* of explicit weights */
        int known;                  /* what follows is of the network as it is */
        ws_hits hits;               /* who fires */
        ws_filter filter;           /* of hits */
        double *residual;           /* [n x c] f - y */
        double loss, error;         /* penalty included; |residual|^2 */
        double penalty;             /* |theta - theta(0)|^2 */
        double base;                /* loss of outputs 0 */
        int64_t correct;            /* as step_correct */
        double damping;             /* of the next step: the only state that a checkpoint holds */
        double contraction;         /* |residual| after the last step by before */
        int iterations;             /* of conjugate gradients in the last step */
        int stuck;                  /* no step lowers the loss any more: the run ends */

        ws_newton_seconds told; /* at the last line of metrics */
    } newton;

    double step_loss; /* last batch, penalty included */
    double step_penalty;
    int64_t step_correct, step_samples;
    double epoch_loss; /* sums over the running epoch */
    int64_t epoch_samples, epoch_correct;
    double test_loss, test_accuracy, test_rmse;
    int64_t tested_at; /* step of the last test; -1 never */
    double *history;   /* [<= HISTORY] loss every `stride` steps */
    int64_t history_n, history_stride;

    ws_tally tally;
    double seconds_before; /* of earlier runs this one resumes */
    double started;
    ws_metrics *metrics; /* rank 0 */
    ws_progress progress;
    double saved_at; /* clock of the last checkpoint */
    int64_t saved_step;
    int64_t save_steps;  /* --checkpoint-every N; 0: by seconds */
    double save_seconds; /* --checkpoint-every Ns; 0: by steps */
} ws_run;

static inline int64_t run_epoch(const ws_run *r)
{
    return r->step / r->per_epoch;
}

static inline double run_seconds(const ws_run *r, double now)
{
    return r->seconds_before + now - r->started;
}

/* session.c: the run of a session; local */
struct ws_session;
ws_run *ws_session_run(struct ws_session *s);

/* options.c - local */
ws_err ws_options_check(const ws_train_options *o);

/** Copy the samples of a batch of n out of n_all, where that pays, packed ones without float32 rows.
 *  Not collective.  @return local: WS_ERR_NOMEM */
ws_err ws_near_gather(ws_near *g, const ws_samples *all, const int64_t *ids, int64_t n,
                      int64_t n_all);
void ws_near_free(ws_near *g);

/** Are n packed samples of length d copied as differences too?  Not collective. */
int ws_near_apart(int64_t n, int64_t d);

/** Bytes of such a copy of n of n_all samples of length d; 0: there will be none. */
int64_t ws_near_bytes(int64_t n, int64_t n_all, int64_t d, int packed);

/* setup.c - collective */
ws_err ws_run_data(ws_run *r, const ws_preparation *stored);
ws_err ws_run_resolve(ws_run *r);
ws_err ws_run_network(ws_run *r);
ws_err ws_run_try_index(ws_run *r); /* auto: where the choice is close, by time */
ws_err ws_run_index(ws_run *r);
ws_net_spec ws_run_spec(const ws_run *r);
ws_optim_spec ws_run_optim(const ws_run *r);
ws_index_plan ws_run_index_plan(const ws_run *r);
ws_err ws_run_room(ws_run *r, int64_t samples); /* local */
void ws_run_free(ws_run *r);                    /* collective: frees shared windows */

/* loop.c - collective: what comes before the first step; *c: what is resumed, or NULL */
ws_err ws_run_set_up(ws_run *r, const ws_opt_given *given, ws_ckpt **c);
ws_err ws_run_begin(ws_run *r, ws_ckpt *c);

/* rate.c - collective */
ws_err ws_run_rate(ws_run *r);

/* step.c - collective */
ws_err ws_run_step(ws_run *r);
ws_err ws_step_evaluate(ws_run *r, const int64_t *ids, int64_t n, int64_t k); /* stages 1 to 4 */
void ws_step_count(ws_run *r, int64_t n, int64_t k);                          /* local */
void ws_step_dead(ws_run *r, int64_t k);                                      /* local */
void ws_step_wishes(const ws_run *r, int64_t *count); /* local: memory, stop, save */
/* The loss of the outputs in r->out, the same on every rank.  Local. */
ws_err ws_step_loss(ws_run *r, const int64_t *ids, int64_t n, double penalty);
int ws_stop_asked(void);       /* local: has this process had a signal? */
void ws_run_forget_stop(void); /* a request is good for one run */

/* newton.c - collective */
ws_newton_spec ws_newton_of(const ws_run *r); /* local */
ws_err ws_newton_setup(ws_run *r);
ws_err ws_run_newton(ws_run *r, const int64_t *ids, int64_t n);
int ws_is_newton(const ws_train_options *o);   /* local */
int ws_is_implicit(const ws_train_options *o); /* local */

/* filter.c - local: who fires in either precision; the threshold an index is built for; moves of a
 * step on these hits as the index must be told them; ws_index_verify() by the float64 weights */
ws_err ws_fired(ws_net *net, ws_index *ix, const ws_samples *registered, const ws_query *q,
                ws_filter *f, ws_hits *hits);
double ws_fired_threshold(const ws_net *net);
void ws_filter_moves(const ws_net *net, const ws_filter *f, ws_moves *moves);
ws_err ws_fired_verify(const ws_net *net, const ws_index *ix, const ws_samples *registered,
                       const ws_query *q, const ws_hits *hits, const int32_t *pos, int64_t k,
                       ws_difference *d);
void ws_filter_free(ws_filter *f);

/* watch.c - collective; nothing happens where nobody watches */
ws_err ws_watch_begin(ws_run *r, ws_train_watch *out);
ws_err ws_watch_start(ws_run *r);         /* before the first step */
ws_err ws_watch_look(ws_run *r, int end); /* after a step; at the end */
int ws_watch_over(const ws_run *r);       /* local: seen enough */
void ws_watch_free(ws_run *r);

/* evaluate.c - collective: the registered test samples, or any others */
ws_err ws_run_test(ws_run *r);
ws_err ws_outputs(ws_net *net, ws_index *ix, const ws_samples *registered, const ws_query *q,
                  ws_filter *f, ws_hits *hits, ws_meeting *meet, ws_err err, double *out);

/* verify.c - local: WS_ERR_INEXACT if the answer in r->hits is not the right one, WS_ERR_NOMEM */
ws_err ws_run_verify(ws_run *r, const ws_query *q);
void ws_run_count_missed(ws_run *r); /* collective: after a step that ended in WS_ERR_INEXACT */

/* save.c, resume.c - collective */
ws_err ws_run_save(ws_run *r);
ws_err ws_resume_options(ws_ckpt *c, ws_train_options *o, const ws_opt_given *given);
ws_err ws_resume_preparation(ws_ckpt *c, const ws_comm *comm, ws_preparation *p);
ws_err ws_resume_data_matches(ws_ckpt *c, const ws_dataset *ds);
ws_err ws_resume_state(ws_ckpt *c, ws_run *r);

/* plan.c - what a run will need */
typedef struct ws_plan {
    double data, weights, optimiser, index, pairs, exchange, base; /* bytes on the largest rank */
    double total;  /* over all ranks, data once a node */
    int64_t nodes; /* copies of the data */
    double active; /* neurons a sample */
} ws_plan;
ws_err ws_run_plan(const ws_run *r, ws_plan *p); /* collective */
void ws_plan_print(const ws_run *r, const ws_plan *p);

/* report.c - rank 0 writes, all may call */
ws_err ws_report_open(ws_run *r);
ws_err ws_report_step(ws_run *r, int logged);
ws_err ws_report_end(ws_run *r, const char *status);

#endif
