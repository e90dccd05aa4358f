/* newton.c - the system of a Gauss-Newton step: made once, solved for each damping that is tried. */
#include "wingspan/optim/newton.h"

#include <math.h>
#include <string.h>

#include "newton_impl.h"
#include "newton_kernel.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/dot.h"
#include "wingspan/linalg/cg.h"

enum { ROWS = 8 };      /* of a sketch or a sample, for each of n */
enum { INNER = 16384 }; /* samples up to which all inner products are kept: 512 MiB */

/* Rows of a packed triangle of order n for rank k of size: the same number of entries each. */
static int64_t rows_before(int64_t n, int k, int size)
{
    return k == size ? n : (int64_t)((double)n * sqrt((double)k / size));
}

/* <x_i, x_j> in float32; products with it round no more than those with float32 rows.  The ranks
 * share the work; an inner product has the same bits anywhere. */
static void fill_inner(ws_newton *nt)
{
    const ws_comm *c = nt->net->comm;
    int64_t n = nt->spec.n, end = rows_before(n, c->rank + 1, c->size);

    for (int64_t i = rows_before(n, c->rank, c->size); i < end; i++) {
        float *to = nt->inner + ws_newton_packed(i);

        ws_samples_row(nt->x, i, nt->rowf);
        ws_dot_many(nt->rowf, nt->x, NULL, i + 1, nt->image);
        for (int64_t j = 0; j <= i; j++) to[j] = (float)nt->image[j];
    }
    for (int k = 0; k < c->size; k++) {
        int64_t from = ws_newton_packed(rows_before(n, k, c->size));
        int64_t to = ws_newton_packed(rows_before(n, k + 1, c->size));

        MPI_Bcast(nt->inner + from, ws_int(to - from), MPI_FLOAT, k, c->mpi);
    }
}

/* One output is solved without, unless a sketch stands for the matrix. */
static int needs_products(const ws_newton *nt)
{
    return nt->net->spec.c > 1 || nt->spec.sketch;
}

static ws_err alloc_vectors(ws_newton *nt)
{
    const char *what = "a Gauss-Newton step";
    int64_t n = nt->spec.n, e = nt->entries, d = nt->x->d, few = n < d ? n : d;
    int64_t panel = ws_newton_packed(n);
    ws_err err;

    if (panel > WS_NEWTON_PANEL) panel = WS_NEWTON_PANEL + n;
    if ((err = ws_alloc(&nt->count, panel, sizeof *nt->count, what)) ||
        (err = ws_alloc(&nt->start, n + 1, sizeof *nt->start, what)) ||
        (err = ws_alloc(&nt->alone, n, sizeof *nt->alone, what)) ||
        (err = ws_alloc(&nt->b, e, sizeof *nt->b, what)) ||
        (err = ws_alloc(&nt->z, e, sizeof *nt->z, what)) ||
        (err = ws_alloc(&nt->rest, e, sizeof *nt->rest, what)) ||
        (err = ws_alloc(&nt->work, 3 * e, sizeof *nt->work, what)) ||
        (err = ws_alloc(&nt->turned, e, sizeof *nt->turned, what)) ||
        (err = ws_alloc(&nt->moved, e, sizeof *nt->moved, what)) ||
        (err = ws_alloc(&nt->padded, n * nt->wide, sizeof *nt->padded, what)) ||
        (err = ws_alloc(&nt->sum, n * 2 * nt->wide, sizeof *nt->sum, what)) ||
        (err = ws_alloc(&nt->sign, nt->wide, sizeof *nt->sign, what)) ||
        (err = ws_alloc(&nt->flip, nt->wide, sizeof *nt->flip, what)) ||
        (err = ws_alloc(&nt->triangle, few * (few + 1) / 2, sizeof *nt->triangle, what)) ||
        (err = ws_alloc(&nt->coef, n, sizeof *nt->coef, what)) ||
        (err = ws_alloc(&nt->image, n, sizeof *nt->image, what)) ||
        (err = ws_alloc(&nt->ids, n, sizeof *nt->ids, what)) ||
        (err = ws_alloc(&nt->row, d, sizeof *nt->row, what)) ||
        (err = ws_alloc(&nt->rowf, d, sizeof *nt->rowf, what)))
        return err;
    return n <= INNER && needs_products(nt)
               ? ws_alloc(&nt->inner, ws_newton_packed(n), sizeof *nt->inner, what)
               : WS_OK;
}

/* What stands for the shared matrix, if anything does. */
static ws_err create_estimate(ws_newton *nt)
{
    const ws_comm *comm = nt->net->comm;
    int64_t n = nt->spec.n, size = ws_newton_packed(n);
    ws_err err;

    nt->bare = nt->spec.sketch && strcmp(nt->spec.sketch, "none") == 0;
    if (nt->bare || !nt->spec.sketch) return WS_OK;
    if (strcmp(nt->spec.sketch, "leverage") != 0)
        return ws_sketch_create(comm, nt->spec.sketch, &nt->train, nt->net->spec.m, ROWS * n,
                                nt->spec.seed, &nt->sketch);
    if (!nt->inner)
        return ws_fail(WS_ERR_USAGE, "leverage scores work on up to %d samples: use a sketch",
                       INNER);
    err = ws_alloc(&nt->inverse, size, sizeof *nt->inverse, "leverage scores");
    if (!err)
        err = ws_alloc(&nt->panel, size < WS_NEWTON_PANEL ? size : WS_NEWTON_PANEL + n,
                       sizeof *nt->panel, "leverage scores");
    if ((err = ws_agree(comm, err))) return err;
    return ws_leverage_create(comm, &nt->train, nt->net->spec.train_bias, ROWS * n, nt->spec.seed,
                              &nt->leverage);
}

ws_err ws_newton_create(const ws_newton_spec *spec, ws_optim *o, const ws_samples *x,
                        ws_newton **out)
{
    ws_net *net = o->net;
    ws_newton *nt = NULL;
    ws_err err;

    *out = NULL;
    if (strcmp(net->spec.phi->name, "relu") != 0 || net->spec.train_output)
        return ws_fail(WS_ERR_USAGE, "gauss-newton works with relu and fixed output weights");
    if ((err = ws_agree(net->comm, ws_alloc(&nt, 1, sizeof *nt, "a Gauss-Newton step"))))
        return err;
    nt->spec = *spec;
    nt->o = o;
    nt->net = net;
    nt->x = x;
    nt->entries = spec->n * net->spec.c;
    nt->wide = (net->spec.c + WS_NEWTON_VECTOR - 1) / WS_NEWTON_VECTOR * WS_NEWTON_VECTOR;
    err = ws_agree(net->comm, alloc_vectors(nt));
    if (!err) err = ws_spd_create(net->comm, spec->n, spec->serial, &nt->gram);
    nt->train = *x;
    nt->train.n = spec->n;
    if (!err) err = create_estimate(nt);
    if (err) {
        ws_newton_destroy(&nt);
        return err;
    }
    if (nt->inner) fill_inner(nt);
    *out = nt;
    return WS_OK;
}

void ws_newton_destroy(ws_newton **p)
{
    ws_newton *nt = *p;

    if (!nt) return;
    ws_spd_destroy(&nt->gram);
    ws_sketch_destroy(&nt->sketch);
    ws_leverage_destroy(&nt->leverage);
    ws_free(&nt->inverse);
    ws_free(&nt->panel);
    ws_free(&nt->neuron);
    ws_meeting_free(&nt->meet);
    ws_free(&nt->count);
    ws_free(&nt->held);
    ws_free(&nt->alone);
    ws_free(&nt->inner);
    ws_free(&nt->b);
    ws_free(&nt->z);
    ws_free(&nt->rest);
    ws_free(&nt->work);
    ws_free(&nt->turned);
    ws_free(&nt->moved);
    ws_free(&nt->pair);
    ws_free(&nt->start);
    ws_free(&nt->pack);
    ws_free(&nt->pack_at);
    ws_free(&nt->triangle);
    ws_free(&nt->padded);
    ws_free(&nt->sum);
    ws_free(&nt->sign);
    ws_free(&nt->flip);
    ws_free(&nt->coef);
    ws_free(&nt->image);
    ws_free(&nt->ids);
    ws_free(&nt->row);
    ws_free(&nt->rowf);
    ws_free(&nt->all.row);
    ws_free(&nt->all.first);
    ws_free(&nt->old_w);
    ws_free(&nt->old_b);
    ws_free(&nt->old_w64);
    ws_free(&nt->old_b64);
    ws_free(&nt->old_touched);
    ws_free(p);
}

/* Add the time since *start to *to, and start again. */
static void count_seconds(double *to, double *start)
{
    double now = ws_seconds();

    *to += now - *start;
    *start = now;
}

ws_err ws_newton_linearise(ws_newton *nt, const ws_hits *hits)
{
    double start = ws_seconds();
    ws_err err;

    nt->hits = hits;
    if ((err = ws_agree(nt->net->comm, ws_newton_sort(nt)))) return err;
    if ((err = ws_newton_gram(nt))) return err;
    count_seconds(&nt->seconds.gram, &start);
    if (needs_products(nt) && (err = ws_agree(nt->net->comm, ws_newton_pack(nt)))) return err;
    count_seconds(&nt->seconds.pack, &start);
    return nt->spec.ridge > 0 ? ws_newton_moved(nt) : WS_OK;
}

/* ---- the solution ---- */

typedef struct shifted {
    ws_newton *nt;
    double shift; /* u */
} shifted;

static ws_err product(void *of, const double *v, double *out)
{
    shifted *s = of;
    double start = ws_seconds();
    ws_err err = ws_newton_product(s->nt, v, out);

    count_seconds(&s->nt->seconds.product, &start);
    for (int64_t k = 0; k < s->nt->entries && !err; k++) out[k] += s->shift * v[k];
    return err;
}

/* Solve with the shared matrix, for every output alone. */
static ws_err precondition(void *of, const double *r, double *z)
{
    ws_newton *nt = ((shifted *)of)->nt;
    int64_t n = nt->spec.n, c = nt->net->spec.c;
    double start = ws_seconds();
    ws_err err;

    for (int64_t i = 0; i < n; i++)
        for (int64_t q = 0; q < c; q++) nt->turned[q * n + i] = r[i * c + q];
    if ((err = ws_spd_solve(nt->gram, c, nt->turned))) return err;
    for (int64_t i = 0; i < n; i++)
        for (int64_t q = 0; q < c; q++) z[i * c + q] = nt->turned[q * n + i];
    count_seconds(&nt->seconds.shared, &start);
    return WS_OK;
}

/* b = -r + (L/u) J D; 0 for a sample on which nothing fires, which no step can reach. */
static void right_hand_side(ws_newton *nt, const double *r)
{
    int64_t c = nt->net->spec.c;

    for (int64_t i = 0; i < nt->spec.n; i++)
        for (int64_t k = i * c; k < (i + 1) * c; k++)
            nt->b[k] = nt->alone[i] ? nt->pull * nt->moved[k] - r[k] : 0;
}

/* The model after the step: r + J s = -(u z + rest), and |D + s|^2 from scalar products, since
 * J J' z = b - u z - rest. */
static double predict(const ws_newton *nt, const double *r, double penalty, double u)
{
    double before = 0, after = 0, cross = 0, own = 0, keep = 1 - nt->pull, c = nt->net->spec.c;

    for (int64_t k = 0; k < nt->entries; k++) {
        double left = u * nt->z[k] + nt->rest[k];
        if (nt->alone[k / (int64_t)c]) before += r[k] * r[k];
        after += left * left;
        cross += nt->moved[k] * nt->z[k];
        own += nt->z[k] * (nt->b[k] - left);
    }
    return (before - after) / 2 +
           nt->spec.ridge / 2 * (penalty - keep * keep * penalty - 2 * keep * cross - own);
}

ws_err ws_newton_solve(ws_newton *nt, const double *r, double penalty, double damping,
                       ws_newton_step *step)
{
    double u = nt->spec.ridge + damping * nt->diagonal;
    shifted of = {nt, u};
    ws_cg_system cg = {nt->entries, &of, product, nt->bare ? NULL : precondition};
    double start = ws_seconds();
    ws_err err;

    *step = (ws_newton_step){0};
    nt->pull = nt->spec.ridge > 0 ? nt->spec.ridge / u : 0;
    right_hand_side(nt, r);
    step->ok = 1;
    if (!nt->bare && (err = ws_spd_factor(nt->gram, u, &step->ok))) return err;
    count_seconds(&nt->seconds.factor, &start);
    if (!step->ok) return WS_OK;
    if (!needs_products(nt)) {
        memset(nt->rest, 0, (size_t)nt->entries * sizeof *nt->rest);
        err = precondition(&of, nt->b, nt->z);
    } else {
        err = ws_cg(&cg, nt->b, nt->spec.tolerance, nt->spec.most, nt->z, nt->rest, nt->work,
                    &step->iterations);
    }
    if (err) return err;
    step->predicted = predict(nt, r, penalty, u);
    step->ok = isfinite(step->predicted) && step->predicted > 0;
    return WS_OK;
}

void ws_newton_traffic(const ws_newton *nt, int64_t *bytes, int64_t *meetings)
{
    *bytes = nt ? nt->meet.bytes : 0;
    *meetings = nt ? nt->meet.meetings : 0;
}

const ws_newton_seconds *ws_newton_time(const ws_newton *nt)
{
    return &nt->seconds;
}

static double estimate_bytes(const ws_newton_spec *spec, int64_t d)
{
    double n = (double)spec->n;

    if (!spec->sketch || strcmp(spec->sketch, "none") == 0) return 0;
    if (strcmp(spec->sketch, "leverage") != 0) return ws_sketch_bytes(spec->n, ROWS * spec->n);
    return ws_leverage_bytes(spec->n, d, ROWS * spec->n) +
           sizeof(double) * fmin(n * n / 2, WS_NEWTON_PANEL);
}

double ws_newton_bytes(const ws_newton_spec *spec, const ws_net_spec *net, int64_t rows, int size)
{
    double n = (double)spec->n, vectors = 12.0 * n * net->c;
    double inner = spec->n <= INNER && (net->c > 1 || spec->sketch) ? sizeof(float) * n * n / 2 : 0;
    double panel = sizeof(int32_t) * fmin(n * n / 2, WS_NEWTON_PANEL);
    double held = 4 * n * n / (spec->n <= spec->serial ? 1 : size);
    double row = net->float64 ? sizeof(float) + sizeof(double) : sizeof(float);
    /* At most; most neurons fire on few samples. */
    double pack = inner > 0 ? fmin(1 << 30, 2 * n * n * (double)rows) : 0;

    return (double)rows * row * (double)net->d + 8 * vectors + inner + panel + held + pack +
           ws_spd_bytes(spec->n, size) + estimate_bytes(spec, net->d);
}
