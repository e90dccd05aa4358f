/* hash.c - the only file that names libxxhash. */
#include "wingspan/core/hash.h"

#include <xxhash.h>

uint64_t ws_hash(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}
