/* options.c - the table of every option of `wingspan train`, and the checks that need no data. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "implicit.h"
#include "run.h"

#define F(x) offsetof(ws_train_options, x)

const ws_opt ws_train_table[] = {
    {"data", WS_OPT_STR, F(data), "", "", "Data",
     "data set in HDF5, as `wingspan convert` makes it; required to start", 1},
    {"prepare", WS_OPT_STR, F(prepare), "unit", "none|unit|center-unit|standard-unit", "Data",
     "center or standardise columns, scale samples to norm 1", 0},
    {"samples", WS_OPT_INT, F(samples), "0", "[0,2^31)", "Data",
     "train on the first so many samples; 0: all", 0},

    {"width", WS_OPT_INT, F(width), "65536", "[1,2^40]", "Network",
     "neurons over all ranks; 2^20 and 64k are understood", 0},
    {"activation", WS_OPT_STR, F(activation), "relu", "relu|quadratic|softplus|tanh", "Network",
     "only relu is sparse: the others use every neuron", 0},
    {"shift", WS_OPT_REAL, F(shift), "auto", "auto|[0,40]", "Network",
     "a neuron fires beyond it; in deviations of z. auto: sqrt(0.4 ln m), smooth: 0", 0},
    {"bias", WS_OPT_STR, F(bias), "fixed", "fixed|trained", "Network", "biases start at 0", 0},
    {"output-weights", WS_OPT_STR, F(output_weights), "fixed", "fixed|trained", "Network",
     "output weights start at +-1", 0},
    {"init", WS_OPT_STR, F(init), "gaussian", "gaussian|coupled|structured|structured-coupled",
     "Network",
     "coupled: equal pairs with opposite signs, so that f(x) = 0 at the start; structured: normal"
     " rows too, in blocks that one transform multiplies with a sample, so that a run starts "
     "sooner",
     0},
    {"init-scale", WS_OPT_REAL, F(init_scale), "1", "(0,1e6]", "Network",
     "standard deviation of the first weights", 0},
    {"output-scale", WS_OPT_STR, F(output_scale), "active", "", "Network",
     "active: 1/sqrt(m Q(shift)); theory: 1/sqrt(m); or a number", 0},
    {"precision", WS_OPT_STR, F(precision), "float32", "float32|float64", "Network",
     "of the weights; float64 is for residuals below 1e-6, and takes three times the memory", 0},
    {"weights", WS_OPT_STR, F(weights), "explicit", "explicit|implicit", "Network",
     "implicit: of very wide networks hold only neurons that fire, in float64 (gauss-newton)", 0},

    {"loss", WS_OPT_STR, F(loss), "auto", "auto|squared|logistic|softmax", "Training",
     "auto: logistic for two classes and 0/1 labels, softmax for more, else squared", 0},
    {"optimizer", WS_OPT_STR, F(optimizer), "sgd", "gd|sgd|adam|gauss-newton", "Training",
     "momentum, decay, moments act on a neuron only in a step in which it fires", 0},
    {"rate", WS_OPT_REAL, F(rate), "auto", "auto|lambda-max|theory|(0,inf)", "Training",
     "step size. auto: gd 1/L, sgd (1-momentum)/(L + max|J_i|^2/batch), L = lambda_max of"
     " the Gram matrix; adam 0.1 init-scale/sqrt(d). lambda-max: (1-momentum)/L, gd and sgd. "
     "theory:"
     " l e^(shift^2)/(n s^2 m), l the least eigenvalue of the limiting kernel; gd, squared, relu",
     0},
    {"schedule", WS_OPT_STR, F(schedule), "constant", "constant|step|cosine", "Training",
     "how the rate changes; cosine goes to 0 at the last step", 0},
    {"rate-factor", WS_OPT_REAL, F(rate_factor), "0.5", "(0,1]", "Training",
     "schedule step: multiply the rate by this", 0},
    {"rate-every", WS_OPT_INT, F(rate_every), "1", "[1,2^40]", "Training",
     "schedule step: every so many epochs", 0},
    {"momentum", WS_OPT_REAL, F(momentum), "0", "[0,1)", "Training", "sgd", 0},
    {"weight-decay", WS_OPT_REAL, F(weight_decay), "0", "[0,inf)", "Training",
     "sgd: added to the gradient; adam: decoupled", 0},
    {"beta1", WS_OPT_REAL, F(beta1), "0.9", "[0,1)", "Training", "adam: first moment", 0},
    {"beta2", WS_OPT_REAL, F(beta2), "0.999", "[0,1)", "Training", "adam: second moment", 0},
    {"epsilon", WS_OPT_REAL, F(epsilon), "1e-8", "(0,inf)", "Training", "adam", 0},
    {"ridge", WS_OPT_REAL, F(ridge), "0", "[0,inf)", "Training",
     "penalty L/2 |theta - theta(0)|^2: exact in gauss-newton, else on a neuron when it fires", 0},
    {"damping", WS_OPT_REAL, F(damping), "1e-3", "(0,1e6]", "Training",
     "gauss-newton: at the start, by the mean diagonal of J J'; then as steps succeed", 0},
    {"cg-tolerance", WS_OPT_REAL, F(cg_tolerance), "1e-3", "[1e-12,1)", "Training",
     "gauss-newton, several outputs: relative residual of a step's linear system", 0},
    {"preconditioner", WS_OPT_STR, F(preconditioner), "gram",
     "gram|leverage|countsketch|osnap|srht|tensorsketch|tensorsrht|none", "Training",
     "gauss-newton: the exact matrix that outputs share; a sample or a sketch of 8 n rows; nothing",
     0},
    {"batch", WS_OPT_INT, F(batch), "0", "[0,2^31)", "Training",
     "samples a step; 0: 128 for sgd and adam, all for gd and gauss-newton", 0},
    {"epochs", WS_OPT_INT, F(epochs), "0", "[0,2^40]", "Training",
     "stop after so many epochs from the start; 0: no limit (10 if nothing limits)", 1},
    {"steps", WS_OPT_INT, F(steps), "0", "[0,2^40]", "Training",
     "stop after so many steps from the start; 0: no limit", 1},
    {"target-loss", WS_OPT_REAL, F(target_loss), "auto", "auto|[0,inf)", "Training",
     "stop when the loss of an epoch is at most this; auto: never", 1},
    {"target-accuracy", WS_OPT_REAL, F(target_accuracy), "auto", "auto|[0,1]", "Training",
     "stop when this share of an epoch's samples is right; auto: never", 1},
    {"seed", WS_OPT_INT, F(seed), "1", "[0,2^62]", "Training", "of all random numbers", 0},

    {"index", WS_OPT_STR, F(index), "auto",
     "auto|scan|dtree|wtree|halfspace|certified|quantized|lsh", "Index",
     "how fired neurons are found; all kinds are exact and give the same run, but lsh, which is"
     " approximate: it misses neurons, in tests too, and reports its recall",
     1},
    {"slack", WS_OPT_REAL, F(slack), "auto", "auto|(0,100]", "Index",
     "certified: how far a neuron may move before it is listed again; auto: 1", 1},
    {"lsh-tables", WS_OPT_INT, F(lsh_tables), "50", "[1,4096]", "Index",
     "lsh (approximate): hash tables; more find more and cost more", 1},
    {"lsh-bits", WS_OPT_INT, F(lsh_bits), "6", "[1,12]", "Index",
     "lsh (approximate): random signs a table; fewer find more and cost more", 1},
    {"lsh-every", WS_OPT_INT, F(lsh_every), "50", "[1,2^40]", "Index",
     "lsh (approximate): neurons that moved are hashed again at every so many steps; a run resumed"
     " from another step than these hashes them at once, and goes another way than one not stopped",
     1},
    {"verify-index", WS_OPT_INT, F(verify_index), "0", "[0,2^31)", "Index",
     "check so many queries an epoch against every neuron; a miss ends the run as failed, but of"
     " an approximate index misses are only counted",
     1},

    {"checkpoint", WS_OPT_STR, F(checkpoint), "", "", "Files and limits",
     "write checkpoints to this file, and one at the end", 1},
    {"checkpoint-every", WS_OPT_STR, F(checkpoint_every), "600s", "", "Files and limits",
     "N steps, or seconds as in 600s; 0: only at the end", 1},
    {"checkpoint-dense", WS_OPT_REAL, F(checkpoint_dense), "64GiB", "[0,inf)", "Files and limits",
     "write every row below this size, above it only rows that have moved", 1},
    {"keep", WS_OPT_INT, F(keep), "2", "[1,1000]", "Files and limits",
     "checkpoints to keep: FILE, FILE.1, ...", 1},
    {"resume", WS_OPT_STR, F(resume), "", "", "Files and limits",
     "continue from this checkpoint; auto: from --checkpoint if it is there", 1},
    {"metrics", WS_OPT_STR, F(metrics), "", "", "Files and limits",
     "write JSON Lines here, for `wingspan plot`", 1},
    {"log-every", WS_OPT_INT, F(log_every), "0", "[0,2^40]", "Files and limits",
     "steps between lines; 0: 20 an epoch, one an epoch if it has less than 100 steps", 1},
    {"config", WS_OPT_STR, F(config), "", "", "Files and limits",
     "read options from an ini file first", 1},
    {"dry-run", WS_OPT_FLAG, F(dry_run), "no", "", "Files and limits",
     "check everything, print the plan, and stop", 1},
    {"quiet", WS_OPT_FLAG, F(quiet), "no", "", "Files and limits", "no progress on stderr", 1},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

ws_err ws_train_defaults(ws_train_options *opt)
{
    ws_err err = WS_OK;

    memset(opt, 0, sizeof *opt);
    for (const ws_opt *row = ws_train_table; row->name && !err; row++)
        err = ws_option_set(row, row->standard, opt);
    return err;
}

int ws_is_newton(const ws_train_options *o)
{
    return strcmp(o->optimizer, "gauss-newton") == 0;
}

int ws_is_implicit(const ws_train_options *o)
{
    return strcmp(o->weights, "implicit") == 0;
}

/* What goes with gauss-newton. */
static ws_err check_newton(const ws_train_options *o)
{
    const char *wrong = o->batch > 0                              ? "--batch (it uses all samples)"
                        : !isnan(o->rate)                         ? "--rate (it has --damping)"
                        : strcmp(o->schedule, "constant") != 0    ? "--schedule"
                        : o->weight_decay > 0                     ? "--weight-decay"
                        : strcmp(o->activation, "relu") != 0      ? "a smooth --activation"
                        : strcmp(o->output_weights, "fixed") != 0 ? "--output-weights trained"
                        : strcmp(o->loss, "auto") != 0 && strcmp(o->loss, "squared") != 0
                            ? "a --loss other than squared"
                            : NULL;

    if (!ws_is_newton(o) || !wrong) return WS_OK;
    return ws_fail(WS_ERR_USAGE, "--optimizer gauss-newton does not go with %s", wrong);
}

/* What the words of --rate go with. */
static ws_err check_rate(const ws_train_options *o)
{
    int gd = strcmp(o->optimizer, "gd") == 0, theory = o->rate == WS_RATE_THEORY;
    const char *wrong =
        o->rate == WS_RATE_LAMBDA_MAX && !gd && strcmp(o->optimizer, "sgd") != 0
            ? "--rate lambda-max goes with --optimizer gd or sgd"
        : !theory ? NULL
        : !gd     ? "--rate theory is that of gradient descent on all samples: use --optimizer gd"
        : strcmp(o->activation, "relu") != 0      ? "--rate theory goes with --activation relu"
        : strcmp(o->output_weights, "fixed") != 0 ? "--rate theory goes with --output-weights fixed"
        : strcmp(o->loss, "auto") != 0 && strcmp(o->loss, "squared") != 0
            ? "--rate theory goes with --loss squared"
        : o->ridge > 0 ? "--rate theory is that of a run without --ridge"
                       : NULL;

    return wrong ? ws_fail(WS_ERR_USAGE, "%s", wrong) : WS_OK;
}

ws_err ws_options_check(const ws_train_options *o)
{
    int gd = strcmp(o->optimizer, "gd") == 0, sgd = strcmp(o->optimizer, "sgd") == 0;
    double scale;
    ws_opt number = {.name = "output-scale", .type = WS_OPT_REAL, .range = "(0,inf)"};

    if (!o->data[0])
        return ws_fail(WS_ERR_USAGE, "--data is missing: name the data set to train on");
    if (check_newton(o) || check_rate(o) || ws_implicit_check(o)) return WS_ERR_USAGE;
    if (gd && o->batch > 0)
        return ws_fail(WS_ERR_USAGE,
                       "--batch %lld does not go with --optimizer gd, which uses all samples: "
                       "leave it out or use sgd",
                       (long long)o->batch);
    if (!sgd && o->momentum > 0)
        return ws_fail(WS_ERR_USAGE, "--momentum goes with --optimizer sgd only");
    if (gd && o->weight_decay > 0)
        return ws_fail(WS_ERR_USAGE, "--weight-decay goes with --optimizer sgd or adam");
    if (strcmp(o->output_scale, "active") != 0 && strcmp(o->output_scale, "theory") != 0 &&
        ws_option_set(&number, o->output_scale, &scale))
        return ws_fail(WS_ERR_USAGE,
                       "--output-scale %s is not valid: it must be active, theory or a number "
                       "above 0",
                       o->output_scale);
    return WS_OK;
}
