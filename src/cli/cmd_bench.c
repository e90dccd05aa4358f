/* cmd_bench.c - wingspan bench: which measurement. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define F(x) offsetof(ws_bench_options, x)

static const ws_opt rows[] = {
    {"kind", WS_OPT_STR, F(kind), "scan", "", "Options",
     "which index, or several as in dtree,scan; a name that is none lists those there are", 0},
    {"width", WS_OPT_STR, F(width), "65536", "", "Options",
     "neurons over all ranks, or a range in powers of two as in 2^12..2^16", 0},
    {"dim", WS_OPT_INT, F(dim), "784", "[1,1000000]", "Options",
     "length of a sample; work: 8 unless given", 0},
    {"samples", WS_OPT_INT, F(samples), "1024", "[1,1000000]", "Options",
     "random samples of norm 1; work: 8 unless given", 0},
    {"shift", WS_OPT_REAL, F(shift), "auto", "auto|[0,40]", "Options",
     "threshold; auto: sqrt(0.4 ln m)", 0},
    {"seed", WS_OPT_INT, F(seed), "1", "[0,2^62]", "Options", "of all random numbers", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "Options", "print one JSON object, for wingspan plot",
     0},
    {"batch", WS_OPT_INT, F(batch), "1024", "[1,1000000]", "bench index",
     "samples a query; the seconds are the mean over queries of all the samples", 0},
    {"updates", WS_OPT_REAL, F(updates), "auto", "auto|[0,1e15]", "bench index",
     "neurons moved in a step, over all ranks; auto: every neuron that fires", 0},
    {"steps", WS_OPT_INT, F(steps), "5", "[2,100000]", "bench work", "gradient steps", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static const struct {
    const char *name;
    ws_err (*run)(const ws_comm *comm, const ws_bench_options *o);
} benches[] = {{"index", ws_bench_index}, {"work", ws_bench_work}};

/* A full step is measured on few samples: with many nearly every neuron fires on one of them. */
static void small_unless_given(const ws_said *said, ws_bench_options *o)
{
    for (int i = 0; rows[i].name; i++) {
        if (said->given.from[i]) continue;
        if (strcmp(rows[i].name, "dim") == 0) o->dim = 8;
        if (strcmp(rows[i].name, "samples") == 0) o->samples = 8;
    }
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static ws_bench_options o;
    static ws_said said;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 1, 1, "a measurement: index or work",
                          &said, &help);

    if (err || help) return err;
    if (strcmp(said.word[0], "work") == 0) small_unless_given(&said, &o);
    for (size_t k = 0; k < sizeof benches / sizeof *benches; k++)
        if (strcmp(said.word[0], benches[k].name) == 0) return benches[k].run(comm, &o);
    return ws_fail(WS_ERR_USAGE, "there is no bench %.60s: use wingspan bench index or work",
                   said.word[0]);
}

const ws_command ws_cmd_bench = {
    "bench",
    "index|work [options]",
    "measure indexes and training steps on this machine",
    rows,
    "bench index: build, query and update an index on Gaussian rows, compared with scan.\n"
    "bench work: what full gd steps of a two-layer network count. Exponents are in the width.\n",
    run};
