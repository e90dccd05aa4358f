/* implicit.h - --weights implicit in the loop: what takes the place of network rows and index.
 *
 * r->net is then a network without rows, r->implicit holds those that fire, and the steps of
 * newton.c go their way through the table ws_implicit_ways. Everything else (options, data, loss,
 * metrics, checkpoint files, signals) is the loop's. */
#ifndef WS_TRAIN_IMPLICIT_H
#define WS_TRAIN_IMPLICIT_H

#include "run.h"
#include "wingspan/model/implicit.h"
#include "wingspan/optim/implicit_newton.h"

struct ws_implicit_run {
    ws_implicit *im;
    ws_implicit_newton *system;
    double *z;             /* [n x c] the step that the next pass takes */
    int stepping;          /* is there one? */
    ws_implicit_sums sums; /* of the last listing or pass, in r->meet */
    int fresh;             /* they are of the listing, and no pass is needed */
    int listed;            /* the held neurons are all that fire: else a stop came in the listing */
    int64_t counts;        /* plain counts before the pairs in the last meeting */
    int64_t *place;        /* [places] hi, lo and pairs over all ranks, where the run stands */
    int64_t places;
    int placed;   /* they are known */
    int restored; /* they are a checkpoint's: no pass is needed to know them */
};

/* implicit.c */

/** Does --weights implicit go with the other options?  Not collective; local: WS_ERR_USAGE. */
ws_err ws_implicit_check(const ws_train_options *o);

/** Prepare, resume from c or list the neurons that fire.  Collective; agreed.  A stop request in the
 *  listing leaves r->stop set. */
ws_err ws_implicit_begin(ws_run *r, ws_ckpt *c);
void ws_implicit_end(ws_run *r); /* collective; NULL is fine */

/** Outputs on samples first .. first + n - 1 of all.  Collective.  @return agreed */
ws_err ws_implicit_outputs(ws_implicit *im, const ws_net *net, const ws_samples *all, int64_t first,
                           int64_t n, ws_meeting *meet, ws_err err, double *out);

/* implicit_file.c - /model of a checkpoint, form "implicit":
 *   alpha_x (n,d)     the training samples, prepared
 *   alpha_neuron (k)  held neurons, ascending
 *   alpha_count (k)   how many displacements of each; their samples and values one after the other:
 *   alpha_sample (p), alpha_value (p) float64
 *   alpha_sums        what they give, summed over all ranks: high and low words of the exact outputs
 *                     (n c each), then how many fire on both of two samples, as ws_implicit_sums;
 *                     a file without it costs a pass on resume
 * counts and samples are uint8 where they fit, else int32. */

/** Is a checkpoint of this form?  Collective. */
int ws_implicit_is_form(ws_ckpt *c);

/** Are the lengths of its arrays such as they can be, with d columns (0: not known yet)?  Before
 *  memory for them is asked for.  Collective; agreed: WS_ERR_DATA */
ws_err ws_implicit_sizes(ws_ckpt *c, int64_t d);

/** Bytes of it over all ranks.  Collective. */
double ws_implicit_file_bytes(const ws_run *r);
ws_err ws_implicit_put(ws_ckpt_writer *w, const ws_run *r); /* collective; agreed */

/** Fill an empty im of n samples; *listed as the file has it.  Collective.
 *  @return agreed: WS_ERR_DATA, WS_ERR_NOMEM */
ws_err ws_implicit_get(ws_ckpt *c, const ws_net *net, ws_implicit *im, int64_t n, int *listed);

/** Read alpha_sums; *found says whether the file has them.  Collective.  @return agreed: WS_ERR_DATA */
ws_err ws_implicit_get_sums(ws_ckpt *c, int64_t places, int64_t *place, int *found);

/* A network for prediction. */
typedef struct ws_implicit_model {
    ws_net *net;
    ws_implicit *im;
    float *x; /* [n x d] */
} ws_implicit_model;

/** Read one.  Collective; agreed.  Close it in any case. */
ws_err ws_implicit_model_open(ws_ckpt *c, const ws_comm *comm, ws_implicit_model *m);
void ws_implicit_model_close(ws_implicit_model *m);

/** All its rows, written out in float32, if they are not too many.  Collective.
 *  @return agreed: WS_ERR_USAGE, and as above; *net NULL on error */
ws_err ws_implicit_rows(ws_ckpt *c, const ws_comm *comm, ws_net **net);

#endif
