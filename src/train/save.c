/* save.c - the state of a run into a checkpoint.
 *
 *   /options    every option, resolved
 *   /data       name, path, shape, checksum; mean, inverse, y_mean, y_scale, label
 *   /model      w, b, a, moved (all rows), or touched, w_touched, b_touched, a_touched; of the run's
 *               --precision; or what implicit_file.c says
 *   /optim      the optimiser's arrays in the same form
 *   /progress   step, epoch, position, rate, sums of the epoch, history of the loss
 *   /format     version */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/clock.h"
#include "wingspan/core/version.h"
#include "wingspan/model/net64.h"

static ws_err put_options(ws_ckpt_writer *w, const ws_train_options *o)
{
    ws_err err = WS_OK;

    for (const ws_opt *row = ws_train_table; row->name && !err; row++) {
        const void *at = (const char *)o + row->field;
        if (row->type == WS_OPT_STR)
            err = ws_ckpt_put_text(w, "/options", row->name, at);
        else if (row->type == WS_OPT_REAL)
            err = ws_ckpt_put_real(w, "/options", row->name, *(const double *)at);
        else
            err =
                ws_ckpt_put_int(w, "/options", row->name,
                                row->type == WS_OPT_INT ? *(const int64_t *)at : *(const int *)at);
    }
    return err;
}

static ws_err put_vector(ws_ckpt_writer *w, const char *path, ws_type type, int64_t n,
                         const void *v)
{
    return v && n > 0 ? ws_ckpt_put_array(w, path, type, 1, &n, v) : WS_OK;
}

static ws_err put_data(ws_ckpt_writer *w, const ws_dataset *ds)
{
    const ws_preparation *p = &ds->prep;
    ws_err err;

    if ((err = ws_ckpt_put_text(w, "/data", "name", ds->name)) ||
        (err = ws_ckpt_put_text(w, "/data", "kind", ws_dataset_kind(ds))) ||
        (err = ws_ckpt_put_text(w, "/data", "prepare", ws_prepare_name(p->kind))) ||
        (err = ws_ckpt_put_int(w, "/data", "n", ds->n)) ||
        (err = ws_ckpt_put_int(w, "/data", "n_test", ds->n_test)) ||
        (err = ws_ckpt_put_int(w, "/data", "d", ds->d)) ||
        (err = ws_ckpt_put_int(w, "/data", "columns", ds->columns)) ||
        (err = ws_ckpt_put_int(w, "/data", "classes", p->classes)) ||
        (err = ws_ckpt_put_int(w, "/data", "checksum", (int64_t)ds->checksum)) ||
        (err = ws_ckpt_put_real(w, "/data", "rms", ds->rms)) ||
        (err = ws_ckpt_put_real(w, "/data", "max_norm", ds->max_norm)))
        return err;
    if ((err = put_vector(w, "/data/mean", WS_FLOAT64, p->d, p->mean)) ||
        (err = put_vector(w, "/data/inverse", WS_FLOAT64, p->d, p->inverse)) ||
        (err = put_vector(w, "/data/y_mean", WS_FLOAT64, p->c, p->y_mean)) ||
        (err = put_vector(w, "/data/y_scale", WS_FLOAT64, p->c, p->y_scale)))
        return err;
    return put_vector(w, "/data/label", WS_INT64, p->classes, p->label);
}

/* One array of rows; cols 0 is a vector. */
typedef struct rows {
    char path[64];
    ws_type type;
    int64_t cols;
    size_t size; /* bytes an element */
    const void *data;
} rows;

static int list_rows(const ws_run *r, rows list[16])
{
    const ws_net *net = r->net;
    const ws_net64 *f = net->f64;
    ws_type type = f ? WS_FLOAT64 : WS_FLOAT32;
    size_t size = f ? sizeof(double) : sizeof(float);
    const ws_optim_array *a;
    int n = 0, arrays;

    list[n++] = (rows){"/model/w", type, net->spec.d, size, f ? (void *)f->w : net->w};
    list[n++] = (rows){"/model/b", type, 0, size, f ? (void *)f->b : net->b};
    list[n++] = (rows){"/model/a", type, net->spec.c, size, f ? (void *)f->a : net->a};
    a = ws_optim_arrays(r->optim, &arrays);
    for (int i = 0; i < arrays; i++) {
        rows *q = &list[n++];
        *q = (rows){"", a[i].type ? WS_INT64 : WS_FLOAT32, a[i].cols,
                    a[i].type ? sizeof(int64_t) : sizeof(float), a[i].data};
        snprintf(q->path, sizeof q->path, "/optim/%s", a[i].name);
    }
    return n;
}

static size_t row_bytes(const rows *q)
{
    return q->size * (size_t)(q->cols ? q->cols : 1);
}

static ws_err put_all_rows(ws_ckpt_writer *w, const ws_run *r)
{
    const ws_net *net = r->net;
    rows list[16];
    int n = list_rows(r, list);
    ws_err err = WS_OK;

    for (int i = 0; i < n && !err; i++)
        err = ws_ckpt_put_rows(w, list[i].path, list[i].type, net->spec.m, net->first, net->n,
                               list[i].cols, list[i].data);
    if (err) return err;
    return ws_ckpt_put_rows(w, "/model/moved", WS_UINT8, net->spec.m, net->first, net->n, 0,
                            net->touched);
}

/* Copy the moved neurons' rows of one array to the front of a buffer. */
static void gather(const ws_net *net, const rows *q, char *to)
{
    size_t size = row_bytes(q);

    for (int64_t i = 0; i < net->n; i++)
        if (net->touched[i]) {
            memcpy(to, (const char *)q->data + (size_t)i * size, size);
            to += size;
        }
}

/* Only neurons that have moved: the rest is a function of the seed. */
static ws_err put_touched_rows(ws_ckpt_writer *w, const ws_run *r)
{
    const ws_net *net = r->net;
    const ws_comm *c = r->comm;
    rows list[16];
    int n = list_rows(r, list);
    int64_t k = 0, last = 0, all, at = 0, *id = NULL;
    size_t largest = sizeof(int64_t);
    char *buffer = NULL;
    ws_err err;

    for (int64_t i = 0; i < net->n; i++) k += net->touched[i];
    MPI_Scan(&k, &last, 1, MPI_INT64_T, MPI_SUM, c->mpi);
    MPI_Allreduce(&k, &all, 1, MPI_INT64_T, MPI_SUM, c->mpi);
    for (int i = 0; i < n; i++)
        if (row_bytes(&list[i]) > largest) largest = row_bytes(&list[i]);
    err = ws_alloc(&buffer, k, largest, "moved rows of a checkpoint");
    if (!err) err = ws_alloc(&id, k, sizeof *id, "moved rows of a checkpoint");
    if ((err = ws_agree(c, err))) goto done;

    for (int64_t i = 0; i < net->n; i++)
        if (net->touched[i]) id[at++] = net->first + i;
    err = ws_ckpt_put_rows(w, "/model/touched", WS_INT64, all, last - k, k, 0, id);
    for (int i = 0; i < n && !err; i++) {
        char path[80];
        gather(net, &list[i], buffer);
        snprintf(path, sizeof path, "%.60s_touched", list[i].path);
        err = ws_ckpt_put_rows(w, path, list[i].type, all, last - k, k, list[i].cols, buffer);
    }
done:
    ws_free(&buffer);
    ws_free(&id);
    return err;
}

static ws_err put_progress(ws_ckpt_writer *w, const ws_run *r)
{
    const char *g = "/progress";
    ws_err err;

    if ((err = ws_ckpt_put_int(w, g, "step", r->step)) ||
        (err = ws_ckpt_put_int(w, g, "epoch", run_epoch(r))) ||
        (err = ws_ckpt_put_int(w, g, "position", (r->step % r->per_epoch) * r->batch)) ||
        (err = ws_ckpt_put_int(w, g, "steps_per_epoch", r->per_epoch)) ||
        (err = ws_ckpt_put_int(w, g, "ranks", r->comm->size)) ||
        (err = ws_ckpt_put_real(w, g, "rate", r->rate)) ||
        (err = ws_ckpt_put_real(w, g, "lambda_max", r->lambda)) ||
        (err = ws_ckpt_put_real(w, g, "loss", r->step_loss)) ||
        (err = ws_ckpt_put_int(w, g, "correct", r->step_correct)) ||
        (err = ws_ckpt_put_int(w, g, "samples", r->step_samples)) ||
        (err = ws_ckpt_put_real(w, g, "epoch_loss", r->epoch_loss)) ||
        (err = ws_ckpt_put_int(w, g, "epoch_samples", r->epoch_samples)) ||
        (err = ws_ckpt_put_int(w, g, "epoch_correct", r->epoch_correct)) ||
        (err = ws_ckpt_put_int(w, g, "dead", r->dead)) ||
        (err = ws_ckpt_put_real(w, g, "test_loss", r->test_loss)) ||
        (err = ws_ckpt_put_real(w, g, "test_accuracy", r->test_accuracy)) ||
        (err = ws_ckpt_put_real(w, g, "seconds", run_seconds(r, ws_seconds()))) ||
        (err = ws_ckpt_put_int(w, g, "history_stride", r->history_stride)))
        return err;
    if (r->newton.ways && (err = ws_ckpt_put_real(w, g, "damping", r->newton.damping))) return err;
    return put_vector(w, "/progress/loss_history", WS_FLOAT64, r->history_n, r->history);
}

static ws_err put_model(ws_ckpt_writer *w, const ws_run *r, int dense)
{
    const ws_net_spec *s = &r->net->spec;
    ws_err err;

    if ((err = ws_ckpt_put_int(w, "/model", "width", s->m)) ||
        (err = ws_ckpt_put_int(w, "/model", "outputs", s->c)) ||
        (err = ws_ckpt_put_real(w, "/model", "threshold", s->threshold)) ||
        (err = ws_ckpt_put_real(w, "/model", "scale", s->scale)) ||
        (err = ws_ckpt_put_text(w, "/model", "form",
                                r->implicit ? "implicit"
                                : dense     ? "all"
                                            : "touched")))
        return err;
    if (r->implicit) return ws_implicit_put(w, r);
    return dense ? put_all_rows(w, r) : put_touched_rows(w, r);
}

static double state_bytes(const ws_run *r)
{
    rows list[16];
    int n = list_rows(r, list);
    double bytes = 65536;

    for (int i = 0; i < n; i++) bytes += (double)row_bytes(&list[i]) * (double)r->net->spec.m;
    return bytes + (double)(r->history_n + 4 * r->ds->d) * 8;
}

ws_err ws_run_save(ws_run *r)
{
    double bytes = r->implicit ? ws_implicit_file_bytes(r) : state_bytes(r), t = ws_seconds();
    int dense = r->implicit || bytes <= r->opt.checkpoint_dense; /* space is reserved */
    ws_ckpt_writer *w = NULL;
    ws_err err = ws_agree(r->comm, r->pending);

    if (err) return err;
    if ((err = ws_ckpt_create(r->comm, r->opt.checkpoint, dense ? bytes : 0, &w))) return err;
    if ((err = ws_ckpt_put_int(w, "/format", "version", WS_FORMAT_VERSION)) ||
        (err = ws_ckpt_put_text(w, "/format", "program", "wingspan " WS_VERSION)) ||
        (err = put_options(w, &r->opt)) || (err = put_data(w, r->ds)) ||
        (err = put_model(w, r, dense)) || (err = put_progress(w, r))) {
        ws_ckpt_abort(&w);
        return err;
    }
    err = ws_ckpt_commit(&w, (int)r->opt.keep);
    r->saved_at = ws_seconds();
    r->saved_step = r->step;
    r->tally.checkpoint += r->saved_at - t;
    return err;
}
