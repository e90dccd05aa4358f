/* lsh.h - the hash tables of the lsh index, private to lsh*.c.
 *
 * Table t hashes a vector to the signs of its products with K Gaussian vectors that depend on
 * (seed, t) alone.  A sign is that of ws_dot, so a neuron has the same code on any rank and any
 * machine.  Buckets are kept for blocks of BLOCK neurons, which makes them short numbers and keeps a
 * query in cache; a bucket lists its neurons in ascending order. */
#ifndef WS_INDEX_LSH_H
#define WS_INDEX_LSH_H

#include "index_impl.h"

enum { WS_LSH_BLOCK = 1 << 16 };

typedef struct ws_lsh_tables {
    const ws_shard *shard;
    int64_t tables, bits, buckets; /* L, K, 2^K */
    int64_t stride;                /* neurons of the largest block */
    float *plane;                  /* [L K x d] */
    double *norm;                  /* [L K] of the planes, upper bounds */
    uint16_t *code;                /* [blocks x L x stride] of every neuron, as last hashed */
    int32_t *first;                /* [blocks x L x (buckets + 1)] where a bucket begins */
    uint16_t *member;              /* [blocks x L x stride] neurons of a block, bucket by bucket */
    float *rows, *product;         /* vectors gathered to be hashed, their products */
    uint16_t *codes;               /* [tile x L] */
} ws_lsh_tables;

/** Room and planes, then every neuron's code and the buckets.  Not collective. */
ws_err ws_lsh_build(ws_lsh_tables *t, const ws_shard *shard, const ws_index_options *o);

/** Hash n neurons again and renew the buckets.  Not collective. */
void ws_lsh_rehash(ws_lsh_tables *t, const int64_t *row, int64_t n);

/** Codes [n x L] of samples ids[0..n), or 0..n-1.  Not collective. */
void ws_lsh_samples(ws_lsh_tables *t, const ws_samples *x, const int64_t *ids, int64_t n,
                    uint16_t *code);

/** How many neurons a block has.  Not collective. */
static inline int64_t ws_lsh_size(const ws_lsh_tables *t, int64_t block)
{
    int64_t left = t->shard->n - block * WS_LSH_BLOCK;

    return left < WS_LSH_BLOCK ? left : WS_LSH_BLOCK;
}

/** Neurons of a block, from 0 there, in the bucket of a table.  Not collective. */
static inline const uint16_t *ws_lsh_bucket(const ws_lsh_tables *t, int64_t block, int64_t table,
                                            uint16_t code, int64_t *n)
{
    int64_t at = block * t->tables + table;
    const int32_t *first = t->first + at * (t->buckets + 1) + code;

    *n = first[1] - first[0];
    return t->member + at * t->stride + first[0];
}

int64_t ws_lsh_held(const ws_lsh_tables *t);
void ws_lsh_free(ws_lsh_tables *t);

#endif
