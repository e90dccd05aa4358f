/* progress.h - what a person sees while it runs: on a terminal one live line with a bar, loss,
 * rate and time left; elsewhere a plain line now and then.  To stderr, rank 0 only. */
#ifndef WS_CORE_PROGRESS_H
#define WS_CORE_PROGRESS_H

#include <stdint.h>

typedef struct ws_progress {
    int64_t done, total; /* total 0: not known */
    double started;      /* seconds */
    double shown;        /* when the live line was last drawn */
    int terminal;        /* stderr is one */
    int64_t done_at_start;
} ws_progress;

/** Begin at step `done` of `total`.  Not collective. */
void ws_progress_start(ws_progress *p, int64_t done, int64_t total);

/** Redraw the live line (at most 10 times a second) with what is said in text.
 *  On no terminal: prints nothing unless log is true, then "text" as one line. */
void ws_progress_show(ws_progress *p, int64_t done, const char *text, int log);

/** Print a line above the live line. */
void ws_progress_say(ws_progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Erase the live line. */
void ws_progress_stop(ws_progress *p);

#endif
