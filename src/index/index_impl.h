/* index_impl.h - what an index kind provides.  Kinds never communicate: the front (index.c)
 * checks arguments, calls them, falls back to scan for queries they do not answer, and agrees. */
#ifndef WS_INDEX_IMPL_H
#define WS_INDEX_IMPL_H

#include <stddef.h>

#include "wingspan/core/fetch.h"
#include "wingspan/index/index.h"

typedef struct ws_index_ops {
    const char *name;
    const char *title; /* how it is shown to people; NULL: the name */
    size_t size;       /* of the kind's struct, whose first member is a ws_index */
    int exact;
    unsigned answers;              /* 1u << ws_query_kind of every kind of query it takes */
    ws_err (*build)(ws_index *ix); /* shard, samples and threshold are set in ix */
    ws_err (*query)(ws_index *ix, const ws_query *q, ws_hits *hits); /* hits come empty */
    ws_err (*update)(ws_index *ix, const ws_moves *moves); /* NULL: nothing to keep up to date */
    void (*tick)(ws_index *ix, int64_t step);              /* NULL: has no schedule */
    double (*moved)(const ws_index *ix, int64_t row);      /* NULL: not known */
    void (*destroy)(ws_index *ix);                         /* payload only; safe to call twice */
    double (*bytes)(const ws_index_plan *p);               /* what it will hold at the start */
} ws_index_ops;

struct ws_index {
    const ws_index_ops *ops;
    const ws_comm *comm;
    ws_index_options opt;
    ws_shard shard;               /* [n x d] here; d = 0: not built */
    const ws_start *start;        /* how its rows came about; NULL: not known; for build alone */
    ws_samples samples;           /* registered */
    double threshold;             /* the usual one, given at build */
    ws_index_counts counts;       /* bytes: the kind's own arrays; the front adds what follows */
    struct ws_proposer *proposer; /* for the front's fall-back; made when first needed */
    struct ws_scan_work *scan;    /* likewise */
    uint32_t *stamp, stamped;     /* [samples.n] query that last named a sample; queries so far */
};

/* The kinds, in the order that users are told them. */
#define WS_INDEX_KINDS(X)                                                                          \
    X(scan)                                                                                        \
    X(dtree)                                                                                       \
    X(halfspace)                                                                                   \
    X(wtree)                                                                                       \
    X(certified)                                                                                   \
    X(quantized)                                                                                   \
    X(lsh)                                                                                         \
    X(all)

#define X(kind) extern const ws_index_ops ws_index_##kind;
WS_INDEX_KINDS(X)
#undef X

/* ---- scan's code, for scan itself and for queries that a kind does not answer (scan.c) ---- */

/** Answer any query.  norm: [n] bounds of ||w_r||, or NULL: computed on the way.  Not collective. */
ws_err ws_scan_query(ws_index *ix, const double *norm, const ws_query *q, ws_hits *hits);

/** Get ready to decide on candidates of a query with n samples.  Not collective. */
ws_err ws_scan_prepare(ws_index *ix, int64_t n);

/** Compute the pre-activations of row r (greater than the rows before) with k candidates and keep
 *  what fires.  col: their positions, ascending; NULL: 0..k-1.  Counts them.  Not collective. */
ws_err ws_scan_decide(ws_index *ix, const ws_query *q, int64_t r, const int32_t *col, int64_t k,
                      ws_hits *hits);

/** The same; meanwhile row `soon` of the shard, or NULL, is fetched (core/dot.h).  Not collective. */
ws_err ws_scan_decide_ahead(ws_index *ix, const ws_query *q, int64_t r, const int32_t *col,
                            int64_t k, const float *soon, ws_hits *hits);

/** Row r will soon be decided on: fetch it into the cache.  Not collective. */
WS_FETCH ws_scan_fetch(const ws_index *ix, int64_t r)
{
    const float *w = ix->shard.w + r * ix->shard.d;

    for (int64_t j = 0; j < ix->shard.d && j < 128; j += 16) __builtin_prefetch(w + j);
}

/** Free ix->proposer and ix->scan; what they hold.  Not collective. */
void ws_scan_free(ws_index *ix);
int64_t ws_scan_bytes(const ws_index *ix);

/** The samples a query asks about: position k is x_{ids[k]}, or x_k if *ids is NULL.  Not collective. */
static inline const ws_samples *ws_query_samples(const ws_index *ix, const ws_query *q,
                                                 const int64_t **ids)
{
    const ws_samples *x = q->kind == WS_QUERY_SAMPLE ? q->copy : q->x;

    *ids = x ? NULL : q->ids;
    return x ? x : &ix->samples;
}

/* ---- hits, built row by row (hits.c) ---- */

/** Open row `row` (greater than the rows before).  Not collective. */
ws_err ws_hits_row(ws_hits *h, int64_t row);

/** Room for k more rows, for those who write row and first themselves.  Not collective. */
ws_err ws_hits_reserve_rows(ws_hits *h, int64_t k);

/** Room for k more pairs; then write pos, z, note at h->n and count h->n up.  Not collective. */
ws_err ws_hits_reserve(ws_hits *h, int64_t k);

/** Close the row opened last: it vanishes if nothing was added to it.  Not collective. */
void ws_hits_close(ws_hits *h);

#endif
