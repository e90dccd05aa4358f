/* random.h - counter-based random numbers: Philox4x32-10.
 *
 * A value is a pure function of (seed, stream, layer, global id, coordinate): never of
 * the rank, the order of calls, or time.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#ifndef WS_CORE_RANDOM_H
#define WS_CORE_RANDOM_H

#include <stdint.h>

/* What a draw is for; two streams never share a number. */
typedef enum ws_stream {
    WS_STREAM_WEIGHT = 1,  /* first-layer rows */
    WS_STREAM_SIGN = 2,    /* output weights */
    WS_STREAM_SHUFFLE = 3, /* order of the samples in an epoch; id = epoch */
    WS_STREAM_POWER = 4,   /* start vector of power iterations */
    WS_STREAM_VERIFY = 5,  /* which queries are checked */
    WS_STREAM_TEST = 6,    /* free for tests and benches */
    WS_STREAM_HASH = 7,    /* directions of hash tables; layer = table */
    WS_STREAM_SKETCH = 12, /* random linear maps */
    WS_STREAM_BLOCK = 13,  /* rows in blocks: id = block and chunk */
    WS_STREAM_FLIP = 14    /* their signs; id = chunk */
} ws_stream;

typedef struct ws_key {
    uint64_t seed;
    ws_stream stream;
    uint32_t layer;
} ws_key;

/** The bare generator: 10 rounds on a 128-bit counter with a 64-bit key.  Not collective. */
void ws_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

/** Block j of id's sequence: 4 words that depend on (key, id, j) alone.  Not collective.
 *  key of Philox = seed; counter = {j, id low, id high, stream << 24 | layer}. */
void ws_random_block(const ws_key *k, uint64_t id, uint32_t j, uint32_t out[4]);

/** Fill row[0..d) with independent N(0, scale^2) numbers of neuron id; value j is coordinate j's.
 *  Not collective.  Box-Muller in double with wingspan's own log, sin, cos; rounded once to float. */
void ws_random_normal(const ws_key *k, uint64_t id, int64_t d, double scale, float *row);

/** Rows of n neurons at once: row i of rows [n x d] has the bits of ws_random_normal(k, id[i], d,
 *  scale).  Not collective.  Eight ids go side by side with AVX-512, 2.0 ns a number; four with AVX2, 4 ns. */
void ws_random_normal_rows(const ws_key *k, const int64_t *id, int64_t n, int64_t d, double scale,
                           float *rows);

/** Block j of n ids at once: out [n x 4], row i as ws_random_block(k, id[i], j).  Not collective. */
void ws_random_blocks(const ws_key *k, const int64_t *id, int64_t n, uint32_t j, uint32_t *out);

/** The numbers of the 16 ids first, first + step, ... by a short cut in float32, each within
 *  WS_RANDOM_NEAR of ws_random_normal with scale 1: enough to tell which neurons cannot fire.
 *
 *  Not collective.  Their bits may differ between machines, so nothing but a proposal may rest on them.
 *  @param step  1 or 2; the 32 high bits of all 16 ids must be equal
 *  @param cols  [d rounded up to 4, 16]: a row holds one coordinate of the 16 ids
 *  @return 0 if this vector unit has no short cut; nothing is written then
 *
 *  Cost: about 0.7 ns a number with AVX-512, 1.3 with AVX2. */
int ws_random_normal_near(const ws_key *k, uint64_t first, int step, int64_t d, float *cols);

#define WS_RANDOM_NEAR 4e-4 /* 2.5e-4 over the words tried: all at both ends, one in 61 between */

/** A uniform number in [0, 1) with 53 bits: coordinate j of id.  Not collective. */
double ws_random_uniform(const ws_key *k, uint64_t id, uint32_t j);

/** Write a permutation of 0..n-1 that depends on (key, id) alone (Fisher-Yates, unbiased).
 *  Not collective.  Cost: n draws. */
void ws_random_permutation(const ws_key *k, uint64_t id, int64_t n, int64_t *perm);

#endif
