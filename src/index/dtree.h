/* dtree.h - a block of the dtree index: four nodes of a level for each sample. */
#ifndef WS_INDEX_DTREE_H
#define WS_INDEX_DTREE_H

#include <stdint.h>

typedef struct ws_dtree_block {
    float *node;         /* [stride x 4] aligned; in: leaves to change, or nodes as they are */
    float *up;           /* [stride x 4] the block above, or NULL */
    int lane;            /* which of its four nodes is above this block */
    unsigned moved;      /* bit l: change lane l */
    unsigned anew;       /* bit l: its changes are new values and not added */
    const float *change; /* [4 x stride] by lane */
    int64_t stride;      /* samples, a multiple of 4 */
} ws_dtree_block;

/* Change the leaves of a block and write the largest of each four above; did any of these change?
 * (dtree_simd.c) */
typedef int ws_dtree_move(const ws_dtree_block *b);

/** The routine for the path that ws_simd_name() names. */
ws_dtree_move *ws_dtree_mover(void);

#endif
