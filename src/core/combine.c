/* combine.c - rows plus combinations of samples: what a step does to the neurons that fired.
 *
 * One row at a time, its samples come from wherever they are. That is right while they lie in a cache.
 * From memory a sample takes 300 ns; then lines of 64 bytes of all samples are copied together, 16 float32
 * coordinates or 64 of packed samples, which the third cache holds (60000 samples: 3.8 MB), and added to
 * these coordinates of all rows. MNIST, width 131072 of a rank, ns a sample and row: float32 120, packed
 * 77. Two or four lines of float32 at a time lose (165 ns), and so do tiles of rows, each of which copies
 * the samples again, and packed lines that are unpacked to float32 (110). Row by row, fetching the packed
 * samples of the next row gains nothing (batch 4096: 157, 152 ms with, 155, 150 without), and lines of
 * so few lose (190); so do two, three or four lines, whose samples the second cache holds (239, 231, 220
 * where rows took 191 to 248), and rows fetched past the caches.
 *
 * Rows go backwards: the last that a query has read are the likeliest to be still in a cache. */
#include <string.h>

#include "wingspan/core/dot.h"

#include "dot_impl.h"

enum {
    SOON = 8,      /* rows fetched ahead */
    AHEAD = 16,    /* lines of samples */
    MANY = 8,      /* samples a row that pay for copying them */
    FAR = 8 << 20, /* bytes of packed samples that do */
    LINE = 64      /* bytes */
};

/* ---- one row ---- */

/* Coordinate j of sample i times coef, as if summed by ws_axpy_sample(). */
static double product(float coef, const ws_samples *s, int64_t i, int64_t j)
{
    const ws_packed *p = &s->packed;

    if (p->byte) return (double)(coef * p->scale[i]) * ws_packed_apart(p, s->d, i, j);
    return (double)coef * (double)s->x[i * s->d + j];
}

/* The last coordinates, fewer than WS_LANES, lane by lane. */
static void combine_rest(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                         const int32_t *pos, int64_t n, int64_t j, double *square)
{
    double v[WS_LANES] = {0};

    for (int64_t p = 0; p < n; p++)
        for (int64_t l = 0; j + l < s->d; l++)
            v[l] += product(coef[p], s, ws_sample_at(ids, pos[p]), j + l);
    for (int64_t l = 0; j + l < s->d; l++) {
        double two = v[l] * v[l];

        w[j + l] = (float)((double)w[j + l] + v[l]);
        square[l] += two;
    }
}

/* Four samples at a time, so that every row is read from one end to the other; all: the first of all
 * samples, sum [d]. */
static void combine_rows(float *w, const float *coef, const ws_samples *s, const float *all,
                         const int64_t *ids, const int32_t *pos, int64_t n, double *sum,
                         double *square, const float *soon)
{
    int64_t whole = s->d / WS_LANES * WS_LANES;
    const float *x[4], *later[4];
    ws_fetch f = {.row = soon ? soon : w};
    int far = ws_samples_far(s);

    for (int64_t l = 0; l < 4 && n > 0; l++)
        x[l] = all + ws_sample_at(ids, pos[l < n ? l : n - 1]) * s->d;
    for (int64_t p = 0; p < n; p += 4) {
        for (int64_t l = 4; l < 8 && p + 4 < n; l++)
            later[l - 4] = all + ws_sample_at(ids, pos[p + l < n ? p + l : n - 1]) * s->d;
        f.x = far && p + 4 < n ? later : NULL;
        ws_dot_chosen()->combine4(w, coef + p, x, n - p < 4 ? n - p : 4, whole, p == 0, p + 4 >= n,
                                  sum, square, &f);
        f.row = w;
        memcpy(x, later, sizeof x);
    }
}

/* Coefficients of n pairs times the scales of their samples; at: which these are, or NULL. */
static const float *scale_coef(const float *coef, const ws_samples *s, const int64_t *ids,
                               const int32_t *pos, int64_t n, float *to, int32_t *at)
{
    for (int64_t p = 0; p < n; p++) {
        int64_t i = ws_sample_at(ids, pos[p]);

        to[p] = coef[p] * s->packed.scale[i];
        if (at) at[p] = (int32_t)i;
    }
    return to;
}

/* In whichever form they are; scratch as for ws_row_combine(). */
static void combine_any(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                        const int32_t *pos, int64_t n, double *scratch, double *square,
                        const float *soon)
{
    float *scaled = (float *)(scratch + s->d);
    int32_t *at = NULL;
    ws_bytes b = {s->packed.byte, pos, s->d, s->packed.level, 0};

    if (!ws_samples_packed(s)) {
        combine_rows(w, coef, s, s->x, ids, pos, n, scratch, square, soon);
        return;
    }
    if (!s->packed.apart && ids) b.at = at = (int32_t *)(scaled + n);
    scale_coef(coef, s, ids, pos, n, scaled, at);
    if (s->packed.apart)
        combine_rows(w, scaled, s, s->packed.apart, ids, pos, n, scratch, square, soon);
    else /* all samples of 64 coordinates, so that the sums stay in registers */
        ws_dot_chosen()->combine_bytes(w, scaled, &b, n, s->d / WS_LANES * WS_LANES, square, soon);
}

/* Has the vector unit a loop for their form? */
static int has_loop(const ws_samples *s)
{
    const ws_dot_ops *o = ws_dot_chosen();

    if (ws_samples_packed(s) && !s->packed.apart) return o->combine_bytes != NULL;
    return (s->packed.apart || s->x) && o->combine4;
}

double ws_row_combine(float *w, const float *coef, const ws_samples *s, const int64_t *ids,
                      const int32_t *pos, int64_t n, double *scratch, const float *soon)
{
    int64_t whole = s->d / WS_LANES * WS_LANES;
    double square[WS_LANES] = {0};

    if (n > 0 && has_loop(s)) {
        combine_any(w, coef, s, ids, pos, n, scratch, square, soon);
        if (whole < s->d) combine_rest(w, coef, s, ids, pos, n, whole, square);
        return ws_lane_sum(square);
    }
    if (soon) ws_fetch_row(soon, s->d);
    memset(scratch, 0, (size_t)s->d * sizeof *scratch);
    for (int64_t p = 0; p < n; p++) ws_axpy_sample(scratch, coef[p], s, ws_sample_at(ids, pos[p]));
    return ws_dot_chosen()->row_add(w, scratch, s->d);
}

/* ---- many rows ---- */

/* Does it pay to copy the samples, line by line? */
static int together(const ws_combination *m, const ws_samples *s)
{
    const ws_dot_ops *o = ws_dot_chosen();
    int can = ws_samples_packed(s) ? o->combine_bytes != NULL && s->n * s->d > FAR
                                   : s->x && o->combine_line && ws_samples_far(s);

    return can && m->k > 0 && m->first[m->k] > MANY * m->k;
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

/* Pairs of a row at most. */
static int64_t longest(const ws_combination *m)
{
    int64_t n = 0;

    for (int64_t i = 0; i < m->k; i++)
        if (m->first[i + 1] - m->first[i] > n) n = m->first[i + 1] - m->first[i];
    return n;
}

/* Together: sixteen squares a row, a line of every sample, and coefficients times scales. */
int64_t ws_combine_scratch(const ws_combination *m, const ws_samples *s)
{
    int64_t n = s->d + (ws_samples_packed(s) ? longest(m) : 0), lines = 0;

    if (together(m, s))
        lines = m->k * WS_LANES + positions(m) * LINE / 8 +
                (ws_samples_packed(s) ? (m->first[m->k] + 1) / 2 : 0);
    return n > lines ? n : lines;
}

/* A line of each of the n samples named, from coordinate j on. */
static void copy_lines(const ws_combination *m, const ws_samples *s, int64_t n, int64_t j,
                       uint8_t *line)
{
    int packed = ws_samples_packed(s);
    int64_t size = packed ? 1 : (int64_t)sizeof *s->x, left = (s->d - j) * size;
    const uint8_t *x = packed ? s->packed.byte : (const uint8_t *)s->x;

    for (int64_t p = 0; p < n; p++)
        memcpy(line + p * LINE, x + (ws_sample_at(m->ids, p) * s->d + j) * size,
               (size_t)(left < LINE ? left : LINE));
}

/* Coordinates j .. of all rows: 16, or up to 64 of packed samples. */
static void combine_line(const ws_combination *m, const ws_samples *s, int64_t j, int64_t width,
                         const uint8_t *line, const float *scaled, double *lane)
{
    const ws_dot_ops *o = ws_dot_chosen();

    for (int64_t i = 0; i < m->k; i++) {
        int64_t first = m->first[i], n = m->first[i + 1] - first,
                soon = i + SOON < m->k ? i + SOON : i;
        const float *next = m->w + m->row[soon] * s->d + j;
        float *w = m->w + m->row[i] * s->d + j;

        if (scaled) {
            ws_bytes b = {line, m->pos + first, LINE, s->packed.level + j, AHEAD};

            for (int64_t k = 0; k < width; k += WS_LANES) __builtin_prefetch(next + k, 1);
            o->combine_bytes(w, scaled + first, &b, n, width, square_of(lane, i), NULL);
        } else {
            __builtin_prefetch(next, 1);
            o->combine_line(w, m->coef + first, (const float *)(const void *)line, m->pos + first,
                            n, square_of(lane, i));
        }
    }
}

static void combine_together(const ws_combination *m, const ws_samples *s, double *scratch,
                             double *square)
{
    int64_t whole = s->d / WS_LANES * WS_LANES, n = positions(m), width = WS_LANES;
    uint8_t *line = (uint8_t *)(scratch + m->k * WS_LANES);
    const float *scaled = NULL;

    if (ws_samples_packed(s)) {
        scaled = scale_coef(m->coef, s, m->ids, m->pos, m->first[m->k],
                            (float *)(void *)(line + n * LINE), NULL);
        width = LINE;
    }
    memset(scratch, 0, (size_t)(m->k * WS_LANES) * sizeof *scratch);
    for (int64_t j = 0; j < whole; j += width) {
        copy_lines(m, s, n, j, line);
        combine_line(m, s, j, whole - j < width ? whole - j : width, line, scaled, scratch);
    }
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

        /* Forwards in a row and backwards from row to row is no stream to a processor. */
        __builtin_prefetch(m->coef + m->first[soon]);
        __builtin_prefetch(m->pos + m->first[soon]);
        square[i] =
            ws_row_combine(m->w + m->row[i] * s->d, m->coef + first, s, m->ids, m->pos + first,
                           m->first[i + 1] - first, scratch, m->w + m->row[soon] * s->d);
    }
}
