/* clock.c - preloaded: a date that jumps by years each time somebody asks for it. The monotonic clock is
 * left alone, as the system leaves it when the date is set. */
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { YEAR = 365 * 86400 };

static time_t jump(void)
{
    static const time_t by[] = {YEAR, -20 * YEAR, -3600, 7 * YEAR};
    static _Atomic unsigned calls;

    return by[atomic_fetch_add(&calls, 1) % 4];
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int err = (int)syscall(SYS_clock_gettime, id, t);

    if (!err && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += jump();
    return err;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    int err = (int)syscall(SYS_gettimeofday, t, zone);

    if (!err) t->tv_sec += jump();
    return err;
}

time_t time(time_t *out)
{
    struct timespec t = {0};
    time_t now;

    clock_gettime(CLOCK_REALTIME, &t);
    now = t.tv_sec;
    if (out) *out = now;
    return now;
}
