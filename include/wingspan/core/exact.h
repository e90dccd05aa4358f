/* exact.h - sums over neurons that do not depend on order, grouping or number of ranks.
 *
 * Each contribution is rounded once, to a multiple of 2^(e-70), and from then on is an
 * integer in two limbs: value = (hi * 2^48 + lo) * 2^(e-70).  Integers add exactly, so the
 * sum has one value.  After ws_exact_carry() 0 <= lo < 2^48, so that MPI_SUM on 64-bit
 * words is exact for fewer than 2^15 ranks while the total stays below 2^(e+40); hi may
 * wrap on the way, which two's complement forgives.
 *
 * Kulisch's idea of a long accumulator (1971), cut to the range that a run needs. */
#ifndef WS_CORE_EXACT_H
#define WS_CORE_EXACT_H

#include <stdint.h>

#include "wingspan/core/err.h"

/* Between two calls of ws_exact_carry() an entry takes at most this many additions. */
enum { WS_EXACT_ADDS = 16384 };

typedef struct ws_exact_limbs {
    int64_t hi, lo; /* |lo| <= 2^47 as split gives it */
} ws_exact_limbs;

/** Round v to limbs at scale 2^e.  Not collective.
 *  v must be finite with |v| <= 2^(e+29): the caller checks against its own, smaller limit. */
static inline ws_exact_limbs ws_exact_split(double v, int e);

/** The value of limbs, correctly rounded to double.  Not collective. */
double ws_exact_value(int64_t hi, int64_t lo, int e);

/** Carry lo into hi for n entries, so that 0 <= lo < 2^48.  Not collective. */
void ws_exact_carry(int64_t *hi, int64_t *lo, int64_t n);

/* ---- one meeting of all ranks: exact sums, plain counts and the error flag together ----
 *
 * words = [hi: n][lo: n][count: k][failed, hash twice, its square twice], all
 * added as 64-bit integers. */
typedef struct ws_meeting {
    int64_t n;      /* exact sums */
    int64_t k;      /* counts */
    int64_t *hi;    /* [n] */
    int64_t *lo;    /* [n] */
    int64_t *count; /* [k] */
    int64_t *words; /* [2 n + k + 5]; owned */
    int64_t capacity;
    uint64_t hash;           /* of what every rank should hold alike; checked in the next meeting */
    int64_t bytes, meetings; /* sent by this rank so far; meetings so far */
} ws_meeting;

/** Make room for n exact sums and k counts and set all of them to zero.  Not collective.
 *  Keeps its memory between calls.  Start from {0}.
 *  @return local: WS_ERR_NOMEM; the meeting can then still be held with n = k = 0 */
ws_err ws_meeting_open(ws_meeting *t, int64_t n, int64_t k);

/** Add up hi, lo and count over all ranks, in one reduction.
 *
 *  Collective over c.  n and k must be the same on every rank; a rank that failed to open
 *  must say so by err and still call: it then sends zeros of the size the others use, from
 *  n_all and k_all.  Entries are carried before and after.
 *
 *  @param err    this rank's verdict on its local work
 *  @param n_all, k_all  the sizes every rank agreed on
 *  @return agreed: the ranks' own errors (as ws_agree); WS_ERR_MISMATCH if the ranks' hashes
 *          differ ("ranks no longer hold the same numbers") */
ws_err ws_meeting_hold(ws_meeting *t, const ws_comm *c, ws_err err, int64_t n_all, int64_t k_all);

void ws_meeting_free(ws_meeting *t);

/* ---- inline ---- */

static inline ws_exact_limbs ws_exact_split(double v, int e)
{
    /* hi in units of 2^(e-22), lo in units of 2^(e-70).  Scaling by powers of two is exact;
     * adding 1.5 x 2^52 and taking it away rounds to the nearest integer below 2^51. */
    const double round = 6755399441055744.0;
    union {
        uint64_t u;
        double d;
    } s = {.u = (uint64_t)(1023 + 22 - e) << 52};
    double t = v * s.d, h = (t + round) - round;
    double l = ((t - h) * 281474976710656.0 + round) - round;

    return (ws_exact_limbs){(int64_t)h, (int64_t)l};
}

#endif
