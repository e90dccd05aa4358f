/* bench_index.h - the columns of bench index, and how they are said. */
#ifndef WS_CLI_BENCH_INDEX_H
#define WS_CLI_BENCH_INDEX_H

#include "bench.h"

enum { STEPS = 5 }; /* as in training; all but the first are timed */

enum {
    WIDTH,
    ACTIVE,
    WORK,
    PRODUCTS,
    VISITS,
    CANDIDATES,
    MOVED,
    WRITES,
    RELISTED,
    FLIPS,
    BUILD,
    QUERY,
    UPDATE,
    STEP,
    BYTES,
    SCAN_QUERY,
    SCAN_STEP,
    SGEMM,
    RECALL,
    SAME
};

extern const ws_bench_column ws_bench_index_columns[];

/** A table and a verdict for each kind, or one JSON object.  Rank 0. */
void ws_bench_index_print(const ws_bench_options *o, int ranks, const ws_bench_rows *rows,
                          int kinds);

#endif
