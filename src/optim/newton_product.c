/* newton_product.c - sums over neurons that a Gauss-Newton step needs, each exact: counts of
 * samples fired together, products with J J', and J (theta - theta(0)). */
#include <math.h>
#include <string.h>

#include "newton_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/hash.h"

enum { PANEL = 1 << 24, BLOCK = 64 }; /* counts at a time: 64 MiB; blocks as spd.h deals them */

/* ---- the matrix that all outputs share ---- */

/* Rows that fit into a panel from row i0 on; row i has i + 1 counts. */
static int64_t panel_end(int64_t i0, int64_t n)
{
    int64_t i = i0, size = 0;

    while (i < n && (i == i0 || size + i + 1 <= PANEL)) size += ++i;
    return i;
}

static int64_t packed(int64_t i, int64_t i0)
{
    return i * (i + 1) / 2 - i0 * (i0 + 1) / 2;
}

/* Does a neuron say anything?  The odd one of a coupled start does not. */
static int speaks(const ws_net *net, int64_t row)
{
    return net->a[row * net->spec.c] != 0;
}

/* How often samples i in [i0, i1) and j <= i are fired by the same neuron of this rank. */
static void count_together(const ws_newton *nt, int64_t i0, int64_t i1)
{
    const ws_hits *h = nt->hits;

    memset(nt->count, 0, (size_t)packed(i1, i0) * sizeof *nt->count);
    for (int64_t k = 0; k < h->rows; k++) {
        const int32_t *pos = h->pos + h->first[k];
        int64_t n = h->first[k + 1] - h->first[k];

        if (!speaks(nt->net, h->row[k])) continue;
        for (int64_t p = 0; p < n; p++) {
            int32_t *to;
            if (pos[p] < i0 || pos[p] >= i1) continue;
            to = nt->count + packed(pos[p], i0);
            for (int64_t q = 0; q <= p; q++) to[pos[q]]++;
        }
    }
}

static double inner_product(const ws_newton *nt, int64_t i, const float *row, int64_t j)
{
    double v;

    if (nt->x->x) return ws_dot(nt->x->x + i * nt->x->d, nt->x->x + j * nt->x->d, nt->x->d);
    ws_dot_many(row, nt->x, &j, 1, &v);
    return v;
}

/* The entries of this rank in rows [i0, i1). */
static void put_panel(ws_newton *nt, int64_t i0, int64_t i1)
{
    double s2 = nt->net->spec.scale * nt->net->spec.scale, one = nt->net->spec.train_bias;

    for (int64_t i = i0; i < i1; i++) {
        const int32_t *count = nt->count + packed(i, i0);

        nt->alone[i] = count[i];
        ws_samples_row(nt->x, i, nt->rowf);
        for (int64_t j = 0; j <= i; j++)
            if (ws_spd_holds(nt->gram, i, j))
                ws_spd_put(nt->gram, i, j,
                           count[j] ? s2 * count[j] * (inner_product(nt, i, nt->rowf, j) + one)
                                    : 0);
    }
}

/* By counts, exactly. */
static void exact_gram(ws_newton *nt)
{
    const ws_comm *c = nt->net->comm;
    int64_t n = nt->spec.n;

    for (int64_t i0 = 0, i1; i0 < n; i0 = i1) {
        i1 = panel_end(i0, n);
        count_together(nt, i0, i1);
        MPI_Allreduce(MPI_IN_PLACE, nt->count, ws_int(packed(i1, i0)), MPI_INT32_T, MPI_SUM,
                      c->mpi);
        nt->meet.bytes += packed(i1, i0) * (int64_t)sizeof *nt->count;
        nt->meet.meetings++;
        put_panel(nt, i0, i1);
    }
}

/* Neurons that fire on each sample, over all ranks. */
static void count_alone(ws_newton *nt)
{
    const ws_hits *h = nt->hits;

    memset(nt->alone, 0, (size_t)nt->spec.n * sizeof *nt->alone);
    for (int64_t k = 0; k < h->rows; k++)
        for (int64_t p = h->first[k]; p < h->first[k + 1]; p++)
            nt->alone[h->pos[p]] += speaks(nt->net, h->row[k]);
    MPI_Allreduce(MPI_IN_PLACE, nt->alone, ws_int(nt->spec.n), MPI_INT64_T, MPI_SUM,
                  nt->net->comm->mpi);
}

/* One block of 64 x 64 of the sketched matrix. */
static void put_block(ws_newton *nt, int64_t i0, int64_t j0)
{
    double block[BLOCK * BLOCK], s2 = nt->net->spec.scale * nt->net->spec.scale;
    int64_t n = nt->spec.n, rows = n - i0 < BLOCK ? n - i0 : BLOCK;
    int64_t cols = n - j0 < BLOCK ? n - j0 : BLOCK;

    if (!ws_spd_holds(nt->gram, i0, j0)) return;
    ws_sketch_gram(nt->sketch, i0, rows, j0, cols, block);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols && j0 + j <= i0 + i; j++)
            ws_spd_put(nt->gram, i0 + i, j0 + j, s2 * block[i * cols + j]);
}

static ws_err sketched_gram(ws_newton *nt)
{
    const ws_hits *h = nt->hits;
    ws_fired f = {.rows = h->rows, .first = h->first, .pos = h->pos};
    ws_err err = ws_grow(&nt->neuron, &nt->neuron_room, h->rows, sizeof *nt->neuron, "a sketch");

    if ((err = ws_agree(nt->net->comm, err))) return err;
    count_alone(nt);
    for (int64_t k = 0; k < h->rows; k++) nt->neuron[k] = nt->net->first + h->row[k];
    f.id = nt->neuron;
    /* Only the very last neuron may be silent. */
    if (f.rows > 0 && !speaks(nt->net, h->row[f.rows - 1])) f.rows--;
    if ((err = ws_sketch_apply(nt->sketch, &f))) return err;
    for (int64_t i0 = 0; i0 < nt->spec.n; i0 += BLOCK)
        for (int64_t j0 = 0; j0 <= i0; j0 += BLOCK) put_block(nt, i0, j0);
    return WS_OK;
}

ws_err ws_newton_gram(ws_newton *nt)
{
    int64_t n = nt->spec.n;
    double sum = 0, s2 = nt->net->spec.scale * nt->net->spec.scale;

    if (nt->sketch) {
        ws_err err = sketched_gram(nt);
        if (err) return err;
    } else {
        exact_gram(nt);
    }
    for (int64_t i = 0; i < n; i++) {
        ws_samples_row(nt->x, i, nt->rowf);
        sum +=
            s2 * (double)nt->alone[i] * (ws_norm2(nt->rowf, nt->x->d) + nt->net->spec.train_bias);
    }
    nt->diagonal = sum / (double)n;
    return WS_OK;
}

/* ---- products with J J' ---- */

int ws_newton_by_inner(const ws_newton *nt, int64_t k)
{
    return nt->inner && k < nt->x->d / 8 + 2;
}

/* image_p = sum_q <x_p, x_q> coef_q over the k samples of one neuron, by their Gram matrix: four
 * sums side by side, each in the order of q. */
static void through_inner(const ws_newton *nt, const int32_t *pos, int64_t k)
{
    int64_t p = 0, n = nt->spec.n;

    for (; p + 4 <= k; p += 4) {
        const float *g0 = nt->inner + pos[p] * n, *g1 = nt->inner + pos[p + 1] * n;
        const float *g2 = nt->inner + pos[p + 2] * n, *g3 = nt->inner + pos[p + 3] * n;
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;

        for (int64_t q = 0; q < k; q++) {
            double c = nt->coef[q];
            s0 += (double)g0[pos[q]] * c;
            s1 += (double)g1[pos[q]] * c;
            s2 += (double)g2[pos[q]] * c;
            s3 += (double)g3[pos[q]] * c;
        }
        nt->image[p] = s0;
        nt->image[p + 1] = s1;
        nt->image[p + 2] = s2;
        nt->image[p + 3] = s3;
    }
    for (; p < k; p++) {
        const float *g = nt->inner + pos[p] * n;
        double sum = 0;

        for (int64_t q = 0; q < k; q++) sum += (double)g[pos[q]] * nt->coef[q];
        nt->image[p] = sum;
    }
}

/* The same by way of the d coordinates of sum_q coef_q x_q, rounded to float32. */
static void through_row(const ws_newton *nt, const int32_t *pos, int64_t k)
{
    int64_t d = nt->x->d;

    memset(nt->row, 0, (size_t)d * sizeof *nt->row);
    for (int64_t q = 0; q < k; q++) {
        nt->ids[q] = pos[q];
        ws_axpy_sample(nt->row, (float)nt->coef[q], nt->x, pos[q]);
    }
    for (int64_t j = 0; j < d; j++) nt->rowf[j] = (float)nt->row[j];
    ws_dot_many(nt->rowf, nt->x, nt->ids, k, nt->image);
}

/* One neuron's share of J J' v / s_m^2, at scale 2^e. */
static void add_neuron(ws_newton *nt, int64_t i, const double *v, int e)
{
    const ws_hits *h = nt->hits;
    const ws_net_spec *s = &nt->net->spec;
    const float *a = nt->net->a + h->row[i] * s->c;
    const int32_t *pos = h->pos + h->first[i];
    int64_t k = h->first[i + 1] - h->first[i];
    double bias = 0;

    for (int64_t p = 0; p < k; p++) {
        const double *from = v + (int64_t)pos[p] * s->c;
        double sum = 0;
        for (int32_t q = 0; q < s->c; q++) sum += (double)a[q] * from[q];
        nt->coef[p] = sum;
        if (s->train_bias) bias += sum;
    }
    if (ws_newton_by_inner(nt, k))
        through_inner(nt, pos, k);
    else
        through_row(nt, pos, k);
    for (int64_t p = 0; p < k; p++) {
        ws_exact_limbs t = ws_exact_split(nt->image[p] + bias, e);
        int64_t *hi = nt->meet.hi + (int64_t)pos[p] * s->c, *lo = nt->meet.lo + (hi - nt->meet.hi);
        for (int32_t q = 0; q < s->c; q++) {
            int64_t sign = (int64_t)a[q];
            hi[q] += sign * t.hi;
            lo[q] += sign * t.lo;
        }
    }
}

/* A power of two above every contribution: |sum_q <x_p, x_q> coef_q| <= |x|^2 sum |v|. */
static int exponent_of(const ws_newton *nt, double sum)
{
    double x = nt->net->spec.x_scale;

    return ilogb((x * x + 1) * sum) + 2;
}

ws_err ws_newton_product(ws_newton *nt, const double *v, double *out)
{
    double s2 = nt->net->spec.scale * nt->net->spec.scale, sum = 0;
    ws_err err = ws_meeting_open(&nt->meet, nt->entries, 0);
    int e;

    for (int64_t k = 0; k < nt->entries; k++) sum += fabs(v[k]);
    if (!(sum > 0x1p-900 && sum < 0x1p900)) sum = 1; /* all zero, or beyond hope: see the caller */
    e = exponent_of(nt, sum);
    for (int64_t i = 0; i < nt->hits->rows && !err; i++) {
        add_neuron(nt, i, v, e);
        if (i % WS_EXACT_ADDS == WS_EXACT_ADDS - 1)
            ws_exact_carry(nt->meet.hi, nt->meet.lo, nt->entries);
    }
    nt->meet.hash = ws_hash(v, (size_t)nt->entries * sizeof *v, 0);
    if ((err = ws_meeting_hold(&nt->meet, nt->net->comm, err, nt->entries, 0))) return err;
    for (int64_t k = 0; k < nt->entries; k++)
        out[k] = s2 * ws_exact_value(nt->meet.hi[k], nt->meet.lo[k], e);
    return WS_OK;
}

/* ---- J (theta - theta(0)) ---- */

ws_err ws_newton_moved(ws_newton *nt)
{
    ws_net *net = nt->net;
    const ws_net_spec *s = &net->spec;
    const ws_hits *h = nt->hits;
    ws_err err = ws_meeting_open(&nt->meet, nt->entries, 0);

    for (int64_t i = 0; i < h->rows && !err; i++) {
        int64_t row = h->row[i], first = h->first[i], k = h->first[i + 1] - first;

        if (net->touched[row]) {
            for (int64_t p = 0; p < k; p++) nt->ids[p] = h->pos[first + p];
            ws_dot_many(net->w0 + row * s->d, nt->x, nt->ids, k, nt->image);
        }
        for (int64_t p = 0; p < k && net->touched[row]; p++) {
            double dz = h->z[first + p] - (nt->image[p] + (double)net->b0[row]);
            int64_t at = nt->ids[p] * s->c;
            ws_exact_limbs t = ws_exact_split(fabs(dz) <= net->limit ? dz : 0, net->exponent);
            for (int32_t q = 0; q < s->c; q++) {
                int64_t sign = (int64_t)net->a[row * s->c + q];
                nt->meet.hi[at + q] += sign * t.hi;
                nt->meet.lo[at + q] += sign * t.lo;
            }
        }
        if (i % WS_EXACT_ADDS == WS_EXACT_ADDS - 1)
            ws_exact_carry(nt->meet.hi, nt->meet.lo, nt->entries);
    }
    if ((err = ws_meeting_hold(&nt->meet, net->comm, err, nt->entries, 0))) return err;
    ws_net_outputs(net, nt->meet.hi, nt->meet.lo, nt->entries, nt->moved);
    return WS_OK;
}
