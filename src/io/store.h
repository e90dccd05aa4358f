/* store.h - the memory of a data set: one copy a node in shared memory, or one a rank.
 *
 * Shared memory is a POSIX segment whose pages are reserved when it is made (so a full filesystem
 * is an answer and never a SIGBUS) and whose name is taken away as soon as every rank of the node
 * has it mapped (so nothing is left behind however a run ends). */
#ifndef WS_IO_STORE_H
#define WS_IO_STORE_H

#include <stddef.h>

#include "wingspan/core/comm.h"
#include "wingspan/core/err.h"

typedef struct ws_store {
    ws_comm node; /* ranks that share memory */
    void *base;   /* [bytes] */
    size_t bytes;
    int shared;
    char why[200]; /* if not shared although several ranks are here: what was in the way */
} ws_store;

/** Memory of `bytes`, zeroed.  Collective over comm; agreed: WS_ERR_NOMEM. */
ws_err ws_store_create(const ws_comm *comm, size_t bytes, ws_store *s);

/** Give every rank of the node what node rank 0 has written.  Collective over the node. */
void ws_store_publish(ws_store *s);

/** Collective over the node. */
void ws_store_destroy(ws_store *s);

#endif
