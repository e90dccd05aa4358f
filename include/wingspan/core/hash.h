/* hash.h - 64-bit hashes (XXH3 of libxxhash). */
#ifndef WS_CORE_HASH_H
#define WS_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

/** Hash of n bytes, the same on every little-endian machine.  Not collective. */
uint64_t ws_hash(const void *p, size_t n, uint64_t seed);

#endif
