/* comm.h - a communicator with its rank and size, and the ranks that share a node. */
#ifndef WS_CORE_COMM_H
#define WS_CORE_COMM_H

#include <mpi.h>

/* Made once by whoever owns the program and borrowed by every object.  Its error
 * handler is MPI_ERRORS_ARE_FATAL, so MPI calls on it are not checked. */
typedef struct ws_comm {
    MPI_Comm mpi;
    int rank, size;
} ws_comm;

/** Duplicate an MPI communicator for wingspan's own messages.  Collective over mpi. */
void ws_comm_create(MPI_Comm mpi, ws_comm *out);

/** Free the duplicate.  Collective.  Safe on {0}. */
void ws_comm_destroy(ws_comm *c);

/** The ranks of c that share memory with this one.
 *
 *  Collective over c.  The environment variable WINGSPAN_RANKS_PER_NODE=k makes
 *  groups of at most k ranks, so that many nodes can be rehearsed on one machine. */
void ws_comm_node(const ws_comm *c, ws_comm *node);

/** One rank of each node (node rank 0), in rank order; size 0 and mpi MPI_COMM_NULL elsewhere.
 *  Collective over c. */
void ws_comm_leaders(const ws_comm *c, const ws_comm *node, ws_comm *leaders);

#endif
