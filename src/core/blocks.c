/* blocks.c - rows that are XOR shifts of a block's normal numbers. */
#include "wingspan/core/blocks.h"

#include "wingspan/core/random.h"

ws_blocks ws_blocks_of(uint64_t seed, int64_t d, double scale)
{
    ws_blocks b = {.seed = seed, .scale = scale, .d = d, .q = 1};

    while (b.q * 2 <= d && b.q < WS_BLOCK_ROWS) b.q *= 2;
    b.chunks = (d + b.q - 1) / b.q;
    return b;
}

/* Chunk c of a block has the id block x chunks + c. */
static void numbers(const ws_blocks *b, int64_t id, float *g)
{
    ws_key key = {b->seed, WS_STREAM_BLOCK, 0};

    ws_random_normal(&key, (uint64_t)id, b->q, b->scale, g);
}

/* So many chunks side by side. */
enum { SOME = 64, FEW = 8 };

void ws_blocks_numbers(const ws_blocks *b, int64_t block, int64_t n, float *g)
{
    ws_key key = {b->seed, WS_STREAM_BLOCK, 0};
    int64_t all = n * b->chunks, id[SOME];

    for (int64_t from = 0; from < all; from += SOME) {
        int64_t k = all - from < SOME ? all - from : SOME;

        for (int64_t i = 0; i < k; i++) id[i] = block * b->chunks + from + i;
        ws_random_normal_rows(&key, id, k, b->q, b->scale, g + from * b->q);
    }
}

static void signs(const ws_blocks *b, int64_t c, float *sign)
{
    ws_key key = {b->seed, WS_STREAM_FLIP, 0};
    uint32_t w[4] = {0};

    for (int64_t k = 0; k < b->q; k++) {
        if (k % 128 == 0) ws_random_block(&key, (uint64_t)c, (uint32_t)(k / 128), w);
        sign[k] = w[k / 32 % 4] >> (k % 32) & 1 ? -1.0f : 1.0f;
    }
}

void ws_blocks_signs(const ws_blocks *b, float *sign)
{
    for (int64_t c = 0; c < b->chunks; c++) signs(b, c, sign + c * b->q);
}

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

/* Fours of k in turn; the order within each follows from the two low bits of i. */
#define FOURS(...)                                                                                 \
    for (; k + 4 <= n; k += 4) {                                                                   \
        four v = *(const four *)(g + (k ^ (i & ~(int64_t)3)));                                     \
                                                                                                   \
        *(four *)(w + k) = *(const four *)(sign + k) * __builtin_shufflevector(v, v, __VA_ARGS__); \
    }                                                                                              \
    break;

/* w[k] = sign[k] g[i XOR k] for k < n; g has whole fours. */
static void exchanged(const float *g, const float *sign, int64_t i, int64_t n, float *w)
{
    int64_t k = 0;

    switch (i & 3) {
    case 0:
        FOURS(0, 1, 2, 3)
    case 1:
        FOURS(1, 0, 3, 2)
    case 2:
        FOURS(2, 3, 0, 1)
    default:
        FOURS(3, 2, 1, 0)
    }
    for (; k < n; k++) w[k] = sign[k] * g[i ^ k];
}

/* Row i of a block, chunk c. */
static void piece(const ws_blocks *b, int64_t c, const float *g, const float *sign, int64_t i,
                  float *w)
{
    int64_t n = b->d - c * b->q < b->q ? b->d - c * b->q : b->q;

    exchanged(g, sign, i, n, w + c * b->q);
}

void ws_blocks_rows(const ws_blocks *b, int64_t t, int64_t n, float *w, int64_t stride)
{
    float g[WS_BLOCK_ROWS], sign[WS_BLOCK_ROWS];
    int64_t end = t + n, next;

    for (int64_t at = t; at < end; at = next) {
        int64_t block = at / b->q;

        next = (block + 1) * b->q < end ? (block + 1) * b->q : end;
        for (int64_t c = 0; c < b->chunks; c++) {
            numbers(b, block * b->chunks + c, g);
            signs(b, c, sign);
            for (int64_t r = at; r < next; r++)
                piece(b, c, g, sign, r - block * b->q, w + (r - t) * stride);
        }
    }
}

void ws_blocks_row(const ws_blocks *b, const float *g, const float *sign, int64_t t, float *w)
{
    for (int64_t c = 0; c < b->chunks; c++) piece(b, c, g + c * b->q, sign + c * b->q, t % b->q, w);
}

/* Rows t[0..k) of n blocks, one block after the other. */
static void some(const ws_blocks *b, const float *sign, const int64_t *block, int64_t n,
                 const int64_t *t, int64_t k, float *w)
{
    ws_key key = {b->seed, WS_STREAM_BLOCK, 0};
    float g[FEW * WS_BLOCK_ROWS];
    int64_t id[FEW];

    for (int64_t c = 0; c < b->chunks; c++) {
        const float *at = g;

        for (int64_t i = 0; i < n; i++) id[i] = block[i] * b->chunks + c;
        ws_random_normal_rows(&key, id, n, b->q, b->scale, g);
        for (int64_t i = 0; i < k; i++) {
            if (i > 0 && t[i] / b->q != t[i - 1] / b->q) at += b->q;
            piece(b, c, at, sign + c * b->q, t[i] % b->q, w + i * b->d);
        }
    }
}

void ws_blocks_some(const ws_blocks *b, const float *sign, const int64_t *t, int64_t k, float *w)
{
    int64_t block[FEW];

    for (int64_t from = 0, to; from < k; from = to) {
        int64_t n = 0;

        for (to = from; to < k; to++) {
            int same = n > 0 && t[to] / b->q == block[n - 1];

            if (!same && n == FEW) break;
            if (!same) block[n++] = t[to] / b->q;
        }
        some(b, sign, block, n, t + from, to - from, w + from * b->d);
    }
}
