/* out.c - see out.h. */
#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckpt.h"
#include "h5util.h"

enum { PIECE = 16 << 20 }; /* bytes */

ws_err ws_out5_failed(const ws_out5 *o, const char *what)
{
    return ws_fail(WS_ERR_IO, "%s cannot be written (%s failed): is the disk full?", o->file, what);
}

/* Blocks for what will come; the size of the file stays. Not every filesystem can. */
static ws_err reserve(const ws_out5 *o, double bytes)
{
    struct rlimit most;

    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
        bytes > (double)most.rlim_cur)
        return ws_fail(WS_ERR_IO,
                       "%s cannot be written: it needs %.4g MB, and ulimit -f allows %.4g", o->file,
                       bytes / 1e6, (double)most.rlim_cur / 1e6);
    if (bytes <= 0 || fallocate(o->hold, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0) return WS_OK;
    if (errno != ENOSPC && errno != EFBIG && errno != EDQUOT) return WS_OK;
    return ws_fail(WS_ERR_IO, "no space to write %s: %s", o->file, strerror(errno));
}

/* Rank 0's part of opening. Space is reserved before HDF5 has anything to lose, and again after it
 * has emptied the file. The lock is ours, so HDF5 need not take one. */
static ws_err create(ws_out5 *o, double bytes, int64_t block)
{
    hid_t how, access;
    ws_err err = ws_place_open(o->temp, o->file, bytes, &o->hold);

    if (err || (err = reserve(o, bytes))) return err;
    how = H5Pcreate(H5P_FILE_CREATE);
    access = H5Pcreate(H5P_FILE_ACCESS);
    if (block > 0) H5Pset_userblock(how, (hsize_t)block);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, 0, 1);
#endif
    o->h5 = H5Fcreate(o->temp, H5F_ACC_TRUNC, how, access);
    H5Pclose(access);
    H5Pclose(how);
    return o->h5 < 0 ? ws_out5_failed(o, "opening") : reserve(o, bytes);
}

ws_err ws_out5_open(const ws_comm *comm, const char *file, double bytes, int64_t block, ws_out5 *o)
{
    ws_err err = WS_OK;

    ws_h5_quiet();
    *o = (ws_out5){.comm = comm, .h5 = -1, .fd = -1, .hold = -1};
    snprintf(o->file, sizeof o->file, "%s", file);
    snprintf(o->temp, sizeof o->temp, "%.1030s.tmp", file);
    if (comm->rank == 0) err = create(o, bytes, block);
    if (!(err = ws_agree(comm, err))) {
        if ((o->fd = open(o->temp, O_RDWR)) < 0) err = ws_out5_failed(o, "opening");
        err = ws_agree(comm, err);
    }
    if (err) ws_out5_close(o, 1);
    return err;
}

/* Rank 0: an array without values, and the byte of the file at which they belong. */
static int64_t lay_out(ws_out5 *o, const char *path, ws_type type, int64_t rows_all, int64_t cols)
{
    hsize_t dims[2] = {(hsize_t)rows_all, (hsize_t)cols};
    hid_t space = H5Screate_simple(cols ? 2 : 1, dims, NULL), link = H5Pcreate(H5P_LINK_CREATE);
    hid_t set, how = H5Pcreate(H5P_DATASET_CREATE);
    int64_t at = -1;

    H5Pset_obj_track_times(how, 0); /* the same content is the same file */
    H5Pset_alloc_time(how, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(how, H5D_FILL_TIME_NEVER);
    H5Pset_create_intermediate_group(link, 1);
    set = H5Dcreate2(o->h5, path, ws_h5_type(type), space, link, how, H5P_DEFAULT);
    if (set >= 0 && rows_all > 0) {
        haddr_t place = H5Dget_offset(set);
        if (place != HADDR_UNDEF) at = (int64_t)place;
    }
    if (set >= 0 && rows_all == 0) at = 0;
    if (set >= 0 && H5Dclose(set) < 0) at = -1;
    H5Pclose(how);
    H5Pclose(link);
    H5Sclose(space);
    return at;
}

/* A piece at a time, which the disk takes while the next one is copied: less is left for fsync(). */
static int write_at(int fd, const char *from, size_t n, int64_t at)
{
    while (n > 0) {
        ssize_t k = pwrite(fd, from, n < PIECE ? n : PIECE, at);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return -1;
        sync_file_range(fd, at, k, SYNC_FILE_RANGE_WRITE); /* a hint, whatever becomes of it */
        from += k;
        n -= (size_t)k;
        at += k;
    }
    return 0;
}

ws_err ws_out5_rows(ws_out5 *o, const char *path, ws_type type, int64_t rows_all, int64_t first,
                    int64_t rows, int64_t cols, const void *data)
{
    size_t row = ws_h5_size(type) * (size_t)(cols ? cols : 1);
    int64_t at = o->comm->rank == 0 ? lay_out(o, path, type, rows_all, cols) : 0;
    ws_err err = WS_OK;

    MPI_Bcast(&at, 1, MPI_INT64_T, 0, o->comm->mpi);
    if (at < 0 ||
        (rows > 0 && write_at(o->fd, data, row * (size_t)rows, at + first * (int64_t)row)))
        err = ws_out5_failed(o, path);
    else if (ws_io_told_to_fail("write", o->comm->rank))
        err = ws_out5_failed(o, path);
    return ws_agree(o->comm, err);
}

static int ruined; /* libhdf5 could not close a file */

int ws_ckpt_ruined(void)
{
    return ruined;
}

/* Close a file that is given up. libhdf5 1.10 is left in ruins when a close fails (it crashes in
 * MPI_Finalize), so let what it still has to write go to memory; a limit on file sizes may forbid
 * even that. */
static void close_in_memory(hid_t h5)
{
    void *handle = NULL;
    int fd = memfd_create("wingspan", MFD_CLOEXEC);

    if (fd >= 0 && H5Fget_vfd_handle(h5, H5P_DEFAULT, &handle) >= 0 && handle)
        dup2(fd, *(const int *)handle);
    if (fd >= 0) close(fd);
    if (H5Fclose(h5) < 0) ruined = 1;
}

ws_err ws_out5_finish(ws_out5 *o)
{
    struct stat st;
    int bad = o->h5 >= 0 && H5Fflush(o->h5, H5F_SCOPE_LOCAL) < 0;
    ws_err err = WS_OK;

    if (o->h5 >= 0 && !bad) {
        bad = ruined = H5Fclose(o->h5) < 0;
        o->h5 = -1;
    }
    /* What was reserved and is not needed goes back. */
    if (o->hold >= 0 && !bad) bad = fstat(o->hold, &st) != 0 || ftruncate(o->hold, st.st_size) != 0;
    bad = close(o->fd) != 0 || bad;
    o->fd = -1;
    if (bad || ws_io_told_to_fail("close", o->comm->rank)) err = ws_out5_failed(o, "closing");
    return ws_agree(o->comm, err);
}

void ws_out5_close(ws_out5 *o, int away)
{
    if (o->h5 >= 0) close_in_memory(o->h5);
    if (o->fd >= 0) close(o->fd);
    MPI_Barrier(o->comm->mpi);
    /* A rank 0 that does not hold it has not made it. */
    if (o->hold >= 0 && away) unlink(o->temp);
    if (o->hold >= 0) close(o->hold);
    o->h5 = o->fd = o->hold = -1;
}
