/* lsh_tables.c - codes of vectors by signed random projections, and buckets of neurons by code.
 *
 * Products come from sgemm; a sign that float32 cannot tell is decided by ws_dot, so that codes do
 * not depend on how vectors are grouped into products. */
#include "lsh.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"
#include "wingspan/linalg/blas.h"

#include "propose.h"

enum { TILE = 128 };

static int64_t blocks(const ws_lsh_tables *t)
{
    return (t->shard->n + WS_LSH_BLOCK - 1) / WS_LSH_BLOCK;
}

/* ---- codes ---- */

/* Is <v, plane j> > 0, given its float32 product?  The routine decides what float32 cannot. */
static int is_positive(const ws_lsh_tables *t, const float *v, double wide, int64_t j, float z)
{
    int64_t d = t->shard->d;

    if (fabs((double)z) > wide * t->norm[j] + 0x1p-100 && fabsf(z) < FLT_MAX) return z > 0;
    return ws_dot(v, t->plane + j * d, d) > 0;
}

/* Codes of n <= TILE vectors in t->rows to t->codes. */
static void hash(ws_lsh_tables *t, const float *rows, int64_t n)
{
    int64_t d = t->shard->d, planes = t->tables * t->bits;

    ws_sgemm_nt(n, planes, d, rows, d, t->plane, d, t->product, planes);
    for (int64_t i = 0; i < n; i++) {
        const float *v = rows + i * d, *z = t->product + i * planes;
        double wide = ws_propose_margin(d) * ws_propose_norm(v, d);

        for (int64_t k = 0; k < t->tables; k++) {
            unsigned code = 0;

            for (int64_t j = k * t->bits; j < (k + 1) * t->bits; j++)
                code = code << 1 | (unsigned)is_positive(t, v, wide, j, z[j]);
            t->codes[i * t->tables + k] = (uint16_t)code;
        }
    }
}

void ws_lsh_samples(ws_lsh_tables *t, const ws_samples *x, const int64_t *ids, int64_t n,
                    uint16_t *code)
{
    for (int64_t from = 0; from < n; from += TILE) {
        int64_t k = n - from < TILE ? n - from : TILE;

        for (int64_t i = 0; i < k; i++)
            ws_samples_row(x, ws_sample_at(ids, from + i), t->rows + i * x->d);
        hash(t, t->rows, k);
        memcpy(code + from * t->tables, t->codes, (size_t)(k * t->tables) * sizeof *code);
    }
}

/* ---- buckets ---- */

/* Counting sort of one table of a block by code. */
static void sort_table(ws_lsh_tables *t, int64_t block, int64_t table)
{
    int64_t at = block * t->tables + table, n = ws_lsh_size(t, block);
    const uint16_t *code = t->code + at * t->stride;
    uint16_t *member = t->member + at * t->stride;
    int32_t *first = t->first + at * (t->buckets + 1);

    /* first[c + 1] counts bucket c, then walks as the place of its next neuron. */
    memset(first, 0, (size_t)(t->buckets + 1) * sizeof *first);
    for (int64_t r = 0; r < n; r++) first[code[r] + 1]++;
    for (int64_t c = 0, place = 0; c < t->buckets; c++) {
        int32_t here = first[c + 1];

        first[c + 1] = (int32_t)place;
        place += here;
    }
    for (int64_t r = 0; r < n; r++) member[first[code[r] + 1]++] = (uint16_t)r;
}

static void put_code(ws_lsh_tables *t, int64_t r, const uint16_t *code)
{
    uint16_t *to = t->code + r / WS_LSH_BLOCK * t->tables * t->stride + r % WS_LSH_BLOCK;

    for (int64_t k = 0; k < t->tables; k++) to[k * t->stride] = code[k];
}

void ws_lsh_rehash(ws_lsh_tables *t, const int64_t *row, int64_t n)
{
    int64_t d = t->shard->d;

    for (int64_t from = 0; from < n; from += TILE) {
        int64_t k = n - from < TILE ? n - from : TILE;

        for (int64_t i = 0; i < k; i++)
            memcpy(t->rows + i * d, t->shard->w + row[from + i] * d, (size_t)d * sizeof(float));
        hash(t, t->rows, k);
        for (int64_t i = 0; i < k; i++) put_code(t, row[from + i], t->codes + i * t->tables);
    }
    for (int64_t b = 0; n > 0 && b < blocks(t); b++)
        for (int64_t k = 0; k < t->tables; k++) sort_table(t, b, k);
}

/* ---- build ---- */

static ws_err allocate(ws_lsh_tables *t)
{
    const char *what = "hash tables of the lsh index";
    int64_t planes = t->tables * t->bits, d = t->shard->d, all = blocks(t) * t->tables;
    ws_err err;

    if ((err = ws_alloc(&t->plane, planes * d, sizeof *t->plane, what)) ||
        (err = ws_alloc(&t->norm, planes, sizeof *t->norm, what)) ||
        (err = ws_alloc(&t->code, all * t->stride, sizeof *t->code, what)) ||
        (err = ws_alloc(&t->first, all * (t->buckets + 1), sizeof *t->first, what)) ||
        (err = ws_alloc(&t->member, all * t->stride, sizeof *t->member, what)) ||
        (err = ws_alloc(&t->rows, TILE * d, sizeof *t->rows, what)) ||
        (err = ws_alloc(&t->product, TILE * planes, sizeof *t->product, what)))
        return err;
    return ws_alloc(&t->codes, TILE * t->tables, sizeof *t->codes, what);
}

ws_err ws_lsh_build(ws_lsh_tables *t, const ws_shard *shard, const ws_index_options *o)
{
    int64_t d = shard->d;
    ws_err err;

    *t = (ws_lsh_tables){.shard = shard, .tables = o->tables, .bits = o->bits};
    t->stride = shard->n < WS_LSH_BLOCK ? shard->n : WS_LSH_BLOCK;
    t->buckets = (int64_t)1 << t->bits;
    if ((err = allocate(t))) return err;
    for (int64_t j = 0; j < t->tables * t->bits; j++) {
        ws_key key = {o->seed, WS_STREAM_HASH, (uint32_t)(j / t->bits)};

        ws_random_normal(&key, (uint64_t)(j % t->bits), d, 1, t->plane + j * d);
        t->norm[j] = ws_propose_norm(t->plane + j * d, d);
    }
    for (int64_t r = 0; r < shard->n; r += TILE) {
        int64_t k = shard->n - r < TILE ? shard->n - r : TILE;

        hash(t, shard->w + r * d, k);
        for (int64_t i = 0; i < k; i++) put_code(t, r + i, t->codes + i * t->tables);
    }
    for (int64_t b = 0; b < blocks(t); b++)
        for (int64_t k = 0; k < t->tables; k++) sort_table(t, b, k);
    return WS_OK;
}

int64_t ws_lsh_held(const ws_lsh_tables *t)
{
    int64_t planes = t->tables * t->bits, all = blocks(t) * t->tables;

    return planes * (4 * t->shard->d + 8) + all * (4 * t->stride + 4 * (t->buckets + 1)) +
           TILE * (4 * t->shard->d + 4 * planes + 2 * t->tables);
}

void ws_lsh_free(ws_lsh_tables *t)
{
    ws_free(&t->plane);
    ws_free(&t->norm);
    ws_free(&t->code);
    ws_free(&t->first);
    ws_free(&t->member);
    ws_free(&t->rows);
    ws_free(&t->product);
    ws_free(&t->codes);
}
