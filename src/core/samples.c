/* samples.c - what can be asked of one sample, dense or sparse. */
#include "wingspan/core/samples.h"

#include <math.h>
#include <string.h>

#include "wingspan/core/dot.h"

double ws_samples_norm(const ws_samples *s, int64_t i)
{
    int64_t n = s->x ? s->d : s->ptr[i + 1] - s->ptr[i];
    const float *v = s->x ? s->x + i * s->d : s->val + s->ptr[i];

    if (s->norm) return s->norm[i];
    /* Squares are exact and no lane adds more than n/16 + 5 of them, so the sum is short of the
     * truth by at most (n/16 + 5) u with u = 2^-53; the root halves that and adds u. */
    return sqrt(ws_norm2(v, n)) * (1.0 + ((double)n / 16 + 8) * 0x1p-53);
}

const ws_samples *ws_samples_from(const ws_samples *s, int64_t i, int64_t n, ws_samples *out)
{
    *out = *s;
    out->n = n;
    if (s->x) out->x += i * s->d;
    if (s->ptr) out->ptr += i;
    if (s->norm) out->norm += i;
    return out;
}

void ws_samples_row(const ws_samples *s, int64_t i, float *row)
{
    if (s->x) {
        memcpy(row, s->x + i * s->d, (size_t)s->d * sizeof *row);
        return;
    }
    memset(row, 0, (size_t)s->d * sizeof *row);
    for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++) row[s->col[k]] = s->val[k];
}
