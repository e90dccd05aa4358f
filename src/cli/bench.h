/* bench.h - the measurements of wingspan bench. */
#ifndef WS_CLI_BENCH_H
#define WS_CLI_BENCH_H

#include "command.h"

typedef struct ws_bench_options {
    char kind[WS_OPT_TEXT], width[WS_OPT_TEXT];
    int64_t dim, samples, batch, updates, seed;
    double shift; /* NaN: auto */
    int json;
} ws_bench_options;

/** Query and update times of an index, beside sgemm on the same shape.  Collective; agreed. */
ws_err ws_bench_index(const ws_comm *comm, const ws_bench_options *o);

#endif
