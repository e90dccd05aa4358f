/* layout.h - which rank owns which neurons.
 *
 * m neurons are cut into contiguous blocks, one a rank, in rank order.  Every boundary is
 * even, so that a coupled pair (2q, 2q+1) never splits.  A rank may own nothing. */
#ifndef WS_CORE_LAYOUT_H
#define WS_CORE_LAYOUT_H

#include <stdint.h>

typedef struct ws_layout {
    int64_t m; /* neurons in all */
    int size;  /* ranks */
} ws_layout;

/** Global id of the first neuron of a rank; rank == size gives m.  Not collective.
 *  Blocks differ by at most one pair; an odd last neuron goes with the last pair's rank. */
int64_t ws_layout_first(const ws_layout *l, int rank);

/** Number of neurons of a rank.  Not collective. */
int64_t ws_layout_count(const ws_layout *l, int rank);

/** The rank that owns global neuron r, 0 <= r < m.  Not collective. */
int ws_layout_owner(const ws_layout *l, int64_t r);

#endif
