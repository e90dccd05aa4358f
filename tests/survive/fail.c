/* fail.c - preloaded: a disk that fails. WINGSPAN_TEST_FAIL=fsync|rename|pwrite makes that call fail with
 * EIO on a checkpoint that is being written (NAME.tmp), pwrite only on ranks without libhdf5, which would
 * notice; short makes every pwrite a short one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_told(const char *what)
{
    const char *text = getenv("WINGSPAN_TEST_FAIL");

    return text && strcmp(text, what) == 0;
}

static int is_part(const char *name)
{
    size_t n = strlen(name);

    return n > 4 && strcmp(name + n - 4, ".tmp") == 0;
}

static int is_part_open(int fd)
{
    char link[64], name[4096];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, name, sizeof name - 1);
    name[n > 0 ? n : 0] = 0;
    return is_part(name);
}

static int fails(void)
{
    errno = EIO;
    return -1;
}

int fsync(int fd)
{
    return is_told("fsync") && is_part_open(fd) ? fails() : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    return is_told("rename") && is_part(from) ? fails() : (int)syscall(SYS_rename, from, to);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");

    if (is_told("pwrite") && rank && atoi(rank) > 0 && is_part_open(fd)) return fails();
    if (is_told("short") && n > 100) n = 100;
    return syscall(SYS_pwrite64, fd, from, n, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off_t at)
{
    return pwrite(fd, from, n, at);
}
