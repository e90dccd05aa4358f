/* probe.c - samples laid out eight side by side, and the exact products of rows with them.
 *
 * Samples that fill up the last eight are zeros: nothing fires on them beyond a threshold of zero
 * or more, and nobody looks at their products. */
#include <math.h>

#include "probe_simd.h"
#include "wingspan/core/alloc.h"
#include "wingspan/model/source.h"

static int64_t up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static void fill(ws_probe *p, float *row)
{
    int64_t d = p->spec->d, wide = up(d, 4);

    for (int64_t i = 0; i < p->n; i++) {
        double *to = p->columns + i / 8 * 8 * d + i % 8;
        float *near = p->scaled + i / 8 * 8 * wide + i % 8;

        ws_samples_row(p->x, i, row);
        p->norm = fmax(p->norm, ws_samples_norm(p->x, i));
        for (int64_t j = 0; j < d; j++) {
            to[8 * j] = (double)row[j];
            near[8 * j] = (float)(p->spec->init_scale * (double)row[j]);
        }
    }
}

ws_err ws_probe_create(const ws_net_spec *spec, const ws_samples *x, int64_t n, ws_probe **out)
{
    const char *what = "samples side by side";
    ws_probe *p = NULL;
    float *row = NULL;
    ws_err err = ws_alloc(&p, 1, sizeof *p, what);

    *out = NULL;
    if (err) return err;
    *p = (ws_probe){.spec = spec,
                    .source = ws_source_of(spec->init),
                    .x = x,
                    .n = n,
                    .padded = up(n, 8),
                    .threshold = spec->threshold};
    err = ws_alloc(&p->columns, p->padded * spec->d, sizeof *p->columns, what);
    if (!err) err = ws_alloc(&p->scaled, p->padded * up(spec->d, 4), sizeof *p->scaled, what);
    if (!err) err = ws_alloc(&p->wide, 4 * (spec->d + p->padded), sizeof *p->wide, what);
    if (!err) err = ws_alloc(&row, spec->d, sizeof *row, what);
    if (!err) fill(p, row);
    if (!err && p->source->prepare) err = p->source->prepare(p);
    ws_free(&row);
    if (err)
        ws_probe_destroy(&p);
    else
        *out = p;
    return err;
}

void ws_probe_destroy(ws_probe **p)
{
    if (!*p) return;
    if ((*p)->source->release) (*p)->source->release(*p);
    ws_free(&(*p)->columns);
    ws_free(&(*p)->scaled);
    ws_free(&(*p)->wide);
    ws_free(p);
}

int64_t ws_probe_candidates(const ws_probe *p, int64_t first, int64_t n, uint32_t *offset)
{
    int64_t k = p->source->propose ? p->source->propose(p, first, n, offset) : -1;

    if (k >= 0) return k;
    for (int64_t i = 0; i < n; i++) offset[i] = (uint32_t)i;
    return n;
}

void ws_probe_products(const ws_probe *p, const float *w, int64_t k, double *z)
{
    ws_probe_rows(w, k, p->columns, p->padded / 8, p->spec->d, p->wide, z);
}

double ws_probe_bytes(int64_t n, int64_t d)
{
    return (double)up(n, 8) * (8.0 * (double)d + 4.0 * (double)up(d, 4));
}
