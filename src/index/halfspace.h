/* halfspace.h - a tree of boxes over the weight rows of this rank: any x, small d.
 *
 * Rows lie in leaves of LEAF slots, by columns (rows.h), the bias as one more column; eight leaves
 * make a node, eight nodes a node above.  Slots are filled by halving the rows along the widest side
 * of their box, so a node's rows are close together.  The shape never changes: a row that moves is
 * written where it lies (its old value is gone, its new one is there) and the boxes above are made
 * tight again, so they are right after every update.  Rows are sorted anew, below a node whose leaves
 * have become half as wide again, once as many moves as half its rows have paid for it; and all of
 * them once queries have done as much work beyond twice the usual as sorting costs, for a few rows
 * that went far can spoil many leaves.
 *
 * The corner of a box that is largest for x, taken through ws_dot's own additions, is an upper
 * bound of every z inside to the last bit, since rounding is monotone: no margin is needed. */
#ifndef WS_INDEX_HALFSPACE_H
#define WS_INDEX_HALFSPACE_H

#include "index_impl.h"
#include "rows.h"

enum { WS_LEAF = 32, WS_FAN = 8, WS_LEVELS = 12 };

/* Nodes of one level; level 0 are the leaves, the last is the root. */
typedef struct ws_level {
    int64_t n, span; /* nodes; leaves below each */
    float *box;      /* [(n + 7) / 8][d + 1][low: 8 | high: 8] */
    float *wide;     /* [n] widths of the leaves below, added up */
    float *sorted;   /* [n] likewise, when its rows were last sorted */
    int64_t *moves;  /* [n] moves of rows below since then */
    int64_t *fresh;  /* [n] those of the update under way */
} ws_level;

typedef struct ws_hit {
    uint32_t row;
    int32_t pos;
    double z;
} ws_hit;

typedef struct ws_halfspace {
    ws_index base;
    int64_t leaves;
    int levels, wild; /* wild: some number was not finite */
    ws_level level[WS_LEVELS];
    float *leaf;    /* [leaves][d + 1][LEAF] */
    uint32_t *id;   /* [leaves x LEAF] the row in a slot */
    uint32_t *slot; /* [n] where a row is */
    float *scale;   /* [d + 1] what a unit of width in a coordinate is worth to the samples */
    uint64_t *key;  /* [n] for sorting: ordered bits of a coordinate, then the row */

    int64_t asked; /* samples since all rows were sorted, at most USUAL */
    double usual;  /* mean work of those */
    double waste;  /* work of later ones beyond twice that */

    /* The sample being asked about. */
    float *dense;                           /* [d] */
    double *x;                              /* [d] */
    int64_t *leaf_off, *high_off, *low_off; /* [d] where columns are */
    uint32_t *list[2];                      /* [leaves] blocks or nodes of one level */
    uint32_t *todo;                         /* [leaves] leaves that may have hits */
    int64_t todo_n;

    /* Hits by sample; then sorted by row. */
    uint32_t *row;
    double *z;
    ws_hit *hit[2];
    int64_t *end; /* [samples of the query] where a sample's hits end */
    int64_t row_capacity, z_capacity, hit_capacity[2], end_capacity;
} ws_halfspace;

/** Sort the rows below node i of a level into its slots, and make the boxes.  Not collective. */
void ws_halfspace_sort(ws_halfspace *h, int level, int64_t i);

/** Make box i of a level empty.  Not collective. */
void ws_halfspace_clear(ws_halfspace *h, int level, int64_t i);

/** The kind's update slot.  Not collective. */
ws_err ws_halfspace_update(ws_index *ix, const ws_moves *moves);

static inline int64_t ws_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows below node i of a level. */
static inline int64_t ws_halfspace_below(const ws_halfspace *h, const ws_level *v, int64_t i)
{
    return ws_smaller((i + 1) * v->span * WS_LEAF, h->base.shard.n) - i * v->span * WS_LEAF;
}

#endif
