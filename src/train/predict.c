/* predict.c - a trained network applied to any data set of the same width. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "implicit.h"
#include "run.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/fmath.h"
#include "wingspan/io/table.h"
#include "wingspan/linalg/blas.h"
#include "wingspan/train/restore.h"

struct ws_predictor {
    const ws_comm *comm;
    ws_net *net;
    ws_implicit_model implicit; /* .net is then net, and there is no index */
    ws_index *ix;
    const ws_loss *loss;
    ws_preparation prep;
    int32_t columns; /* of y in training; 0 for classes */
    char kind[64];   /* of the training data: classes, labels, targets */
};

enum { BLOCK = 1024 };

static ws_err read_checkpoint(ws_predictor *p, ws_ckpt *c)
{
    char loss[64];
    int64_t columns;
    ws_err err;

    if (ws_implicit_is_form(c)) {
        err = ws_implicit_model_open(c, p->comm, &p->implicit);
        p->net = p->implicit.net;
    } else {
        err = ws_checkpoint_rows(c, p->comm, &p->net);
    }
    if (err || (err = ws_resume_preparation(c, p->comm, &p->prep)) ||
        (err = ws_ckpt_get_text(c, "/options", "loss", loss, sizeof loss)) ||
        (err = ws_ckpt_get_text(c, "/data", "kind", p->kind, sizeof p->kind)) ||
        (err = ws_ckpt_get_int(c, "/data", "columns", &columns)))
        return err;
    p->columns = (int32_t)columns;
    if (!(p->loss = ws_loss_find(loss)))
        return ws_fail(WS_ERR_DATA, "%s names a loss this program does not know: %s",
                       ws_ckpt_file(c), loss);
    if (p->loss->outputs(p->prep.classes, p->columns) != p->net->spec.c)
        return ws_fail(WS_ERR_DATA,
                       "%s has %d outputs, which do not fit its classes: it is damaged or not ours",
                       ws_ckpt_file(c), (int)p->net->spec.c);
    return WS_OK;
}

/* An index for points that nobody has registered: the same kind on every rank. */
static ws_err make_index(ws_predictor *p)
{
    const ws_net_spec *s = &p->net->spec;
    double spread = s->init_scale * s->x_scale;
    ws_samples none = {.d = s->d};
    ws_shard shard = ws_net_shard(p->net);
    ws_index_plan plan = {.d = s->d,
                          .batch = BLOCK,
                          .active = spread > 0 ? ws_gauss_tail(s->threshold / spread) : 1,
                          .spread = spread,
                          .threshold = s->threshold,
                          .smooth = s->phi->smooth};
    char reason[200];
    ws_err err;

    if (p->implicit.net) return WS_OK;
    for (int k = 0; k < p->comm->size; k++)
        if (ws_layout_count(&p->net->layout, k) > plan.n)
            plan.n = ws_layout_count(&p->net->layout, k);
    plan.memory = fmax(1073741824.0, ws_net_bytes(s, plan.n));
    err = ws_index_create(p->comm, ws_index_choose_any(&plan, reason), NULL, &p->ix);
    return err ? err : ws_index_build(p->ix, &shard, &none, ws_fired_threshold(p->net));
}

ws_err ws_predictor_open(const ws_comm *comm, const char *checkpoint, ws_predictor **out)
{
    ws_predictor *p = NULL;
    ws_ckpt *c = NULL;
    ws_err err = ws_agree(comm, ws_alloc(&p, 1, sizeof *p, "predictor"));

    *out = NULL;
    if (err) {
        ws_free(&p);
        return err;
    }
    ws_blas_init();
    p->comm = comm;
    if (!(err = ws_ckpt_open(comm, checkpoint, 0, &c))) err = read_checkpoint(p, c);
    ws_ckpt_close(&c);
    if (!err) err = make_index(p);
    if (err)
        ws_predictor_close(&p);
    else
        *out = p;
    return err;
}

void ws_predictor_close(ws_predictor **p)
{
    if (!*p) return;
    ws_index_destroy(&(*p)->ix);
    if ((*p)->implicit.net)
        ws_implicit_model_close(&(*p)->implicit);
    else
        ws_net_destroy(&(*p)->net);
    ws_preparation_free(&(*p)->prep);
    ws_free(p);
}

/* A view of samples first .. first + n - 1 of a data set. */
static ws_samples slice(const ws_dataset *ds, int64_t first, int64_t n)
{
    ws_samples s = ds->all;

    s.n = n;
    s.x += first * s.d;
    s.norm += first;
    return s;
}

/* Collective: outputs [n x c] of samples first .. first + n - 1. */
static ws_err outputs(ws_predictor *p, const ws_dataset *ds, int64_t first, int64_t n, double *out)
{
    ws_hits hits = {0};
    ws_filter filter = {0};
    ws_meeting meet = {0};
    ws_err err = WS_OK;

    for (int64_t at = 0; at < n && !err; at += BLOCK) {
        ws_samples x = slice(ds, first + at, n - at < BLOCK ? n - at : BLOCK);
        ws_query q = {.kind = WS_QUERY_ANY, .n = x.n, .x = &x, .threshold = p->net->spec.threshold};
        double *to = out + at * p->net->spec.c;

        err = p->implicit.im
                  ? ws_implicit_outputs(p->implicit.im, p->net, &x, 0, x.n, &meet, WS_OK, to)
                  : ws_outputs(p->net, p->ix, NULL, &q, &filter, &hits, &meet, WS_OK, to);
    }
    ws_hits_free(&hits);
    ws_filter_free(&filter);
    ws_meeting_free(&meet);
    return err;
}

/* The part of a data set that a word names; "" is the test set if there is one, else all. */
static ws_err part_of(const ws_dataset *ds, const char *part, int64_t *first, int64_t *n,
                      int *has_y)
{
    int test = strcmp(part, "test") == 0 || (!part[0] && ds->n_test > 0);
    int all = strcmp(part, "all") == 0;

    if (test && ds->n_test == 0)
        return ws_fail(WS_ERR_USAGE, "%s has no test set (x_test): use --part train", ds->name);
    *first = test ? ds->n : 0;
    *n = test ? ds->n_test : all ? ds->n + ds->n_test : ds->n;
    *has_y = test ? ds->has_y_test : all ? ds->has_y && (ds->has_y_test || !ds->n_test) : ds->has_y;
    return WS_OK;
}

static double squared_error(const ws_predictor *p, const ws_targets *t, const int64_t *ids,
                            int64_t n, const double *out)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < t->c; k++) {
            double e = (out[i * t->c + k] - (double)t->value[ids[i] * t->c + k]) *
                       (p->prep.y_scale ? p->prep.y_scale[k] : 1);
            sum += e * e;
        }
    return sum;
}

static ws_err score_of(const ws_predictor *p, const ws_dataset *ds, int64_t first, int64_t n,
                       const double *out, ws_score *score)
{
    ws_targets t = {
        .c = p->net->spec.c, .label = ds->label, .value = ds->value, .classes = p->prep.classes};
    int64_t *ids = NULL, correct;
    double *grad = NULL;
    ws_err err;

    if ((err = ws_alloc(&ids, n, sizeof *ids, "scores")) ||
        (err = ws_alloc(&grad, n * t.c, sizeof *grad, "scores")))
        goto done;
    for (int64_t i = 0; i < n; i++) ids[i] = first + i;
    score->loss = ws_loss_batch(p->loss, &t, ids, n, out, grad, &correct);
    score->accuracy = correct < 0 ? NAN : (double)correct / (double)n;
    if (strcmp(p->kind, "targets") == 0)
        score->rmse = sqrt(squared_error(p, &t, ids, n, out) / ((double)n * t.c));
done:
    ws_free(&ids);
    ws_free(&grad);
    return err;
}

/* Outputs in the user's units, classes in the labels of the training data.  Collective. */
static ws_err write_predictions(const ws_predictor *p, const char *file, int64_t n, double *out)
{
    int32_t c = p->net->spec.c;
    int64_t *class = NULL, here = p->comm->rank == 0 ? n : 0;
    int classes = p->prep.classes > 0;
    ws_table_column cols[2] = {
        {.path = "/output", .type = WS_FLOAT64, .rows_all = n, .rows = here, .cols = c},
        {.path = "/class", .type = WS_INT64, .rows_all = n, .rows = here}};
    ws_err err = ws_alloc(&class, n, sizeof *class, "predictions");

    if ((err = ws_agree(p->comm, err))) return err;
    for (int64_t i = 0; i < n && classes; i++)
        class[i] = p->prep.label[ws_class_of(out + i * c, c)];
    for (int64_t i = 0; i < n * c && p->prep.y_scale; i++)
        out[i] = out[i] * p->prep.y_scale[i % c] + p->prep.y_mean[i % c];
    for (int k = 1; k < 2; k++) cols[k].first = p->comm->rank == 0 ? 0 : n;
    cols[0].first = cols[1].first;
    cols[0].data = out;
    cols[1].data = class;
    err = ws_table_write(p->comm, file, cols, classes ? 2 : 1);
    ws_free(&class);
    return err;
}

/* Labels count only if they are of the kind the network was trained on. */
static int labels_fit(const ws_predictor *p, const ws_dataset *ds)
{
    return p->prep.classes > 0 ? ds->label != NULL : ds->value != NULL && ds->columns == p->columns;
}

ws_err ws_predictor_run(ws_predictor *p, const char *data, const char *part, const char *file,
                        ws_score *score)
{
    ws_dataset_options o = {.prepare = p->prep.kind,
                            .stored = &p->prep,
                            .pack = !p->net->spec.implicit && !p->net->spec.float64};
    ws_dataset *ds = NULL;
    int64_t first = 0, n = 0;
    double *out = NULL;
    int has_y = 0;
    ws_err err;

    *score = (ws_score){.loss = NAN, .accuracy = NAN, .rmse = NAN};
    if ((err = ws_dataset_load(p->comm, data, &o, &ds))) return err;
    if ((err = part_of(ds, part, &first, &n, &has_y))) goto done;
    score->n = n;
    err = ws_agree(p->comm, ws_alloc(&out, n * p->net->spec.c, sizeof *out, "outputs"));
    if (!err) err = outputs(p, ds, first, n, out);
    if (!err && has_y && labels_fit(p, ds)) {
        err = score_of(p, ds, first, n, out, score);
        err = ws_agree(p->comm, err);
    }
    if (!err && file[0]) err = write_predictions(p, file, n, out);
done:
    ws_dataset_destroy(&ds);
    ws_free(&out);
    return err;
}
