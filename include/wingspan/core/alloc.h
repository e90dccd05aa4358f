/* alloc.h - aligned memory that can be counted and told to fail. */
#ifndef WS_CORE_ALLOC_H
#define WS_CORE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "wingspan/core/err.h"

/** n * size bytes, 64-byte aligned, zeroed; n = 0 gives NULL with WS_OK.  Not collective.
 *  Large blocks come straight from the system, untouched pages cost nothing.
 *  @return local: WS_ERR_NOMEM, the text names `what` and the bytes; *out is NULL then */
ws_err ws_alloc(void *out, int64_t n, size_t size, const char *what);

/** Grow *p (from ws_alloc, or NULL) to hold at least n elements, keeping its content; the
 *  part beyond the old content is not initialised.  *capacity is the count it can hold; it
 *  grows by half or more, from 4 KB on, so repeated growth is cheap.  Large blocks move without a
 *  copy.
 *  Start it at 0 with *p NULL; only what lies below n is sure to be kept if it was lowered since.
 *  @return local: WS_ERR_NOMEM; *p and *capacity are as before */
ws_err ws_grow(void *p, int64_t *capacity, int64_t n, size_t size, const char *what);

/** Give back what lies beyond n elements of a block from ws_alloc; large blocks only, small ones
 *  stay as they are.  Not collective; cannot fail. */
void ws_shrink(void *p, int64_t n, size_t size);

/** Free and set to NULL.  p is the address of the pointer. */
void ws_free(void *p);

/* For tests: make the k-th call from now fail (0: never); how many calls there were; bytes
 * held now.  The environment variable WINGSPAN_FAIL_ALLOC=rank:k does the first at start
 * (ws_alloc_from_env, called by main). */
void ws_alloc_fail_at(int64_t k);
int64_t ws_alloc_calls(void);
int64_t ws_alloc_bytes(void);
void ws_alloc_from_env(int rank);

#endif
