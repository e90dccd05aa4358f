/* cmd_width.c - wingspan width: the smallest width at which training succeeds.
 *
 * Doubling until enough seeds reach the target, then bisection between the last width that did not
 * and the first that did. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "wingspan/train/train.h"

typedef struct options {
    char data[WS_OPT_TEXT], prepare[WS_OPT_TEXT], init[WS_OPT_TEXT], optimizer[WS_OPT_TEXT];
    char bias[WS_OPT_TEXT], loss[WS_OPT_TEXT], until[WS_OPT_TEXT];
    int64_t samples, from, to, seeds, pass, steps;
    double shift, init_scale, target;
    int bisect, json;
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"data", WS_OPT_STR, F(data), NULL, "", "Training", "data set in HDF5", 0},
    {"prepare", WS_OPT_STR, F(prepare), "unit", "none|unit|center-unit|standard-unit", "Training",
     "as in wingspan train, and so are the next", 0},
    {"samples", WS_OPT_INT, F(samples), "0", "[0,2^31)", "Training", "0: all", 0},
    {"shift", WS_OPT_REAL, F(shift), "0", "auto|[0,40]", "Training", "", 0},
    {"bias", WS_OPT_STR, F(bias), "fixed", "fixed|trained", "Training", "", 0},
    {"init", WS_OPT_STR, F(init), "coupled", "gaussian|coupled|structured|structured-coupled",
     "Training", "", 0},
    {"init-scale", WS_OPT_REAL, F(init_scale), "1", "(0,1e6]", "Training", "", 0},
    {"loss", WS_OPT_STR, F(loss), "squared", "auto|squared|logistic|softmax", "Training", "", 0},
    {"optimizer", WS_OPT_STR, F(optimizer), "gd", "gd|sgd|adam|gauss-newton", "Training", "", 0},
    {"steps", WS_OPT_INT, F(steps), "10000", "[1,2^40]", "Training", "at most", 0},
    {"until", WS_OPT_STR, F(until), "loss", "loss|accuracy", "Search",
     "success: the loss is at most --target, or every training sample is right", 0},
    {"target", WS_OPT_REAL, F(target), "1e-3", "[0,inf)", "Search", "loss to reach", 0},
    {"from", WS_OPT_INT, F(from), "2", "[1,2^40]", "Search", "first width; then its doubles", 0},
    {"to", WS_OPT_INT, F(to), "65536", "[1,2^40]", "Search", "no width above", 0},
    {"seeds", WS_OPT_INT, F(seeds), "5", "[1,1000]", "Search", "runs a width: seeds 1, 2, ...", 0},
    {"pass", WS_OPT_INT, F(pass), "4", "[1,1000]", "Search", "runs that must succeed", 0},
    {"bisect", WS_OPT_FLAG, F(bisect), "no", "", "Search", "search between the last two widths", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "Search", "print one JSON object", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static ws_err options_of(const options *o, int64_t width, int64_t seed, ws_train_options *t)
{
    ws_err err = ws_train_defaults(t);

    if (err) return err;
    snprintf(t->data, sizeof t->data, "%s", o->data);
    snprintf(t->prepare, sizeof t->prepare, "%s", o->prepare);
    snprintf(t->init, sizeof t->init, "%s", o->init);
    snprintf(t->bias, sizeof t->bias, "%s", o->bias);
    snprintf(t->loss, sizeof t->loss, "%s", o->loss);
    snprintf(t->optimizer, sizeof t->optimizer, "%s", o->optimizer);
    t->samples = o->samples;
    t->width = width;
    t->seed = seed;
    t->steps = o->steps;
    t->shift = o->shift;
    t->init_scale = o->init_scale;
    if (strcmp(o->until, "loss") == 0) t->target_loss = o->target;
    t->quiet = 1;
    return WS_OK;
}

/* Runs of this width that succeed.  A run that diverges does not. */
static ws_err successes(const ws_comm *comm, const options *o, int64_t width, int64_t *good)
{
    static ws_train_options t;

    *good = 0;
    for (int64_t seed = 1; seed <= o->seeds; seed++) {
        ws_train_result r;
        ws_err err = ws_agree(comm, options_of(o, width, seed, &t));
        if (err) return err;
        err = ws_train(comm, &t, NULL, &r);
        if (err == WS_ERR_DIVERGED) continue;
        if (err) return err;
        *good += strcmp(o->until, "loss") == 0 ? r.loss <= o->target : r.accuracy == 1;
    }
    if (comm->rank == 0 && !o->json)
        printf("width %10lld  %lld of %lld runs succeed\n", (long long)width, (long long)*good,
               (long long)o->seeds);
    return WS_OK;
}

/* *width = the smallest found; 0 if none up to --to. */
static ws_err search(const ws_comm *comm, const options *o, int64_t *width)
{
    int64_t bad = 0, good = 0, count;
    ws_err err;

    for (int64_t m = o->from; m <= o->to && !good; m *= 2) {
        if ((err = successes(comm, o, m, &count))) return err;
        if (count >= o->pass)
            good = m;
        else
            bad = m;
    }
    while (o->bisect && good && bad && good - bad > 1) {
        int64_t middle = bad + (good - bad) / 2;
        if ((err = successes(comm, o, middle, &count))) return err;
        if (count >= o->pass)
            good = middle;
        else
            bad = middle;
    }
    *width = good;
    return WS_OK;
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    int64_t width = 0;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 0, 0, "", &said, &help);

    if (err || help) return err;
    if (o.pass > o.seeds)
        return ws_fail(WS_ERR_USAGE, "--pass %lld asks for more runs than --seeds %lld makes",
                       (long long)o.pass, (long long)o.seeds);
    if ((err = search(comm, &o, &width)) || comm->rank != 0) return err;
    if (o.json)
        printf("{\"type\":\"width\",\"width\":%lld}\n", (long long)width);
    else if (width)
        printf("smallest width   %lld\n", (long long)width);
    else
        printf("no width up to %lld succeeds\n", (long long)o.to);
    return WS_OK;
}

const ws_command ws_cmd_width = {"width",
                                 "--data FILE [options]",
                                 "search the smallest width at which training succeeds",
                                 rows,
                                 NULL,
                                 run};
