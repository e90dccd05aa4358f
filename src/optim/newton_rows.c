/* newton_rows.c - the weights of a Gauss-Newton step, there and back.
 *
 * The step goes through ws_optim_step, row by row, as a step of sgd with rate 1 does; without
 * ridge it is a combination of samples and the index is told the coefficients. A step that turns
 * out to raise the loss is taken back from a copy of the rows, since adding float32 is not undone
 * by subtracting. */
#include <math.h>
#include <string.h>

#include "newton_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/model/net64.h"

/* Every neuron that moves.  Ridge pulls all that have moved; those that do not fire get an empty
 * list of samples. */
static ws_err list_rows(ws_newton *nt)
{
    const ws_hits *h = nt->hits;
    ws_hits *all = &nt->all;
    int64_t rows = 0, at = 0, room = all->row_capacity;
    ws_err err;

    for (int64_t i = 0; i < nt->net->n; i++) rows += nt->net->touched[i];
    rows += h->rows;
    if ((err = ws_grow(&all->row, &room, rows + 1, sizeof *all->row, "rows of a step")) ||
        (err = ws_grow(&all->first, &all->row_capacity, rows + 1, sizeof *all->first,
                       "rows of a step")))
        return err;
    all->rows = 0;
    for (int64_t i = 0; i < nt->net->n; i++) {
        int fires = at < h->rows && h->row[at] == i;

        if (!fires && !nt->net->touched[i]) continue;
        all->row[all->rows] = i;
        all->first[all->rows++] = h->first[at];
        at += fires;
    }
    all->first[all->rows] = h->n;
    all->n = h->n;
    all->pos = h->pos;
    all->z = h->z;
    all->note = h->note;
    return WS_OK;
}

static ws_err keep_rows64(ws_newton *nt, const ws_hits *h)
{
    const ws_net64 *f = nt->net->f64;
    int64_t d = nt->net->spec.d;
    ws_err err;

    if (!f) return WS_OK;
    if ((err = ws_grow(&nt->old_w64, &nt->old_w64_room, h->rows * d, sizeof *nt->old_w64,
                       "rows before a step")) ||
        (err = ws_grow(&nt->old_b64, &nt->old_b64_room, h->rows, sizeof *nt->old_b64,
                       "rows before a step")))
        return err;
    for (int64_t i = 0; i < h->rows; i++) {
        memcpy(nt->old_w64 + i * d, f->w + h->row[i] * d, (size_t)d * sizeof *f->w);
        nt->old_b64[i] = f->b[h->row[i]];
    }
    return WS_OK;
}

static void restore_row64(const ws_newton *nt, int64_t i, int64_t row)
{
    ws_net64 *f = nt->net->f64;
    int64_t d = nt->net->spec.d;

    if (!f) return;
    memcpy(f->w + row * d, nt->old_w64 + i * d, (size_t)d * sizeof *f->w);
    f->b[row] = nt->old_b64[i];
}

static ws_err keep_rows(ws_newton *nt, const ws_hits *h)
{
    ws_net *net = nt->net;
    int64_t d = net->spec.d;
    ws_err err;

    if ((err = ws_grow(&nt->old_w, &nt->old_w_room, h->rows * d, sizeof *nt->old_w,
                       "rows before a step")) ||
        (err = ws_grow(&nt->old_b, &nt->old_b_room, h->rows, sizeof *nt->old_b,
                       "rows before a step")) ||
        (err = ws_grow(&nt->old_touched, &nt->old_touched_room, h->rows, 1, "rows before a step")))
        return err;
    for (int64_t i = 0; i < h->rows; i++) {
        memcpy(nt->old_w + i * d, net->w + h->row[i] * d, (size_t)d * sizeof *net->w);
        nt->old_b[i] = net->b[h->row[i]];
        nt->old_touched[i] = net->touched[h->row[i]];
    }
    nt->old_penalty = nt->o->penalty;
    return keep_rows64(nt, h);
}

/* The neurons of the step at hand. */
static const ws_hits *moving(const ws_newton *nt)
{
    return nt->spec.ridge > 0 ? &nt->all : nt->hits;
}

ws_err ws_newton_apply(ws_newton *nt, ws_moves *moves)
{
    double ridge = nt->o->spec.ridge;
    ws_err err = nt->spec.ridge > 0 ? list_rows(nt) : WS_OK;

    if (err || (err = keep_rows(nt, moving(nt)))) {
        *moves = (ws_moves){0};
        return err;
    }
    for (int64_t k = 0; k < nt->entries; k++) nt->work[k] = -nt->z[k];
    for (int64_t i = 0; i < nt->spec.n; i++) nt->ids[i] = i;
    nt->o->spec.ridge = nt->pull;
    err = ws_optim_step(nt->o, moving(nt), nt->x, nt->ids, nt->work, 1, moves);
    nt->o->spec.ridge = ridge;
    return err;
}

void ws_newton_undo(ws_newton *nt, ws_moves *moves)
{
    const ws_hits *h = moving(nt);
    ws_net *net = nt->net;
    int64_t d = net->spec.d;

    for (int64_t i = 0; i < h->rows; i++) {
        float *w = net->w + h->row[i] * d;
        double sum = 0;

        for (int64_t j = 0; j < d; j++) {
            double e = (double)w[j] - (double)nt->old_w[i * d + j];
            sum += e * e;
        }
        /* The step's own buffers are free now, and long enough. */
        nt->o->norm[i] = sqrt(sum) * (1 + 1e-12);
        nt->o->dbias[i] = (double)nt->old_b[i] - (double)net->b[h->row[i]];
        memcpy(w, nt->old_w + i * d, (size_t)d * sizeof *w);
        net->b[h->row[i]] = nt->old_b[i];
        restore_row64(nt, i, h->row[i]);
        net->touched[h->row[i]] = nt->old_touched[i];
    }
    nt->o->penalty = nt->old_penalty;
    *moves = (ws_moves){.k = h->rows,
                        .row = h->row,
                        .norm = nt->o->norm,
                        .dbias = net->spec.train_bias ? nt->o->dbias : NULL};
}
