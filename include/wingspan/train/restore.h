/* restore.h - a network back from a checkpoint, on any number of ranks. */
#ifndef WS_TRAIN_RESTORE_H
#define WS_TRAIN_RESTORE_H

#include "wingspan/io/checkpoint.h"
#include "wingspan/model/net.h"

/** Load this rank's shard of the network in a checkpoint, in either form: all rows, or the
 *  touched rows and the seed.
 *
 *  Collective over comm.
 *  @param net [out] owned by the caller; NULL on error
 *  @return agreed: WS_ERR_DATA, WS_ERR_NOMEM
 */
ws_err ws_checkpoint_rows(ws_ckpt *c, const ws_comm *comm, ws_net **net);

#endif
