/* err.h - error codes, and how ranks agree on them.
 *
 * A local function returns its code at once: `return ws_fail(...)`.  A collective
 * function keeps a local failure in a variable, calls ws_agree() before its next
 * meeting with the other ranks, and returns only what all ranks agreed on. */
#ifndef WS_CORE_ERR_H
#define WS_CORE_ERR_H

#include <stdint.h>

#include "wingspan/core/comm.h"

#define WS_ERR_LIST(X)                                                                             \
    X(WS_OK, "success")                                                                            \
    X(WS_ERR_USAGE, "option or argument is wrong")                                                 \
    X(WS_ERR_SHAPE, "shapes do not agree")                                                         \
    X(WS_ERR_MISMATCH, "ranks disagree")                                                           \
    X(WS_ERR_NOMEM, "out of memory")                                                               \
    X(WS_ERR_IO, "file could not be read or written")                                              \
    X(WS_ERR_DATA, "content of a file is not usable")                                              \
    X(WS_ERR_DIVERGED, "training diverged")                                                        \
    X(WS_ERR_INEXACT, "an exact index missed a neuron")                                            \
    X(WS_ERR_STOPPED, "stopped on request")

typedef enum ws_err {
#define X(name, text) name,
    WS_ERR_LIST(X)
#undef X
} ws_err;

/** Record a failure on this rank and return its code: `return ws_fail(...)`.
 *
 *  Not collective.  The text is one sentence for the user: it names the file,
 *  option or number at fault and says what to do; no "wingspan: ", no newline. */
ws_err ws_fail(ws_err code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Text of the last failure on this rank; after a failed ws_agree() the text of
 *  the rank that failed, on every rank.  Not collective.  Valid until the next ws_fail(). */
const char *ws_err_text(void);

/** Make one verdict out of every rank's error code.
 *
 *  Collective over c.  Returns the same code on every rank: WS_OK if all passed
 *  WS_OK, else the largest code passed (lowest such rank wins) with its text.  Aborts
 *  the job if ranks arrive from different lines: their control flow has diverged.
 *
 *  Cost: one reduction of 3 ints; on failure also one broadcast. */
#define ws_agree(c, err) ws_agree_at((c), (err), __FILE__, __LINE__)
ws_err ws_agree_at(const ws_comm *c, ws_err err, const char *file, int line);

/** Check that v is the same on every rank.
 *
 *  Collective over c.
 *  @return agreed: WS_OK or WS_ERR_MISMATCH */
ws_err ws_same(const ws_comm *c, const char *name, int64_t v);

/* A broken promise inside wingspan itself: says where and aborts the job. */
#define WS_ASSERT(x) ((x) ? (void)0 : ws_assert_failed(#x, __FILE__, __LINE__))
_Noreturn void ws_assert_failed(const char *what, const char *file, int line);

/** Narrow to int for MPI and BLAS counts; asserts that it fits.  Not collective. */
int ws_int(int64_t x);

#endif
