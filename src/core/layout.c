/* layout.c - contiguous blocks of neuron pairs, one block a rank.
 *
 * The m / 2 pairs are dealt out so that the first (pairs mod size) ranks hold one pair more.
 * The odd last neuron, if there is one, follows the last pair. */
#include "wingspan/core/layout.h"

int64_t ws_layout_first(const ws_layout *l, int rank)
{
    int64_t pairs = l->m / 2, each = pairs / l->size, more = pairs % l->size;
    int64_t first = each * rank + (rank < more ? rank : more);

    /* No pair begins here: this rank comes after the owner of the odd neuron. */
    if (rank > 0 && first == pairs) return l->m;
    return 2 * first;
}

int64_t ws_layout_count(const ws_layout *l, int rank)
{
    return ws_layout_first(l, rank + 1) - ws_layout_first(l, rank);
}

int ws_layout_owner(const ws_layout *l, int64_t r)
{
    int64_t pairs = l->m / 2, each = pairs / l->size, more = pairs % l->size;
    int64_t pair = r / 2 < pairs ? r / 2 : pairs - 1;

    if (pairs == 0) return 0;
    if (pair < more * (each + 1)) return (int)(pair / (each + 1));
    return (int)(more + (pair - more * (each + 1)) / each);
}
