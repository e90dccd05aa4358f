/* store.c - see store.h. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wingspan/core/alloc.h"

enum { PIECE = 1 << 30 };

/* A run that was killed between making a segment and taking its name away left the name. */
static void clean_up(void)
{
    DIR *d = opendir("/dev/shm");
    struct dirent *e;
    char name[300];
    int pid;

    while (d && (e = readdir(d)))
        if (sscanf(e->d_name, "wingspan.%d.", &pid) == 1 && kill(pid, 0) != 0 && errno == ESRCH) {
            snprintf(name, sizeof name, "/%.280s", e->d_name);
            shm_unlink(name);
        }
    if (d) closedir(d);
}

/* Node rank 0: make and map the segment, all pages reserved. */
static int make_segment(ws_store *s, char name[64])
{
    static int serial;
    const char *limit = getenv("WINGSPAN_SHM_LIMIT");
    int fd, code;

    clean_up();
    snprintf(name, 64, "/wingspan.%ld.%d", (long)getpid(), serial++);
    if (limit && atof(limit) < (double)s->bytes) {
        code = ENOSPC;
    } else if ((fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600)) < 0) {
        code = errno;
    } else {
        code = posix_fallocate(fd, 0, (off_t)s->bytes);
        if (!code) s->base = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (!code && s->base == MAP_FAILED) code = errno;
        close(fd);
        if (code) shm_unlink(name);
    }
    if (code) {
        s->base = NULL;
        snprintf(s->why, sizeof s->why,
                 "the shared-memory filesystem has no room for %.4g MB of data (%s): every rank "
                 "keeps a copy of its own",
                 (double)s->bytes / 1e6, strerror(code));
    }
    return !code;
}

static int map_segment(ws_store *s, const char *name)
{
    int fd = shm_open(name, O_RDWR, 0);

    if (fd < 0) return 0;
    s->base = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (s->base != MAP_FAILED) return 1;
    s->base = NULL;
    return 0;
}

static void share(ws_store *s)
{
    char name[64] = "";
    int ok = s->node.rank == 0 ? make_segment(s, name) : 1;

    MPI_Bcast(name, sizeof name, MPI_CHAR, 0, s->node.mpi);
    MPI_Bcast(&ok, 1, MPI_INT, 0, s->node.mpi);
    if (ok && s->node.rank > 0) ok = map_segment(s, name);
    s->shared = ok;
    MPI_Allreduce(MPI_IN_PLACE, &s->shared, 1, MPI_INT, MPI_LAND, s->node.mpi);
    if (s->node.rank == 0 && name[0] && s->base) shm_unlink(name);
    if (!s->shared && s->base) {
        munmap(s->base, s->bytes);
        s->base = NULL;
    }
    if (!s->shared && !s->why[0])
        snprintf(s->why, sizeof s->why,
                 "a rank cannot map the shared memory of its node: every rank keeps a copy of the "
                 "data of its own");
    MPI_Bcast(s->why, sizeof s->why, MPI_CHAR, 0, s->node.mpi);
}

ws_err ws_store_create(const ws_comm *comm, size_t bytes, ws_store *s)
{
    ws_err err = WS_OK;

    *s = (ws_store){.bytes = bytes};
    ws_comm_node(comm, &s->node);
    if (s->node.size > 1 && bytes > 0) share(s);
    if (!s->shared) err = ws_alloc(&s->base, (int64_t)bytes, 1, "data");
    if ((err = ws_agree(comm, err))) ws_store_destroy(s);
    return err;
}

void ws_store_publish(ws_store *s)
{
    if (!s->shared && s->node.size > 1)
        for (size_t at = 0; at < s->bytes; at += PIECE) {
            size_t n = s->bytes - at < PIECE ? s->bytes - at : PIECE;
            MPI_Bcast((char *)s->base + at, (int)n, MPI_BYTE, 0, s->node.mpi);
        }
    MPI_Barrier(s->node.mpi);
}

void ws_store_destroy(ws_store *s)
{
    if (s->shared)
        munmap(s->base, s->bytes);
    else
        ws_free(&s->base);
    ws_comm_destroy(&s->node);
    *s = (ws_store){0};
}
