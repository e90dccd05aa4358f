/* compare.c - is an answer the right one?  Against another answer, or against the definition:
 * ws_dot of every row here, with no index and no sgemm in between. */
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

#include "index_impl.h"

static void note(ws_difference *d, int64_t *count, int64_t row, int32_t pos)
{
    if (d->missed + d->extra + d->changed == 0) {
        d->row = row;
        d->pos = pos;
    }
    ++*count;
}

static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* ---- two answers ---- */

/* One neuron's pairs from .. end - 1 of either answer, both ascending; either may have none. */
static void compare_row(const ws_hits *got, const int64_t g[2], const ws_hits *want,
                        const int64_t w[2], int64_t row, ws_difference *d)
{
    int64_t i = g[0], j = w[0];

    while (i < g[1] || j < w[1]) {
        int32_t a = i < g[1] ? got->pos[i] : INT32_MAX, b = j < w[1] ? want->pos[j] : INT32_MAX;

        if (a > b)
            note(d, &d->missed, row, b);
        else if (a < b)
            note(d, &d->extra, row, a);
        else if (!same_bits(got->z[i], want->z[j]))
            note(d, &d->changed, row, a);
        i += a <= b;
        j += b <= a;
    }
}

void ws_hits_compare(const ws_hits *got, const ws_hits *want, ws_difference *d)
{
    int64_t i = 0, j = 0;

    *d = (ws_difference){.pairs = want->n, .row = -1, .pos = -1};
    while (i < got->rows || j < want->rows) {
        int64_t a = i < got->rows ? got->row[i] : INT64_MAX;
        int64_t b = j < want->rows ? want->row[j] : INT64_MAX;
        int64_t g[2] = {0, 0}, w[2] = {0, 0};

        if (a <= b) memcpy(g, got->first + i++, sizeof g);
        if (b <= a) memcpy(w, want->first + j++, sizeof w);
        compare_row(got, g, want, w, a < b ? a : b, d);
    }
}

/* ---- the definition ---- */

/* Neuron r on the samples at pos[0..k), whose products are z; its pairs in the answer are
 * from .. end - 1. */
static void verify_row(const ws_index *ix, const ws_query *q, const ws_hits *hits, int64_t from,
                       int64_t end, int64_t r, const int32_t *pos, int64_t k, const double *z,
                       ws_difference *d)
{
    for (int64_t j = 0; j < k; j++) {
        double truth = z[j] + (double)ix->shard.b[r];
        int fires = truth > q->threshold, told;

        while (from < end && hits->pos[from] < pos[j]) from++;
        told = from < end && hits->pos[from] == pos[j];
        d->pairs += fires;
        if (fires && !told)
            note(d, &d->missed, r, pos[j]);
        else if (told && !fires)
            note(d, &d->extra, r, pos[j]);
        else if (told && !same_bits(hits->z[from], truth))
            note(d, &d->changed, r, pos[j]);
    }
}

ws_err ws_index_verify(const ws_index *ix, const ws_query *q, const ws_hits *hits,
                       const int32_t *pos, int64_t k, ws_difference *d)
{
    const int64_t *ids;
    const ws_samples *x = ws_query_samples(ix, q, &ids);
    int64_t *id = NULL, i = 0;
    double *z = NULL;
    ws_err err = ws_alloc(&id, k, sizeof *id, "samples to verify");

    *d = (ws_difference){.row = -1, .pos = -1};
    if (!err) err = ws_alloc(&z, k, sizeof *z, "samples to verify");
    for (int64_t j = 0; j < k && !err; j++) id[j] = ws_sample_at(ids, pos[j]);
    for (int64_t r = 0; r < ix->shard.n && k > 0 && !err; r++) {
        int64_t from = 0, end = 0;

        if (i < hits->rows && hits->row[i] == r) {
            from = hits->first[i++];
            end = hits->first[i];
        }
        if (q->mask && !q->mask[r]) continue;
        ws_dot_many(ix->shard.w + r * ix->shard.d, x, id, k, z);
        verify_row(ix, q, hits, from, end, r, pos, k, z, d);
    }
    ws_free(&id);
    ws_free(&z);
    return err;
}
