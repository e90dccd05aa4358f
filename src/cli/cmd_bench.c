/* cmd_bench.c - wingspan bench: which measurement. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define F(x) offsetof(ws_bench_options, x)

static const ws_opt rows[] = {
    {"kind", WS_OPT_STR, F(kind), "", "", "Options",
     "which index: index and work take several, as dtree,scan; index, work: scan, step: auto", 0},
    {"width", WS_OPT_STR, F(width), "65536", "", "Options",
     "neurons over all ranks, or a range in powers of two as in 2^12..2^16", 0},
    {"dim", WS_OPT_INT, F(dim), "784", "[1,1000000]", "Options",
     "length of a random sample; work: 8 unless given", 0},
    {"samples", WS_OPT_INT, F(samples), "1024", "[0,2^31)", "Options",
     "random samples; work: 8 unless given. With --data: its first so many, 0 or not given: all",
     0},
    {"shift", WS_OPT_REAL, F(shift), "auto", "auto|[0,40]", "Options",
     "threshold; auto: sqrt(0.4 ln m)", 0},
    {"batch", WS_OPT_INT, F(batch), "1024", "[0,2^31)", "Options",
     "samples a query or a step, 0: all; step, dense: 128 unless given", 0},
    {"steps", WS_OPT_INT, F(steps), "0", "[0,100000]", "Options",
     "steps timed, 0: work 5, step an epoch or more, dense 20, newton 3", 0},
    {"seed", WS_OPT_INT, F(seed), "1", "[0,2^62]", "Options", "of all random numbers", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "Options", "print one JSON object, for wingspan plot",
     0},
    {"updates", WS_OPT_REAL, F(updates), "auto", "auto|[0,1e15]", "bench index",
     "neurons moved in a step, over all ranks; auto: every neuron that fires", 0},
    {"slack", WS_OPT_REAL, F(slack), "0.5", "(0,100]", "bench start", "of the lists, as in train",
     0},
    {"seeds", WS_OPT_INT, F(seeds), "16", "[1,100000]", "bench overlap", "networks of each kind",
     0},
    {"data", WS_OPT_STR, F(data), "", "", "bench step, dense, newton, start, overlap",
     "data set in HDF5; random samples with random targets unless given", 0},
    {"prepare", WS_OPT_STR, F(prepare), "center-unit", "none|unit|center-unit|standard-unit",
     "bench step, dense, newton, start, overlap", "as in train", 0},
    {"loss", WS_OPT_STR, F(loss), "auto", "auto|squared|logistic|softmax",
     "bench step, bench dense", "as in train", 0},
    {"rate", WS_OPT_REAL, F(rate), "auto", "auto|(0,inf)", "bench step, bench dense",
     "step size; auto: step as in train, dense 1", 0},
    {"schedule", WS_OPT_STR, F(schedule), "constant", "constant|step|cosine", "bench step",
     "as in train, over --epochs", 0},
    {"epochs", WS_OPT_INT, F(epochs), "6", "[2,1000]", "bench step",
     "of the run of which the second epoch is timed", 0},
    {"finish", WS_OPT_FLAG, F(finish), "no", "", "bench step",
     "go on to the end of the run, with a test after every epoch", 0},
    {"with", WS_OPT_STR, F(with), "", "", "bench step",
     "more options of train: NAME=VALUE,... as in momentum=0.9,slack=1", 0},
    {"whole", WS_OPT_FLAG, F(whole), "no", "", "bench newton",
     "take the whole dense step, not one product of it times the iterations", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

/* Which options a bench takes, and what it does unless told otherwise. */
static const struct bench {
    const char *name;
    ws_err (*run)(const ws_comm *comm, const ws_bench_options *o);
    const char *takes, *kind;
    int64_t dim, samples, batch, steps;
} benches[] = {
    {"index", ws_bench_index, " kind width dim samples shift batch seed json updates ", "scan", 784,
     1024, 1024, 0},
    {"work", ws_bench_work, " kind width dim samples shift steps seed json ", "scan", 8, 8, 0, 5},
    {"step", ws_bench_step,
     " kind width dim samples shift batch steps seed json data prepare loss rate schedule epochs "
     "finish with ",
     "auto", 784, 1024, 128, 0},
    {"dense", ws_bench_dense,
     " width dim samples shift batch steps seed json data prepare loss rate ", "", 784, 1024, 128,
     20},
    {"newton", ws_bench_newton, " kind width dim samples shift steps seed json data prepare whole ",
     "auto", 784, 1024, 0, 3},
    {"start", ws_bench_start, " width dim samples shift seed json data prepare slack ", "", 784,
     2048, 0, 0},
    {"overlap", ws_bench_overlap, " width dim samples shift seed seeds json data prepare ", "", 784,
     128, 0, 0},
};

static int was_given(const ws_said *said, const char *name)
{
    for (int i = 0; rows[i].name; i++)
        if (strcmp(rows[i].name, name) == 0) return said->given.from[i] != 0;
    return 0;
}

static ws_err check_given(const struct bench *b, const ws_said *said, const ws_bench_options *o)
{
    for (int i = 0; rows[i].name; i++) {
        char word[40];

        snprintf(word, sizeof word, " %s ", rows[i].name);
        if (said->given.from[i] && !strstr(b->takes, word))
            return ws_fail(WS_ERR_USAGE, "--%s does nothing in bench %s: leave it out",
                           rows[i].name, b->name);
    }
    if (was_given(said, "data") && was_given(said, "dim"))
        return ws_fail(WS_ERR_USAGE, "--dim is of random samples: leave it out with --data");
    if (!was_given(said, "data") && o->samples == 0)
        return ws_fail(WS_ERR_USAGE, "--samples 0 is all of --data: give a number, or the data");
    return WS_OK;
}

static void set_defaults(const struct bench *b, const ws_said *said, ws_bench_options *o)
{
    if (!o->kind[0]) snprintf(o->kind, sizeof o->kind, "%s", b->kind);
    if (!was_given(said, "dim")) o->dim = b->dim;
    if (!was_given(said, "samples")) o->samples = o->data[0] ? 0 : b->samples;
    if (!was_given(said, "batch")) o->batch = b->batch;
    if (o->steps == 0) o->steps = b->steps;
    if (o->batch == 0 && strcmp(b->name, "index") == 0) o->batch = o->samples;
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static ws_bench_options o;
    static ws_said said;
    int help;
    ws_err err =
        ws_parse(comm, c, argc, argv, &o, sizeof o, 1, 1,
                 "a measurement: index, work, step, dense, newton, start or overlap", &said, &help);

    if (err || help) return err;
    for (size_t k = 0; k < sizeof benches / sizeof *benches; k++) {
        if (strcmp(said.word[0], benches[k].name) != 0) continue;
        if ((err = check_given(&benches[k], &said, &o))) return err; /* the same on every rank */
        set_defaults(&benches[k], &said, &o);
        return benches[k].run(comm, &o);
    }
    return ws_fail(WS_ERR_USAGE,
                   "there is no bench %.60s: use wingspan bench index, work, step, dense, newton, "
                   "start or overlap",
                   said.word[0]);
}

const ws_command ws_cmd_bench = {
    "bench",
    "index|work|step|dense|newton|start|overlap [options]",
    "measure indexes and training steps on this machine",
    rows,
    "bench index: build, query and update an index on Gaussian rows, compared with scan.\n"
    "bench work: what full gd steps of a two-layer network count. Exponents are in the width.\n"
    "bench step: seconds of training steps by stage, and the least that the machine would need.\n"
    "bench dense: the same network trained by dense products.\n"
    "bench newton: seconds of gauss-newton steps by part, beside one done by dense products.\n"
    "bench start: listing who fires at a structured start, beside sgemm of the same products.\n"
    "bench overlap: fired sets against their limit, of independent rows and of rows in blocks.\n",
    run};
