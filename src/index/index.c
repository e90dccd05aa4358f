/* index.c - the front of every index kind: arguments, agreement, dispatch. */
#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"

#include "index_impl.h"

#define X(kind) &ws_index_##kind,
static const ws_index_ops *const kinds[] = {WS_INDEX_KINDS(X)};
#undef X

enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- create ---- */

static int find_kind(const char *name)
{
    for (int k = 0; k < KINDS; k++)
        if (name && strcmp(kinds[k]->name, name) == 0) return k;
    return -1;
}

ws_err ws_index_create(const ws_comm *comm, const char *kind, const ws_index_options *opt,
                       ws_index **out)
{
#define X(kind) " " #kind
    static const char words[] = WS_INDEX_KINDS(X);
#undef X
    int k = find_kind(kind);
    ws_index *ix = NULL;
    ws_err err;

    *out = NULL;
    if (k < 0)
        err = ws_fail(WS_ERR_USAGE, "there is no index '%s': choose one of%s or auto",
                      kind ? kind : "", words);
    else
        err = ws_alloc(&ix, 1, kinds[k]->size, "index");
    if ((err = ws_agree(comm, err)) || (err = ws_same(comm, "the kind of index", k))) {
        ws_free(&ix);
        return err; /* agreed */
    }
    ix->ops = kinds[k];
    ix->comm = comm;
    if (opt) ix->opt = *opt;
    *out = ix;
    return WS_OK;
}

/* ---- build ---- */

static void set_empty(ws_index *ix)
{
    ix->ops->destroy(ix);
    ws_scan_free(ix);
    ws_free(&ix->stamp);
    ix->stamped = 0;
    ix->shard = (ws_shard){0};
    ix->samples = (ws_samples){0};
    ix->counts = (ws_index_counts){0};
}

static ws_err check_shapes(const ws_shard *shard, const ws_samples *x)
{
    if (shard->n < 0 || shard->d < 1 || (shard->n > 0 && (!shard->w || !shard->b)))
        return ws_fail(WS_ERR_SHAPE, "index build: %lld neurons of length %lld are no shard",
                       (long long)shard->n, (long long)shard->d);
    if (x->n < 0 || x->n > INT32_MAX || (x->n > 0 && !x->x && !x->ptr))
        return ws_fail(WS_ERR_SHAPE, "index build: %lld registered samples; give 0 to 2147483647",
                       (long long)x->n);
    if (x->n > 0 && x->d != shard->d)
        return ws_fail(WS_ERR_SHAPE, "index build: samples have length %lld but neurons %lld",
                       (long long)x->d, (long long)shard->d);
    return WS_OK;
}

static ws_err build_here(ws_index *ix)
{
    ws_err err =
        ws_alloc(&ix->stamp, ix->samples.n, sizeof *ix->stamp, "sample table of the index");

    return err ? err : ix->ops->build(ix);
}

ws_err ws_index_build(ws_index *ix, const ws_shard *shard, const ws_samples *registered,
                      double threshold)
{
    ws_err err;

    set_empty(ix);
    if ((err = ws_agree(ix->comm, check_shapes(shard, registered))) ||
        (err = ws_same(ix->comm, "the row length of the index", shard->d)) ||
        (err = ws_same(ix->comm, "the number of samples registered", registered->n)))
        return err; /* agreed */
    ix->shard = *shard;
    ix->samples = *registered;
    ix->threshold = threshold;
    if ((err = ws_agree(ix->comm, build_here(ix)))) set_empty(ix);
    return err;
}

void ws_index_start(ws_index *ix, const ws_start *start)
{
    ix->start = start;
}

/* ---- query ---- */

/* ids must name registered samples, and each once if `once`. */
static ws_err check_ids(ws_index *ix, const ws_query *q, int once)
{
    if (++ix->stamped == 0) { /* after 2^32 queries the stamps start again */
        memset(ix->stamp, 0, (size_t)ix->samples.n * sizeof *ix->stamp);
        ix->stamped = 1;
    }
    for (int64_t k = 0; k < q->n; k++) {
        int64_t i = q->ids[k];

        if (i < 0 || i >= ix->samples.n)
            return ws_fail(WS_ERR_SHAPE,
                           "index query: sample %lld is not one of the %lld registered",
                           (long long)i, (long long)ix->samples.n);
        if (once && ix->stamp[i] == ix->stamped)
            return ws_fail(WS_ERR_SHAPE,
                           "index query: sample %lld is asked about twice; name it once",
                           (long long)i);
        ix->stamp[i] = ix->stamped;
    }
    return WS_OK;
}

static ws_err check_points(const ws_index *ix, const ws_query *q)
{
    if (!q->x || q->x->n != q->n || q->x->d != ix->shard.d)
        return ws_fail(WS_ERR_SHAPE,
                       "index query: %lld points of length %lld given; %lld of length %lld needed",
                       q->x ? (long long)q->x->n : 0LL, q->x ? (long long)q->x->d : 0LL,
                       (long long)q->n, (long long)ix->shard.d);
    for (int64_t k = 0; q->kind == WS_QUERY_NEAR && k < q->n; k++)
        if (!q->radius || !(q->radius[k] >= 0))
            return ws_fail(WS_ERR_SHAPE, "index query: point %lld has no radius of 0 or more",
                           (long long)k);
    return WS_OK;
}

static ws_err check_query(ws_index *ix, const ws_query *q)
{
    int sample = q->kind == WS_QUERY_SAMPLE, any = q->kind == WS_QUERY_ANY;
    ws_err err = WS_OK;

    if (ix->shard.d == 0)
        return ws_fail(WS_ERR_SHAPE, "index query: the index is empty; build it first");
    if (q->n < 0 || q->n > INT32_MAX || (q->n > 0 && !any && !q->ids))
        return ws_fail(WS_ERR_SHAPE, "index query: %lld samples asked about, ids %s",
                       (long long)q->n, q->ids ? "given" : "missing");
    if (q->n == 0) return WS_OK;
    if (!any) err = check_ids(ix, q, sample);
    if (!err && !sample) err = check_points(ix, q);
    if (!err && sample && q->copy && (q->copy->n != q->n || q->copy->d != ix->shard.d))
        err = ws_fail(
            WS_ERR_SHAPE,
            "index query: copies of %lld samples of length %lld; %lld of length %lld asked "
            "about",
            (long long)q->copy->n, (long long)q->copy->d, (long long)q->n, (long long)ix->shard.d);
    return err;
}

ws_err ws_index_query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    ws_err err;

    /* A row that vanishes leaves room and first[0] = 0, so that an empty answer has a shape. */
    hits->rows = hits->n = 0;
    if ((err = ws_hits_row(hits, 0))) return err;
    ws_hits_close(hits);
    if ((err = check_query(ix, q)) || q->n == 0) return err;
    if (ix->ops->answers & 1u << q->kind)
        err = ix->ops->query(ix, q, hits);
    else
        err = ws_scan_query(ix, NULL, q, hits);
    if (err) hits->rows = hits->n = 0;
    return err;
}

/* ---- update ---- */

ws_err ws_index_update(ws_index *ix, const ws_moves *moves)
{
    int64_t last = -1;

    for (int64_t k = 0; k < moves->k; k++) {
        int64_t r = moves->row[k];

        if (r <= last || r >= ix->shard.n)
            return ws_fail(WS_ERR_SHAPE,
                           "index update: neuron %lld after %lld; rows ascend and %lld are here",
                           (long long)r, (long long)last, (long long)ix->shard.n);
        last = r;
    }
    return moves->k > 0 && ix->ops->update ? ix->ops->update(ix, moves) : WS_OK;
}

void ws_index_tick(ws_index *ix, int64_t step)
{
    if (ix->shard.d > 0 && ix->ops->tick) ix->ops->tick(ix, step);
}

/* ---- the rest ---- */

ws_index_counts ws_index_count(const ws_index *ix)
{
    ws_index_counts c = ix->counts;

    c.bytes += ws_scan_bytes(ix) + ix->samples.n * (int64_t)sizeof *ix->stamp;
    return c;
}

double ws_index_moved(const ws_index *ix, int64_t row)
{
    return ix->ops->moved ? ix->ops->moved(ix, row) : NAN;
}

const char *ws_index_kind(const ws_index *ix)
{
    return ix->ops->name;
}

const char *ws_index_title(const char *kind)
{
    int k = find_kind(kind);

    if (k < 0) return kind;
    return kinds[k]->title ? kinds[k]->title : kinds[k]->name;
}

int ws_index_is_exact(const ws_index *ix)
{
    return ix->ops->exact;
}

void ws_index_destroy(ws_index **ix)
{
    if (!*ix) return;
    set_empty(*ix);
    ws_free(ix);
}

double ws_index_bytes(const char *kind, const ws_index_plan *p)
{
    int k = find_kind(kind);

    return k < 0 ? -1 : kinds[k]->bytes(p);
}

const char *const *ws_index_kinds(void)
{
#define X(kind) #kind,
    static const char *const names[] = {WS_INDEX_KINDS(X) NULL};
#undef X

    return names;
}
