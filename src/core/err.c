/* err.c - the text of the last failure, and one verdict out of all ranks'. */
#include "wingspan/core/err.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local char last[8192];

const char *ws_err_text(void)
{
    return last;
}

ws_err ws_fail(ws_err code, const char *fmt, ...)
{
    char text[sizeof last]; /* an argument may be the old text itself */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < sizeof last && (last[i] = text[i]); i++) continue;
    return code;
}

ws_err ws_agree_at(const ws_comm *c, ws_err err, const char *file, int line)
{
    /* The key orders by code first, then by lowest rank.  Line and -line under MAX give the
     * largest and the smallest line at the price of one call. */
    int key = err ? (int)err * c->size + (c->size - 1 - c->rank) : 0;
    int v[3] = {key, line, -line};

    MPI_Allreduce(MPI_IN_PLACE, v, 3, MPI_INT, MPI_MAX, c->mpi);
    if (v[1] != -v[2]) {
        fprintf(stderr, "wingspan: rank %d: %s:%d: ranks diverged (lines %d to %d)\n", c->rank,
                file, line, -v[2], v[1]);
        MPI_Abort(c->mpi, 70);
    }
    if (v[0] == 0) return WS_OK;
    MPI_Bcast(last, sizeof last, MPI_CHAR, c->size - 1 - v[0] % c->size, c->mpi);
    return (ws_err)(v[0] / c->size);
}

ws_err ws_same(const ws_comm *c, const char *name, int64_t x)
{
    int64_t v[2] = {x, ~x}; /* ~ turns the order round without overflow */

    MPI_Allreduce(MPI_IN_PLACE, v, 2, MPI_INT64_T, MPI_MAX, c->mpi);
    if (v[0] == ~v[1]) return WS_OK;
    return ws_fail(WS_ERR_MISMATCH, "%s is %lld on one rank and %lld on another", name,
                   (long long)~v[1], (long long)v[0]);
}

void ws_assert_failed(const char *what, const char *file, int line)
{
    int rank = 0, started = 0;

    MPI_Initialized(&started);
    if (!started) abort();
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    fprintf(stderr, "wingspan: rank %d: %s:%d: broken promise: %s\n", rank, file, line, what);
    MPI_Abort(MPI_COMM_WORLD, 70);
    abort();
}

int ws_int(int64_t x)
{
    WS_ASSERT(x >= INT_MIN && x <= INT_MAX);
    return (int)x;
}
