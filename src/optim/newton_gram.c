/* newton_gram.c - the matrix of order n that all outputs share: from exact counts of samples fired
 * together, or from a sketch of them. */
#include <string.h>

#include "newton_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

enum { BLOCK = 64 }; /* as spd.h deals them */

/* ---- the pairs by sample ---- */

ws_err ws_newton_sort(ws_newton *nt)
{
    const ws_hits *h = nt->hits;
    int64_t n = nt->spec.n, *next = nt->start + 1;
    ws_err err = ws_grow(&nt->pair, &nt->pair_room, h->n, sizeof *nt->pair, "pairs by sample");

    if (err) return err;
    memset(nt->start, 0, (size_t)(n + 1) * sizeof *nt->start);
    for (int64_t k = 0; k < h->n; k++) nt->start[h->pos[k] + 1]++;
    for (int64_t i = 0, sum = 0; i < n; i++) {
        sum += next[i];
        next[i] = sum - next[i];
    }
    /* next[i] is where sample i's next pair goes, and ends as where sample i + 1 starts. */
    for (int64_t k = 0; k < h->rows; k++)
        for (int64_t p = h->first[k]; p < h->first[k + 1]; p++)
            nt->pair[next[h->pos[p]]++] =
                (struct ws_newton_pair){(int32_t)k, (int32_t)(p - h->first[k])};
    return WS_OK;
}

/* ---- the matrix ---- */

/* Rows that fit into a panel from row i0 on; row i has i + 1 counts. */
static int64_t panel_end(int64_t i0, int64_t n)
{
    int64_t i = i0, size = 0;

    while (i < n && (i == i0 || size + i + 1 <= WS_NEWTON_PANEL)) size += ++i;
    return i;
}

static int64_t packed(int64_t i, int64_t i0)
{
    return ws_newton_packed(i) - ws_newton_packed(i0);
}

/* How often samples i in [i0, i1) and j <= i are fired by the same neuron of this rank. */
static void count_together(const ws_newton *nt, int64_t i0, int64_t i1)
{
    const ws_hits *h = nt->hits;

    memset(nt->count, 0, (size_t)packed(i1, i0) * sizeof *nt->count);
    for (int64_t i = i0; i < i1; i++) {
        int32_t *to = nt->count + packed(i, i0);

        for (int64_t t = nt->start[i]; t < nt->start[i + 1]; t++) {
            const struct ws_newton_pair *at = nt->pair + t;
            const int32_t *pos = h->pos + h->first[at->row];

            if (!ws_newton_speaks(nt->net, h->row[at->row])) continue;
            for (int32_t q = 0; q <= at->p; q++) to[pos[q]]++;
        }
    }
}

/* Columns [j0, j0 + BLOCK) of row i, as far as they lie in the triangle; all on one rank.  Inner
 * products are computed the first time and then read in the same order. */
static void put_row(ws_newton *nt, int64_t i, int64_t j0, const int32_t *count)
{
    double s2 = nt->net->spec.scale * nt->net->spec.scale, one = nt->net->spec.train_bias;
    int64_t ids[BLOCK], few = i + 1 - j0 < BLOCK ? i + 1 - j0 : BLOCK;
    double *inner = nt->held + nt->held_at;

    if (nt->held_at == nt->held_known) {
        for (int64_t j = 0; j < few; j++) ids[j] = j0 + j;
        ws_samples_row(nt->x, i, nt->rowf);
        ws_dot_many(nt->rowf, nt->x, ids, few, inner);
        nt->held_known += few;
    }
    for (int64_t j = 0; j < few; j++)
        ws_spd_put(nt->gram, i, j0 + j, s2 * count[j0 + j] * (inner[j] + one));
    nt->held_at += few;
}

/* The entries of this rank in rows [i0, i1), by tiles that stay in cache. */
static void put_panel(ws_newton *nt, int64_t i0, int64_t i1)
{
    for (int64_t i = i0; i < i1; i++) nt->alone[i] = nt->count[packed(i, i0) + i];
    for (int64_t from = i0; from < i1; from += BLOCK)
        for (int64_t j0 = 0; j0 < i1 && j0 < from + BLOCK; j0 += BLOCK)
            for (int64_t i = from > j0 ? from : j0; i < i1 && i < from + BLOCK; i++)
                if (ws_spd_holds(nt->gram, i, j0)) put_row(nt, i, j0, nt->count + packed(i, i0));
}

/* Entries of the lower triangle that this rank holds. */
static int64_t count_held(const ws_newton *nt)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < nt->spec.n; i++)
        for (int64_t j0 = 0; j0 <= i; j0 += BLOCK)
            if (ws_spd_holds(nt->gram, i, j0)) sum += i + 1 - j0 < BLOCK ? i + 1 - j0 : BLOCK;
    return sum;
}

/* By counts, exactly. */
static ws_err exact_gram(ws_newton *nt)
{
    const ws_comm *c = nt->net->comm;
    int64_t n = nt->spec.n;
    ws_err err = WS_OK;

    if (!nt->held) err = ws_alloc(&nt->held, count_held(nt) + 1, sizeof *nt->held, "products");
    if ((err = ws_agree(c, err))) return err;
    nt->held_at = 0;
    for (int64_t i0 = 0, i1; i0 < n; i0 = i1) {
        i1 = panel_end(i0, n);
        count_together(nt, i0, i1);
        MPI_Allreduce(MPI_IN_PLACE, nt->count, ws_int(packed(i1, i0)), MPI_INT32_T, MPI_SUM,
                      c->mpi);
        nt->meet.bytes += packed(i1, i0) * (int64_t)sizeof *nt->count;
        nt->meet.meetings++;
        put_panel(nt, i0, i1);
    }
    return WS_OK;
}

/* Neurons that fire on each sample, over all ranks. */
static void count_alone(ws_newton *nt)
{
    const ws_hits *h = nt->hits;

    memset(nt->alone, 0, (size_t)nt->spec.n * sizeof *nt->alone);
    for (int64_t k = 0; k < h->rows; k++)
        for (int64_t p = h->first[k]; p < h->first[k + 1]; p++)
            nt->alone[h->pos[p]] += ws_newton_speaks(nt->net, h->row[k]);
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

/* The fired neurons of this rank under their global ids. */
static ws_err fired(ws_newton *nt, ws_fired *f)
{
    const ws_hits *h = nt->hits;
    ws_err err = ws_grow(&nt->neuron, &nt->neuron_room, h->rows, sizeof *nt->neuron, "a sketch");

    if ((err = ws_agree(nt->net->comm, err))) return err;
    for (int64_t k = 0; k < h->rows; k++) nt->neuron[k] = nt->net->first + h->row[k];
    *f = (ws_fired){.rows = h->rows, .id = nt->neuron, .first = h->first, .pos = h->pos};
    /* Only the very last neuron may be silent. */
    if (f->rows > 0 && !ws_newton_speaks(nt->net, h->row[f->rows - 1])) f->rows--;
    return WS_OK;
}

static ws_err sketched_gram(ws_newton *nt)
{
    ws_fired f;
    ws_err err = fired(nt, &f);

    if (err || (err = ws_sketch_apply(nt->sketch, &f))) return err;
    for (int64_t i0 = 0; i0 < nt->spec.n; i0 += BLOCK)
        for (int64_t j0 = 0; j0 <= i0; j0 += BLOCK) put_block(nt, i0, j0);
    return WS_OK;
}

/* ---- leverage scores ---- */

/* s_m^2 times the inverse of the shared matrix with a small shift, of which every rank gets all.
 * A shift below the damping of a step asks for more rows than are needed, and no harm is done. */
static ws_err invert(ws_newton *nt)
{
    int64_t n = nt->spec.n;
    double s2 = nt->net->spec.scale * nt->net->spec.scale, part = 1e-6, *b = NULL;
    int ok = 0;
    ws_err err = ws_agree(nt->net->comm, ws_alloc(&b, BLOCK * n, sizeof *b, "leverage scores"));

    for (; !err && !ok && part < 2; part *= 10)
        err = ws_spd_factor(nt->gram, nt->spec.ridge + part * nt->diagonal, &ok);
    /* A shift by the mean of its eigenvalues makes every such matrix of finite entries definite. */
    if (!err && !ok)
        err = ws_fail(WS_ERR_DIVERGED,
                      "training diverged: J J' has entries that are not finite; use a larger "
                      "--damping or another --preconditioner");
    for (int64_t i0 = 0; i0 < n && !err; i0 += BLOCK) {
        int64_t rows = n - i0 < BLOCK ? n - i0 : BLOCK;

        memset(b, 0, (size_t)(rows * n) * sizeof *b);
        for (int64_t i = 0; i < rows; i++) b[i * n + i0 + i] = 1;
        err = ws_spd_solve(nt->gram, rows, b);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j <= i0 + i; j++)
                nt->inverse[ws_newton_packed(i0 + i) + j] = s2 * b[i * n + j];
    }
    ws_free(&b);
    return err;
}

/* In place of the exact matrix, from rows that its own inverse chose. */
static ws_err sampled_gram(ws_newton *nt)
{
    int64_t n = nt->spec.n;
    double s2 = nt->net->spec.scale * nt->net->spec.scale;
    ws_fired f;
    ws_err err;

    if (!(nt->diagonal > 0)) return WS_OK; /* nothing fires */
    if ((err = fired(nt, &f)) || (err = invert(nt)) ||
        (err = ws_leverage_draw(nt->leverage, &f, nt->inverse, nt->inner)))
        return err;
    for (int64_t i0 = 0, i1; i0 < n; i0 = i1) {
        i1 = panel_end(i0, n);
        memset(nt->panel, 0, (size_t)packed(i1, i0) * sizeof *nt->panel);
        ws_leverage_add(nt->leverage, i0, i1, nt->panel);
        for (int64_t i = i0; i < i1; i++)
            for (int64_t j = 0; j <= i; j++)
                if (ws_spd_holds(nt->gram, i, j))
                    ws_spd_put(nt->gram, i, j, s2 * nt->panel[packed(i, i0) + j]);
    }
    return WS_OK;
}

/* ---- whichever ---- */

ws_err ws_newton_gram(ws_newton *nt)
{
    int64_t n = nt->spec.n;
    double sum = 0, s2 = nt->net->spec.scale * nt->net->spec.scale;
    ws_err err;

    if (nt->sketch || nt->bare)
        count_alone(nt);
    else if ((err = exact_gram(nt)))
        return err;
    for (int64_t i = 0; i < n; i++) {
        ws_samples_row(nt->x, i, nt->rowf);
        sum +=
            s2 * (double)nt->alone[i] * (ws_norm2(nt->rowf, nt->x->d) + nt->net->spec.train_bias);
    }
    nt->diagonal = sum / (double)n;
    err = nt->sketch ? sketched_gram(nt) : WS_OK;
    return nt->leverage ? sampled_gram(nt) : err;
}
