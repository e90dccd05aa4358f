/* resume.c - a run back from its checkpoint: options, preparation, state.
 *
 * Limits, files, logging and the index may change on resume; any other option that is given
 * with a different value is a usage error that names both. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "restore_rows.h"
#include "run.h"
#include "wingspan/core/alloc.h"

static ws_err get_option(ws_ckpt *c, const ws_opt *row, ws_train_options *o)
{
    void *at = (char *)o + row->field;
    int64_t v = 0;
    ws_err err;

    if (row->type == WS_OPT_STR) return ws_ckpt_get_text(c, "/options", row->name, at, WS_OPT_TEXT);
    if (row->type == WS_OPT_REAL) return ws_ckpt_get_real(c, "/options", row->name, at);
    err = ws_ckpt_get_int(c, "/options", row->name, &v);
    if (row->type == WS_OPT_INT)
        *(int64_t *)at = v;
    else
        *(int *)at = (int)v;
    return err;
}

/* What a file says must be what the command line could say. */
static ws_err check_option(const ws_ckpt *c, const ws_opt *row, ws_train_options *o)
{
    char text[WS_OPT_TEXT];

    ws_option_text(row, o, text, sizeof text);
    if (ws_option_set(row, text, o) == WS_OK) return WS_OK;
    return ws_fail(WS_ERR_DATA,
                   "%s holds --%s %.100s, which is not valid: it is damaged or not ours",
                   ws_ckpt_file(c), row->name, text);
}

/* An option given on resume that a run may not change: it must say what the run was started
 * with, or a word such as auto that the run has made a number of, which then means: as it was. */
static ws_err must_agree(const ws_opt *row, const ws_train_options *given,
                         const ws_train_options *stored)
{
    char now[WS_OPT_TEXT], was[WS_OPT_TEXT];

    ws_option_text(row, given, now, sizeof now);
    ws_option_text(row, stored, was, sizeof was);
    if (strcmp(now, was) == 0 || strcmp(now, "auto") == 0 || ws_option_is_word(row, given))
        return WS_OK;
    return ws_fail(WS_ERR_USAGE,
                   "--%s %s cannot be changed on resume: the run was started with --%s %s",
                   row->name, now, row->name, was);
}

static size_t field_size(const ws_opt *row)
{
    return row->type == WS_OPT_STR    ? WS_OPT_TEXT
           : row->type == WS_OPT_INT  ? sizeof(int64_t)
           : row->type == WS_OPT_REAL ? sizeof(double)
                                      : sizeof(int);
}

static int was_given(const ws_opt_given *given, const char *name)
{
    for (int i = 0; ws_train_table[i].name; i++)
        if (strcmp(ws_train_table[i].name, name) == 0) return given && given->from[i] > 0;
    return 0;
}

/* Collective: o holds the command line; on return it holds the run's options. */
ws_err ws_resume_options(ws_ckpt *c, ws_train_options *o, const ws_opt_given *given)
{
    ws_train_options stored = *o;
    ws_err err = WS_OK;

    for (int i = 0; ws_train_table[i].name && !err; i++) {
        const ws_opt *row = &ws_train_table[i];
        int kept = strcmp(row->name, "resume") == 0 || strcmp(row->name, "dry-run") == 0 ||
                   strcmp(row->name, "quiet") == 0 || strcmp(row->name, "config") == 0;

        if (!kept && ((err = get_option(c, row, &stored)) || (err = check_option(c, row, &stored))))
            return err;
        if (!given || !given->from[i] || kept) continue;
        if (!row->run)
            err = must_agree(row, o, &stored);
        else
            memcpy((char *)&stored + row->field, (const char *)o + row->field, field_size(row));
    }
    if (err || (err = ws_restore_check(c, stored.width, 0))) return err;
    if (ws_is_implicit(&stored) != ws_implicit_is_form(c))
        return ws_fail(WS_ERR_DATA,
                       "%s holds weights of another form than its --weights %s: it is damaged or "
                       "not ours",
                       ws_ckpt_file(c), stored.weights);
    /* A limit on the command line replaces both stored limits. */
    if (was_given(given, "steps") || was_given(given, "epochs")) {
        stored.steps = was_given(given, "steps") ? o->steps : 0;
        stored.epochs = was_given(given, "epochs") ? o->epochs : 0;
    }
    if (!was_given(given, "checkpoint"))
        snprintf(stored.checkpoint, sizeof stored.checkpoint, "%s", o->checkpoint);
    *o = stored;
    return WS_OK;
}

/* Collective: an optional small vector; *v stays NULL if the file has none. */
static ws_err get_vector(ws_ckpt *c, const ws_comm *comm, const char *path, ws_type type, int64_t n,
                         void *v)
{
    int64_t dims[2] = {0, 0};
    int ndims;
    void *p = NULL;
    ws_err err;

    if (n < 1 || !ws_ckpt_has(c, path)) return WS_OK;
    if ((err = ws_ckpt_shape(c, path, &ndims, dims))) return err;
    if (ndims != 1 || dims[0] != n)
        return ws_fail(WS_ERR_DATA, "%s: %s does not have %lld values", ws_ckpt_file(c), path,
                       (long long)n);
    err = ws_agree(comm, ws_alloc(&p, n, 8, path));
    if (!err) err = ws_ckpt_get_array(c, path, type, n, p);
    memcpy(v, &p, sizeof p);
    return err;
}

/* Sizes that fit each other and what y is, and every vector that the preparation needs. */
static ws_err check_preparation(const ws_ckpt *c, const ws_preparation *p, const char *y,
                                int64_t columns)
{
    int kind = (int)p->kind, centred = kind >= WS_PREPARE_CENTER_UNIT;
    int ok = kind >= 0 && columns >= 0 && columns <= 1000000 && p->d >= 1 &&
             p->d <= (int64_t)1 << 40 && p->classes >= 0 && p->classes <= 1000000 &&
             (strcmp(y, "classes") == 0
                  ? p->classes > 0 && columns == 0
                  : p->classes == 0 && columns > 0 && (p->c > 0 || strcmp(y, "labels") == 0)) &&
             !p->mean == !centred && !p->inverse == (kind != WS_PREPARE_STANDARD_UNIT) &&
             !p->label == !p->classes && !p->y_mean == !p->c && !p->y_scale == !p->c;

    if (ok) return WS_OK;
    return ws_fail(WS_ERR_DATA,
                   "%s has a /data that does not fit together: it is damaged or not ours",
                   ws_ckpt_file(c));
}

ws_err ws_resume_preparation(ws_ckpt *c, const ws_comm *comm, ws_preparation *p)
{
    char word[64];
    char kind[64];
    int64_t columns = 0, classes = 0;
    ws_err err;

    *p = (ws_preparation){0};
    if ((err = ws_ckpt_get_text(c, "/data", "prepare", word, sizeof word)) ||
        (err = ws_ckpt_get_text(c, "/data", "kind", kind, sizeof kind)) ||
        (err = ws_ckpt_get_int(c, "/data", "d", &p->d)) ||
        (err = ws_ckpt_get_int(c, "/data", "columns", &columns)) ||
        (err = ws_ckpt_get_int(c, "/data", "classes", &classes)))
        return err;
    p->kind = (ws_prepare)ws_prepare_find(word);
    if (columns < 0 || columns > 1000000 || classes < 0 || classes > 1000000)
        columns = classes = -1; /* refused below */
    p->c = strcmp(kind, "targets") == 0 ? (int32_t)columns : 0;
    p->classes = (int32_t)classes;
    if ((err = get_vector(c, comm, "/data/mean", WS_FLOAT64, p->d, &p->mean)) ||
        (err = get_vector(c, comm, "/data/inverse", WS_FLOAT64, p->d, &p->inverse)) ||
        (err = get_vector(c, comm, "/data/y_mean", WS_FLOAT64, p->c, &p->y_mean)) ||
        (err = get_vector(c, comm, "/data/y_scale", WS_FLOAT64, p->c, &p->y_scale)))
        return err;
    if ((err = get_vector(c, comm, "/data/label", WS_INT64, p->classes, &p->label))) return err;
    return check_preparation(c, p, kind, columns);
}

ws_err ws_resume_data_matches(ws_ckpt *c, const ws_dataset *ds)
{
    int64_t sum;
    ws_err err = ws_ckpt_get_int(c, "/data", "checksum", &sum);

    if (err) return err;
    if ((uint64_t)sum != ds->checksum)
        return ws_fail(WS_ERR_USAGE,
                       "%s is not the data that %s was trained on (its content differs): resume "
                       "with the same data set",
                       ds->name, ws_ckpt_file(c));
    return WS_OK;
}

static ws_err get_optim(ws_ckpt *c, const ws_touched *t, ws_run *r)
{
    int n;
    const ws_optim_array *a = ws_optim_arrays(r->optim, &n);

    for (int i = 0; i < n; i++) {
        char path[64];
        ws_err err;

        snprintf(path, sizeof path, "/optim/%s", a[i].name);
        err = ws_restore_rows(c, r->net, t, path, a[i].type ? WS_INT64 : WS_FLOAT32, a[i].cols,
                              a[i].type ? sizeof(int64_t) : sizeof(float), a[i].data);
        if (err) return err;
    }
    return ws_agree(r->comm, ws_optim_restored(r->optim));
}

static ws_err get_progress(ws_ckpt *c, ws_run *r)
{
    const char *g = "/progress";
    int64_t dims[2] = {0, 0};
    int ndims;
    ws_err err;

    if ((err = ws_ckpt_get_int(c, g, "step", &r->step)) ||
        (err = ws_ckpt_get_real(c, g, "rate", &r->rate)) ||
        (err = ws_ckpt_get_real(c, g, "lambda_max", &r->lambda)) ||
        (err = ws_ckpt_get_real(c, g, "loss", &r->step_loss)) ||
        (err = ws_ckpt_get_int(c, g, "correct", &r->step_correct)) ||
        (err = ws_ckpt_get_int(c, g, "samples", &r->step_samples)) ||
        (err = ws_ckpt_get_real(c, g, "epoch_loss", &r->epoch_loss)) ||
        (err = ws_ckpt_get_int(c, g, "epoch_samples", &r->epoch_samples)) ||
        (err = ws_ckpt_get_int(c, g, "epoch_correct", &r->epoch_correct)) ||
        (err = ws_ckpt_get_int(c, g, "dead", &r->dead)) ||
        (err = ws_ckpt_get_real(c, g, "seconds", &r->seconds_before)) ||
        (err = ws_ckpt_get_int(c, g, "history_stride", &r->history_stride)))
        return err;
    if (r->step < 0 || r->step > (int64_t)1 << 40 || r->history_stride < 1 ||
        r->history_stride > (int64_t)1 << 40 || (!r->newton.ways && !(r->rate > 0)) ||
        r->epoch_samples < 0 || r->epoch_samples > r->ds->n || r->step_samples < 0)
        return ws_fail(WS_ERR_DATA, "%s has a /progress that cannot be: it is damaged or not ours",
                       ws_ckpt_file(c));
    if (r->newton.ways && (err = ws_ckpt_get_real(c, g, "damping", &r->newton.damping))) return err;
    if (!ws_ckpt_has(c, "/progress/loss_history")) return WS_OK;
    if ((err = ws_ckpt_shape(c, "/progress/loss_history", &ndims, dims))) return err;
    if (dims[0] > HISTORY)
        return ws_fail(WS_ERR_DATA, "%s holds a loss history of %lld values: it is not ours",
                       ws_ckpt_file(c), (long long)dims[0]);
    r->history_n = dims[0];
    return ws_ckpt_get_array(c, "/progress/loss_history", WS_FLOAT64, dims[0], r->history);
}

ws_err ws_resume_state(ws_ckpt *c, ws_run *r)
{
    ws_touched t = {0};
    ws_err err;

    if (r->implicit) {
        struct ws_implicit_run *q = r->implicit;

        if ((err = ws_implicit_get(c, r->net, q->im, r->ds->n, &q->listed)) ||
            (err = ws_implicit_get_sums(c, q->places, q->place, &q->restored)))
            return err;
        return get_progress(c, r);
    }
    err = ws_touched_open(c, r->comm, r->net, &t);

    if (!err) err = ws_restore_net(c, &t, r->net);
    if (!err) err = get_optim(c, &t, r);
    if (!err) err = get_progress(c, r);
    ws_touched_close(&t);
    return err;
}
