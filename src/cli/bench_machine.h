/* bench_machine.h - what this machine does at best, all ranks at once. */
#ifndef WS_CLI_BENCH_MACHINE_H
#define WS_CLI_BENCH_MACHINE_H

#include <stdint.h>

#include "wingspan/core/err.h"

/* Sums over ranks that work at the same time; the best of a few tries. */
typedef struct ws_bench_machine {
    double copy;   /* bytes read and written a second, of arrays far larger than the caches */
    double dot;    /* flops a second of the exact routine on data in the first cache */
    double update; /* flops a second of the update of a row by several samples, likewise */
} ws_bench_machine;

/** Measure on rows of length d and samples of float32 or, packed, of bytes.
 *  Collective.  @return agreed: WS_ERR_NOMEM
 *  Cost: about two seconds and 256 MiB a rank. */
ws_err ws_bench_machine_measure(const ws_comm *comm, int64_t d, int packed, ws_bench_machine *m);

/** Flops a second of sgemm on matrices of this shape (C [m x n] += A [m x k] B [n x k]^T) in a loop.
 *  Collective.  @return agreed: WS_ERR_NOMEM */
ws_err ws_bench_machine_sgemm(const ws_comm *comm, int64_t m, int64_t n, int64_t k, double *rate);

/** Processor seconds of this rank so far.  Not collective. */
double ws_bench_cpu(void);

/** The least share over ranks of some seconds in which a rank had a core: ranks wait by turning, so
 *  below 0.98 or so something else was running.  Collective. */
double ws_bench_busy(const ws_comm *comm, double cpu, double seconds);

#endif
