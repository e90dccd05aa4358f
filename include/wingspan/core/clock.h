/* clock.h - seconds that only go forward. */
#ifndef WS_CORE_CLOCK_H
#define WS_CORE_CLOCK_H

/** Seconds since some fixed moment, monotonic.  Not collective.  Never decides a bit. */
double ws_seconds(void);

#endif
