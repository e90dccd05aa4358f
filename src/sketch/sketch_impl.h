/* sketch_impl.h - what a kind of sketch provides. */
#ifndef WS_SKETCH_IMPL_H
#define WS_SKETCH_IMPL_H

#include "wingspan/core/random.h"
#include "wingspan/sketch/sketch.h"

typedef struct ws_sketch_ops {
    const char *name;
    double (*scale)(int64_t s);
    /* add this rank's neurons to q; local */
    ws_err (*add)(ws_sketch *k, const ws_fired *f);
    /* y_i from q_i and x_i, for the tensor kinds; NULL: only neurons are sketched */
    ws_err (*combine)(ws_sketch *k);
} ws_sketch_ops;

struct ws_sketch {
    const ws_sketch_ops *ops;
    const ws_comm *comm;
    const ws_samples *x;
    int64_t n, m, s;
    uint64_t seed;
    int32_t *q; /* [n x s] */
    double *y;  /* [n x s] the rows that gram multiplies */
    float *row; /* [d] */
};

/* fired.c: neurons */
ws_err ws_sketch_add_count(ws_sketch *k, const ws_fired *f);
ws_err ws_sketch_add_osnap(ws_sketch *k, const ws_fired *f);
ws_err ws_sketch_add_srht(ws_sketch *k, const ws_fired *f);

/* tensor.c: neurons with coordinates */
ws_err ws_sketch_convolve(ws_sketch *k);
ws_err ws_sketch_multiply(ws_sketch *k);

/* What the random numbers of a sketch are for. */
enum { USE_NEURON, USE_COORDINATE, USE_ROW_NEURON, USE_ROW_COORDINATE };

/* Four random words of thing `id`. */
static inline void ws_sketch_draw(const ws_sketch *k, int use, int64_t id, uint32_t block,
                                  uint32_t out[4])
{
    ws_key key = {k->seed, WS_STREAM_SKETCH, (uint32_t)use};

    ws_random_block(&key, (uint64_t)id, block, out);
}

/* A whole number below n from two words: the bias is below n / 2^64. */
static inline int64_t ws_sketch_below(const uint32_t w[2], int64_t n)
{
    return (int64_t)(((unsigned __int128)((uint64_t)w[1] << 32 | w[0]) * (uint64_t)n) >> 64);
}

static inline int32_t ws_sketch_sign(uint32_t w)
{
    return w & 1 ? -1 : 1;
}

/* (-1)^(ones of a & b): entry (a, b) of the Hadamard matrix. */
static inline int32_t ws_sketch_hadamard(int64_t a, int64_t b)
{
    return __builtin_parityll((unsigned long long)(a & b)) ? -1 : 1;
}

#endif
