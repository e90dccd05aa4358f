/* dot.c - the front of the vector units: chosen once, from the processor or WINGSPAN_SIMD. */
#include "wingspan/core/dot.h"

#include <stdlib.h>
#include <string.h>

#include "dot_impl.h"

static const ws_dot_ops *const paths[] = {&ws_dot_avx512, &ws_dot_avx2, &ws_dot_portable};
static const ws_dot_ops *chosen;

enum { PATHS = sizeof paths / sizeof *paths };

static const ws_dot_ops *choose(void)
{
    const char *word = getenv("WINGSPAN_SIMD");
    int from = 0;

    for (int i = 0; word && i < PATHS; i++)
        if (strcmp(word, paths[i]->name) == 0) from = i;
    while (!paths[from]->available()) from++;
    return chosen = paths[from];
}

static inline const ws_dot_ops *ops(void)
{
    return chosen ? chosen : choose();
}

const ws_dot_ops *ws_dot_chosen(void)
{
    return ops();
}

const char *ws_simd_name(void)
{
    return ops()->name;
}

int ws_simd_select(const char *name)
{
    for (int i = 0; i < PATHS; i++)
        if (strcmp(name, paths[i]->name) == 0 && paths[i]->available()) {
            chosen = paths[i];
            return 1;
        }
    return 0;
}

double ws_dot(const float *w, const float *x, int64_t d)
{
    return ops()->dot(w, x, d);
}

double ws_norm2(const float *w, int64_t d)
{
    return ops()->dot(w, w, d);
}

/* A coordinate that is not stored is a zero: it would add +0 to its lane. */
static double dot_sparse(const float *w, const ws_samples *s, int64_t i)
{
    double lane[WS_LANES] = {0};

    for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++)
        lane[s->col[k] % WS_LANES] += (double)w[s->col[k]] * (double)s->val[k];
    return ws_lane_sum(lane);
}

static const float *row_of(const ws_samples *s, const int64_t *ids, int64_t k)
{
    return s->x + (ids ? ids[k] : k) * s->d;
}

/* The four samples from k on, the last one repeated. */
static void rows_from(const ws_samples *s, const int64_t *ids, int64_t k, int64_t n,
                      const float **x)
{
    for (int64_t l = 0; l < 4; l++) x[l] = row_of(s, ids, k + l < n ? k + l : n - 1);
}

/* Four at a time, unpacked into the first cache. Unpacking takes as long as the product does, and is
 * worth it where samples do not stay in the second cache. Ns a product, all d = 784 on a core of Zen 4,
 * float32 against bytes: 256 samples 53, 88; 1024 61, 98; 4096 143, 99; 16384 298, 160; 65536 438, 245. */
static __attribute__((noinline)) void dot_packed(const float *w, const ws_samples *s,
                                                 const int64_t *ids, int64_t n, double *z,
                                                 const float *soon)
{
    int64_t stride = ws_packed_stride(s->d);
    ws_unpacked room;
    const float *x[4];
    ws_fetch f = {.row = soon ? soon : w};

    for (int64_t l = 0; l < 4; l++) x[l] = room.x + l * stride;
    for (int64_t k = 0; k < n; k += 4) {
        for (int64_t l = k; l < k + 4 && l < n; l++) {
            int64_t later = l + 4 < n ? l + 4 : l;

            ws_unpack(s, ids ? ids[l] : l, ids ? ids[later] : later, room.x + (l - k) * stride);
        }
        ops()->dot4(w, x, n - k < 4 ? n - k : 4, s->d, z + k, &f);
        f.row = w;
    }
}

void ws_dot_many_ahead(const float *w, const ws_samples *s, const int64_t *ids, int64_t n,
                       double *z, const float *soon)
{
    const ws_dot_ops *o = ops();
    const float *x[4], *later[4];
    ws_fetch f = {.row = soon ? soon : w};
    int64_t k = 0;

    if (ws_samples_packed(s)) {
        dot_packed(w, s, ids, n, z, soon);
        return;
    }
    if (!s->x) {
        ws_fetch_row(f.row, s->d);
        for (; k < n; k++) z[k] = dot_sparse(w, s, ids ? ids[k] : k);
        return;
    }
    if (n > 0) rows_from(s, ids, 0, n, x);
    for (; k < n; k += 4) {
        f.x = k + 4 < n ? later : NULL;
        if (f.x) rows_from(s, ids, k + 4, n, later);
        if (f.x && !ws_samples_far(s)) f.x = NULL;
        o->dot4(w, x, n - k < 4 ? n - k : 4, s->d, z + k, &f);
        f.row = w;
        memcpy(x, later, sizeof x);
    }
}

void ws_dot_many(const float *w, const ws_samples *s, const int64_t *ids, int64_t n, double *z)
{
    ws_dot_many_ahead(w, s, ids, n, z, NULL);
}

void ws_axpy(double *acc, float c, const float *x, int64_t d)
{
    ops()->axpy(acc, (double)c, x, d);
}

void ws_axpy_sample(double *acc, float c, const ws_samples *s, int64_t i)
{
    if (s->x) {
        ops()->axpy(acc, (double)c, s->x + i * s->d, s->d);
        return;
    }
    if (s->packed.byte) {
        float room[WS_PACKED_MOST];

        ops()->axpy(acc, (double)c, ws_unpack(s, i, i, room), s->d);
        return;
    }
    for (int64_t k = s->ptr[i]; k < s->ptr[i + 1]; k++)
        acc[s->col[k]] += (double)c * (double)s->val[k];
}

double ws_row_add(float *w, const double *delta, int64_t d)
{
    return ops()->row_add(w, delta, d);
}
