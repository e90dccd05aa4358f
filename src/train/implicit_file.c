/* implicit_file.c - an implicit network in a checkpoint and back, on any number of ranks.
 *
 * To read it, every rank looks through an equal share of the list of neurons and they find out together
 * where in the file the neurons of each begin; then every rank reads its own, in pieces, so that no more
 * than a piece is held twice. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "restore_rows.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/layout.h"

enum { PIECE = 1 << 20 };

/* Samples and counts are uint8 where all fit. */
static int is_small(int64_t n)
{
    return n <= UINT8_MAX;
}

/* Neurons are int32 where all fit; int64 in files of before, and beyond. */
static int is_narrow(int64_t m)
{
    return m <= INT32_MAX;
}

/* ---- writing ---- */

typedef struct totals {
    int64_t held, pairs;               /* over all ranks */
    int64_t held_before, pairs_before; /* on the ranks before this one */
} totals;

static totals count_all(const ws_run *r)
{
    const ws_implicit *im = r->implicit->im;
    int64_t here[2] = {ws_implicit_held(im), ws_implicit_pairs(im)}, upto[2], all[2];

    MPI_Scan(here, upto, 2, MPI_INT64_T, MPI_SUM, r->comm->mpi);
    MPI_Allreduce(here, all, 2, MPI_INT64_T, MPI_SUM, r->comm->mpi);
    return (totals){all[0], all[1], upto[0] - here[0], upto[1] - here[1]};
}

double ws_implicit_file_bytes(const ws_run *r)
{
    totals t = count_all(r);
    double word = is_small(r->ds->n) ? 1 : 4, id = is_narrow(r->net->spec.m) ? 4 : 8;

    return 65536 + (double)t.held * (id + word) + (double)t.pairs * (8 + word) +
           4.0 * (double)r->ds->n * (double)r->ds->d +
           8.0 * (double)(r->history_n + 4 * r->ds->d + r->implicit->places);
}

/* A buffer while a file is written: memory that lies idle, if that is enough; else *own, to be freed. */
static ws_err borrow(const ws_run *r, int64_t n, size_t size, const char *what, void **own,
                     void *buffer)
{
    void *p = ws_implicit_spare(r->implicit->im, n, size);
    ws_err err = p ? WS_OK : ws_alloc(own, n, size, what);

    if (!p) p = *own;
    memcpy(buffer, &p, sizeof p);
    return err;
}

static ws_err put_samples(ws_ckpt_writer *w, const ws_run *r)
{
    int64_t dims[2] = {r->ds->n, r->ds->d};
    float *x = NULL;
    ws_err err = ws_alloc(&x, dims[0] * dims[1], sizeof *x, "samples of a checkpoint");

    for (int64_t i = 0; i < dims[0] && !err; i++) ws_samples_row(&r->ds->all, i, x + i * dims[1]);
    if (!(err = ws_agree(r->comm, err)))
        err = ws_ckpt_put_array(w, "/model/alpha_x", WS_FLOAT32, 2, dims, x);
    ws_free(&x);
    return err;
}

/* 16-bit numbers as bytes or as 32 bits. */
static ws_err put_words(ws_ckpt_writer *w, const ws_run *r, const char *path, int64_t all,
                        int64_t first, int64_t n, const uint16_t *v)
{
    int small = is_small(r->ds->n);
    void *buffer = NULL, *own = NULL;
    ws_err err = borrow(r, n, small ? 1 : sizeof(int32_t), "words of a checkpoint", &own, &buffer);

    for (int64_t i = 0; i < n && !err; i++)
        if (small)
            ((uint8_t *)buffer)[i] = (uint8_t)v[i];
        else
            ((int32_t *)buffer)[i] = v[i];
    if (!(err = ws_agree(r->comm, err)))
        err = ws_ckpt_put_rows(w, path, small ? WS_UINT8 : WS_INT32, all, first, n, 0, buffer);
    ws_free(&own);
    return err;
}

static ws_err put_neurons(ws_ckpt_writer *w, const ws_run *r, const totals *t)
{
    const ws_implicit *im = r->implicit->im;
    int narrow = is_narrow(r->net->spec.m);
    int64_t k = ws_implicit_held(im), *id = NULL;
    void *own = NULL;
    ws_err err = borrow(r, k, sizeof *id, "neurons of a checkpoint", &own, &id);

    if (!err && k > 0) ws_implicit_ids(im, 0, k, id);
    for (int64_t i = 0; i < k && narrow && !err; i++) {
        int32_t v = (int32_t)id[i];

        memcpy((char *)id + i * (int64_t)sizeof v, &v, sizeof v);
    }
    if (!(err = ws_agree(r->comm, err)))
        err = ws_ckpt_put_rows(w, "/model/alpha_neuron", narrow ? WS_INT32 : WS_INT64, t->held,
                               t->held_before, k, 0, id);
    ws_free(&own);
    return err;
}

static ws_err put_sums(ws_ckpt_writer *w, const struct ws_implicit_run *q)
{
    if (!q->placed) return WS_OK;
    return ws_ckpt_put_array(w, "/model/alpha_sums", WS_INT64, 1, &q->places, q->place);
}

ws_err ws_implicit_put(ws_ckpt_writer *w, const ws_run *r)
{
    const ws_implicit *im = r->implicit->im;
    ws_implicit_view v = ws_implicit_state(im);
    int64_t held = ws_implicit_held(im), pairs = ws_implicit_pairs(im);
    totals t = r->implicit->listed ? count_all(r) : (totals){0};
    ws_err err;

    if ((err = ws_ckpt_put_int(w, "/model", "listed", r->implicit->listed)) ||
        (err = ws_ckpt_put_int(w, "/model", "held", t.held)) ||
        (err = ws_ckpt_put_int(w, "/model", "displacements", t.pairs)) || (err = put_samples(w, r)))
        return err;
    /* After a stop in the middle of the listing there is nothing worth keeping. */
    if (t.held == 0) return WS_OK;
    if ((err = put_sums(w, r->implicit)) || (err = put_neurons(w, r, &t)) ||
        (err = put_words(w, r, "/model/alpha_count", t.held, t.held_before, held, v.count)) ||
        t.pairs == 0)
        return err;
    if ((err = put_words(w, r, "/model/alpha_sample", t.pairs, t.pairs_before, pairs, v.sample)))
        return err;
    return ws_ckpt_put_rows(w, "/model/alpha_value", WS_FLOAT64, t.pairs, t.pairs_before, pairs, 0,
                            v.alpha);
}

/* ---- reading ---- */

int ws_implicit_is_form(ws_ckpt *c)
{
    char form[64];

    return ws_ckpt_get_text(c, "/model", "form", form, sizeof form) == WS_OK &&
           strcmp(form, "implicit") == 0;
}

/* One piece of the four arrays. */
typedef struct piece {
    int64_t *id;
    uint16_t *count, *sample;
    double *alpha;
    int64_t pairs_room, words_room;
    void *words; /* as the file has them */
} piece;

static void free_piece(piece *p)
{
    ws_free(&p->id);
    ws_free(&p->count);
    ws_free(&p->sample);
    ws_free(&p->alpha);
    ws_free(&p->words);
}

/* Collective: rows of counts or samples, in the type the file must have, widened. */
static ws_err get_words(ws_ckpt *c, const ws_net *net, int64_t n, const char *path, int64_t first,
                        int64_t k, piece *p, uint16_t *to)
{
    int small = is_small(n);
    ws_err err = ws_grow(&p->words, &p->words_room, 4 * k, 1, "words of a checkpoint");

    if ((err = ws_agree(net->comm, err)) ||
        (err = ws_ckpt_get_rows(c, path, small ? WS_UINT8 : WS_INT32, first, k, 0, p->words)))
        return err;
    for (int64_t i = 0; i < k; i++) {
        int32_t v = small ? ((const uint8_t *)p->words)[i] : ((const int32_t *)p->words)[i];
        to[i] = (uint16_t)(v < 0 || v > WS_IMPLICIT_SAMPLES ? UINT16_MAX : v);
    }
    return WS_OK;
}

static ws_err damaged(const ws_ckpt *c, const char *what)
{
    return ws_fail(WS_ERR_DATA, "%s: %s: it is damaged or not ours", ws_ckpt_file(c), what);
}

static ws_err out_of_order(const ws_ckpt *c)
{
    return damaged(c, "neurons in /model/alpha_neuron are out of range or do not ascend");
}

/* k neurons of the file in a row: do they ascend and exist, and how many displacements have they? */
static ws_err judge(const ws_ckpt *c, const ws_net *net, int64_t n, const piece *p, int64_t k,
                    int64_t *last, int64_t *pairs)
{
    *pairs = 0;
    for (int64_t i = 0; i < k; i++) {
        if (p->id[i] <= *last || p->id[i] >= net->spec.m) return out_of_order(c);
        if (p->count[i] > n)
            return damaged(c, "/model/alpha_count has more displacements than samples");
        *last = p->id[i];
        *pairs += p->count[i];
    }
    return WS_OK;
}

/* Collective: rows of neurons, of either type. */
static ws_err get_ids(ws_ckpt *c, const ws_net *net, int64_t first, int64_t k, piece *p)
{
    const char *path = "/model/alpha_neuron";
    ws_err err;

    if (!ws_ckpt_is_of(c, path, WS_INT32))
        return ws_ckpt_get_rows(c, path, WS_INT64, first, k, 0, p->id);
    err = ws_grow(&p->words, &p->words_room, 4 * k, 1, "words of a checkpoint");
    if ((err = ws_agree(net->comm, err)) ||
        (err = ws_ckpt_get_rows(c, path, WS_INT32, first, k, 0, p->words)))
        return err;
    for (int64_t i = 0; i < k; i++) p->id[i] = ((const int32_t *)p->words)[i];
    return WS_OK;
}

/* Collective: neurons first .. first + k - 1 of the file, judged. */
static ws_err get_neurons(ws_ckpt *c, const ws_net *net, int64_t n, int64_t first, int64_t k,
                          piece *p, int64_t *last, int64_t *pairs)
{
    ws_err err;

    if ((err = get_ids(c, net, first, k, p)) ||
        (err = get_words(c, net, n, "/model/alpha_count", first, k, p, p->count)))
        return err;
    return ws_agree(net->comm, judge(c, net, n, p, k, last, pairs));
}

/* Neurons and their displacements in the file before those of a rank; of rank `size`: all. */
typedef struct spot {
    int64_t neurons, pairs;
} spot;

/* Collective: from share to share as well; first, last: of this rank's, -1 if it is empty. */
static ws_err ascend(const ws_ckpt *c, const ws_comm *comm, int64_t first, int64_t last,
                     int64_t *ends)
{
    int64_t here[2] = {first, last}, so_far = -1;

    MPI_Allgather(here, 2, MPI_INT64_T, ends, 2, MPI_INT64_T, comm->mpi);
    for (int k = 0; k < comm->size; k++) {
        if (ends[2 * k + 1] < 0) continue;
        if (ends[2 * k] <= so_far) return out_of_order(c);
        so_far = ends[2 * k + 1];
    }
    return WS_OK;
}

/* Collective: where the neurons of each rank begin in the file; at [size + 1], zeros. */
static ws_err survey(ws_ckpt *c, const ws_net *net, int64_t n, int64_t held, piece *p, spot *at,
                     int64_t *ends)
{
    const ws_comm *comm = net->comm;
    ws_layout share = {held, comm->size}, ranks = {net->spec.m, comm->size};
    int64_t from = ws_layout_first(&share, comm->rank), left = ws_layout_count(&share, comm->rank);
    int64_t first = -1, last = -1, next = 0, pairs;
    spot sum = {0, 0};
    int r = 0;

    /* As often on every rank: shares differ by two neurons at most. */
    for (int64_t h = 0; h < held / comm->size + 2; h += PIECE) {
        int64_t k = left < PIECE ? left : PIECE;
        ws_err err = get_neurons(c, net, n, from, k, p, &last, &pairs);

        if (err) return err;
        if (first < 0 && k > 0) first = p->id[0];
        for (int64_t i = 0; i < k; i++) {
            for (; next <= p->id[i]; next = ws_layout_first(&ranks, r)) at[r++] = sum;
            sum.neurons++;
            sum.pairs += p->count[i];
        }
        from += k;
        left -= k;
    }
    while (r <= comm->size) at[r++] = sum;
    MPI_Allreduce(MPI_IN_PLACE, at, 2 * (comm->size + 1), MPI_INT64_T, MPI_SUM, comm->mpi);
    return ascend(c, comm, first, last, ends);
}

/* Collective: `pairs` displacements from `at` on. */
static ws_err get_pairs(ws_ckpt *c, const ws_net *net, int64_t n, int64_t at, int64_t pairs,
                        piece *p)
{
    int64_t same = p->pairs_room;
    ws_err err = ws_grow(&p->sample, &p->pairs_room, pairs, sizeof *p->sample, "displacements");

    if (!err) err = ws_grow(&p->alpha, &same, pairs, sizeof *p->alpha, "displacements");
    if ((err = ws_agree(net->comm, err)) ||
        (err = get_words(c, net, n, "/model/alpha_sample", at, pairs, p, p->sample)))
        return err;
    return ws_ckpt_get_rows(c, "/model/alpha_value", WS_FLOAT64, at, pairs, 0, p->alpha);
}

static ws_err add(const ws_ckpt *c, ws_implicit *im, const piece *p, int64_t k)
{
    ws_err err = ws_implicit_add(im, k, p->id, p->count, p->sample, p->alpha);
    char text[400];

    if (err != WS_ERR_DATA) return err;
    snprintf(text, sizeof text, "%s", ws_err_text());
    return damaged(c, text);
}

/* Collective: those from one place to the next, which are this rank's; some: the file has displacements. */
static ws_err get_own(ws_ckpt *c, const ws_net *net, ws_implicit *im, int64_t n, spot at, spot end,
                      int some, piece *p)
{
    int64_t most = end.neurons - at.neurons, last = -1, pairs = 0;
    ws_err err = WS_OK;

    MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, net->comm->mpi);
    for (int64_t h = 0; h < most && !err; h += PIECE) {
        int64_t left = end.neurons - at.neurons, k = left < PIECE ? left : PIECE;

        if (!(err = get_neurons(c, net, n, at.neurons, k, p, &last, &pairs)) &&
            !(err = some ? get_pairs(c, net, n, at.pairs, pairs, p) : WS_OK))
            err = ws_agree(net->comm, add(c, im, p, k));
        at.neurons += k;
        at.pairs += pairs;
    }
    return err;
}

static ws_err get_all(ws_ckpt *c, const ws_net *net, ws_implicit *im, int64_t n, int64_t held,
                      int64_t all)
{
    int rank = net->comm->rank, size = net->comm->size;
    int64_t *ends = NULL;
    spot *at = NULL;
    piece p = {0};
    ws_err err;

    if (!(err = ws_alloc(&p.id, PIECE, sizeof *p.id, "neurons of a checkpoint")) &&
        !(err = ws_alloc(&p.count, PIECE, sizeof *p.count, "neurons of a checkpoint")) &&
        !(err = ws_alloc(&at, size + 1, sizeof *at, "neurons of a checkpoint")))
        err = ws_alloc(&ends, 2 * (int64_t)size, sizeof *ends, "neurons of a checkpoint");
    if (!(err = ws_agree(net->comm, err)) && !(err = survey(c, net, n, held, &p, at, ends)))
        err = at[size].pairs == all ? get_own(c, net, im, n, at[rank], at[rank + 1], all > 0, &p)
                                    : damaged(c, "/model/alpha_count does not add up");
    free_piece(&p);
    ws_free(&at);
    ws_free(&ends);
    return err;
}

/* Length of a vector of the file; 0 if it is not there. */
static ws_err length_of(ws_ckpt *c, const char *path, int64_t *n)
{
    int64_t dims[2] = {0, 0};
    int ndims = 1;
    ws_err err = ws_ckpt_has(c, path) ? ws_ckpt_shape(c, path, &ndims, dims) : WS_OK;

    *n = dims[0];
    return err ? err : ndims == 1 ? WS_OK : damaged(c, "/model has arrays of another shape");
}

ws_err ws_implicit_sizes(ws_ckpt *c, int64_t d)
{
    int64_t dims[2] = {0, 0}, m, n, held, count, pairs, samples;
    int ndims = 0;
    ws_err err;

    if ((err = ws_ckpt_shape(c, "/model/alpha_x", &ndims, dims)) ||
        (err = ws_ckpt_get_int(c, "/model", "width", &m)) ||
        (err = ws_ckpt_get_int(c, "/data", "n", &n)) ||
        (err = length_of(c, "/model/alpha_neuron", &held)) ||
        (err = length_of(c, "/model/alpha_count", &count)) ||
        (err = length_of(c, "/model/alpha_sample", &samples)) ||
        (err = length_of(c, "/model/alpha_value", &pairs)))
        return err;
    if (ndims != 2 || dims[0] != n || n < 1 || n > WS_IMPLICIT_SAMPLES || (d && dims[1] != d) ||
        held > m || count != held || samples != pairs || pairs / n > held)
        return damaged(c, "the arrays /model/alpha_* do not fit each other");
    return WS_OK;
}

ws_err ws_implicit_get(ws_ckpt *c, const ws_net *net, ws_implicit *im, int64_t n, int *listed)
{
    int64_t v = 0, held, pairs;
    ws_err err;

    if ((err = ws_ckpt_get_int(c, "/model", "listed", &v)) ||
        (err = length_of(c, "/model/alpha_neuron", &held)) ||
        (err = length_of(c, "/model/alpha_value", &pairs)))
        return err;
    *listed = v == 1;
    if (held == 0) return pairs == 0 ? WS_OK : damaged(c, "/model/alpha_value is of no neuron");
    return get_all(c, net, im, n, held, pairs);
}

ws_err ws_implicit_get_sums(ws_ckpt *c, int64_t places, int64_t *place, int *found)
{
    int64_t n;
    ws_err err = length_of(c, "/model/alpha_sums", &n);

    *found = !err && n > 0;
    if (!*found) return err;
    if (n != places) return damaged(c, "/model/alpha_sums is not of these samples and outputs");
    return ws_ckpt_get_array(c, "/model/alpha_sums", WS_INT64, n, place);
}

/* ---- a network for prediction and export ---- */

static ws_err get_samples(ws_ckpt *c, const ws_net *net, int64_t *n, float **x)
{
    ws_err err = ws_ckpt_get_int(c, "/data", "n", n);

    if (err) return err;
    err = ws_alloc(x, *n * net->spec.d, sizeof **x, "samples of a checkpoint");
    if ((err = ws_agree(net->comm, err)) ||
        (err = ws_ckpt_get_array(c, "/model/alpha_x", WS_FLOAT32, *n * net->spec.d, *x)))
        return err;
    for (int64_t k = 0; k < *n * net->spec.d; k++)
        if (!isfinite((*x)[k])) return damaged(c, "/model/alpha_x is not finite");
    return WS_OK;
}

ws_err ws_implicit_model_open(ws_ckpt *c, const ws_comm *comm, ws_implicit_model *m)
{
    ws_net_spec spec;
    ws_samples x = {0};
    int listed = 0;
    ws_err err = ws_restore_spec(c, &spec);

    *m = (ws_implicit_model){0};
    if (err || (err = ws_implicit_sizes(c, spec.d))) return err;
    if (spec.train_bias || spec.train_output || spec.phi->smooth)
        return damaged(c, "it is no network of implicit weights");
    spec.implicit = 1;
    if ((err = ws_net_create(comm, &spec, &m->net)) || (err = get_samples(c, m->net, &x.n, &m->x)))
        return err;
    x.d = spec.d;
    x.x = m->x;
    err = ws_agree(comm, ws_implicit_create(m->net, &x, x.n, &m->im));
    return err ? err : ws_implicit_get(c, m->net, m->im, x.n, &listed);
}

/* Rows that all ranks together may write out: 16 GiB. */
static const double most_rows = 17179869184.0;

ws_err ws_implicit_rows(ws_ckpt *c, const ws_comm *comm, ws_net **net)
{
    ws_implicit_model m = {0};
    ws_net_spec spec;
    ws_err err = ws_restore_spec(c, &spec);
    double bytes = err ? 0 : ws_net_bytes(&spec, spec.m);

    if (err) return err;
    if (bytes > most_rows)
        return ws_fail(WS_ERR_USAGE,
                       "the rows of %s would be %.0f GB, and at most %.0f are written out: read "
                       "/model/alpha_* of the checkpoint instead",
                       ws_ckpt_file(c), bytes / 1e9, most_rows / 1e9);
    err = ws_implicit_model_open(c, comm, &m);
    if (!err && !(err = ws_net_create(comm, &spec, net)))
        err = ws_agree(comm, ws_implicit_write(m.im, *net));
    ws_implicit_model_close(&m);
    if (err) ws_net_destroy(net);
    return err;
}

void ws_implicit_model_close(ws_implicit_model *m)
{
    ws_implicit_destroy(&m->im);
    ws_net_destroy(&m->net);
    ws_free(&m->x);
}
