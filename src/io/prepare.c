/* prepare.c - centre, standardise, scale to unit norm; and the norms that everyone needs.
 *
 * One rank a node does it alone, in float64 and in the order of the file, so that the bits do not
 * depend on the ranks; bytes to unit norm in float32, what ws_packed has rounded once. Passes over slabs of
 * rows: read (and checked), deviation, final. When only the shape is wanted the slabs are read again in
 * each pass and nothing is kept. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dataset_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/hash.h"

typedef struct pass {
    ws_loading *l;
    float *buffer;       /* [slab x d] when nothing is kept */
    double *row;         /* [d] */
    float *least, *most; /* [d] over the training samples */
    float *middle;       /* [d] the means of bytes */
    double *sum;         /* [d] */
    double squares;      /* sum of squared norms over the training samples */
} pass;

/* Rows at .. at + k - 1 of a part: from the store, or read. */
static ws_err rows_of(pass *p, int part, int64_t at, int64_t k, int first, float **rows)
{
    ws_loading *l = p->l;
    int64_t from = at + (part ? l->f.n : 0);
    ws_err err;

    *rows = l->store->x ? l->store->x + from * l->f.d : p->buffer;
    if (l->store->x && !first) return WS_OK;
    if ((err = ws_reader_rows(&l->reader, part, at, k, *rows))) return err;
    if (first) l->f.checksum = ws_hash(*rows, (size_t)(k * l->f.d) * 4, l->f.checksum);
    return WS_OK;
}

/* Call f on every slab of rows of a part. */
static ws_err each_slab(pass *p, int part, int first,
                        ws_err (*f)(pass *p, int part, int64_t at, int64_t k, float *rows))
{
    int64_t n = p->l->reader.n[part], slab = p->l->reader.slab;

    for (int64_t at = 0; at < n; at += slab) {
        int64_t k = n - at < slab ? n - at : slab;
        float *rows;
        ws_err err = rows_of(p, part, at, k, first, &rows);
        if (err || (err = f(p, part, at, k, rows))) return err;
    }
    return WS_OK;
}

static ws_err add_up(pass *p, int part, int64_t at, int64_t k, float *rows)
{
    int64_t d = p->l->f.d;

    if (part == 1) return WS_OK;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < d; j++) {
            float v = rows[i * d + j];
            p->sum[j] += (double)v;
            if (at + i == 0 || v < p->least[j]) p->least[j] = v;
            if (at + i == 0 || v > p->most[j]) p->most[j] = v;
        }
    return WS_OK;
}

static ws_err add_squares(pass *p, int part, int64_t at, int64_t k, float *rows)
{
    int64_t d = p->l->f.d;

    (void)part;
    (void)at;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < d; j++) {
            double e = (double)rows[i * d + j] - p->l->prep.mean[j];
            p->sum[j] += e * e;
        }
    return WS_OK;
}

static ws_err norm_is_zero(const pass *p, int part, int64_t row)
{
    return ws_fail(WS_ERR_DATA,
                   "%s: row %lld of %s (counted from 0) has norm zero after --prepare %s, so it "
                   "cannot be scaled to 1: take it out or use --prepare none",
                   p->l->file, (long long)row, part ? "x_test" : "x",
                   ws_prepare_name(p->l->prep.kind));
}

/* One sample in float64: centred, standardised, scaled. */
static ws_err prepare_row(pass *p, int part, int64_t row, float *x)
{
    const ws_preparation *q = &p->l->prep;
    int64_t d = p->l->f.d;
    double square = 0;

    for (int64_t j = 0; j < d; j++) {
        double v = (double)x[j] - (q->mean ? q->mean[j] : 0);
        p->row[j] = q->inverse ? v * q->inverse[j] : v;
        square += p->row[j] * p->row[j];
    }
    if (!(square > 0)) return norm_is_zero(p, part, row);
    for (int64_t j = 0; j < d; j++) x[j] = (float)(p->row[j] / sqrt(square));
    return WS_OK;
}

/* The means of bytes, in steps that leave every difference exact; a constant column has its own value. */
static void find_middle(pass *p)
{
    const double *mean = p->l->prep.mean;

    for (int64_t j = 0; j < p->l->f.d; j++)
        p->middle[j] = mean ? (float)(rint(mean[j] * 255 * 0x1p14) * 0x1p-14) : 0;
}

/* One sample of bytes, which are here divided by 255; it is all.[at], if packed samples are kept. */
static ws_err prepare_bytes(pass *p, int part, int64_t row, int64_t at, float *x)
{
    struct ws_dataset_store *s = p->l->store;
    int64_t d = p->l->f.d;
    double square = 0;
    float scale;

    for (int64_t j = 0; j < d; j++) {
        float byte = rintf(x[j] * 255);

        if (s->byte) s->byte[at * d + j] = (uint8_t)byte;
        x[j] = byte - p->middle[j];
        square += (double)x[j] * (double)x[j];
    }
    if (!(square > 0)) return norm_is_zero(p, part, row);
    scale = (float)(1 / sqrt(square));
    for (int64_t j = 0; j < d; j++) x[j] *= scale;
    if (s->byte) s->scale[at] = scale;
    return WS_OK;
}

static ws_err prepare_any(pass *p, int part, int64_t row, int64_t at, float *x)
{
    switch (p->l->prep.kind) {
    case WS_PREPARE_UNIT:
    case WS_PREPARE_CENTER_UNIT:
        return p->l->reader.byte[part] ? prepare_bytes(p, part, row, at, x)
                                       : prepare_row(p, part, row, x);
    case WS_PREPARE_STANDARD_UNIT:
        return prepare_row(p, part, row, x);
    default:
        return WS_OK;
    }
}

static ws_err finish(pass *p, int part, int64_t at, int64_t k, float *rows)
{
    ws_loading *l = p->l;
    ws_err err;

    for (int64_t i = 0; i < k; i++) {
        ws_samples one = {.n = 1, .d = l->f.d, .x = rows + i * l->f.d};
        int64_t place = at + i + (part ? l->f.n : 0);
        double norm;
        if ((err = prepare_any(p, part, at + i, place, rows + i * l->f.d))) return err;
        norm = ws_samples_norm(&one, 0) * (l->f.packed ? 1 + WS_PACKED_ERROR : 1);
        l->store->norm[place] = norm;
        if (norm > l->f.max_norm) l->f.max_norm = norm;
        if (part == 0) p->squares += norm * norm;
    }
    return WS_OK;
}

static void warn_constant(pass *p)
{
    int64_t count = 0, first = -1;

    for (int64_t j = p->l->f.d - 1; j >= 0; j--)
        if (p->least[j] == p->most[j]) {
            count++;
            first = j;
        }
    if (count == 1)
        ws_loading_warn(p->l, "column %lld is constant and says nothing", (long long)first);
    else if (count > 1)
        ws_loading_warn(p->l,
                        "%lld of %lld columns are constant (the first is %lld) and say nothing",
                        (long long)count, (long long)p->l->f.d, (long long)first);
}

/* Mean and 1 / deviation of the training columns, as the kind of preparation wants them. */
static ws_err column_scale(pass *p)
{
    ws_preparation *q = &p->l->prep;
    int64_t d = p->l->f.d;
    double n = (double)p->l->f.n;
    ws_err err;

    if (q->kind != WS_PREPARE_CENTER_UNIT && q->kind != WS_PREPARE_STANDARD_UNIT) return WS_OK;
    if ((err = ws_alloc(&q->mean, d, sizeof *q->mean, "means of the columns"))) return err;
    for (int64_t j = 0; j < d; j++) {
        q->mean[j] = p->least[j] == p->most[j] ? (double)p->most[j] : p->sum[j] / n;
        p->sum[j] = 0;
    }
    if (q->kind == WS_PREPARE_CENTER_UNIT) return WS_OK;
    if ((err = ws_alloc(&q->inverse, d, sizeof *q->inverse, "deviations of the columns")) ||
        (err = each_slab(p, 0, 0, add_squares)))
        return err;
    for (int64_t j = 0; j < d; j++) q->inverse[j] = p->sum[j] > 0 ? 1 / sqrt(p->sum[j] / n) : 1;
    return WS_OK;
}

static ws_err work(pass *p)
{
    ws_loading *l = p->l;
    int64_t d = l->f.d;
    ws_err err;

    if ((err = ws_alloc(&p->row, d, sizeof *p->row, "preparation")) ||
        (err = ws_alloc(&p->sum, d, sizeof *p->sum, "preparation")) ||
        (err = ws_alloc(&p->least, d, sizeof *p->least, "preparation")) ||
        (err = ws_alloc(&p->most, d, sizeof *p->most, "preparation")) ||
        (err = ws_alloc(&p->middle, d, sizeof *p->middle, "preparation")))
        return err;
    if (!l->store->x && (err = ws_alloc(&p->buffer, l->reader.slab * d, sizeof(float), "slab")))
        return err;
    for (int part = 0; part < 2; part++)
        if ((err = each_slab(p, part, 1, add_up))) return err;
    if (!l->opt->stored) {
        warn_constant(p);
        if ((err = column_scale(p))) return err;
    }
    find_middle(p);
    for (int64_t j = 0; l->store->level && j < d; j++)
        l->store->level[j] = (double)WS_PACKED_ZERO + (double)p->middle[j];
    for (int part = 0; part < 2; part++)
        if ((err = each_slab(p, part, 0, finish))) return err;
    /* Samples scaled to norm 1 have it but for rounding. */
    l->f.rms = l->prep.kind == WS_PREPARE_NONE ? sqrt(p->squares / (double)l->f.n) : 1;
    if (l->f.rms == 0)
        return ws_fail(WS_ERR_DATA, "%s: every value of x is zero: there is nothing to learn from",
                       l->file);
    return WS_OK;
}

ws_err ws_prepare_samples(ws_loading *l)
{
    pass p = {.l = l};
    ws_err err = work(&p);

    ws_free(&p.row);
    ws_free(&p.sum);
    ws_free(&p.least);
    ws_free(&p.most);
    ws_free(&p.middle);
    ws_free(&p.buffer);
    return err;
}

static const char *const names[] = {"none", "unit", "center-unit", "standard-unit"};

const char *ws_prepare_name(ws_prepare p)
{
    return names[p];
}

int ws_prepare_find(const char *name)
{
    for (int k = 0; k < 4; k++)
        if (strcmp(names[k], name) == 0) return k;
    return -1;
}
