/* index.h - which neurons of this rank fire on a sample?
 *
 * An index knows the rows w_r and biases b_r of one rank's shard of a wide layer, and answers
 * { r : z_r > threshold } with z_r = ws_dot(w_r, x) + b_r, for batches of samples, without
 * looking at every neuron if it can.  Every exact kind returns the same set with the same
 * bits after any sequence of builds, queries and updates: `scan` is the oracle.
 *
 *     create -> build -> { query | update }... -> destroy
 *
 * Kinds never communicate.  Creating and building agree over ranks; the rest is local.
 *
 *   kind        exact  answers             idea
 *   scan        yes    any x               blocked GEMM proposes, ws_dot decides
 *   dtree       yes    registered sample   a max-tree over the neurons for each sample
 *   wtree       yes    registered sample   a max-tree over the samples for each neuron
 *   halfspace   yes    any x               a tree of boxes over the rows: for d up to about 8
 *   certified   yes    registered, near    lists with a slack, valid while a neuron has not moved further
 *   quantized   yes    any x               rows as bytes with an error bound propose, ws_dot decides
 *   lsh         NO     any x               approximate: hash tables of random signs; may miss neurons
 *   all         yes    any x               every neuron: smooth activations, any threshold
 *
 * Queries that a kind does not answer are answered by scan's code in the front. */
#ifndef WS_INDEX_INDEX_H
#define WS_INDEX_INDEX_H

#include <stdint.h>

#include "wingspan/core/blocks.h"
#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

typedef struct ws_index ws_index;

/* The neurons of this rank: a view, borrowed for the index's life.  The owner changes w and b
 * in place and then tells the index by ws_index_update(). */
typedef struct ws_shard {
    int64_t n, d;   /* neurons here, row length */
    const float *w; /* [n x d] row-major */
    const float *b; /* [n] */
} ws_shard;

typedef enum ws_query_kind { WS_QUERY_SAMPLE, WS_QUERY_NEAR, WS_QUERY_ANY } ws_query_kind;

typedef struct ws_query {
    ws_query_kind kind;
    int64_t n;              /* samples asked about: positions 0..n-1 */
    const int64_t *ids;     /* [n] SAMPLE, NEAR: the registered sample (distinct for SAMPLE) */
    const ws_samples *x;    /* NEAR, ANY: the points themselves, x->n == n */
    const double *radius;   /* [n] NEAR: ||x - registered sample|| <= radius */
    double threshold;       /* fired means z > threshold */
    const uint8_t *mask;    /* [neurons here] 0 leaves a neuron out; NULL: all take part */
    const ws_samples *copy; /* [n] SAMPLE: the same samples, closer together; NULL: there is none */
} ws_query;

/* The answer in neuron order: row i is local neuron row[i], fired by the samples at positions
 * pos[first[i]] .. pos[first[i+1]-1], ascending.  Rows with no hit are absent.  Reused from
 * query to query; memory grows and is kept. */
typedef struct ws_hits {
    int64_t rows, n; /* neurons that fire on something; pairs */
    int64_t *row;    /* [rows] ascending */
    int64_t *first;  /* [rows + 1] */
    int32_t *pos;    /* [n] */
    double *z;       /* [n] exact pre-activation, bias included */
    float *note;     /* [n] for the index itself: hand it back in ws_moves unchanged */
    int64_t row_capacity, capacity;
} ws_hits;

/* Neurons that moved.  If a row is w_new = w_old + sum_p coef[p] x_{ids[pos[p]]} up to the
 * rounding of each float32 element, say so by first..note (they may point into the hits of the
 * query that preceded the step); otherwise leave first NULL and the index uses norm alone. */
typedef struct ws_moves {
    int64_t k;            /* neurons */
    const int64_t *row;   /* [k] local ids, ascending */
    const double *norm;   /* [k] upper bound of ||sum of the step|| (before rounding to float32) */
    const double *dbias;  /* [k] b_new - b_old as stored, or NULL: biases did not move */
    const int64_t *first; /* [k + 1] or NULL */
    const int32_t *pos;   /* [first[k]] position in ids */
    const int64_t *ids;   /* registered sample of each position */
    const float *coef;    /* [first[k]] */
    const double *z;      /* [first[k]] pre-activation before the step, or NULL */
    const float *note;    /* [first[k]] as ws_hits gave it, or NULL */
} ws_moves;

/* What the index has done since it was built.  Counters are exact.  The work of finding out who
 * fires is inner_products + node_visits; a pair that is known to fire without a product (halfspace:
 * a whole node lies beyond the threshold) still needs its z, which is a candidate but no
 * inner_product: it is the output's cost. */
typedef struct ws_index_counts {
    int64_t inner_products; /* length-d products computed in order to decide, proposals included */
    int64_t node_visits;    /* tree nodes looked at, or made anew */
    int64_t leaf_writes;    /* tree leaves or list entries written */
    int64_t candidates;     /* pairs whose exact z was computed */
    int64_t relisted;       /* neurons listed or hashed again */
    int64_t checked;        /* approximate kinds: fired pairs of queries that were also scanned */
    int64_t found; /* and how many of these the index had found: recall is found / checked */
    int64_t bytes; /* held now */
} ws_index_counts;

/* Slack of the certified index unless given.  MNIST, width 262144, a second epoch at batch 512, rate 384, with
 * 0.6, 0.8 and 1: 11.3, 10.0 and 9.2 s, 1.86, 2.26 and 2.90 GB; at batch 128, rate 64 they tie. */
#define WS_CERTIFIED_SLACK 1.0

typedef struct ws_index_options {
    double slack; /* certified: first slack rho, in units of the threshold's z; 0: default 1 */
    /* lsh; 0 means the default */
    int64_t tables; /* 50 */
    int64_t bits;   /* of a code, at most 12: 6 */
    int64_t every;  /* steps between hashings of what has moved: 50 */
    uint64_t seed;  /* of the random directions, and of what is checked */
} ws_index_options;

/** Create an empty index.
 *
 *  Collective over comm; kind must be the same on every rank.
 *
 *  @param comm   borrowed; must outlive the index
 *  @param kind   one of ws_index_kinds() ("auto" is resolved by ws_index_choose)
 *  @param opt    copied; NULL for defaults
 *  @param out    [out] owned by the caller; NULL on error
 *  @return agreed: WS_ERR_USAGE unknown kind, WS_ERR_MISMATCH, WS_ERR_NOMEM
 */
ws_err ws_index_create(const ws_comm *comm, const char *kind, const ws_index_options *opt,
                       ws_index **out);

/** Index a shard and register samples, replacing what was indexed before.
 *
 *  Collective over the index's communicator; shard->d and registered->n must agree.
 *
 *  @param shard      copied view; its arrays are borrowed for the index's life
 *  @param registered copied view; arrays borrowed; the samples SAMPLE and NEAR queries name
 *  @param threshold  the threshold that queries will usually carry
 *  @return agreed: WS_ERR_SHAPE, WS_ERR_MISMATCH, WS_ERR_NOMEM; on error the index is empty
 *          on every rank and may be built again
 *
 *  Cost: scan none; quantized one pass over the rows; dtree, wtree and certified one product,
 *        n x registered x d, of floats or, where bytes are faster, certified's of bytes; certified
 *        told of blocks by ws_index_start(), for rows as they were, n x registered x log d;
 *        halfspace n (d + log n); lsh n x tables x bits x d.
 */
ws_err ws_index_build(ws_index *ix, const ws_shard *shard, const ws_samples *registered,
                      double threshold);

/* How rows in blocks were handed out at the start: what an index may use while they are so. */
typedef struct ws_start {
    ws_blocks blocks;
    int64_t first;        /* global id of the first neuron here */
    int pairs;            /* 0: neuron r has row r; 1: neurons 2t and 2t + 1 have row t */
    const uint8_t *moved; /* [neurons here] not 0: the neuron is no longer as it was */
} ws_start;

/** Tell the index how the rows of the next shard came about, for what it can gain by it.
 *
 *  Not collective.  No answer depends on it.  Kinds other than certified ignore it.
 *  @param start  borrowed until the build is done; NULL: in no blocks
 */
void ws_index_start(ws_index *ix, const ws_start *start);

/** Report the neurons of this rank that fire on each sample of a batch.
 *
 *  Not collective.
 *
 *  @param hits   [in,out] start from {0}; refilled in neuron order; first[0] = 0 if it is empty
 *  @return local: WS_ERR_SHAPE (not built; ids not registered or named twice; points of the wrong
 *          shape), WS_ERR_NOMEM; hits are empty then
 */
ws_err ws_index_query(ws_index *ix, const ws_query *q, ws_hits *hits);

/** Tell the index that rows of the shard have changed (they already have their new values).
 *
 *  Not collective.  On an error the index must be built again before it is used.
 *  @return local: WS_ERR_SHAPE (rows not ascending or not here; nothing changed), WS_ERR_NOMEM
 */
ws_err ws_index_update(ws_index *ix, const ws_moves *moves);

/** Step `step` of training is about to ask: kinds that follow the weights on a schedule do so by this
 *  number, the same on every rank.  Not collective. */
void ws_index_tick(ws_index *ix, int64_t step);

/** Counters since the build; bytes held now.  Not collective. */
ws_index_counts ws_index_count(const ws_index *ix);

/** A bound of how far local neuron `row` has moved since it was listed, the displacement and not
 *  the path; NaN if the kind keeps none.  Not collective. */
double ws_index_moved(const ws_index *ix, int64_t row);

/** Name of the kind in use, and whether it is exact.  Not collective. */
const char *ws_index_kind(const ws_index *ix);
int ws_index_is_exact(const ws_index *ix);

/** A kind's name as people should see it, which says so if it is approximate; it stays valid when
 *  `kind` does not (unless that is no kind: then it is returned).  Not collective. */
const char *ws_index_title(const char *kind);

/** Free the index and set *ix to NULL.  Not collective; NULL is fine. */
void ws_index_destroy(ws_index **ix);

void ws_hits_free(ws_hits *h);

/* ---- is an answer right? ---- */

typedef struct ws_difference {
    int64_t pairs;   /* that fire in truth */
    int64_t missed;  /* fire, but are not in the answer */
    int64_t extra;   /* are in the answer, but do not fire */
    int64_t changed; /* fire and are in the answer, with other bits of z */
    int64_t row;     /* local neuron and position of the first difference; -1 if there is none */
    int32_t pos;
} ws_difference;

/** Compare an answer with the right one, as scan gives it.  Not collective. */
void ws_hits_compare(const ws_hits *got, const ws_hits *want, ws_difference *d);

/** Check the answer to a query for the samples at positions pos[0..k), ascending, by the
 *  definition: ws_dot of every row here.  The index itself is not touched.
 *
 *  Not collective.
 *  @return local: WS_ERR_NOMEM
 *
 *  Cost: k n d multiply-adds, one pass over the rows.
 */
ws_err ws_index_verify(const ws_index *ix, const ws_query *q, const ws_hits *hits,
                       const int32_t *pos, int64_t k, ws_difference *d);

/* ---- choosing and planning ---- */

typedef struct ws_index_plan {
    int64_t n, d;       /* neurons on the largest shard, row length */
    int64_t registered; /* samples */
    int64_t batch;      /* samples a query */
    int64_t steps;      /* of the whole run; 0: not known */
    double active;      /* expected fraction fired: Q(shift) */
    double spread;      /* standard deviation of z at the start */
    double threshold;
    double memory; /* bytes the index may use on this rank */
    int smooth;    /* the activation uses every neuron */
    ws_index_options opt;
} ws_index_plan;

/* A kind that "auto" could be. */
typedef struct ws_candidate {
    const char *kind;
    double cost;  /* estimated nanoseconds a neuron and step */
    double bytes; /* on the largest shard */
} ws_candidate;

enum { WS_INDEX_CANDIDATES = 16 };

/** Kinds for registered samples that fit in memory, the cheapest first.  Not collective: a pure
 *  function of the plan.  @return how many; scan is always among them */
int ws_index_candidates(const ws_index_plan *p, ws_candidate list[WS_INDEX_CANDIDATES]);

/** Choose the kind for "auto" by the estimates.  Not collective: a pure function of the plan.
 *  @param reason [out] one line for the user, at most 200 characters */
const char *ws_index_choose(const ws_index_plan *p, char reason[200]);

/** Choose the kind for queries at any x (prediction).  Not collective: a pure function of the
 *  plan, among the kinds that there are. */
const char *ws_index_choose_any(const ws_index_plan *p, char reason[200]);

/** How many kinds ws_index_trial() would time; fewer than 2: it would not.  Not collective: a pure
 *  function of the plan. */
int ws_index_close(const ws_index_plan *p);

/** Choose by time, where the estimates are close and the run is long enough to gain by it.
 *
 *  Collective over comm; the plan must be the same on every rank.
 *  Builds each close candidate on a copy of a few thousand rows, asks and tells it a few times, and
 *  adds the times over the ranks.  Nothing of the run changes, and no bit depends on the choice.
 *
 *  @param kind   [in,out] the choice by the estimates; the faster kind, the same on every rank
 *  @param reason [in,out] unchanged if nothing was tried
 *  @return agreed: as ws_index_build; no memory for a trial is no error: the estimates then stand
 *
 *  Cost: about a second.
 */
ws_err ws_index_trial(const ws_comm *comm, const ws_shard *shard, const ws_samples *registered,
                      const ws_index_plan *p, const char **kind, char reason[200]);

/** Bytes a kind will hold for a plan, at the start; -1 for an unknown kind.  Not collective. */
double ws_index_bytes(const char *kind, const ws_index_plan *p);

/** Names of the kinds, NULL-terminated, for --help and error texts. */
const char *const *ws_index_kinds(void);

#endif
