/* bits.c - bits of who fires, and how many are common. */
#include "wingspan/kernel/bits.h"

#include <string.h>

#include "wingspan/core/alloc.h"

ws_err ws_bits_create(int64_t n, int64_t rows, ws_bits *f)
{
    *f = (ws_bits){.n = n, .rows = rows, .words = (rows + 63) / 64};
    return ws_alloc(&f->word, n * f->words, sizeof *f->word, "bits of who fires");
}

void ws_bits_free(ws_bits *f)
{
    ws_free(&f->word);
    *f = (ws_bits){0};
}

void ws_bits_clear(ws_bits *f)
{
    if (f->n * f->words > 0) memset(f->word, 0, (size_t)(f->n * f->words) * sizeof *f->word);
}

int64_t ws_bits_panel(int64_t i0, int64_t n, int64_t most)
{
    int64_t i = i0, size = 0;

    while (i < n && (i == i0 || size + i + 1 <= most)) size += ++i;
    return i;
}

static int64_t common(const uint64_t *a, const uint64_t *b, int64_t words)
{
    int64_t sum = 0;

    for (int64_t k = 0; k < words; k++) sum += __builtin_popcountll(a[k] & b[k]);
    return sum;
}

#if defined(__x86_64__)
/* The same, by the processor's own instruction. */
__attribute__((target("popcnt"))) static int64_t common_popcnt(const uint64_t *a, const uint64_t *b,
                                                               int64_t words)
{
    int64_t sum = 0;

    for (int64_t k = 0; k < words; k++) sum += __builtin_popcountll(a[k] & b[k]);
    return sum;
}
#endif

void ws_bits_count(const ws_comm *comm, const ws_bits *f, int64_t i0, int64_t i1, int64_t *count)
{
    int64_t (*both)(const uint64_t *, const uint64_t *, int64_t) = common;
    int64_t at = 0;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("popcnt")) both = common_popcnt;
#endif
    for (int64_t i = i0; i < i1; i++)
        for (int64_t j = 0; j <= i; j++)
            count[at++] = both(f->word + i * f->words, f->word + j * f->words, f->words);
    MPI_Allreduce(MPI_IN_PLACE, count, ws_int(at), MPI_INT64_T, MPI_SUM, comm->mpi);
}

int64_t ws_bits_differ(const ws_bits *a, const ws_bits *b)
{
    int64_t sum = 0;

    for (int64_t k = 0; k < a->n * a->words; k++)
        sum += __builtin_popcountll(a->word[k] ^ b->word[k]);
    return sum;
}
