/* comm.c - communicators: all ranks, a node's, one rank of each node. */
#include "wingspan/core/comm.h"

#include <stdlib.h>

static void fill(ws_comm *c)
{
    MPI_Comm_set_errhandler(c->mpi, MPI_ERRORS_ARE_FATAL);
    MPI_Comm_rank(c->mpi, &c->rank);
    MPI_Comm_size(c->mpi, &c->size);
}

void ws_comm_create(MPI_Comm mpi, ws_comm *out)
{
    MPI_Comm_dup(mpi, &out->mpi);
    fill(out);
}

void ws_comm_destroy(ws_comm *c)
{
    if (c->size > 0) MPI_Comm_free(&c->mpi);
    *c = (ws_comm){0};
}

void ws_comm_node(const ws_comm *c, ws_comm *node)
{
    const char *text = getenv("WINGSPAN_RANKS_PER_NODE");
    int k = text ? atoi(text) : 0;

    MPI_Comm_split_type(c->mpi, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &node->mpi);
    fill(node);
    /* Every rank must see the same k, whatever its environment says. */
    MPI_Bcast(&k, 1, MPI_INT, 0, c->mpi);
    if (k > 0) {
        MPI_Comm part;
        MPI_Comm_split(node->mpi, node->rank / k, node->rank, &part);
        MPI_Comm_free(&node->mpi);
        node->mpi = part;
        fill(node);
    }
}

void ws_comm_leaders(const ws_comm *c, const ws_comm *node, ws_comm *leaders)
{
    *leaders = (ws_comm){.mpi = MPI_COMM_NULL};
    MPI_Comm_split(c->mpi, node->rank == 0 ? 0 : MPI_UNDEFINED, c->rank, &leaders->mpi);
    if (leaders->mpi != MPI_COMM_NULL) fill(leaders);
}
