/* quant.c - rows and samples as bytes with their bounds, and candidates of six rows at a time.
 *
 * How the bytes are chosen is free: what they lose is measured, in double, against the float32
 * scale that is stored.  Every bound is rounded up by far more than double loses, and what the
 * float32 evaluation in `keep` may lose, at most eight roundings of the size of its terms, and what a
 * packed sample's float32 row is rounded by, is added to a sample's lost: the terms are no larger than |w - dw| (|x - dx| + 2 |t'| sqrt(d)). */
#include "quant.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

enum { STRIPE = 16, SEEN = 2048 };

/* What may be left out of the samples' sum of squares: about what their bytes lose of it.  Of the
 * 784 columns of MNIST 180 or so are; five times as much and candidates cost more than is saved. */
static const double share = 2e-5;

/* Larger norms might overflow in float32. */
static const double most = 1e15;
/* Adding and subtracting it rounds a small float32 to an integer. */
static const float shifter = 12582912.0f;

static float up(double v)
{
    return (float)(v * (1 + 0x1p-20) + 0x1p-140);
}

int64_t ws_quant_stride(int64_t d)
{
    return (d + 3) / 4 * 4;
}

float ws_quant_cut(double above)
{
    /* float32 may lose products to underflow: 2^-149 each, times a sum of less than 2^31. */
    double cut = nextafter(above - 0x1p-100, -INFINITY);

    if (cut > (double)FLT_MAX) return FLT_MAX;
    if (cut < -(double)FLT_MAX) return -INFINITY;
    return nextafterf((float)cut, -INFINITY);
}

int ws_quant_is_fast(void)
{
    return ws_quant_path()->fast;
}

/* ---- rows ---- */

/* Smallest and largest element, at most and at least 0. */
static void range(const float *v, int64_t d, float *low, float *high)
{
    float lo[STRIPE] = {0}, hi[STRIPE] = {0};
    int64_t j = 0;

    for (; j + STRIPE <= d; j += STRIPE)
        for (int l = 0; l < STRIPE; l++) {
            lo[l] = v[j + l] < lo[l] ? v[j + l] : lo[l];
            hi[l] = v[j + l] > hi[l] ? v[j + l] : hi[l];
        }
    for (; j < d; j++) {
        lo[0] = v[j] < lo[0] ? v[j] : lo[0];
        hi[0] = v[j] > hi[0] ? v[j] : hi[0];
    }
    *low = *high = 0;
    for (int l = 0; l < STRIPE; l++) {
        *low = lo[l] < *low ? lo[l] : *low;
        *high = hi[l] > *high ? hi[l] : *high;
    }
}

static float rounded(float v)
{
    return (v + shifter) - shifter;
}

/* Sums over a row, in lanes so that they need not wait for each other. */
typedef struct sums {
    double lost[STRIPE];
    int32_t total[STRIPE], square[STRIPE];
} sums;

static inline void row_piece(const float *v, int n, float scale, float inverse, int8_t *q, sums *s)
{
    for (int l = 0; l < n; l++) {
        float k = rounded(v[l] * inverse);
        double e = (double)v[l] - (double)scale * (double)k;

        s->lost[l] += e * e;
        q[l] = (int8_t)k;
        s->total[l] += (int32_t)k;
        s->square[l] += (int32_t)k * (int32_t)k;
    }
}

/* Write the bytes; returns sum_j (v_j - scale q_j)^2, and the sums of q and of its squares. */
static double row_bytes(const float *v, int64_t d, float scale, float inverse, int8_t *q,
                        int32_t *total, int32_t *square)
{
    sums s = {0};
    double lost = 0;
    int64_t j = 0;

    for (; j + STRIPE <= d; j += STRIPE) row_piece(v + j, STRIPE, scale, inverse, q + j, &s);
    row_piece(v + j, (int)(d - j), scale, inverse, q + j, &s);
    *total = *square = 0;
    for (int l = 0; l < STRIPE; l++) {
        lost += s.lost[l];
        *total += s.total[l];
        *square += s.square[l];
    }
    return lost;
}

void ws_quant_row_make(const float *w, int64_t d, int8_t *q, ws_quant_row *row)
{
    double norm = sqrt(ws_norm2(w, d)), scale, lost;
    float low, high;
    int32_t square;

    memset(q + d, 0, (size_t)(ws_quant_stride(d) - d));
    if (!(norm < most)) {
        memset(q, 0, (size_t)d);
        *row = (ws_quant_row){.lost = INFINITY};
        return;
    }
    range(w, d, &low, &high);
    /* A largest element so small that its byte would be lost in 1 / scale becomes zero. */
    scale = fmax((double)high, -(double)low) / 127;
    row->scale = scale > 0x1p-120 ? (float)scale : 0;
    lost = row_bytes(w, d, row->scale, row->scale > 0 ? (float)(0.99999 / scale) : 0, q,
                     &row->total, &square);
    row->sum = (float)((double)row->scale * row->total);
    row->lost = up(sqrt(lost) + norm * 0x1p-30);
    row->norm = up((double)row->scale * sqrt((double)square));
}

/* ---- samples ---- */

void ws_quant_samples_free(ws_quant_samples *s)
{
    ws_free(&s->q);
    ws_free(&s->side);
    ws_free(&s->row);
    ws_free(&s->space);
    ws_free(&s->column);
    *s = (ws_quant_samples){0};
}

int64_t ws_quant_samples_bytes(const ws_quant_samples *s)
{
    return s->q_capacity + s->side_capacity * (int64_t)sizeof *s->side +
           4 * (s->row_capacity + s->space_capacity + s->column_capacity);
}

/* The columns kept, then the others. */
static const float *by_column(const ws_quant_samples *s, const float *v)
{
    if (!s->column) return v;
    for (int64_t j = 0; j < s->d; j++) s->space[j] = v[s->column[j]];
    return s->space;
}

/* Lane l of a panel: write the bytes, return sum_j (x_j - x'_j)^2. */
static double lane_bytes(const float *x, int64_t d, float scale, float inverse, int zero,
                         int middle, float centre, uint8_t *q)
{
    double lost[4] = {0};

    for (int64_t j = 0; j < d; j += 4) {
        int n = d - j < 4 ? (int)(d - j) : 4;

        for (int l = 0; l < n; l++) {
            int k = zero + (int)rounded(x[j + l] * inverse);
            double e = (double)x[j + l] - ((double)scale * (k - middle) + (double)centre);

            lost[l] += e * e;
            q[j * WS_QUANT_LANES + l] = (uint8_t)k;
        }
    }
    return (lost[0] + lost[1]) + (lost[2] + lost[3]);
}

/* Bytes and bounds of lane l; x has the columns kept first.  One level less than there are lets
 * zero be a level. */
static void lane_make(ws_quant_samples *s, const float *x, double norm, uint8_t *panel,
                      ws_quant_side *side, int l)
{
    int levels = s->ops->levels, middle = (levels + 1) / 2, zero;
    double scale, lost, root = sqrt((double)s->kept);
    float low, high, inverse;

    if (!(norm < most)) {
        side->scale[l] = side->centre[l] = side->norm[l] = 0;
        side->lost[l] = INFINITY;
        return;
    }
    range(x, s->kept, &low, &high);
    scale = ((double)high - (double)low) / (levels - 1);
    side->scale[l] = scale > 0x1p-120 ? (float)scale : 0;
    inverse = side->scale[l] > 0 ? (float)(0.99999 / scale) : 0;
    zero = -(int)rounded(low * inverse);
    side->centre[l] = (float)((double)side->scale[l] * (middle - zero));
    lost = lane_bytes(x, s->kept, side->scale[l], inverse, zero, middle, side->centre[l],
                      panel + 4 * l);
    lost = sqrt(lost + ws_norm2(x + s->kept, s->d - s->kept));
    side->norm[l] = up(norm);
    side->lost[l] = up(lost + 0x1p-20 * (norm + lost + 2 * fabs((double)side->centre[l]) * root));
}

static ws_err samples_room(ws_quant_samples *s, const ws_samples *x, int64_t panels)
{
    const char *what = "samples of an index as bytes";
    ws_err err;

    if ((err = ws_grow(&s->q, &s->q_capacity, panels * WS_QUANT_LANES * s->stride, 1, what)) ||
        (err = ws_grow(&s->side, &s->side_capacity, panels, sizeof *s->side, what)))
        return err;
    if ((err = ws_grow(&s->space, &s->space_capacity, s->d, sizeof *s->space, what))) return err;
    return x->x ? WS_OK : ws_grow(&s->row, &s->row_capacity, s->d, sizeof *s->row, what);
}

/* What no sample fills is zero. */
static void panel_clear(ws_quant_samples *s, int64_t p)
{
    memset(s->q + p * WS_QUANT_LANES * s->stride, 0, (size_t)(WS_QUANT_LANES * s->stride));
    s->side[p] = (ws_quant_side){{0}, {0}, {0}, {0}};
}

ws_err ws_quant_samples_make(ws_quant_samples *s, const ws_samples *x, const int64_t *ids,
                             int64_t n)
{
    int64_t panels = (n + WS_QUANT_LANES - 1) / WS_QUANT_LANES;
    ws_err err;

    s->ops = ws_quant_path();
    s->d = x->d;
    if (!s->column) s->kept = s->d;
    s->stride = ws_quant_stride(s->kept);
    s->n = 0;
    if ((err = samples_room(s, x, panels))) return err;
    s->n = n;
    for (int64_t k = 0; k < n; k++) {
        int64_t i = ws_sample_at(ids, k), p = k / WS_QUANT_LANES;
        const float *v = x->x ? x->x + i * x->d : s->row;

        if (k % WS_QUANT_LANES == 0) panel_clear(s, p);
        if (!x->x) ws_samples_row(x, i, s->row);
        lane_make(s, by_column(s, v), ws_samples_norm(x, i), s->q + p * WS_QUANT_LANES * s->stride,
                  &s->side[p], (int)(k % WS_QUANT_LANES));
    }
    return WS_OK;
}

/* ---- columns ---- */

typedef struct energy {
    double sum;
    int32_t column;
} energy;

static int ascending(const void *a, const void *b)
{
    const energy *x = a, *y = b;

    return x->sum < y->sum   ? -1
           : x->sum > y->sum ? 1
                             : (x->column > y->column) - (x->column < y->column);
}

/* Sums of squares by column, of some of the samples: any choice is right, a good one is faster. */
static double energies(const ws_quant_samples *s, const ws_samples *x, const int64_t *ids,
                       int64_t n, energy *e)
{
    int64_t every = n / SEEN + 1;
    double all = 0;

    for (int64_t j = 0; j < s->d; j++) e[j] = (energy){0, (int32_t)j};
    for (int64_t k = 0; k < n; k += every) {
        ws_samples_row(x, ws_sample_at(ids, k), s->space);
        if (!(ws_norm2(s->space, s->d) < most * most)) continue;
        for (int64_t j = 0; j < s->d; j++) e[j].sum += (double)s->space[j] * (double)s->space[j];
    }
    for (int64_t j = 0; j < s->d; j++) all += e[j].sum;
    return all;
}

ws_err ws_quant_choose_columns(ws_quant_samples *s, const ws_samples *x, const int64_t *ids,
                               int64_t n)
{
    const char *what = "samples of an index as bytes";
    int64_t out = 0, kept = 0;
    energy *e = NULL;
    double all, left = 0;
    ws_err err;

    s->d = x->d;
    if ((err = ws_alloc(&e, s->d, sizeof *e, what)) ||
        (err = ws_grow(&s->space, &s->space_capacity, s->d, sizeof *s->space, what)) ||
        (err = ws_grow(&s->column, &s->column_capacity, s->d, sizeof *s->column, what)))
        goto done;
    all = energies(s, x, ids, n, e);
    qsort(e, (size_t)s->d, sizeof *e, ascending);
    while (out < s->d - 4 && (left += e[out].sum) <= share * all) out++;
    for (int64_t j = 0; j < s->d; j++) s->space[e[j].column] = j < out;
    s->kept = s->d - out;
    for (int64_t j = 0, last = s->kept; j < s->d; j++)
        s->column[s->space[j] > 0 ? last++ : kept++] = (int32_t)j;
done:
    ws_free(&e);
    return err;
}

void ws_quant_row_kept(ws_quant_samples *s, const float *w, int8_t *q, ws_quant_row *row)
{
    const float *v = by_column(s, w);
    double rest = ws_norm2(v + s->kept, s->d - s->kept), norm;

    ws_quant_row_make(v, s->kept, q, row);
    norm = sqrt((double)row->norm * (double)row->norm + rest);
    if (norm < most)
        row->norm = up(norm);
    else
        *row = (ws_quant_row){.lost = INFINITY};
}

/* ---- candidates ---- */

void ws_quant_propose(const ws_quant_samples *s, const ws_quant_group *g, int64_t from, int64_t n,
                      int32_t *col, int64_t room, int64_t count[WS_QUANT_ROWS])
{
    _Alignas(64) int32_t product[WS_QUANT_ROWS * WS_QUANT_LANES];
    int32_t middle = (s->ops->levels + 1) / 2;
    const int8_t *q[WS_QUANT_ROWS];

    for (int k = 0; k < WS_QUANT_ROWS; k++) {
        q[k] = g->q[k < g->n ? k : 0];
        count[k] = 0;
    }
    for (int64_t at = from; at < from + n; at += WS_QUANT_LANES) {
        s->ops->product(s->q + at * s->stride, q, s->stride, product);
        for (int k = 0; k < g->n; k++)
            count[k] +=
                s->ops->keep(product + k * WS_QUANT_LANES, middle, g->row[k], g->cut[k],
                             &s->side[at / WS_QUANT_LANES], (int32_t)at, col + k * room + count[k]);
    }
    /* The last panel has lanes that are no samples. */
    for (int k = 0; k < g->n; k++)
        while (count[k] > 0 && col[k * room + count[k] - 1] >= from + n) count[k]--;
}
