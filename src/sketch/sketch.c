/* sketch.c - the front: kinds, the one reduction, products of sketched rows. */
#include "wingspan/sketch/sketch.h"

#include <math.h>
#include <string.h>

#include "sketch_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/blas.h"

enum { PIECE = 1 << 24 }; /* integers a reduction */

static double whole(int64_t s)
{
    (void)s;
    return 1;
}

static double eighth(int64_t s)
{
    (void)s;
    return sqrt(0.125);
}

static double root(int64_t s)
{
    return 1 / sqrt((double)s);
}

/* The scale of a tensor kind stands in y already. */
static const ws_sketch_ops kinds[] = {
    {"countsketch", whole, ws_sketch_add_count, NULL},
    {"osnap", eighth, ws_sketch_add_osnap, NULL},
    {"srht", root, ws_sketch_add_srht, NULL},
    {"tensorsketch", whole, ws_sketch_add_count, ws_sketch_convolve},
    {"tensorsrht", whole, ws_sketch_add_srht, ws_sketch_multiply},
};

const char *const *ws_sketch_kinds(void)
{
    static const char *const names[] = {"countsketch",  "osnap",      "srht",
                                        "tensorsketch", "tensorsrht", NULL};

    return names;
}

static const ws_sketch_ops *find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

ws_err ws_sketch_create(const ws_comm *comm, const char *kind, const ws_samples *x, int64_t m,
                        int64_t s, uint64_t seed, ws_sketch **out)
{
    ws_sketch *k = NULL;
    ws_err err;

    *out = NULL;
    if ((err = ws_same(comm, "rows of a sketch", s))) return err;
    if (!find(kind) || s < 8)
        return ws_fail(WS_ERR_USAGE, "there is no sketch %s of %lld rows", kind, (long long)s);
    if (!(err = ws_alloc(&k, 1, sizeof *k, "a sketch"))) {
        *k = (ws_sketch){.ops = find(kind), .comm = comm, .x = x, .n = x->n, .m = m, .s = s};
        k->seed = seed;
        err = ws_alloc(&k->q, k->n * s, sizeof *k->q, "a sketch");
        if (!err) err = ws_alloc(&k->y, k->n * s, sizeof *k->y, "a sketch");
        if (!err) err = ws_alloc(&k->row, x->d, sizeof *k->row, "a sketch");
    }
    if ((err = ws_agree(comm, err))) {
        ws_sketch_destroy(&k);
        return err;
    }
    *out = k;
    return WS_OK;
}

void ws_sketch_destroy(ws_sketch **k)
{
    if (!*k) return;
    ws_free(&(*k)->q);
    ws_free(&(*k)->y);
    ws_free(&(*k)->row);
    ws_free(k);
}

ws_err ws_sketch_apply(ws_sketch *k, const ws_fired *f)
{
    int64_t size = k->n * k->s;
    ws_err err;

    memset(k->q, 0, (size_t)size * sizeof *k->q);
    if ((err = ws_agree(k->comm, k->ops->add(k, f)))) return err;
    for (int64_t at = 0; at < size; at += PIECE)
        MPI_Allreduce(MPI_IN_PLACE, k->q + at, ws_int(size - at < PIECE ? size - at : PIECE),
                      MPI_INT32_T, MPI_SUM, k->comm->mpi);
    if (k->ops->combine) return ws_agree(k->comm, k->ops->combine(k));
    for (int64_t e = 0; e < size; e++) k->y[e] = k->q[e];
    return WS_OK;
}

void ws_sketch_gram(ws_sketch *k, int64_t i0, int64_t rows, int64_t j0, int64_t cols, double *out)
{
    double scale = k->ops->scale(k->s);

    ws_dgemm_nt(rows, cols, k->s, k->y + i0 * k->s, k->s, k->y + j0 * k->s, k->s, out, cols);
    if (k->ops->combine) return;
    for (int64_t i = 0; i < rows; i++) {
        ws_samples_row(k->x, i0 + i, k->row);
        for (int64_t j = 0; j < cols; j++) {
            int64_t id = j0 + j;
            double inner;
            ws_dot_many(k->row, k->x, &id, 1, &inner);
            out[i * cols + j] *= scale * scale * inner;
        }
    }
}

const int32_t *ws_sketch_integers(const ws_sketch *k, double *scale)
{
    *scale = k->ops->scale(k->s);
    return k->q;
}

double ws_sketch_bytes(int64_t n, int64_t s)
{
    return 12.0 * (double)n * (double)s;
}
