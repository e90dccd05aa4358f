/* layer.c - the matrix of a layer of finite width, beside its limit. */
#include <math.h>

#include "ntk_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/layout.h"
#include "wingspan/core/random.h"
#include "wingspan/kernel/bits.h"
#include "wingspan/linalg/spd.h"

enum { PANEL = 1 << 22 }; /* counts at a time: 32 MiB */

typedef struct layer {
    const ws_samples *x;
    int64_t n, m, first; /* samples; neurons over all ranks; the first one here */
    double b;
    int biased;
    ws_bits fired;
    int64_t *count; /* [<= PANEL + n] lower triangle of a panel */
    double *z, *value;
    float *row;
    ws_spd *h, *difference;
    ws_ntk_rule rule;
} layer;

static ws_err layer_alloc(layer *l)
{
    const char *what = "the matrix of a layer";
    int64_t all = l->n * (l->n + 1) / 2, d = l->x->d > 0 ? l->x->d : 1;
    ws_err err;

    if ((err = ws_alloc(&l->count, all < PANEL ? all : PANEL + l->n, sizeof *l->count, what)) ||
        (err = ws_alloc(&l->z, l->n, sizeof *l->z, what)) ||
        (err = ws_alloc(&l->value, l->n, sizeof *l->value, what)))
        return err;
    return ws_alloc(&l->row, d, sizeof *l->row, what);
}

static void layer_free(layer *l)
{
    ws_bits_free(&l->fired);
    ws_free(&l->count);
    ws_free(&l->z);
    ws_free(&l->value);
    ws_free(&l->row);
    ws_spd_destroy(&l->h);
    ws_spd_destroy(&l->difference);
}

/* The rows that training starts from: of a coupled pair both have the even one's, and an odd last
 * neuron says nothing. */
static void fire(layer *l, uint64_t seed, int coupled)
{
    ws_key key = {seed, WS_STREAM_WEIGHT, 0};

    for (int64_t r = 0; r < l->fired.rows; r++) {
        int64_t id = l->first + r;
        if (coupled && id == l->m - 1 && l->m % 2 == 1) continue;
        ws_random_normal(&key, (uint64_t)(coupled ? id / 2 * 2 : id), l->x->d, 1, l->row);
        ws_dot_many(l->row, l->x, NULL, l->n, l->z);
        for (int64_t i = 0; i < l->n; i++) ws_bits_set(&l->fired, i, r, l->z[i] > l->b);
    }
}

/* Entry (i, j) of both matrices, where they are held here. */
static void put(layer *l, int64_t i, int64_t j, int64_t count, ws_layer_spectrum *out)
{
    double inner, h, k;

    if (!ws_spd_holds(l->h, i, j)) return;
    ws_dot_many(l->row, l->x, &j, 1, &inner);
    h = (inner + l->biased) * ((double)count / (double)l->m);
    k = ws_ntk_entry(&l->rule, l->b, l->biased, inner, i == j);
    ws_spd_put(l->h, i, j, h);
    ws_spd_put(l->difference, i, j, h - k);
    out->entry = fmax(out->entry, fabs(h - k));
}

static void put_panel(layer *l, int64_t i0, int64_t i1, ws_layer_spectrum *out)
{
    const int64_t *count = l->count;

    for (int64_t i = i0; i < i1; count += ++i) {
        double share = (double)count[i] / (double)l->m;

        out->active += share / (double)l->n;
        out->fewest = fmin(out->fewest, share);
        out->most = fmax(out->most, share);
        ws_samples_row(l->x, i, l->row);
        for (int64_t j = 0; j <= i; j++) put(l, i, j, count[j], out);
    }
}

static void fill(layer *l, const ws_comm *comm, ws_layer_spectrum *out)
{
    for (int64_t i0 = 0, i1; i0 < l->n; i0 = i1) {
        i1 = ws_bits_panel(i0, l->n, PANEL);
        ws_bits_count(comm, &l->fired, i0, i1, l->count);
        put_panel(l, i0, i1, out);
    }
    MPI_Allreduce(MPI_IN_PLACE, &out->entry, 1, MPI_DOUBLE, MPI_MAX, comm->mpi);
}

ws_err ws_ntk_layer(const ws_comm *comm, const ws_samples *x, int64_t n, double b, int biased,
                    int64_t m, uint64_t seed, int coupled, ws_layer_spectrum *out)
{
    ws_layout cut = {m, comm->size};
    layer l = {.x = x, .n = n, .m = m, .b = b, .biased = biased};
    ws_err err = ws_ntk_check_unit(x, n);

    *out = (ws_layer_spectrum){.fewest = 1};
    l.first = ws_layout_first(&cut, comm->rank);
    if (!err) err = ws_bits_create(n, ws_layout_count(&cut, comm->rank), &l.fired);
    if (!err) err = layer_alloc(&l);
    if ((err = ws_agree(comm, err)) || (err = ws_spd_create(comm, n, WS_SPD_SERIAL, &l.h)) ||
        (err = ws_spd_create(comm, n, WS_SPD_SERIAL, &l.difference)))
        goto done;
    ws_ntk_make_rule(&l.rule);
    fire(&l, seed, coupled);
    fill(&l, comm, out);
    if ((err = ws_spd_eigenvalues(l.h, l.value))) goto done;
    out->least = l.value[0];
    out->largest = l.value[n - 1];
    if ((err = ws_spd_eigenvalues(l.difference, l.value))) goto done;
    out->distance = fmax(-l.value[0], l.value[n - 1]);
done:
    layer_free(&l);
    return err;
}
