/* meeting.c - exact sums, counts, errors and the hash of what all should hold, in one reduction.
 *
 * The hash h of every rank is cut into two pieces of 24 bits; sum h and sum h^2 tell whether all
 * are equal (size sum h^2 = (sum h)^2 only then, by Cauchy and Schwarz), and every rank judges by
 * the same two numbers. */
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/exact.h"

enum { EXTRA = 5, CHUNK = 65536 }; /* failed, two sums, two sums of squares; words at a time */

static void place(ws_meeting *t, int64_t n, int64_t k)
{
    t->n = n;
    t->k = k;
    t->hi = t->words;
    t->lo = t->words + n;
    t->count = t->words + 2 * n;
}

ws_err ws_meeting_open(ws_meeting *t, int64_t n, int64_t k)
{
    ws_err err = ws_grow(&t->words, &t->capacity, 2 * n + k + EXTRA, sizeof *t->words,
                         "sums over the network");

    if (err) {
        t->n = t->k = 0;
        return err;
    }
    place(t, n, k);
    memset(t->words, 0, (size_t)(2 * n + k + EXTRA) * sizeof *t->words);
    return WS_OK;
}

static void put_extra(int64_t extra[EXTRA], ws_err err, uint64_t hash)
{
    int64_t a = (int64_t)(hash & 0xffffff), b = (int64_t)(hash >> 24 & 0xffffff);

    extra[0] = err != WS_OK;
    extra[1] = a;
    extra[2] = b;
    extra[3] = a * a;
    extra[4] = b * b;
}

static int hashes_differ(const int64_t extra[EXTRA], int64_t size)
{
    typedef unsigned __int128 wide;

    for (int i = 1; i <= 2; i++)
        if ((wide)size * (wide)extra[i + 2] != (wide)extra[i] * (wide)extra[i]) return 1;
    return 0;
}

/* Add up `total` words; a rank without memory sends zeros and keeps only the last EXTRA. */
static void reduce(ws_meeting *t, const ws_comm *c, int64_t total, int64_t extra[EXTRA], int whole)
{
    static const int64_t zeros[CHUNK];
    static _Thread_local int64_t spill[CHUNK];

    if (whole) memcpy(t->words + total - EXTRA, extra, EXTRA * sizeof *extra);
    for (int64_t at = 0; at < total - EXTRA; at += CHUNK) {
        int64_t n = total - EXTRA - at < CHUNK ? total - EXTRA - at : CHUNK;
        int last = at + n == total - EXTRA && n + EXTRA <= CHUNK;

        if (whole) {
            MPI_Allreduce(MPI_IN_PLACE, t->words + at, ws_int(n + (last ? EXTRA : 0)), MPI_INT64_T,
                          MPI_SUM, c->mpi);
        } else {
            memcpy(spill, zeros, sizeof spill);
            if (last) memcpy(spill + n, extra, EXTRA * sizeof *extra);
            MPI_Allreduce(MPI_IN_PLACE, spill, ws_int(n + (last ? EXTRA : 0)), MPI_INT64_T, MPI_SUM,
                          c->mpi);
            if (last) memcpy(extra, spill + n, EXTRA * sizeof *extra);
        }
        t->meetings++;
        if (last) {
            if (whole) memcpy(extra, t->words + total - EXTRA, EXTRA * sizeof *extra);
            return;
        }
    }
    MPI_Allreduce(MPI_IN_PLACE, extra, EXTRA, MPI_INT64_T, MPI_SUM, c->mpi);
    t->meetings++;
}

ws_err ws_meeting_hold(ws_meeting *t, const ws_comm *c, ws_err err, int64_t n_all, int64_t k_all)
{
    int64_t extra[EXTRA], total = 2 * n_all + k_all + EXTRA;
    int whole = t->n == n_all && t->k == k_all && t->words;

    put_extra(extra, err, t->hash);
    if (whole) ws_exact_carry(t->hi, t->lo, t->n);
    reduce(t, c, total, extra, whole);
    t->bytes += total * (int64_t)sizeof *t->words;
    if (extra[0] > 0) return ws_agree(c, err);
    if (hashes_differ(extra, c->size))
        return ws_fail(WS_ERR_MISMATCH,
                       "the ranks no longer hold the same numbers: a machine of this job computes "
                       "differently or its memory is faulty");
    ws_exact_carry(t->hi, t->lo, t->n);
    return WS_OK;
}

void ws_meeting_free(ws_meeting *t)
{
    ws_free(&t->words);
    *t = (ws_meeting){0};
}
