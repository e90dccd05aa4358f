/* newton_product.c - sums over neurons that a Gauss-Newton step needs, each exact: products with
 * J J', and J (theta - theta(0)).
 *
 * A product takes a neuron's k samples through the triangle of their inner products.  The triangles
 * are put together once for a linearisation and then read in one stream, which is what bounds a
 * product: 2 k^2 bytes a neuron. */
#include <math.h>
#include <string.h>

#include "newton_impl.h"
#include "newton_kernel.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/hash.h"

enum { PACK = 1 << 28 }; /* float32 kept at most: 1 GiB */

int ws_newton_by_inner(const ws_newton *nt, int64_t k)
{
    return nt->inner && k <= nt->x->d;
}

/* ---- the triangles ---- */

/* Row p of a neuron's triangle. */
static void put_row(const ws_newton *nt, const int32_t *pos, int64_t p, float *to)
{
    const float *from = nt->inner + ws_newton_packed(pos[p]);

    for (int64_t q = 0; q <= p; q++) to[q] = from[pos[q]];
}

/* Give every neuron its place, as long as there is room. */
static int64_t deal_places(ws_newton *nt)
{
    const ws_hits *h = nt->hits;
    int64_t size = 0;

    for (int64_t i = 0; i < h->rows; i++) {
        int64_t k = h->first[i + 1] - h->first[i], more = ws_newton_packed(k);
        int fits = ws_newton_by_inner(nt, k) && size + more <= PACK;

        nt->pack_at[i] = fits ? size : -1;
        size += fits ? more : 0;
    }
    return size;
}

ws_err ws_newton_pack(ws_newton *nt)
{
    const ws_hits *h = nt->hits;
    ws_err err = ws_grow(&nt->pack_at, &nt->pack_at_room, h->rows, sizeof *nt->pack_at, "products");

    if (err || (err = ws_grow(&nt->pack, &nt->pack_room, deal_places(nt), sizeof *nt->pack,
                              "inner products of a neuron's samples")))
        return err;
    for (int64_t t = 0; t < h->n; t++) {
        int64_t row = nt->pair[t].row, p = nt->pair[t].p, at = nt->pack_at[row];

        if (at >= 0) put_row(nt, h->pos + h->first[row], p, nt->pack + at + ws_newton_packed(p));
    }
    return WS_OK;
}

/* The same bits, kept or not. */
static const float *triangle_of(const ws_newton *nt, int64_t i)
{
    int64_t first = nt->hits->first[i], k = nt->hits->first[i + 1] - first;

    if (nt->pack_at[i] >= 0) return nt->pack + nt->pack_at[i];
    for (int64_t p = 0; p < k; p++)
        put_row(nt, nt->hits->pos + first, p, nt->triangle + ws_newton_packed(p));
    return nt->triangle;
}

/* ---- products with J J' ---- */

/* The image of a neuron with more samples than coordinates, by way of sum_q coef_q x_q, rounded to
 * float32. */
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
static void add_neuron(ws_newton *nt, const ws_newton_kernel *kernel, int64_t i, int e)
{
    const ws_hits *h = nt->hits;
    const int32_t *pos = h->pos + h->first[i];
    int64_t k = h->first[i + 1] - h->first[i], c = nt->net->spec.c;
    double bias = 0;

    if (!ws_newton_speaks(nt->net, h->row[i])) return;
    for (int64_t q = 0; q < c; q++) nt->sign[q] = (double)nt->net->a[h->row[i] * c + q];
    kernel->gather(nt->sign, nt->wide, nt->padded, pos, k, nt->coef);
    for (int64_t p = 0; p < k && nt->net->spec.train_bias; p++) bias += nt->coef[p];
    if (ws_newton_by_inner(nt, k))
        kernel->triangle(triangle_of(nt, i), k, nt->coef, nt->image);
    else
        through_row(nt, pos, k);
    kernel->scatter(nt->sign, nt->wide, nt->image, bias, e, pos, k, nt->flip, nt->sum);
}

/* A power of two above every contribution: |sum_q <x_p, x_q> coef_q| <= |x|^2 sum |v|. */
static int exponent_of(const ws_newton *nt, const double *v)
{
    double x = nt->net->spec.x_scale, sum = 0;

    for (int64_t k = 0; k < nt->entries; k++) sum += fabs(v[k]);
    if (!(sum > 0x1p-900 && sum < 0x1p900)) sum = 1; /* all zero, or beyond hope: see the caller */
    return ilogb((x * x + 1) * sum) + 2;
}

static void carry(ws_newton *nt)
{
    for (int64_t i = 0; i < nt->spec.n; i++) {
        int64_t *hi = nt->sum + i * 2 * nt->wide;
        ws_exact_carry(hi, hi + nt->wide, nt->wide);
    }
}

/* This rank's neurons, into the sums that all ranks will add. */
static void add_all(ws_newton *nt, const double *v, int e)
{
    const ws_newton_kernel *kernel = ws_newton_kernels();
    int64_t n = nt->spec.n, c = nt->net->spec.c, wide = nt->wide;

    for (int64_t i = 0; i < n; i++) memcpy(nt->padded + i * wide, v + i * c, (size_t)c * sizeof *v);
    memset(nt->sum, 0, (size_t)(n * 2 * wide) * sizeof *nt->sum);
    for (int64_t i = 0; i < nt->hits->rows; i++) {
        add_neuron(nt, kernel, i, e);
        if (i % WS_EXACT_ADDS == WS_EXACT_ADDS - 1) carry(nt);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t *hi = nt->sum + i * 2 * wide;
        memcpy(nt->meet.hi + i * c, hi, (size_t)c * sizeof *hi);
        memcpy(nt->meet.lo + i * c, hi + wide, (size_t)c * sizeof *hi);
    }
}

ws_err ws_newton_product(ws_newton *nt, const double *v, double *out)
{
    double s2 = nt->net->spec.scale * nt->net->spec.scale;
    ws_err err = ws_meeting_open(&nt->meet, nt->entries, 0);
    int e = exponent_of(nt, v);

    if (!err) add_all(nt, v, e);
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
