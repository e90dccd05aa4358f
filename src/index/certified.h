/* certified.h - lists with a slack, valid while a neuron has not moved further.
 *
 * When neuron r is listed, its products with all registered samples are proposed in float32:
 * those above cut_r are kept, z with them. Let u_r bound how far the row has moved since,
 * ||w_r now - w_r then||. Then for every sample
 *
 *     z now  <=  z listed + reach_r,   reach_r = u_r max||x|| + bias + rounding,
 *
 * so an entry with z listed + reach_r <= T cannot fire, and if cut_r + reach_r <= T nothing
 * outside the list can. A neuron for which that fails is evaluated on the whole batch until it is
 * listed again, with a larger slack.
 *
 * Entries lie by sample, in segments: a segment holds the lists of some neurons; a neuron's valid
 * entries are those of the segment that state[r].segment names. Stale ones go when segments are
 * merged. */
#ifndef WS_INDEX_CERTIFIED_H
#define WS_INDEX_CERTIFIED_H

#include "index_impl.h"
#include "propose.h"

typedef struct ws_entry {
    int32_t row;
    float z; /* float32 product when the row was listed, bias not included */
} ws_entry;

typedef struct ws_segment {
    int64_t *first;  /* [samples + 1] */
    ws_entry *entry; /* by sample, rows ascending */
    int64_t n, live; /* entries; those still valid */
    int32_t id;      /* never used twice */
} ws_segment;

enum { WS_SEGMENTS = 64 };

/* What a query needs of a row, in one fetch. */
typedef struct ws_row_state {
    float reach;     /* rounded up */
    int32_t segment; /* -1: none */
} ws_row_state;

typedef struct ws_certified {
    ws_index base;
    double slack, max_norm; /* first slack; largest ||x|| of the registered samples */
    ws_row_state *state;    /* [n] */
    float *cut;             /* [n] what is not listed has a float32 product of at most this */
    float *rho;             /* [n] slack */
    double *moved2;         /* [n] u_r^2 */
    double *norm;           /* [n] ||w_r|| when listed, rounded up */
    int32_t *length;        /* [n] valid entries */
    uint8_t *queued;        /* [n] waits to be listed again */
    ws_segment segment[WS_SEGMENTS];
    int segments;
    int32_t next_id;
    int64_t *queue, queue_n; /* [n] */
    ws_proposer *proposer;   /* set to all registered samples */
    ws_pairs pairs;
    float *block_cut; /* [n] */
    /* work space of a query: candidates, then sorted by row */
    int64_t *count; /* [n + 1] */
    int32_t *cand_row, *cand_pos, *pos;
    float *cand_z, *z;
    int64_t capacity[5];
} ws_certified;

/** List these rows: at build, and again when they have moved too far.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_list(ws_certified *c, const int64_t *row, int64_t n);

/** Drop stale entries where there are many; merge segments when there is no room for one more.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_tidy(ws_certified *c);

/** Recompute reach from moved2, norm and bias. */
void ws_certified_reach(ws_certified *c, int64_t r);

/** The update slot.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_update(ws_index *ix, const ws_moves *moves);

void ws_segment_free(ws_segment *s);

#endif
