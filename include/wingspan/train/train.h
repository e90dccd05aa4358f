/* train.h - the loop: data -> model -> optimiser -> metrics -> checkpoint.
 *
 * A run is a pure function of its options and its data: the loss curve and all weights have
 * the same bits on any number of ranks, with any exact index, and across stop and restart. */
#ifndef WS_TRAIN_TRAIN_H
#define WS_TRAIN_TRAIN_H

#include <stdint.h>

#include "wingspan/core/err.h"
#include "wingspan/core/options.h"

/* The other words that --rate may be. */
enum ws_rate_word { WS_RATE_LAMBDA_MAX = -1, WS_RATE_THEORY = -2 };

/* Every option of `wingspan train`, resolved or not: rows in ws_train_table. */
typedef struct ws_train_options {
    char data[WS_OPT_TEXT], prepare[WS_OPT_TEXT];
    int64_t samples; /* 0: all */
    int64_t width;
    double shift; /* NaN: auto = sqrt(0.4 ln m) */
    char bias[WS_OPT_TEXT], output_weights[WS_OPT_TEXT], activation[WS_OPT_TEXT];
    char init[WS_OPT_TEXT], output_scale[WS_OPT_TEXT], precision[WS_OPT_TEXT], loss[WS_OPT_TEXT];
    char weights[WS_OPT_TEXT];
    double init_scale;
    char optimizer[WS_OPT_TEXT], schedule[WS_OPT_TEXT];
    double rate; /* NaN: auto; or one of ws_rate_word */
    double momentum, weight_decay, beta1, beta2, epsilon, ridge, rate_factor;
    int64_t rate_every;               /* epochs */
    double damping, cg_tolerance;     /* gauss-newton */
    char preconditioner[WS_OPT_TEXT]; /* gauss-newton */
    int64_t batch;                    /* 0: all */
    int64_t epochs, steps;            /* 0: no such limit */
    double target_loss;               /* NaN: none */
    double target_accuracy;           /* NaN: none */
    char index[WS_OPT_TEXT];
    double slack; /* NaN: auto */
    int64_t lsh_tables, lsh_bits, lsh_every;
    int64_t verify_index; /* queries an epoch */
    int64_t seed;
    char checkpoint[WS_OPT_TEXT], checkpoint_every[WS_OPT_TEXT], resume[WS_OPT_TEXT];
    double checkpoint_dense; /* bytes */
    int64_t keep;
    char metrics[WS_OPT_TEXT];
    int64_t log_every; /* 0: auto */
    char config[WS_OPT_TEXT];
    int dry_run, quiet;
} ws_train_options;

extern const ws_opt ws_train_table[];

typedef struct ws_train_result {
    int64_t step, epoch;
    double loss, accuracy, test_accuracy; /* NaN where it has no meaning */
    double test_rmse;                     /* float targets, in the user's units; NaN otherwise */
    int64_t verified, missed;             /* with verify_index: queries checked, pairs missed */
    double seconds;
    int stopped; /* a signal ended it, after a checkpoint if one was asked for */
} ws_train_result;

/** Train, or resume, as the options say.
 *
 *  Collective over comm; options must be the same on every rank (rank 0 parses, then broadcasts).
 *  Rank 0 writes progress to stderr and the metrics file.
 *
 *  @param given  which options came from the command line (on resume a different value there is
 *                refused unless the option may change); NULL: none
 *  @return agreed: any code; WS_ERR_STOPPED after a stop request
 */
ws_err ws_train(const ws_comm *comm, const ws_train_options *opt, const ws_opt_given *given,
                ws_train_result *result);

/* How far a run moves from where it starts, in the terms of the limiting kernel: H_t is the matrix
 * (<x_i, x_j> [+ 1 with trained biases]) (neurons that fire on both) / m after t steps, the Gram matrix
 * of the derivatives under --output-scale theory.  It is looked at before the first step, after
 * steps 1, 2, 4, 8, ... and at the end. */
typedef struct ws_train_watch {
    int gram;            /* [in] 1: H too; relu, at most 2048 samples */
    double least_wanted; /* [in] no step is taken if the least eigenvalue of H_0 is below it */
    double output;       /* largest |f_0(x_i)| */
    double loss;         /* L_0 */
    double least;        /* eigenvalue of H_0; NaN without gram */
    double drift;        /* largest |H_t - H_0| in the spectral norm, so far; NaN without gram */
    int64_t flips; /* pairs of neuron and sample that fire at the end and did not at the start,
                          * or the other way round; 0 without gram */
} ws_train_watch;

/** Train, and watch.
 *
 *  Collective, as ws_train(); a fresh start only.  The run is the same bit for bit, as far as it goes.
 *  @return agreed: as ws_train(); WS_ERR_USAGE with gram where H has no meaning
 *
 *  Cost: a query of all samples a look; with gram n^2 / 2 counts over the neurons and eigenvalues of
 *  order n. */
ws_err ws_train_watched(const ws_comm *comm, const ws_train_options *opt, ws_train_watch *watch,
                        ws_train_result *result);

/** Ask for a stop at the next step: safe in a signal handler. */
void ws_train_request_stop(void);

/** Fill options with their defaults (for programs that link the library). */
ws_err ws_train_defaults(ws_train_options *opt);

/* ---- a trained network from its checkpoint ---- */
typedef struct ws_predictor ws_predictor;

/** Open a checkpoint for prediction.  Collective.  @return agreed */
ws_err ws_predictor_open(const ws_comm *comm, const char *checkpoint, ws_predictor **out);
void ws_predictor_close(ws_predictor **p);

typedef struct ws_score {
    int64_t n;
    double loss;     /* mean; NaN without labels */
    double accuracy; /* NaN where it has no meaning */
    double rmse;     /* float targets, user's units; NaN otherwise */
} ws_score;

/** Outputs of the network for every sample of a data set (its x; part "train" or "test" of it, or
 *  "all").  Collective.
 *  If out is not empty, rank 0's file is written as pred.h5: /output (n,C) in the user's units,
 *  /class (n) in the labels of the training data.  Labels, where the file has them, give *score. */
ws_err ws_predictor_run(ws_predictor *p, const char *data, const char *part, const char *out,
                        ws_score *score);

#endif
