/* fetch.h - how functions are declared that only prefetch.
 *
 * gcc takes a function whose only deed is __builtin_prefetch for one without effect and drops the
 * calls, unless it has been inlined before it finds out.  Two that were dropped cost a query of the
 * certified index a quarter of its time. */
#ifndef WS_CORE_FETCH_H
#define WS_CORE_FETCH_H

#define WS_FETCH static inline __attribute__((always_inline)) void

#endif
