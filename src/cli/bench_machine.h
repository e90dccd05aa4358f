/* bench_machine.h - what this machine does while something else is measured: the rates of copying, of
 * the exact routine and of the update, sampled between the steps of a run.
 *
 * A core that shares its clock, its units and its memory with others does not have one rate: the exact
 * routine alone, on data in the first cache, takes 63 to 134 ns a product from one millisecond to the
 * next. Seconds of steps are held against rates of the same minute, averaged as the steps are. */
#ifndef WS_CLI_BENCH_MACHINE_H
#define WS_CLI_BENCH_MACHINE_H

#include <stdint.h>

#include "wingspan/core/err.h"

/* Sums over ranks that work at the same time. */
typedef struct ws_bench_rates {
    double copy;   /* bytes read and written a second, of arrays far larger than the caches */
    double dot;    /* flops a second of the exact routine on data in the first cache */
    double update; /* flops a second of the update of a row by several samples, likewise */
} ws_bench_rates;

typedef struct ws_bench_machine ws_bench_machine;

/** Room for samples on rows of length d and samples of float32 or, packed, of bytes.
 *  Collective.  @return agreed: WS_ERR_NOMEM.  Close it in any case.  Cost: 256 MiB a rank. */
ws_err ws_bench_machine_open(const ws_comm *comm, int64_t d, int packed, ws_bench_machine **out);

/** Work for so many seconds, a third on each of the three.  Not collective; ranks that call it at the
 *  same time share the machine as they do in a step, and end at the same time. */
void ws_bench_machine_sample(ws_bench_machine *m, double seconds);

/** The means over all samples so far, and the best of one.  Collective. */
void ws_bench_machine_rates(const ws_comm *comm, const ws_bench_machine *m, ws_bench_rates *mean,
                            ws_bench_rates *best);

/** Bytes held here.  Not collective. */
int64_t ws_bench_machine_bytes(const ws_bench_machine *m);

/** Not collective; NULL is fine. */
void ws_bench_machine_close(ws_bench_machine **m);

/** Flops a second of sgemm on matrices of this shape (C [m x n] += A [m x k] B [n x k]^T) in a loop,
 *  the best of a few tries.  Collective.  @return agreed: WS_ERR_NOMEM */
ws_err ws_bench_machine_sgemm(const ws_comm *comm, int64_t m, int64_t n, int64_t k, double *rate);

/** Processor seconds of this rank so far.  Not collective. */
double ws_bench_cpu(void);

/** The least share over ranks of some seconds in which a rank had a core: ranks wait by turning, so
 *  below 0.98 or so something else was running.  Collective. */
double ws_bench_busy(const ws_comm *comm, double cpu, double seconds);

#endif
