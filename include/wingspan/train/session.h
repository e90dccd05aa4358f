/* session.h - a training run driven from outside, for programs that measure or watch it.
 *
 *     open -> { steps | test | moved }... -> close
 *
 * A session takes the steps that ws_train() would take with the same options, to the bit.  It writes
 * no metrics and no checkpoint, and the limits of the options only shape the schedule of the rate. */
#ifndef WS_TRAIN_SESSION_H
#define WS_TRAIN_SESSION_H

#include "wingspan/train/train.h"

typedef struct ws_session ws_session;

/* What a run is, once its options are resolved. */
typedef struct ws_session_facts {
    int64_t n, n_test, d, width; /* samples, test samples, columns, neurons over all ranks */
    int32_t outputs;
    int64_t batch, per_epoch; /* samples a step, steps an epoch */
    int packed;               /* 1: products and updates read samples as bytes (core/samples.h) */
    double rate;              /* of the first step */
    const char *index, *loss; /* `loss` is valid while the session is open, `index` always */
    double seconds;           /* of opening: data, network, index, rate */
} ws_session_facts;

/* Sums over the steps asked for. */
typedef struct ws_session_sums {
    int64_t steps, samples;
    double seconds;                               /* by the clock, everything included */
    double query, forward, reduce, update, index; /* seconds of this rank */
    int64_t pairs, rows, candidates;              /* over all ranks: fired pairs, rows fired, ... */
    int64_t relisted, inner_products;
    int64_t bytes_reduced, meetings; /* of a rank */
    int64_t memory;                  /* bytes held over all ranks after the last step, data apart */
    double loss;                     /* mean over the samples */
} ws_session_sums;

/** Set a run up to its first step.
 *
 *  Collective over comm; options must be the same on every rank; comm must outlive the session.
 *  @return agreed: what ws_train() gives before its first step; *out NULL on error */
ws_err ws_session_open(const ws_comm *comm, const ws_train_options *opt, ws_session **out);

/** Not collective. */
ws_session_facts ws_session_about(const ws_session *s);

/** Take k steps of a first-order optimiser.  Collective.
 *  @return agreed: any code of a step; WS_ERR_STOPPED after a stop request */
ws_err ws_session_steps(ws_session *s, int64_t k, ws_session_sums *sums);

/** Call this after every step from now on, on every rank; its seconds count in no sum of
 *  ws_session_steps().  NULL: nothing is called.  Not collective, and `call` must not communicate. */
void ws_session_between(ws_session *s, void (*call)(void *), void *arg);

/** Accuracy on the test samples; NaN without them.  Collective.  @return agreed */
ws_err ws_session_test(ws_session *s, double *accuracy);

/** Median over all neurons of the bound of how far a neuron has moved since its index listed it
 *  (ws_index_moved); NaN where the index keeps none.  Collective: the same on every rank. */
double ws_session_moved(const ws_session *s);

/** Seconds that the products and the update of a step take by themselves, as if an index knew without
 *  effort who fires: the best of three tries on the first batch of the running epoch, the slowest rank.
 *  NaN where samples are sparse, weights implicit or float64, or no step was taken.  After it zeros of
 *  the weights may have lost their sign.  Collective.  @return agreed: WS_ERR_NOMEM
 *  Cost: four steps. */
ws_err ws_session_reach(ws_session *s, double *seconds);

/** Collective; NULL is fine. */
void ws_session_close(ws_session **s);

#endif
