/* certified.h - lists with a slack, and bounds on how far a neuron has moved since it was listed.
 *
 * When neuron r is listed, its products with all registered samples are proposed in float32:
 * those above cut_r are kept, z with them. Let D be what the row has moved by since, u_r >= ||D||.
 * Two bounds hold for every sample:
 *
 *     z now  <=  z listed + reach_r,                  reach_r = u_r max||x|| + bias + roundings;
 *     z now  <=  z listed + <t_r, s_i> + residue_r q_i + rest_r,
 *
 * where s_i = P x_i are WS_SKETCH coordinates of a sample along the main directions of the data,
 * q_i >= ||x_i - P's_i||, t_r is the same combination of the s_i as D is of the samples, and
 * residue_r bounds the rest of D (certified_sketch.c). A query looks at t_r and s_i in 16 bits,
 * two cache lines each, and what these lose goes into the bound. An entry is a candidate if neither
 * bound excludes it. What is not listed has z listed <= cut_r: while cut_r + reach_r <= T none of it can
 * fire; after that the second bound picks, for each sample of a query, whether r must be computed.
 * A neuron that costs more that way than by listing it again is listed again, with a larger slack.
 *
 * The bounds only choose what ws_dot computes, so they change counters and seconds but no answer.
 *
 * Entries lie by sample, in segments of at most WS_SEGMENT_ROWS neurons: whatever the order of the
 * samples, a query reads runs that are contiguous and compares them with a table that stays in the
 * first cache. A relisted neuron gets a slot in a new segment, and its old slot no longer lets
 * anything pass; no list by neuron is needed. Stale entries go when there are many. */
#ifndef WS_INDEX_CERTIFIED_H
#define WS_INDEX_CERTIFIED_H

#include <math.h>

#include "index_impl.h"
#include "propose.h"

enum {
    WS_SKETCH = 64,  /* coordinates of a sketch: in 16 bits two registers of AVX-512 */
    WS_SOON = 16,    /* candidates whose places or sketches are fetched before their turn */
    WS_FIXED = 4095, /* the largest coordinate in 16 bits: WS_SKETCH WS_FIXED^2 < 2^31 */
    WS_Z_BITS = 20,  /* of an entry; the slot has the other 12 */
    WS_Z_MASK = (1 << WS_Z_BITS) - 1,
    WS_SEGMENT_ROWS = 1 << (32 - WS_Z_BITS),
    WS_STALE = INT32_MAX /* bar of a slot whose neuron has left */
};

/* What is known of a neuron since it was listed: one cache line. */
typedef struct ws_row {
    double moved2;   /* u_r^2 */
    float norm;      /* ||w|| when listed, rounded up */
    float path;      /* sum |coef| max||x|| of all steps; INFINITY: one was no combination */
    float drift;     /* bound of all roundings of the float32 row */
    float blur;      /* bound of the rounding of t_r */
    float cut;       /* what is not listed has a proposed z of at most this; INFINITY: no list */
    float step;      /* an entry stands for z = cut + (q + 1/2) step */
    float reach;     /* rounded up */
    float residue;   /* rounded up */
    float rest;      /* rounded up */
    float unit;      /* of products of t_r and s_i in 16 bits */
    float offset;    /* rest_r and what these lose, rounded up */
    int32_t length;  /* entries */
    int32_t segment; /* -1: none */
    uint16_t slot;
    uint8_t queued; /* waits to be listed again */
    uint8_t error; /* |z of an entry - <w listed, x>| <= 2^-error norm max||x||, but for its step */
} ws_row;

/* What is looked at when a list no longer holds all that may fire. */
typedef struct ws_upkeep {
    float rho;  /* slack */
    float debt; /* dot products that unlisted samples have cost since */
} ws_upkeep;

typedef struct ws_segment {
    int64_t n, live;     /* entries; those still valid */
    int32_t rows, valid; /* slots, 0: this place is free; those still valid */
    int32_t *row;        /* [rows] neuron */
    int32_t *bar;        /* [rows] an entry with q <= bar cannot fire at the usual threshold */
    uint64_t *open;      /* [(rows + 63) / 64] bits: at it, a sample that is not listed may fire */
    uint32_t *first;     /* [samples + 1] */
    uint32_t *entry;     /* by sample: slot, then q */
} ws_segment;

/* Sketches of the registered samples, and how far they may be wrong. */
typedef struct ws_sketch {
    int on;            /* 0: the numbers are too large or too small for it */
    float *s;          /* [samples x WS_SKETCH] */
    float *q;          /* [samples] rounded up */
    int16_t *fixed;    /* [samples x WS_SKETCH] s_i is about unit fixed_i */
    double unit, lost; /* lost: max ||s_i - unit fixed_i|| */
    double most;       /* max ||s_i|| */
    double skew;       /* ||P P' - 1|| */
    double leak;       /* max ||P (x - P's)|| */
} ws_sketch;

/* A query's samples by position, padded to a multiple of 16. */
typedef struct ws_batch {
    int64_t n;
    int16_t *s;      /* [n x WS_SKETCH] in 16 bits */
    int16_t *panel;  /* the same, [n / 16][WS_SKETCH / 2][16][2] */
    float *q, *away; /* [n]; away: the radius of a point near a sample, else 0 */
    double most_away;
    float threshold; /* rounded down */
} ws_batch;

/* An entry of a slot: q, and the position of its sample. */
typedef struct ws_listed {
    uint32_t q;
    int32_t pos;
} ws_listed;

/* A row with something to compute: out[from] .. out[from + n - 1]. */
typedef struct ws_visit {
    int64_t from;
    int32_t row, n;
} ws_visit;

/* The rows of a segment that wait for their products. */
typedef struct ws_waiting {
    int64_t n;
    ws_visit visit[WS_SEGMENT_ROWS];
} ws_waiting;

/* Hits on the samples from `first` on are the rows of `found` up to `rows`. */
typedef struct ws_found_block {
    int64_t first, rows;
} ws_found_block;

typedef struct ws_certified {
    ws_index base;
    const struct ws_certified_loops *loops; /* of the query or update that runs */
    double slack, max_norm; /* first slack; largest ||x|| of the registered samples */
    ws_row *row;            /* [n] */
    ws_upkeep *upkeep;      /* [n] */
    float *t;               /* [n x WS_SKETCH] */
    int16_t *t_fixed;       /* [n x WS_SKETCH] */
    ws_sketch sketch;
    ws_segment *segment; /* [segments] */
    int64_t segments, segment_capacity;
    int64_t *queue, queue_n; /* [n] */
    int64_t asked, ticks;    /* samples asked about since the last tick; ticks */
    ws_proposer *proposer;   /* set to all registered samples; NULL until it is needed */
    int64_t proposer_bytes;  /* counted for it */
    ws_pairs pairs;
    float *block_cut; /* [n] */
    /* work space of a query: candidates of a segment as they come, and where those of a sample end;
     * by slot; what is left of them */
    ws_batch batch;
    int64_t batch_capacity[4];
    uint32_t *cand;
    int64_t *cand_end;
    ws_listed *by_slot;
    int32_t *out_pos, *far;
    float *out_z;
    int64_t capacity[6];
    int32_t count[WS_SEGMENT_ROWS + 1]; /* where the candidates of a slot end */
    int32_t look[WS_SEGMENT_ROWS];      /* slots to look at */
    ws_waiting waiting;
    /* what fires, in the order in which it was found; where in it each block of samples ends */
    ws_hits found;
    ws_found_block *block;
    int64_t blocks, block_capacity;
    int32_t *at; /* [n] 0 between queries */
} ws_certified;

/* ---- lists (certified_lists.c) ---- */

/** List these rows, at most WS_SEGMENT_ROWS: at build, and again later.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_list(ws_certified *c, const int64_t *row, int64_t n);

/** Free what proposes pairs for a listing; the next one makes it again. */
void ws_certified_no_proposer(ws_certified *c);

/** Drop stale entries where there are many; merge small segments.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_tidy(ws_certified *c);

/** Room for a segment, and a place for one that is complete, which is then no longer the caller's.
 *  Its rows know all but where they are.  Local: WS_ERR_NOMEM; free it then. */
ws_err ws_segment_open(const ws_certified *c, ws_segment *s, int64_t rows, int64_t n);
ws_err ws_segment_add(ws_certified *c, ws_segment *s);
void ws_segment_free(ws_segment *s);

/* ---- the first lists of a structured start (certified_start.c) ---- */

/** Whether blocks are known, and products by them can be certified and pay. */
int ws_certified_start_applies(const ws_certified *c);

/** List every neuron: by blocks where that can be, else by ws_certified_list().
 *  Local: WS_ERR_NOMEM. */
ws_err ws_certified_start_list(ws_certified *c);

/* ---- moves (certified_moves.c) ---- */

/** The code ws_row.error for a bound, as a share of norm max||x||; -1 if there is none. */
int ws_certified_error_code(double share);

/** Recompute reach, residue and rest, and the bar of the row's slot. */
void ws_certified_bounds(ws_certified *c, int64_t r);

/** The update slot.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_update(ws_index *ix, const ws_moves *moves);

/* ---- queries (certified_query.c) ---- */

ws_err ws_certified_query(ws_index *ix, const ws_query *q, ws_hits *hits);
void ws_certified_query_free(ws_certified *c);

/* ---- what is left to compute (certified_decide.c) ---- */

/** Compute the rows that wait; what fires goes to c->found.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_decide(ws_certified *c, const ws_query *q);

/** Turn c->found into an answer in order of the neurons.  Local: WS_ERR_NOMEM. */
ws_err ws_certified_answer(ws_certified *c, ws_hits *hits);

/* ---- sketches (certified_sketch.c) ---- */

/** Directions from the data, and the sketch of every sample.  Local: WS_ERR_NOMEM. */
ws_err ws_sketch_build(ws_sketch *k, const ws_samples *x, double max_norm);
void ws_sketch_free(ws_sketch *k);

/* ---- inner loops (certified_simd.c) ---- */

typedef struct ws_certified_loops {
    /* Those of n entries that are above the bar of their slot, to out, with room for n + 16.
     * Returns how many. */
    int64_t (*filter)(const uint32_t *entry, int64_t n, const int32_t *bar, uint32_t *out);
    /* Candidates of a row that the sketch does not exclude: pos and z to out, with room for n + 4.
     * Those so far above the threshold that the row cannot have moved below it pass in any case.
     * t: the row's, in 16 bits; extra is ||w||, rounded up, for points away from their sample. */
    int64_t (*screen)(const ws_batch *b, const ws_row *r, const int16_t *t, float extra,
                      const ws_listed *at, int64_t n, int32_t *out_pos, float *out_z);
    /* Positions at which the sketch does not exclude the row though it is not listed there; room
     * for b->n + 16. */
    int64_t (*outside)(const ws_batch *b, const ws_row *r, const int16_t *t, float extra,
                       int32_t *out);
    /* t += the sum of coef[p] s_{ids[pos[p]]} over p < n, in order; pos goes on to `more`, whose
     * sketches are fetched before their turn */
    void (*combine)(float *t, const float *coef, const float *s, const int64_t *ids,
                    const int32_t *pos, int64_t n, int64_t more);
    /* q = t / s rounded, of WS_SKETCH coordinates, at most WS_FIXED.  Returns s; each coordinate is
     * within 0.51 s of s q, or is less than 1e-30.  *square: ||t||^2, within 2^-48 of it. */
    float (*fix)(const float *t, int16_t *q, double *square);
} ws_certified_loops;

/** The loops for the path that ws_simd_name() names. */
const ws_certified_loops *ws_certified_simd(void);

static inline float ws_round_up(double v)
{
    union {
        float f;
        uint32_t u;
    } up = {.f = (float)v};

    if (!(up.f < INFINITY)) return up.f;
    if (up.f == 0)
        up.u = 1;
    else
        up.u += up.f > 0 ? 1 : UINT32_MAX;
    return up.f;
}

#endif
