/* labels.c - what y means: classes, 0/1 labels or real targets. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dataset_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/hash.h"

enum { CLASSES = 1000000 };

static ws_err new_labels(ws_loading *l, int64_t classes, int64_t first, int64_t step)
{
    ws_err err = ws_alloc(&l->prep.label, classes, sizeof *l->prep.label, "labels");

    for (int64_t k = 0; k < classes && !err; k++) l->prep.label[k] = first + step * k;
    l->f.classes = l->prep.classes = (int32_t)classes;
    return err;
}

/* Classes of an integer vector: -1/+1, or 0 .. max. */
static ws_err find_classes(ws_loading *l, const int64_t *y, int64_t n)
{
    int64_t least = 0, most = 0, row = -1;
    int plus_minus = 1;

    for (int64_t i = 0; i < n; i++) {
        if (y[i] != 1 && y[i] != -1) plus_minus = 0;
        if (y[i] > most) most = y[i];
        if (y[i] < least) {
            least = y[i];
            row = i;
        }
    }
    if (plus_minus && least < 0) return new_labels(l, 2, -1, 2);
    if (least < 0)
        return ws_fail(WS_ERR_DATA,
                       "%s: y has the label %lld in row %lld (counted from 0): labels are 0, 1, "
                       "... or -1 and +1; "
                       "store targets to be fitted as floats",
                       l->file, (long long)least, (long long)row);
    if (most >= CLASSES)
        return ws_fail(
            WS_ERR_DATA,
            "%s: y has labels up to %lld: with more than %d classes, number them from 0, "
            "or store y as floats if it is a target",
            l->file, (long long)most, CLASSES);
    return new_labels(l, most + 1, 0, 1);
}

static int zero_or_one(const ws_reader *r, const void *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double v =
            r->y_kind == WS_Y_INTEGER ? (double)((const int64_t *)y)[i] : ((const double *)y)[i];
        if (v != 0 && v != 1) return 0;
    }
    return 1;
}

/* The network has the say; labels of another kind than its own are no labels. */
static ws_err kind_of_network(ws_loading *l)
{
    const ws_reader *r = &l->reader;
    const ws_preparation *p = l->opt->stored;
    int fits = p->classes ? r->y_kind == WS_Y_INTEGER && !r->matrix : !p->c || r->columns == p->c;

    l->f.classes = p->classes;
    l->f.target_columns = p->c;
    l->f.columns = p->classes ? 0 : p->c ? p->c : (int32_t)r->columns;
    if (fits || !(r->has[0] || r->has[1])) return WS_OK;
    l->f.has_y = l->f.has_y_test = 0;
    if (!l->opt->need_y) return WS_OK;
    return ws_fail(WS_ERR_DATA,
                   "%s: y has another type or number of columns than the network was "
                   "trained on (%s)",
                   l->file, p->classes ? "a vector of integer classes" : "real targets");
}

ws_err ws_labels_kind(ws_loading *l)
{
    const ws_reader *r = &l->reader;
    const ws_preparation *stored = l->opt->stored;
    void *y = NULL;
    ws_err err = WS_OK;

    l->f.has_y = r->has[0];
    l->f.has_y_test = r->has[1];
    l->f.y_kind = r->y_kind;
    if (!r->has[0] && l->opt->need_y)
        return ws_fail(WS_ERR_DATA, "%s has no y: training needs labels or targets", l->file);
    if (stored) return kind_of_network(l);
    if (!r->has[0]) {
        l->f.has_y_test = 0; /* nothing says what it means */
        return WS_OK;
    }
    if ((err = ws_alloc(&y, r->n[0] * r->columns, 8, "labels"))) return err;
    if (!(err = ws_reader_y(&l->reader, 0, y))) {
        if (r->y_kind == WS_Y_INTEGER && !r->matrix) {
            err = find_classes(l, y, r->n[0]);
        } else {
            l->f.columns = (int32_t)r->columns;
            if (!zero_or_one(r, y, r->n[0] * r->columns)) l->f.target_columns = l->f.columns;
        }
    }
    ws_free(&y);
    return err;
}

/* The class of a label value, or -1. */
static int32_t class_of(const ws_preparation *p, int64_t v)
{
    if (p->classes == 2 && p->label[0] == -1) return v == -1 ? 0 : v == 1 ? 1 : -1;
    return v >= 0 && v < p->classes ? (int32_t)v : -1;
}

static ws_err put_classes(ws_loading *l, int part, const int64_t *y)
{
    int32_t *to = l->store->label + (part ? l->f.n : 0);

    for (int64_t i = 0; i < l->reader.n[part]; i++)
        if ((to[i] = class_of(&l->prep, y[i])) < 0)
            return ws_fail(
                WS_ERR_DATA,
                "%s: %s has the label %lld in row %lld (counted from 0), which the training labels "
                "do not have",
                l->file, part ? "y_test" : "y", (long long)y[i], (long long)i);
    return WS_OK;
}

/* Mean and deviation of each target column over the training samples. */
static ws_err target_scale(ws_loading *l, const double *y)
{
    int64_t n = l->reader.n[0], c = l->f.target_columns;
    ws_err err;

    l->prep.c = (int32_t)c;
    if ((err = ws_alloc(&l->prep.y_mean, c, 8, "targets")) ||
        (err = ws_alloc(&l->prep.y_scale, c, 8, "targets")))
        return err;
    for (int64_t k = 0; k < c; k++) {
        double sum = 0, square = 0, mean;
        for (int64_t i = 0; i < n; i++) sum += y[i * c + k];
        mean = sum / (double)n;
        for (int64_t i = 0; i < n; i++) square += (y[i * c + k] - mean) * (y[i * c + k] - mean);
        l->prep.y_mean[k] = mean;
        l->prep.y_scale[k] = square > 0 ? sqrt(square / (double)n) : 1;
    }
    return WS_OK;
}

static void put_values(ws_loading *l, int part, const void *y)
{
    int64_t c = l->f.columns, count = l->reader.n[part] * c;
    float *to = l->store->value + (part ? l->f.n * c : 0);
    const ws_preparation *p = &l->prep;

    for (int64_t i = 0; i < count; i++) {
        double v = l->reader.y_kind == WS_Y_INTEGER ? (double)((const int64_t *)y)[i]
                                                    : ((const double *)y)[i];
        to[i] = (float)(p->y_mean ? (v - p->y_mean[i % c]) / p->y_scale[i % c] : v);
    }
}

static void to_real(const ws_reader *r, void *y, int64_t count)
{
    for (int64_t i = 0; r->y_kind == WS_Y_INTEGER && i < count; i++) {
        double v = (double)((int64_t *)y)[i];
        memcpy((char *)y + 8 * i, &v, 8);
    }
}

static ws_err read_part(ws_loading *l, int part)
{
    ws_reader *r = &l->reader;
    int64_t count = r->n[part] * r->columns;
    int classes = l->f.classes > 0;
    void *y = NULL;
    ws_err err;

    if (!(part ? l->f.has_y_test : l->f.has_y)) return WS_OK;
    if ((err = ws_alloc(&y, count, 8, "labels"))) return err;
    if (!(err = ws_reader_y(r, part, y))) {
        l->f.checksum = ws_hash(y, (size_t)count * 8, l->f.checksum);
        if (classes) {
            err = put_classes(l, part, y);
        } else {
            if (part == 0 && l->f.target_columns && !l->prep.y_mean) {
                to_real(r, y, count);
                if (r->y_kind == WS_Y_INTEGER) r->y_kind = WS_Y_REAL; /* y is double from here */
                err = target_scale(l, y);
            }
            if (!err) put_values(l, part, y);
        }
    }
    ws_free(&y);
    return err;
}

static ws_err warn_empty(ws_loading *l)
{
    int64_t *count = NULL, empty = 0, first = -1;
    ws_err err = ws_alloc(&count, l->f.classes, sizeof *count, "labels");

    if (err) return err;
    for (int64_t i = 0; i < l->f.n; i++) count[l->store->label[i]]++;
    for (int32_t k = 0; k < l->f.classes; k++)
        if (count[k] == 0) {
            if (first < 0) first = k;
            empty++;
        }
    if (empty == 1)
        ws_loading_warn(l, "no sample has the label %lld", (long long)l->prep.label[first]);
    else if (empty > 1)
        ws_loading_warn(l, "%lld of %d classes have no sample (the first is %lld)",
                        (long long)empty, l->f.classes, (long long)l->prep.label[first]);
    ws_free(&count);
    return WS_OK;
}

ws_err ws_labels_read(ws_loading *l)
{
    ws_err err;

    for (int part = 0; part < 2; part++)
        if ((err = read_part(l, part))) return err;
    return l->f.classes && l->f.has_y && !l->opt->stored ? warn_empty(l) : WS_OK;
}
