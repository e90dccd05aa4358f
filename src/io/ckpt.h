/* ckpt.h - the user block in front of a checkpoint, and the places files are put.
 *
 * Block: 64 bytes of head, then one 64-bit hash a stripe of 16 MiB of all that follows; the
 * rest is zero (and checked). The head's own hash covers head and hashes. */
#ifndef WS_IO_CKPT_H
#define WS_IO_CKPT_H

#include "wingspan/io/checkpoint.h"

enum { WS_STRIPE = 16 << 20, WS_BLOCK_LEAST = 1 << 16 };

/** Bytes of user block for a file of about this size: a power of two. */
int64_t ws_block_size(double bytes);

/** Hash what follows the block and write the block, then sync.  Collective; agreed. */
ws_err ws_block_write(const ws_comm *comm, const char *file, const char *name, int64_t block);

/** Check block, length and every stripe by plain reads.  `name` is what errors call the file.
 *  Collective; agreed: WS_ERR_IO unreadable, WS_ERR_DATA damaged or no checkpoint. */
ws_err ws_block_verify(const ws_comm *comm, const char *file, const char *name, int64_t *length);

/** Put temp in place of file, keeping older ones.  Rank 0's work; local. */
ws_err ws_place(const char *temp, const char *file, int keep, int rank);

/** Is this name free for a checkpoint: nothing there, or no HDF5 file of another kind?  Local. */
ws_err ws_place_free(const char *file);

/** Can this many bytes be written beside file?  Makes temp, empty, and locks it against other
 *  runs for as long as *hold is open; NULL: no lock is kept.  Rank 0's work; local. */
ws_err ws_place_open(const char *temp, const char *file, double bytes, int *hold);

#endif
