/* ckpt_place.c - a file appears whole under its name, older ones are kept, and the name is never
 * without a file once it had one. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
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

ws_err ws_place_open(const char *temp, const char *file, double bytes)
{
    struct statvfs v;
    struct stat st;
    char folder[PATH];
    int fd, bad;

    folder_of(file, folder);
    if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
        return ws_fail(WS_ERR_IO, "%s is a folder: give the name of a file", file);
    if ((fd = open(temp, O_RDWR | O_CREAT | O_TRUNC, 0666)) < 0)
        return ws_fail(WS_ERR_IO, "%s cannot be written: %s (%s)", file, strerror(errno), folder);
    bad = statvfs(folder, &v) == 0 && (double)v.f_bavail * (double)v.f_frsize < bytes;
    close(fd);
    if (!bad && !ws_io_told_to_fail("reserve", 0)) return WS_OK;
    unlink(temp);
    return no_space(file, bytes);
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
