/* restore_rows.h - rows of a checkpoint into arrays of this rank, whichever form the file has. */
#ifndef WS_TRAIN_RESTORE_ROWS_H
#define WS_TRAIN_RESTORE_ROWS_H

#include <stddef.h>

#include "wingspan/io/checkpoint.h"
#include "wingspan/model/net.h"

/* Which of this rank's neurons the file has rows for, if it has only the moved ones. */
typedef struct ws_touched {
    int sparse;
    int64_t first, n; /* entries of the file's list that are this rank's */
    int64_t *local;   /* [n] their local ids */
} ws_touched;

/** The rows of the file must be those of m neurons (in the form with all rows) of d weights (0: not
 *  known yet), before memory for them is asked for.  Collective; agreed. */
ws_err ws_restore_check(ws_ckpt *c, int64_t m, int64_t d);

/** Read the list.  Collective; agreed.  Close it in any case. */
ws_err ws_touched_open(ws_ckpt *c, const ws_comm *comm, const ws_net *net, ws_touched *t);
void ws_touched_close(ws_touched *t);

/** Fill data [n x cols] of `size`-byte elements; in the sparse form only moved rows are written.
 *  Collective; agreed. */
ws_err ws_restore_rows(ws_ckpt *c, const ws_net *net, const ws_touched *t, const char *path,
                       ws_type type, int64_t cols, size_t size, void *data);

/** Weights, biases, output weights and moved flags.  net is at its start.  Collective; agreed. */
ws_err ws_restore_net(ws_ckpt *c, const ws_touched *t, ws_net *net);

/** What the file says the network is.  Collective; agreed. */
ws_err ws_restore_spec(ws_ckpt *c, ws_net_spec *s);

#endif
