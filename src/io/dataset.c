/* dataset.c - a data set from its file: one rank a node reads and prepares, all hold it. */
#include "wingspan/io/dataset.h"

#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataset_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/hash.h"

/* Numbers of all samples from which bytes are kept: 8 MB in float32, more than a second cache holds.
 * Columns at least: fewer are read faster as they are. */
enum { PACKED_FROM = 2 << 20, PACKED_LEAST = 64 };

void ws_loading_warn(ws_loading *l, const char *fmt, ...)
{
    va_list ap;

    if (l->f.warnings == 8) return;
    va_start(ap, fmt);
    vsnprintf(l->f.warning[l->f.warnings++], sizeof l->f.warning[0], fmt, ap);
    va_end(ap);
}

void ws_preparation_free(ws_preparation *p)
{
    ws_free(&p->mean);
    ws_free(&p->inverse);
    ws_free(&p->y_mean);
    ws_free(&p->y_scale);
    ws_free(&p->label);
    *p = (ws_preparation){0};
}

static ws_err copy_array(void *to, const void *from, int64_t n, size_t size)
{
    void *p = NULL;
    ws_err err;

    if (!from || n == 0) return WS_OK;
    if ((err = ws_alloc(&p, n, size, "preparation"))) return err;
    memcpy(p, from, (size_t)n * size);
    memcpy(to, &p, sizeof p);
    return WS_OK;
}

static ws_err copy_preparation(const ws_preparation *from, ws_preparation *to)
{
    ws_err err;

    to->kind = from->kind;
    to->d = from->d;
    to->c = from->c;
    to->classes = from->classes;
    if ((err = copy_array(&to->mean, from->mean, from->d, 8)) ||
        (err = copy_array(&to->inverse, from->inverse, from->d, 8)) ||
        (err = copy_array(&to->y_mean, from->y_mean, from->c, 8)) ||
        (err = copy_array(&to->y_scale, from->y_scale, from->c, 8)))
        return err;
    return copy_array(&to->label, from->label, from->classes, 8);
}

/* Are the samples bytes that stand for what is prepared, and so many that it is of use? */
static int is_packed(const ws_loading *l)
{
    const ws_reader *r = &l->reader;

    return l->opt->pack && r->byte[0] && (r->byte[1] || r->n[1] == 0) && r->d >= PACKED_LEAST &&
           (l->prep.kind == WS_PREPARE_UNIT || l->prep.kind == WS_PREPARE_CENTER_UNIT) &&
           (r->n[0] + r->n[1]) * r->d > PACKED_FROM;
}

/* Leaders: open the file and find its shape. */
static ws_err look(ws_loading *l, const ws_comm *leaders)
{
    ws_reader *r = &l->reader;
    const ws_preparation *stored = l->opt->stored;
    int64_t shape[3];
    ws_err err = ws_reader_open(l->file, leaders, r);

    if (err) return err;
    if (l->opt->samples > r->n[0])
        return ws_fail(WS_ERR_USAGE, "--samples %lld is more than the %lld samples of %s",
                       (long long)l->opt->samples, (long long)r->n[0], l->file);
    if (l->opt->samples > 0) r->n[0] = l->opt->samples;
    l->f.n = r->n[0];
    l->f.n_test = r->n[1];
    l->f.d = r->d;
    shape[0] = r->n[0];
    shape[1] = r->n[1];
    shape[2] = r->d;
    l->f.checksum = ws_hash(shape, sizeof shape, 0);
    if (stored && stored->d != r->d)
        return ws_fail(WS_ERR_SHAPE, "%s has %lld columns, but the network was trained on %lld",
                       l->file, (long long)r->d, (long long)stored->d);
    if (stored ? (err = copy_preparation(stored, &l->prep)) : WS_OK) return err;
    if (!stored) l->prep.kind = l->opt->prepare;
    l->prep.d = r->d;
    if (l->f.n + l->f.n_test > INT32_MAX)
        return ws_fail(WS_ERR_DATA, "%s has more than 2147483647 samples", l->file);
    l->f.packed = is_packed(l);
    return ws_labels_kind(l);
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static void *place(char *base, size_t at)
{
    return base ? base + at : NULL;
}

/* Where each array lies in the store; base NULL: only how large it is. */
static size_t lay_out(const ws_loading *l, struct ws_dataset_store *s, char *base)
{
    size_t n = (size_t)(l->f.n + l->f.n_test), at = 0;

    s->norm = place(base, at);
    at += rounded(n * sizeof *s->norm);
    s->label = l->f.classes ? place(base, at) : NULL;
    at += l->f.classes ? rounded(n * sizeof *s->label) : 0;
    s->value = l->f.columns ? place(base, at) : NULL;
    at += rounded(n * (size_t)l->f.columns * sizeof *s->value);
    if (l->opt->only_shape) return at;
    s->x = place(base, at);
    at += rounded(n * (size_t)l->f.d * sizeof *s->x);
    if (!l->f.packed) return at;
    s->level = place(base, at);
    at += rounded((size_t)l->f.d * sizeof *s->level);
    s->scale = place(base, at);
    at += rounded(n * sizeof *s->scale);
    s->byte = place(base, at);
    return at + rounded(n * (size_t)l->f.d);
}

double ws_dataset_bytes(int64_t n_all, int64_t d, int32_t columns, int packed)
{
    double row = 8 + 4 * (double)(columns ? columns : 1) + 4 * (double)d;

    return (double)n_all * (packed ? row + (double)d + 4 : row);
}

/* Tell the ranks of a node what their leader found. */
static ws_err share_preparation(ws_loading *l, const ws_comm *node)
{
    ws_preparation *p = &l->prep;
    struct {
        double **v;
        int64_t n;
    } list[4] = {{&p->mean, 0}, {&p->inverse, 0}, {&p->y_mean, 0}, {&p->y_scale, 0}};
    int there[4], labels = p->label != NULL;
    ws_err err = WS_OK;

    MPI_Bcast(&p->kind, sizeof p->kind, MPI_BYTE, 0, node->mpi);
    MPI_Bcast(&p->d, 1, MPI_INT64_T, 0, node->mpi);
    MPI_Bcast(&p->c, 1, MPI_INT32_T, 0, node->mpi);
    MPI_Bcast(&p->classes, 1, MPI_INT32_T, 0, node->mpi);
    for (int i = 0; i < 4; i++) {
        there[i] = *list[i].v != NULL;
        list[i].n = i < 2 ? p->d : p->c;
    }
    MPI_Bcast(there, 4, MPI_INT, 0, node->mpi);
    MPI_Bcast(&labels, 1, MPI_INT, 0, node->mpi);
    for (int i = 0; i < 4 && !err; i++)
        if (there[i] && !*list[i].v) err = ws_alloc(list[i].v, list[i].n, 8, "preparation");
    if (!err && labels && !p->label) err = ws_alloc(&p->label, p->classes, 8, "labels");
    if ((err = ws_agree(node, err))) return err;
    for (int i = 0; i < 4; i++)
        if (there[i]) MPI_Bcast(*list[i].v, ws_int(list[i].n), MPI_DOUBLE, 0, node->mpi);
    if (labels) MPI_Bcast(p->label, p->classes, MPI_INT64_T, 0, node->mpi);
    return WS_OK;
}

static void fill(ws_loading *l, ws_dataset *ds)
{
    struct ws_dataset_store *s = l->store;
    char copy[1024];

    snprintf(copy, sizeof copy, "%s", l->file);
    snprintf(ds->name, sizeof ds->name, "%.255s", basename(copy));
    ds->n = l->f.n;
    ds->n_test = l->f.n_test;
    ds->d = l->f.d;
    ds->columns = l->f.columns;
    ds->all = (ws_samples){.n = ds->n + ds->n_test, .d = ds->d, .x = s->x, .norm = s->norm};
    if (s->byte) ds->all.packed = (ws_packed){s->byte, s->level, s->scale, NULL};
    ds->packed = l->f.packed;
    ds->label = s->label;
    ds->value = s->value;
    ds->has_y = l->f.has_y;
    ds->has_y_test = l->f.has_y_test;
    ds->checksum = l->f.checksum;
    ds->rms = l->f.rms;
    ds->max_norm = l->f.max_norm;
    ds->shared = s->memory.shared;
    ds->bytes = (int64_t)s->memory.bytes;
    if (s->memory.why[0]) ws_loading_warn(l, "%.190s", s->memory.why);
    ds->warnings = l->f.warnings;
    memcpy(ds->warning, l->f.warning, sizeof ds->warning);
    ds->prep = l->prep;
    l->prep = (ws_preparation){0};
    ds->store = s;
    l->store = NULL;
}

static ws_err load(ws_loading *l, const ws_comm *comm, const ws_comm *node, const ws_comm *leaders)
{
    struct ws_dataset_store *s = l->store;
    size_t bytes;
    ws_err err = WS_OK;

    if (node->rank == 0) err = look(l, leaders);
    if ((err = ws_agree(comm, err))) return err;
    MPI_Bcast(&l->f, sizeof l->f, MPI_BYTE, 0, node->mpi);
    bytes = lay_out(l, s, NULL);
    if ((err = ws_store_create(comm, bytes, &s->memory))) return err;
    lay_out(l, s, s->memory.base);
    if (node->rank == 0) {
        err = ws_labels_read(l);
        if (!err) err = ws_prepare_samples(l);
    }
    if ((err = ws_agree(comm, err))) return err;
    MPI_Bcast(&l->f, sizeof l->f, MPI_BYTE, 0, node->mpi);
    if ((err = ws_agree(comm, share_preparation(l, node)))) return err;
    ws_store_publish(&s->memory);
    return WS_OK;
}

ws_err ws_dataset_load(const ws_comm *comm, const char *file, const ws_dataset_options *opt,
                       ws_dataset **out)
{
    ws_loading l = {.opt = opt, .file = file, .reader = {.file = -1, .x = {-1, -1}, .y = {-1, -1}}};
    ws_comm node, leaders;
    ws_dataset *ds = NULL;
    ws_err err;

    *out = NULL;
    err = ws_alloc(&ds, 1, sizeof *ds, "data set");
    if (!err) err = ws_alloc(&l.store, 1, sizeof *l.store, "data set");
    if ((err = ws_agree(comm, err))) goto done;
    ws_comm_node(comm, &node);
    ws_comm_leaders(comm, &node, &leaders);
    err = load(&l, comm, &node, &leaders);
    ws_reader_close(&l.reader);
    ws_comm_destroy(&leaders);
    ws_comm_destroy(&node);
    if (err) {
        ws_store_destroy(&l.store->memory);
        goto done;
    }
    fill(&l, ds);
    *out = ds;
    ds = NULL;
done:
    ws_preparation_free(&l.prep);
    ws_free(&l.store);
    ws_free(&ds);
    return err;
}

void ws_dataset_destroy(ws_dataset **ds)
{
    if (!*ds) return;
    ws_store_destroy(&(*ds)->store->memory);
    ws_free(&(*ds)->store);
    ws_preparation_free(&(*ds)->prep);
    ws_free(ds);
}

const char *ws_dataset_kind(const ws_dataset *ds)
{
    return ds->prep.classes ? "classes" : ds->prep.c ? "targets" : "labels";
}
