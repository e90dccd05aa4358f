/* optim.h - what a first-order step does with the gradient of a fired neuron.
 *
 * An optimiser is a row of a table.  State (momentum, moments) lies beside the rows it belongs
 * to and is touched only in a step in which the neuron fires; so are weight decay and ridge.
 * A neuron's step depends on that neuron and the reduced gradient alone: no communication. */
#ifndef WS_OPTIM_OPTIM_H
#define WS_OPTIM_OPTIM_H

#include <stdint.h>

#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"
#include "wingspan/model/net.h"

typedef struct ws_optim ws_optim;

typedef struct ws_optim_spec {
    const char *name;             /* "gd", "sgd", "adam" */
    double momentum;              /* sgd: v = momentum v + g; w -= rate v */
    double weight_decay;          /* sgd, adam: adds decay x w to the gradient (adam: decoupled) */
    double beta1, beta2, epsilon; /* adam; moments are bias-corrected by the neuron's own count */
    double ridge; /* penalty ridge/2 ||theta - theta(0)||^2 on every trained parameter */
} ws_optim_spec;

/** Create optimiser state for a shard.
 *  Collective over net's communicator.  net is borrowed for the optimiser's life.
 *  @return agreed: WS_ERR_USAGE, WS_ERR_NOMEM; *out NULL on error */
ws_err ws_optim_create(const ws_optim_spec *spec, ws_net *net, ws_optim **out);
void ws_optim_destroy(ws_optim **o);

/** Bytes of state for n neurons.  Not collective. */
double ws_optim_bytes(const ws_optim_spec *spec, const ws_net_spec *net, int64_t n);

/** Step every neuron of hits: rows, biases and output weights as the network trains them.
 *
 *  Not collective.  The derivative of the batch loss by row r is sum_p coef_p x_p over its fired
 *  samples, added in float64 in the order of hits; ridge and decay are added to it.
 *
 *  @param x      registered samples
 *  @param ids    [batch] registered sample at each position; NULL: 0, 1, ... (moves->ids is it: an index
 *                must be told the registered samples instead)
 *  @param grad   [batch x c] derivative of the mean loss by the outputs
 *  @param rate   step size
 *  @param moves  [out] what the index must be told; points into hits and into the optimiser,
 *                valid until the next call
 *  @return local: WS_ERR_NOMEM, WS_ERR_DIVERGED (a weight is no longer finite)
 *
 *  Cost: hits->n x d multiply-adds, each row of hits read and written once.
 */
ws_err ws_optim_step(ws_optim *o, const ws_hits *hits, const ws_samples *x, const int64_t *ids,
                     const double *grad, double rate, ws_moves *moves);

/** The penalty's share of this rank as one exact sum at scale 2^*e: kept up to date by the steps,
 *  integers, so it does not depend on history or ranks.  Zero without ridge.  Not collective. */
ws_exact_limbs ws_optim_penalty(const ws_optim *o);

/** Scale of ws_optim_penalty: value = ws_exact_value(hi, lo, e) is sum ||theta - theta(0)||^2. */
int ws_optim_penalty_exponent(const ws_optim *o);

/* One array of state, for checkpoints: rows of this rank's neurons in order. */
typedef struct ws_optim_array {
    const char *name; /* "momentum_w", "moment1_w", "count", ... */
    int type;         /* 0 float32, 1 int64 */
    int64_t cols;
    void *data; /* [n x cols], owned by the optimiser; may be written on restart */
} ws_optim_array;

/** The state arrays; *count of them.  Not collective.  After writing to them (and to the net)
 *  call ws_optim_restored(). */
const ws_optim_array *ws_optim_arrays(const ws_optim *o, int *count);
ws_err ws_optim_restored(ws_optim *o);

/* ---- schedules ---- */
typedef struct ws_schedule {
    const char *name; /* "constant", "step", "cosine" */
    double rate;      /* at the start */
    int64_t total;    /* steps of the whole run, for cosine */
    int64_t every;    /* step: multiply by factor every so many steps */
    double factor;
} ws_schedule;

/** The rate of step k = 0, 1, ... : rate;  rate factor^(k / every);  rate (1 + cos(pi k / total)) / 2.
 *  Not collective; same bits everywhere. */
double ws_schedule_rate(const ws_schedule *s, int64_t k);

#endif
