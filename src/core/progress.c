/* progress.c - one live line on a terminal, plain lines elsewhere. */
#include "wingspan/core/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "wingspan/core/clock.h"

enum { BAR = 20 };

static int columns(void)
{
    struct winsize w;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 100;
}

void ws_progress_start(ws_progress *p, int64_t done, int64_t total)
{
    *p = (ws_progress){.done = done,
                       .total = total,
                       .started = ws_seconds(),
                       .terminal = isatty(STDERR_FILENO),
                       .done_at_start = done};
}

/* "1h02m", "3m20s" or "12s" */
static void duration(double s, char *text, size_t size)
{
    long t = s < 3.6e8 ? (long)(s + 0.5) : 360000000;

    if (t >= 3600)
        snprintf(text, size, "%ldh%02ldm", t / 3600, t % 3600 / 60);
    else if (t >= 60)
        snprintf(text, size, "%ldm%02lds", t / 60, t % 60);
    else
        snprintf(text, size, "%lds", t);
}

static void draw(const ws_progress *p, const char *text, double now)
{
    double part = p->total > 0 ? (double)p->done / (double)p->total : 0;
    double rate = (double)(p->done - p->done_at_start) / (now - p->started + 1e-9);
    char bar[BAR + 1], left[40] = "", line[400];
    int width = columns() - 1, full = (int)(part * BAR);

    for (int i = 0; i < BAR; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR] = 0;
    if (rate > 0 && p->total > p->done) duration((double)(p->total - p->done) / rate, left, 40);
    snprintf(line, sizeof line, "[%s] %3.0f%%  %s  %.3g steps/s  %s%s", bar, 100 * part, text, rate,
             left, left[0] ? " left" : "");
    fprintf(stderr, "\r%-*.*s", width, width, line);
    fflush(stderr);
}

void ws_progress_show(ws_progress *p, int64_t done, const char *text, int log)
{
    double now = ws_seconds();

    p->done = done;
    if (!p->terminal) {
        if (log) fprintf(stderr, "%s\n", text);
        return;
    }
    if (now - p->shown < 0.1 && done != p->total) return;
    p->shown = now;
    draw(p, text, now);
}

static void erase(const ws_progress *p)
{
    if (p->terminal && p->shown > 0) fprintf(stderr, "\r%*s\r", columns() - 1, "");
}

void ws_progress_say(ws_progress *p, const char *fmt, ...)
{
    va_list ap;

    erase(p);
    if (strncmp(fmt, "warning:", 8) == 0) fputs("wingspan: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void ws_progress_stop(ws_progress *p)
{
    if (p->terminal && p->shown > 0) fputc('\n', stderr);
    p->shown = 0;
}
