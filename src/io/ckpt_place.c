/* ckpt_place.c - a file appears whole under its name, older ones are kept, and the name is never
 * without a file once it had one. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "ckpt.h"
#include "h5util.h"

enum { PATH = 1100 };

static void folder_of(const char *file, char folder[PATH])
{
    char copy[PATH];

    snprintf(copy, sizeof copy, "%s", file);
    snprintf(folder, PATH, "%s", dirname(copy));
}

static void numbered(const char *file, int k, char name[PATH])
{
    if (k == 0)
        snprintf(name, PATH, "%s", file);
    else
        snprintf(name, PATH, "%s.%d", file, k);
}

static ws_err no_space(const char *file, double bytes)
{
    struct statvfs v;
    char folder[PATH];
    double left = 0;

    folder_of(file, folder);
    if (statvfs(folder, &v) == 0) left = (double)v.f_bavail * (double)v.f_frsize;
    return ws_fail(WS_ERR_IO,
                   "no space to write %s: it needs %.4g MB and %.4g MB are free; make room or "
                   "choose another folder",
                   file, bytes / 1e6, left / 1e6);
}

/* Is fd still what the name says?  Another run may have put it in place or taken it away. */
static int same_file(int fd, const char *name)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(name, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* The temporary file, empty and ours alone.  A killed run's last rank may hold it for a moment, so
 * wait a little; filesystems that know no locks go without.  -1: errno, EWOULDBLOCK if held. */
static int open_alone(const char *temp)
{
    const struct timespec pause = {0, 50000000};
    int fd = -1, code = EWOULDBLOCK;

    for (int tries = 0; tries < 100 && code == EWOULDBLOCK; tries++) {
        if (tries > 0) nanosleep(&pause, NULL);
        if ((fd = open(temp, O_RDWR | O_CREAT, 0666)) < 0) return -1;
        code = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK ? EWOULDBLOCK
               : same_file(fd, temp)                                     ? 0
                                                                         : EWOULDBLOCK;
        if (!code && ftruncate(fd, 0) != 0) code = errno;
        if (code) close(fd);
    }
    errno = code;
    return code ? -1 : fd;
}

ws_err ws_place_open(const char *temp, const char *file, double bytes, int *hold)
{
    struct statvfs v;
    struct stat st;
    char folder[PATH];
    int fd, bad;

    folder_of(file, folder);
    if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
        return ws_fail(WS_ERR_IO, "%s is a folder: give the name of a file", file);
    if ((fd = open_alone(temp)) < 0 && errno == EWOULDBLOCK)
        return ws_fail(WS_ERR_IO,
                       "%s is being written by another run: wait for it to end or choose another "
                       "name",
                       file);
    if (fd < 0)
        return ws_fail(WS_ERR_IO, "%s cannot be written: %s (%s)", file, strerror(errno), folder);
    bad = statvfs(folder, &v) == 0 && (double)v.f_bavail * (double)v.f_frsize < bytes;
    bad = bad || ws_io_told_to_fail("reserve", 0);
    if (bad) unlink(temp);
    if (!bad && hold)
        *hold = fd;
    else
        close(fd);
    return bad ? no_space(file, bytes) : WS_OK;
}

/* Sync a folder, so that its new names survive a crash; not every filesystem can. */
static void sync_folder(const char *file)
{
    char folder[PATH];
    int fd;

    folder_of(file, folder);
    if ((fd = open(folder, O_RDONLY | O_DIRECTORY)) < 0) return;
    fsync(fd);
    close(fd);
}

ws_err ws_place_free(const char *file)
{
    static const char hdf5[] = "\211HDF\r\n\032\n";
    char head[8] = {0};
    int fd = open(file, O_RDONLY), other;

    if (fd < 0) return WS_OK;
    other = read(fd, head, sizeof head) == (ssize_t)sizeof head && !memcmp(head, hdf5, sizeof head);
    close(fd);
    if (!other) return WS_OK;
    return ws_fail(WS_ERR_IO,
                   "%s is an HDF5 file but no checkpoint, and would be lost: choose another name "
                   "or take it away",
                   file);
}

/* FILE to FILE.1 without FILE ever being away; where links are not known, by renaming. */
static int keep_newest(const char *file, const char *older, int rank, int *moved)
{
    if (access(file, F_OK) != 0) return 0;
    unlink(older);
    if (!ws_io_told_to_fail("link", rank) && link(file, older) == 0) return 0;
    *moved = rename(file, older) == 0;
    return *moved ? 0 : -1;
}

ws_err ws_place(const char *temp, const char *file, int keep, int rank)
{
    char from[PATH], to[PATH];
    int bad = 0, moved = 0, code;

    for (int k = keep - 1; k >= 2 && !bad; k--) {
        numbered(file, k - 1, from);
        numbered(file, k, to);
        bad = rename(from, to) != 0 && errno != ENOENT;
    }
    if (!bad && keep > 1) {
        numbered(file, 1, to);
        bad = keep_newest(file, to, rank, &moved) != 0;
    }
    if (!bad && ws_io_told_to_fail("rename", rank)) {
        errno = EIO;
        bad = 1;
    }
    if (!bad && rename(temp, file) == 0) {
        sync_folder(file);
        return WS_OK;
    }
    code = errno;
    if (moved) rename(to, file); /* what was there goes back to its name */
    return ws_fail(WS_ERR_IO, "%s cannot be put in place: %s", file, strerror(code));
}
