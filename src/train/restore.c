/* restore.c - a network and its optimiser's state from a checkpoint, in either form: all rows,
 * or the rows that have moved and the seed. */
#include "wingspan/train/restore.h"

#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "restore_rows.h"
#include "wingspan/core/alloc.h"
#include "wingspan/model/net64.h"

/* First entry of an ascending list that is >= v. */
static int64_t lower_bound(const int64_t *list, int64_t n, int64_t v)
{
    int64_t lo = 0, hi = n;

    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (list[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

ws_err ws_restore_check(ws_ckpt *c, int64_t m, int64_t d)
{
    int moved = ws_ckpt_has(c, "/model/touched"), ndims;
    int64_t dims[2] = {0, 0};
    ws_err err;

    if (ws_implicit_is_form(c)) return ws_implicit_sizes(c, d);
    err = ws_ckpt_shape(c, moved ? "/model/w_touched" : "/model/w", &ndims, dims);
    if (err) return err;
    if ((moved || dims[0] == m) && (d == 0 || dims[1] == d)) return WS_OK;
    return ws_fail(WS_ERR_DATA,
                   "%s says that it has %lld neurons of %lld weights, but holds %lld of %lld: it "
                   "is damaged or not ours",
                   ws_ckpt_file(c), (long long)m, (long long)(d ? d : dims[1]), (long long)dims[0],
                   (long long)dims[1]);
}

ws_err ws_touched_open(ws_ckpt *c, const ws_comm *comm, const ws_net *net, ws_touched *t)
{
    int64_t dims[2] = {0, 0}, *all = NULL;
    int ndims;
    ws_err err;

    *t = (ws_touched){.sparse = ws_ckpt_has(c, "/model/touched")};
    if (!t->sparse) return WS_OK;
    if ((err = ws_ckpt_shape(c, "/model/touched", &ndims, dims))) return err;
    err = ws_alloc(&all, dims[0], sizeof *all, "list of moved neurons");
    if ((err = ws_agree(comm, err))) return err;
    if ((err = ws_ckpt_get_array(c, "/model/touched", WS_INT64, dims[0], all))) goto done;
    for (int64_t i = 0; i < dims[0]; i++) /* the same on every rank */
        if (all[i] < (i ? all[i - 1] + 1 : 0) || all[i] >= net->spec.m) {
            err = ws_fail(WS_ERR_DATA, "%s: /model/touched does not ascend: it is not ours",
                          ws_ckpt_file(c));
            goto done;
        }
    t->first = lower_bound(all, dims[0], net->first);
    t->n = lower_bound(all, dims[0], net->first + net->n) - t->first;
    err = ws_alloc(&t->local, t->n, sizeof *t->local, "list of moved neurons");
    for (int64_t i = 0; i < t->n && !err; i++) t->local[i] = all[t->first + i] - net->first;
    err = ws_agree(comm, err);
done:
    ws_free(&all);
    return err;
}

void ws_touched_close(ws_touched *t)
{
    ws_free(&t->local);
}

/* Collective: the touched form of one array, read into a buffer and scattered. */
static ws_err scatter(ws_ckpt *c, const ws_comm *comm, const ws_touched *t, const char *path,
                      ws_type type, int64_t cols, size_t size, char *data)
{
    size_t row = size * (size_t)(cols ? cols : 1);
    char name[96], *buffer = NULL;
    ws_err err = ws_alloc(&buffer, t->n, row, "moved rows of a checkpoint");

    snprintf(name, sizeof name, "%s_touched", path);
    if ((err = ws_agree(comm, err))) return err;
    err = ws_ckpt_get_rows(c, name, type, t->first, t->n, cols, buffer);
    for (int64_t i = 0; i < t->n && !err; i++)
        memcpy(data + (size_t)t->local[i] * row, buffer + (size_t)i * row, row);
    ws_free(&buffer);
    return err;
}

ws_err ws_restore_rows(ws_ckpt *c, const ws_net *net, const ws_touched *t, const char *path,
                       ws_type type, int64_t cols, size_t size, void *data)
{
    if (t->sparse) return scatter(c, net->comm, t, path, type, cols, size, data);
    return ws_ckpt_get_rows(c, path, type, net->first, net->n, cols, data);
}

/* Output weights that are not trained are 1, -1 or 0, and added up as such. */
static ws_err check_signs(const ws_ckpt *c, const ws_net *net)
{
    ws_err err = WS_OK;

    for (int64_t i = 0; i < net->n * net->spec.c && !net->spec.train_output && !err; i++) {
        double a = net->f64 ? net->f64->a[i] : (double)net->a[i];

        if (a != 1 && a != -1 && a != 0)
            err = ws_fail(WS_ERR_DATA,
                          "%s has an output weight of %.3g in /model/a, which is not trained: it "
                          "is damaged or not ours",
                          ws_ckpt_file(c), a);
    }
    return ws_agree(net->comm, err);
}

ws_err ws_restore_net(ws_ckpt *c, const ws_touched *t, ws_net *net)
{
    ws_net64 *f = net->f64;
    ws_type type = f ? WS_FLOAT64 : WS_FLOAT32;
    size_t size = f ? sizeof(double) : sizeof(float);
    int64_t d = net->spec.d, outputs = net->spec.c;
    ws_err err;

    if ((err = ws_restore_rows(c, net, t, "/model/w", type, d, size, f ? (void *)f->w : net->w)) ||
        (err = ws_restore_rows(c, net, t, "/model/b", type, 0, size, f ? (void *)f->b : net->b)) ||
        (err = ws_restore_rows(c, net, t, "/model/a", type, outputs, size,
                               f ? (void *)f->a : net->a)))
        return err;
    if (f) ws_net64_round(net);
    if ((err = check_signs(c, net))) return err;
    for (int64_t i = 0; i < t->n; i++) net->touched[t->local[i]] = 1;
    if (t->sparse) return WS_OK;
    err = ws_ckpt_get_rows(c, "/model/moved", WS_UINT8, net->first, net->n, 0, net->touched);
    for (int64_t i = 0; i < net->n && !err; i++) net->touched[i] = net->touched[i] != 0;
    return err;
}

ws_err ws_restore_spec(ws_ckpt *c, ws_net_spec *s)
{
    char activation[64], init[64], word[64];
    int64_t outputs, seed;
    int kind;
    ws_err err;

    *s = (ws_net_spec){0};
    if ((err = ws_ckpt_get_int(c, "/model", "width", &s->m)) ||
        (err = ws_ckpt_get_int(c, "/model", "outputs", &outputs)) ||
        (err = ws_ckpt_get_real(c, "/model", "threshold", &s->threshold)) ||
        (err = ws_ckpt_get_real(c, "/model", "scale", &s->scale)) ||
        (err = ws_ckpt_get_int(c, "/data", "d", &s->d)) ||
        (err = ws_ckpt_get_real(c, "/data", "max_norm", &s->x_scale)) ||
        (err = ws_ckpt_get_real(c, "/options", "init-scale", &s->init_scale)) ||
        (err = ws_ckpt_get_int(c, "/options", "seed", &seed)) ||
        (err = ws_ckpt_get_text(c, "/options", "activation", activation, sizeof activation)) ||
        (err = ws_ckpt_get_text(c, "/options", "init", init, sizeof init)))
        return err;
    if (s->m < 1 || s->m > (int64_t)1 << 40 || s->d < 1 || outputs < 1 || outputs > 1000000 ||
        (double)s->m * ((double)s->d + (double)outputs) > 0x1p58 || !(s->threshold >= 0) ||
        !(s->scale > 0) || !(s->init_scale > 0) || !(s->x_scale >= 0))
        return ws_fail(WS_ERR_DATA, "%s describes no network: it is damaged or not ours",
                       ws_ckpt_file(c));
    s->c = (int32_t)outputs;
    s->seed = (uint64_t)seed;
    kind = ws_init_find(init);
    if (kind < 0)
        return ws_fail(WS_ERR_DATA, "%s names a start this program does not know: %s",
                       ws_ckpt_file(c), init);
    s->init = (ws_init)kind;
    s->phi = ws_activation_find(activation);
    if (!s->phi)
        return ws_fail(WS_ERR_DATA, "%s names an activation this program does not know: %s",
                       ws_ckpt_file(c), activation);
    if ((err = ws_ckpt_get_text(c, "/options", "bias", word, sizeof word))) return err;
    s->train_bias = strcmp(word, "trained") == 0;
    if ((err = ws_ckpt_get_text(c, "/options", "output-weights", word, sizeof word))) return err;
    s->train_output = strcmp(word, "trained") == 0;
    if ((err = ws_ckpt_get_text(c, "/options", "precision", word, sizeof word))) return err;
    s->float64 = strcmp(word, "float64") == 0;
    return WS_OK;
}

ws_err ws_checkpoint_rows(ws_ckpt *c, const ws_comm *comm, ws_net **net)
{
    ws_net_spec spec;
    ws_touched t = {0};
    ws_err err = ws_restore_spec(c, &spec);

    *net = NULL;
    if (!err && ws_implicit_is_form(c)) return ws_implicit_rows(c, comm, net);
    if (err || (err = ws_restore_check(c, spec.m, spec.d)) ||
        (err = ws_net_create(comm, &spec, net)))
        return err;
    err = ws_touched_open(c, comm, *net, &t);
    if (!err) err = ws_restore_net(c, &t, *net);
    ws_touched_close(&t);
    if (err) ws_net_destroy(net);
    return err;
}
