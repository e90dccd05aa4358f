/* combine.c - rows plus combinations of samples: what a step does to the neurons that fired.
 *
 * One row at a time, its samples come from wherever they are. That is right while they lie in a cache.
 * From memory a sample takes 300 ns; then a line of 16 coordinates of all samples is copied together,
 * which the third cache holds (60000 samples: 3.8 MB), and added to that line of all rows: 120 ns a
 * sample and row, width 131072 of a rank. Two or four lines at a time lose (165 ns), and so do tiles of
 * rows, each of which copies the samples again; where the samples fit a third cache (4096 of them) a line
 * at a time, 215 ns, loses against row by row, 175 ns. Lines of bytes, unpacked at every pair, 16 bytes
 * instead of 64: 122-136 ns instead of 121-145, no gain.
 *
 * Rows go backwards: the last that a query has read are the likeliest to be still in a cache. */
#include <string.h>

#include "wingspan/core/dot.h"

#include "dot_impl.h"

enum { SOON = 8, MANY = 8 }; /* rows fetched ahead; samples a row that pay for copying them */

/* ---- one row ---- */

static float coordinate(const ws_samples *s, int64_t i, int64_t j)
{
    const ws_packed *p = &s->packed;

    if (s->x) return s->x[i * s->d + j];
    return ws_unpack_one(p->byte[i * s->d + j], p->middle[j], p->scale[i]);
}

/* The last coordinates, fewer than WS_LANES, lane by lane. */
static void combine_rest(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                         const int32_t *pos, int64_t n, int64_t j, double *square)
{
    double v[WS_LANES] = {0};

    for (int64_t p = 0; p < n; p++)
        for (int64_t l = 0; j + l < s->d; l++)
            v[l] += (double)coef[p] * (double)coordinate(s, ids[pos[p]], j + l);
    for (int64_t l = 0; j + l < s->d; l++) {
        double two = v[l] * v[l];

        w[j + l] = (float)((double)w[j + l] + v[l]);
        square[l] += two;
    }
}

/* Four samples at a time, so that every row is read from one end to the other. */
static double combine_dense(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                            const int32_t *pos, int64_t n, double *sum, const float *soon)
{
    int64_t whole = s->d / WS_LANES * WS_LANES;
    double square[WS_LANES] = {0};
    const float *x[4], *later[4];
    ws_fetch f = {.row = soon ? soon : w};
    int far = ws_samples_far(s);

    for (int64_t l = 0; l < 4 && n > 0; l++) x[l] = s->x + ids[pos[l < n ? l : n - 1]] * s->d;
    for (int64_t p = 0; p < n; p += 4) {
        for (int64_t l = 4; l < 8 && p + 4 < n; l++)
            later[l - 4] = s->x + ids[pos[p + l < n ? p + l : n - 1]] * s->d;
        f.x = far && p + 4 < n ? later : NULL;
        ws_dot_chosen()->combine4(w, coef + p, x, n - p < 4 ? n - p : 4, whole, p == 0, p + 4 >= n,
                                  sum, square, &f);
        f.row = w;
        memcpy(x, later, sizeof x);
    }
    if (whole < s->d) combine_rest(w, coef, s, ids, pos, n, whole, square);
    return ws_lane_sum(square);
}

/* The same from bytes: four at a time, unpacked into the first cache. */
static __attribute__((noinline)) double combine_packed(float *w, const float *coef,
                                                       const ws_samples *s, const int64_t *ids,
                                                       const int32_t *pos, int64_t n, double *sum,
                                                       const float *soon)
{
    int64_t whole = s->d / WS_LANES * WS_LANES, stride = ws_packed_stride(s->d);
    double square[WS_LANES] = {0};
    ws_unpacked room;
    const float *x[4];
    ws_fetch f = {.row = soon ? soon : w};

    for (int64_t l = 0; l < 4; l++) x[l] = room.x + l * stride;
    for (int64_t p = 0; p < n; p += 4) {
        for (int64_t l = p; l < p + 4 && l < n; l++)
            ws_unpack(s, ids[pos[l]], ids[pos[l + 4 < n ? l + 4 : l]], room.x + (l - p) * stride);
        ws_dot_chosen()->combine4(w, coef + p, x, n - p < 4 ? n - p : 4, whole, p == 0, p + 4 >= n,
                                  sum, square, &f);
        f.row = w;
    }
    if (whole < s->d) combine_rest(w, coef, s, ids, pos, n, whole, square);
    return ws_lane_sum(square);
}

double ws_row_combine(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                      const int32_t *pos, int64_t n, double *scratch, const float *soon)
{
    if (ws_samples_packed(s) && n > 0 && ws_dot_chosen()->combine4)
        return combine_packed(w, coef, s, ids, pos, n, scratch, soon);
    if (s->x && n > 0 && ws_dot_chosen()->combine4)
        return combine_dense(w, coef, s, ids, pos, n, scratch, soon);
    if (soon) ws_fetch_row(soon, s->d);
    memset(scratch, 0, (size_t)s->d * sizeof *scratch);
    for (int64_t p = 0; p < n; p++) ws_axpy_sample(scratch, coef[p], s, ids[pos[p]]);
    return ws_dot_chosen()->row_add(w, scratch, s->d);
}

/* ---- many rows ---- */

/* Does it pay to copy the samples, line by line? */
static int together(const ws_combination *m, const ws_samples *s)
{
    return (s->x || s->packed.byte) && ws_samples_far(s) && ws_dot_chosen()->combine_line &&
           m->k > 0 && m->first[m->k] > MANY * m->k;
}

static double *square_of(double *lane, int64_t i)
{
    return lane + i * WS_LANES;
}

/* So many positions are named. */
static int64_t positions(const ws_combination *m)
{
    int64_t n = 0;

    for (int64_t i = 0; i < m->k; i++)
        if (m->first[i + 1] > m->first[i] && m->pos[m->first[i + 1] - 1] >= n)
            n = m->pos[m->first[i + 1] - 1] + 1;
    return n;
}

/* Sixteen squares a row, and a line of every sample. */
int64_t ws_combine_scratch(const ws_combination *m, const ws_samples *s)
{
    int64_t n = together(m, s) ? (m->k + (positions(m) + 1) / 2) * WS_LANES : 0;

    return n > s->d ? n : s->d;
}

/* Coordinates j .. j + 15 of all rows, and of n samples. */
static void combine_line(const ws_combination *m, const ws_samples *s, int64_t n, int64_t j,
                         float *line, double *lane)
{
    const ws_dot_ops *o = ws_dot_chosen();

    for (int64_t p = 0; p < n; p++) {
        const ws_packed *q = &s->packed;
        int64_t at = m->ids[p] * s->d + j;

        if (s->x)
            memcpy(line + p * WS_LANES, s->x + at, WS_LANES * sizeof *line);
        else
            o->unpack(line + p * WS_LANES, q->byte + at, q->middle + j, q->scale[m->ids[p]],
                      WS_LANES, q->byte + at);
    }
    for (int64_t i = 0; i < m->k; i++) {
        int64_t first = m->first[i], soon = i + SOON < m->k ? i + SOON : i;

        __builtin_prefetch(m->w + m->row[soon] * s->d + j, 1);
        o->combine_line(m->w + m->row[i] * s->d + j, m->coef + first, line, m->pos + first,
                        m->first[i + 1] - first, square_of(lane, i));
    }
}

static void combine_together(const ws_combination *m, const ws_samples *s, double *scratch,
                             double *square)
{
    int64_t whole = s->d / WS_LANES * WS_LANES, n = positions(m);
    float *line = (float *)(scratch + m->k * WS_LANES);

    memset(scratch, 0, (size_t)(m->k * WS_LANES) * sizeof *scratch);
    for (int64_t j = 0; j < whole; j += WS_LANES) combine_line(m, s, n, j, line, scratch);
    for (int64_t i = 0; i < m->k; i++) {
        int64_t first = m->first[i];

        if (whole < s->d)
            combine_rest(m->w + m->row[i] * s->d, m->coef + first, s, m->ids, m->pos + first,
                         m->first[i + 1] - first, whole, square_of(scratch, i));
        square[i] = ws_lane_sum(square_of(scratch, i));
    }
}

void ws_rows_combine(const ws_combination *m, const ws_samples *s, double *scratch, double *square)
{
    if (together(m, s)) {
        combine_together(m, s, scratch, square);
        return;
    }
    for (int64_t i = m->k - 1; i >= 0; i--) {
        int64_t first = m->first[i], soon = i >= SOON ? i - SOON : i;

        square[i] =
            ws_row_combine(m->w + m->row[i] * s->d, m->coef + first, s, m->ids, m->pos + first,
                           m->first[i + 1] - first, scratch, m->w + m->row[soon] * s->d);
    }
}
