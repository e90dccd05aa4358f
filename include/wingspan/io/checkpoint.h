/* checkpoint.h - checkpoint files: HDF5 behind a user block of hashes.
 *
 * The user block holds a magic word, a version, the length of the file, a 64-bit hash of every
 * 16 MiB stripe of all that follows, and a hash of itself.  Opening verifies all of it by plain
 * parallel reads before libhdf5 sees a byte.  Writing: space is reserved, the file is written
 * under a temporary name beside FILE, closed, hashed, synced, read back and verified, and only
 * then put in place: older ones move to FILE.1 .. FILE.(keep-1), and FILE exists at every moment
 * after the first checkpoint (link FILE to FILE.1, rename over FILE, sync the directory).
 *
 * Row blocks are in global neuron order, so a file can be read on any number of ranks. */
#ifndef WS_IO_CHECKPOINT_H
#define WS_IO_CHECKPOINT_H

#include <stdint.h>

#include "wingspan/core/err.h"

typedef enum ws_type { WS_FLOAT32, WS_FLOAT64, WS_INT32, WS_INT64, WS_UINT8 } ws_type;

/* ---- writing ---- */
typedef struct ws_ckpt_writer ws_ckpt_writer;

/** Begin a checkpoint that will become `file`.
 *
 *  Collective over comm.  Nothing appears under the name `file` before ws_ckpt_commit().
 *
 *  @param bytes  expected size of all arrays together: reserved on disk before writing
 *  @return agreed: WS_ERR_IO (unwritable directory, no space: named)
 */
ws_err ws_ckpt_create(const ws_comm *comm, const char *file, double bytes, ws_ckpt_writer **out);

/** Attributes of a group ("/options"), made if missing.  Collective; same on every rank. */
ws_err ws_ckpt_put_text(ws_ckpt_writer *w, const char *group, const char *name, const char *v);
ws_err ws_ckpt_put_int(ws_ckpt_writer *w, const char *group, const char *name, int64_t v);
ws_err ws_ckpt_put_real(ws_ckpt_writer *w, const char *group, const char *name, double v);

/** A small array that every rank holds alike; rank 0 writes it.  Collective.
 *  dims [rank_of_array]; path "/data/mean". */
ws_err ws_ckpt_put_array(ws_ckpt_writer *w, const char *path, ws_type type, int ndims,
                         const int64_t *dims, const void *data);

/** A (rows_all, cols) array whose rows are spread over ranks: this rank has rows first ..
 *  first + rows - 1.  cols = 0 means a plain vector (rows_all).  Collective; blocks larger than
 *  2 GiB a rank are written in pieces. */
ws_err ws_ckpt_put_rows(ws_ckpt_writer *w, const char *path, ws_type type, int64_t rows_all,
                        int64_t first, int64_t rows, int64_t cols, const void *data);

/** Close, hash, sync, verify, put in place with `keep` files in all.  Collective.  Destroys the
 *  writer in any case; on error the temporary file is gone and `file` is as it was.
 *  @return agreed: WS_ERR_IO */
ws_err ws_ckpt_commit(ws_ckpt_writer **w, int keep);

/** Give up and remove the temporary file.  Collective; NULL is fine. */
void ws_ckpt_abort(ws_ckpt_writer **w);

/** Can a checkpoint be written here?  Creates and removes a probe beside `file`, removes
 *  temporary files a killed run left behind.  Collective.  @return agreed: WS_ERR_IO */
ws_err ws_ckpt_probe(const ws_comm *comm, const char *file);

/* ---- reading ---- */
typedef struct ws_ckpt ws_ckpt;

/** 1 if `file` or an older one of its row (file.1, ...) is there, whatever its state; the same
 *  answer on every rank.  Collective over comm. */
int ws_ckpt_exists(const ws_comm *comm, const char *file);

/** Verify and open a checkpoint.
 *
 *  Collective over comm.
 *  @param fall_back  if `file` is damaged, use the newest good one of file.1, file.2, ...; a
 *                    line naming the damaged part and the one used is left in ws_ckpt_note()
 *  @return agreed: WS_ERR_IO missing or unreadable; WS_ERR_DATA damaged or not a checkpoint
 */
ws_err ws_ckpt_open(const ws_comm *comm, const char *file, int fall_back, ws_ckpt **out);
void ws_ckpt_close(ws_ckpt **c); /* Collective */

const char *ws_ckpt_file(const ws_ckpt *c); /* the file really opened */
const char *ws_ckpt_note(const ws_ckpt *c); /* "" or what the user must be told */
int64_t ws_ckpt_length(const ws_ckpt *c);   /* bytes of the file */

/** Collective.  @return agreed: WS_ERR_DATA if absent or of another type */
ws_err ws_ckpt_get_text(ws_ckpt *c, const char *group, const char *name, char *v, int64_t size);
ws_err ws_ckpt_get_int(ws_ckpt *c, const char *group, const char *name, int64_t *v);
ws_err ws_ckpt_get_real(ws_ckpt *c, const char *group, const char *name, double *v);

/** 1 if the array or group exists.  Collective. */
int ws_ckpt_has(ws_ckpt *c, const char *path);

/** 1 if the array exists and is of this type.  Collective. */
int ws_ckpt_is_of(ws_ckpt *c, const char *path, ws_type type);

/** Extents of an array: dims [2], *ndims 1 or 2.  Collective. */
ws_err ws_ckpt_shape(ws_ckpt *c, const char *path, int *ndims, int64_t dims[2]);

/** Read a small array whole on every rank: count elements.  Collective. */
ws_err ws_ckpt_get_array(ws_ckpt *c, const char *path, ws_type type, int64_t count, void *data);

/** Read rows first .. first + rows - 1 (each rank its own; 0 rows is fine).  Collective. */
ws_err ws_ckpt_get_rows(ws_ckpt *c, const char *path, ws_type type, int64_t first, int64_t rows,
                        int64_t cols, void *data);

/** Did libhdf5 fail to close a file of this process?  It then crashes in MPI_Finalize, so the program
 *  must end by _exit.  Not collective. */
int ws_ckpt_ruined(void);

#endif
