/* h5util.h - the little that every file of this room asks of HDF5. */
#ifndef WS_IO_H5UTIL_H
#define WS_IO_H5UTIL_H

#include <hdf5.h>
#include <stddef.h>

#include "wingspan/io/checkpoint.h"

/** No stacks of HDF5 errors on stderr.  Not collective; called before any other call. */
void ws_h5_quiet(void);

/** The type of our elements in memory, and their size. */
hid_t ws_h5_type(ws_type t);
size_t ws_h5_size(ws_type t);

/** Access by all ranks of mpi (or one process alone: MPI_COMM_NULL). */
hid_t ws_h5_access(MPI_Comm mpi);

/** Do the objects of an element match this type? */
int ws_h5_type_is(hid_t stored, ws_type t);

/** For rehearsals: 1 if WINGSPAN_FAIL_IO names this stage and rank ("write:1" or "link:0,rename:0";
 *  stages of a checkpoint: reserve write close hash sync verify link rename). */
int ws_io_told_to_fail(const char *stage, int rank);

#endif
