/* ckpt_block.c - hashes in front of a file, so that damage is found before libhdf5 sees it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckpt.h"
#include "h5util.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/hash.h"

static const char magic[16] = "wingspan ckpt 1\n";

typedef struct head {
    char magic[16];
    uint64_t block, length, stripe, stripes, hash, spare;
} head;

int64_t ws_block_size(double bytes)
{
    int64_t size = WS_BLOCK_LEAST;
    double hashes = bytes > 0 ? bytes * 1.1 / WS_STRIPE : 131072; /* unknown: up to 2 TiB */

    while ((double)size < 64 + 8 * (hashes + 16)) size *= 2;
    return size;
}

static ws_err trouble(const char *name, const char *what)
{
    return ws_fail(WS_ERR_IO, "%s cannot be %s: %s", name, what, strerror(errno));
}

/* Read exactly n bytes at `at`. */
static int read_at(int fd, void *to, int64_t n, int64_t at)
{
    while (n > 0) {
        ssize_t k = pread(fd, to, (size_t)n, at);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            if (k == 0) errno = EIO;
            return -1;
        }
        to = (char *)to + k;
        n -= k;
        at += k;
    }
    return 0;
}

/* Hashes of stripes rank, rank + size, ...; the others' entries stay as they are. */
static ws_err hash_stripes(int fd, const char *name, const head *h, const ws_comm *c,
                           uint64_t *hashes)
{
    char *buffer = NULL;
    ws_err err = ws_alloc(&buffer, WS_STRIPE, 1, "stripe of a checkpoint");

    for (int64_t s = c->rank; s < (int64_t)h->stripes && !err; s += c->size) {
        int64_t at = (int64_t)h->block + s * WS_STRIPE, n = (int64_t)h->length - at;
        if (n > WS_STRIPE) n = WS_STRIPE;
        if (read_at(fd, buffer, n, at))
            err = trouble(name, "read");
        else
            hashes[s] = ws_hash(buffer, (size_t)n, (uint64_t)s);
    }
    ws_free(&buffer);
    return err;
}

static uint64_t hash_of_head(head h, const uint64_t *hashes)
{
    h.hash = 0;
    return ws_hash(hashes, (size_t)h.stripes * 8, ws_hash(&h, sizeof h, 0));
}

static uint64_t stripes_of(int64_t length, int64_t block)
{
    return (uint64_t)((length - block + WS_STRIPE - 1) / WS_STRIPE);
}

static ws_err write_block(int fd, const char *name, head *h, const uint64_t *hashes)
{
    h->hash = hash_of_head(*h, hashes);
    if (pwrite(fd, h, sizeof *h, 0) != (ssize_t)sizeof *h ||
        pwrite(fd, hashes, (size_t)h->stripes * 8, sizeof *h) != (ssize_t)(h->stripes * 8) ||
        fsync(fd) != 0)
        return trouble(name, "written");
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return WS_OK;
}

ws_err ws_block_write(const ws_comm *comm, const char *file, const char *name, int64_t block)
{
    head h = {.block = (uint64_t)block, .stripe = WS_STRIPE};
    uint64_t *hashes = NULL;
    struct stat st;
    int fd = open(file, comm->rank == 0 ? O_RDWR : O_RDONLY);
    ws_err err = WS_OK;

    memcpy(h.magic, magic, sizeof magic);
    if (fd < 0 || fsync(fd) != 0 || fstat(fd, &st) != 0) { /* each node syncs what it wrote */
        err = trouble(name, "written");
    } else {
        h.length = (uint64_t)st.st_size;
        h.stripes = stripes_of(st.st_size, block);
        if ((int64_t)(sizeof h + 8 * h.stripes) > block)
            err = ws_fail(WS_ERR_IO, "%s cannot be written: it is larger than was planned", name);
        if (!err) err = ws_alloc(&hashes, (int64_t)h.stripes, 8, "hashes of a checkpoint");
        if (!err) err = hash_stripes(fd, name, &h, comm, hashes);
        if (!err && ws_io_told_to_fail("hash", comm->rank)) {
            errno = EIO;
            err = trouble(name, "read back");
        }
    }
    if (!(err = ws_agree(comm, err))) {
        MPI_Allreduce(MPI_IN_PLACE, hashes, ws_int((int64_t)h.stripes), MPI_UINT64_T, MPI_BOR,
                      comm->mpi);
        if (comm->rank == 0) err = write_block(fd, name, &h, hashes);
        if (!err && ws_io_told_to_fail("sync", comm->rank)) {
            errno = EIO;
            err = trouble(name, "synced");
        }
        err = ws_agree(comm, err);
    }
    if (fd >= 0) close(fd);
    ws_free(&hashes);
    return err;
}

static ws_err damaged(const char *name, const char *part)
{
    return ws_fail(WS_ERR_DATA, "%s is damaged (%s)", name, part);
}

/* What follows the hashes in the block must be zero. */
static ws_err rest_is_zero(int fd, const char *name, const head *h)
{
    int64_t at = (int64_t)(sizeof *h + 8 * h->stripes), n = (int64_t)h->block - at;
    char *rest = NULL;
    ws_err err = ws_alloc(&rest, n, 1, "head of a checkpoint");

    if (!err && n > 0 && read_at(fd, rest, n, at)) err = trouble(name, "read");
    if (!err && n > 0 && (rest[0] || memcmp(rest, rest + 1, (size_t)n - 1) != 0))
        err = damaged(name, "its head");
    ws_free(&rest);
    return err;
}

/* Head and hashes of a file, checked against themselves and the file's length. */
static ws_err read_head(int fd, const char *name, head *h, uint64_t **hashes)
{
    struct stat st;
    char part[100];
    ws_err err;

    if (fstat(fd, &st) != 0) return trouble(name, "read");
    if (S_ISDIR(st.st_mode)) return ws_fail(WS_ERR_IO, "%s is a folder, not a checkpoint", name);
    if (st.st_size < (int64_t)sizeof *h || read_at(fd, h, sizeof *h, 0) ||
        memcmp(h->magic, magic, sizeof magic) != 0)
        return ws_fail(WS_ERR_DATA,
                       "%s is not a wingspan checkpoint, or its first bytes are damaged", name);
    if (h->spare || h->stripe != WS_STRIPE || h->block < WS_BLOCK_LEAST ||
        h->block > (uint64_t)1 << 40 || h->length > (uint64_t)1 << 60 || h->length < h->block ||
        h->stripes != stripes_of((int64_t)h->length, (int64_t)h->block) ||
        sizeof *h + 8 * h->stripes > h->block)
        return damaged(name, "its head");
    if ((int64_t)h->length != st.st_size) {
        snprintf(part, sizeof part, "it has %lld bytes instead of %lld", (long long)st.st_size,
                 (long long)h->length);
        return damaged(name, part);
    }
    if ((err = ws_alloc(hashes, (int64_t)h->stripes, 8, "hashes of a checkpoint"))) return err;
    if (h->stripes && read_at(fd, *hashes, (int64_t)h->stripes * 8, sizeof *h))
        return trouble(name, "read");
    if (h->hash != hash_of_head(*h, *hashes)) return damaged(name, "its head");
    return rest_is_zero(fd, name, h);
}

static ws_err compare(int fd, const char *name, const head *h, const ws_comm *c,
                      const uint64_t *hashes)
{
    uint64_t *found = NULL;
    char part[100];
    ws_err err = ws_alloc(&found, (int64_t)h->stripes, 8, "hashes of a checkpoint");

    if (!err) err = hash_stripes(fd, name, h, c, found);
    for (int64_t s = c->rank; s < (int64_t)h->stripes && !err; s += c->size)
        if (found[s] != hashes[s]) {
            int64_t at = (int64_t)h->block + s * WS_STRIPE, end = at + WS_STRIPE - 1;
            snprintf(part, sizeof part, "between byte %lld and byte %lld", (long long)at,
                     (long long)(end < (int64_t)h->length ? end : (int64_t)h->length - 1));
            err = damaged(name, part);
        }
    ws_free(&found);
    return err;
}

ws_err ws_block_verify(const ws_comm *comm, const char *file, const char *name, int64_t *length)
{
    uint64_t *hashes = NULL;
    head h = {.length = 0};
    int fd = open(file, O_RDONLY);
    ws_err err = fd < 0 ? trouble(name, "read") : read_head(fd, name, &h, &hashes);

    if (!err) err = compare(fd, name, &h, comm, hashes);
    if (!err && ws_io_told_to_fail("verify", comm->rank)) err = damaged(name, "a rehearsal");
    if (fd >= 0) close(fd);
    ws_free(&hashes);
    *length = (int64_t)h.length;
    return ws_agree(comm, err);
}
