/* cmd_bench.c - wingspan bench: which measurement. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define F(x) offsetof(ws_bench_options, x)

static const ws_opt rows[] = {
    {"kind", WS_OPT_STR, F(kind), "scan", "scan|dtree|halfspace|certified", "bench index", "which index", 0},
    {"width", WS_OPT_STR, F(width), "65536", "", "bench index",
     "neurons over all ranks, or a range in powers of two as in 2^12..2^16", 0},
    {"dim", WS_OPT_INT, F(dim), "784", "[1,1000000]", "bench index", "length of a sample", 0},
    {"samples", WS_OPT_INT, F(samples), "1024", "[1,1000000]", "bench index",
     "random samples of norm 1", 0},
    {"batch", WS_OPT_INT, F(batch), "1024", "[1,1000000]", "bench index", "samples a query", 0},
    {"shift", WS_OPT_REAL, F(shift), "auto", "auto|[0,40]", "bench index",
     "threshold; auto: sqrt(0.4 ln m)", 0},
    {"updates", WS_OPT_INT, F(updates), "1000", "[0,1000000000]", "bench index",
     "neurons moved and reported to the index", 0},
    {"seed", WS_OPT_INT, F(seed), "1", "[0,2^62]", "bench index", "of all random numbers", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "bench index", "print one JSON object", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static ws_bench_options o;
    static ws_said said;
    int help;
    ws_err err =
        ws_parse(comm, c, argc, argv, &o, sizeof o, 1, 1, "a measurement: index", &said, &help);

    if (err || help) return err;
    if (strcmp(said.word[0], "index") != 0)
        return ws_fail(WS_ERR_USAGE, "there is no bench %.60s: use wingspan bench index",
                       said.word[0]);
    return ws_bench_index(comm, &o);
}

const ws_command ws_cmd_bench = {"bench", "index [options]", "measure this machine", rows, NULL,
                                 run};
