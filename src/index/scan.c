/* scan.c - the index that has no structure: exact, and the oracle the other kinds are tested
 * against.  Its query also answers for kinds that do not take a query themselves.
 *
 * Rows go in blocks.  sgemm proposes the pairs that float32 cannot exclude, given the norms of
 * row and sample; ws_dot computes those and decides.  Where packing for sgemm would cost more, the
 * products are made exactly at once: short rows and a few dozen samples are turned into columns and
 * multiplied eight at a time (rows.h), for four samples or fewer ws_dot takes every pair. */
#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

#include "index_impl.h"
#include "propose.h"
#include "rows.h"

enum { BLOCK = 4096, DIRECT = 4, SHORT = 8, FEW = 64, PART = 256 };

typedef struct scan {
    ws_index base;
    double *norm; /* [n] upper bounds of ||w_r|| */
} scan;

struct ws_scan_work {
    ws_pairs pairs;
    int64_t row[BLOCK];
    float cut[BLOCK];
    float column[(SHORT + 1) * PART]; /* a part of the shard, by columns; its biases */
    uint32_t number[PART];            /* 0, 1, 2, ... */
    uint64_t hit[PART / 64];          /* which rows of the part fire on something */
    int64_t place[PART];              /* on how many samples; then where their hits go */
    struct {
        double x[SHORT];
        uint32_t row[PART + 8];
        double z[PART + 8];
        int64_t n;
    } few[FEW];  /* the hits of a part for each sample */
    int64_t *id; /* [samples of the query] candidates of a row */
    double *z;
    int64_t id_capacity, z_capacity;
};

/* ---- shared with the front and dtree ---- */

void ws_scan_free(ws_index *ix)
{
    ws_proposer_destroy(&ix->proposer);
    if (!ix->scan) return;
    ws_pairs_free(&ix->scan->pairs);
    ws_free(&ix->scan->id);
    ws_free(&ix->scan->z);
    ws_free(&ix->scan);
}

int64_t ws_scan_bytes(const ws_index *ix)
{
    const struct ws_scan_work *s = ix->scan;
    int64_t bytes = ws_proposer_bytes(ix->proposer);

    if (s)
        bytes += (int64_t)sizeof *s + 8 * (s->pairs.capacity + s->pairs.rows_capacity) +
                 8 * (s->id_capacity + s->z_capacity);
    return bytes;
}

ws_err ws_scan_prepare(ws_index *ix, int64_t n)
{
    ws_err err;

    if (!ix->proposer && (err = ws_proposer_create(&ix->proposer))) return err;
    if (!ix->scan && (err = ws_alloc(&ix->scan, 1, sizeof *ix->scan, "work space of an index")))
        return err;
    if ((err = ws_grow(&ix->scan->id, &ix->scan->id_capacity, n, sizeof(int64_t),
                       "candidates of an index query")))
        return err;
    return ws_grow(&ix->scan->z, &ix->scan->z_capacity, n, sizeof(double),
                   "candidates of an index query");
}

ws_err ws_scan_decide_ahead(ws_index *ix, const ws_query *q, int64_t r, const int32_t *col,
                            int64_t k, const float *soon, ws_hits *hits)
{
    struct ws_scan_work *s = ix->scan;
    const int64_t *ids;
    const ws_samples *x = ws_query_samples(ix, q, &ids);
    double b = (double)ix->shard.b[r];
    ws_err err;

    if (k == 0) return WS_OK;
    if ((err = ws_hits_row(hits, r)) || (err = ws_hits_reserve(hits, k))) return err;
    for (int64_t p = 0; p < k; p++) {
        int64_t at = col ? col[p] : p;

        s->id[p] = ws_sample_at(ids, at);
    }
    ws_dot_many_ahead(ix->shard.w + r * ix->shard.d, x, s->id, k, s->z, soon);
    for (int64_t p = 0; p < k; p++) {
        double z = s->z[p] + b;

        if (!(z > q->threshold)) continue;
        hits->pos[hits->n] = col ? col[p] : (int32_t)p;
        hits->z[hits->n] = z;
        hits->note[hits->n++] = 0;
    }
    ws_hits_close(hits);
    ix->counts.candidates += k;
    ix->counts.inner_products += k;
    return WS_OK;
}

ws_err ws_scan_decide(ws_index *ix, const ws_query *q, int64_t r, const int32_t *col, int64_t k,
                      ws_hits *hits)
{
    return ws_scan_decide_ahead(ix, q, r, col, k, NULL, hits);
}

/* Short rows and a few dense samples: part by part, the hits of each sample in order of the rows. */
static void scan_part(ws_index *ix, const ws_rows_ops *o, const ws_query *q, int64_t from,
                      int64_t n)
{
    struct ws_scan_work *s = ix->scan;
    int64_t d = ix->shard.d, off[SHORT], whole = (n + 7) / 8 * 8;
    const float *b = ix->shard.b + from;
    double z[PART];

    for (int64_t j = 0; j < d; j++) off[j] = j * PART;
    o->turn(ix->shard.w + from * d, d, n, s->column, PART);
    if (whole > n) { /* the last rows of the shard: up to eight with rows that never fire */
        float *last = s->column + SHORT * PART;

        for (int64_t i = 0; i < whole; i++) last[i] = i < n ? b[i] : -INFINITY;
        for (int64_t j = 0; j < d; j++)
            for (int64_t i = n; i < whole; i++) s->column[off[j] + i] = 0;
        b = last;
    }
    for (int64_t k = 0; k < q->n; k++) {
        o->dots(s->column, off, b, s->few[k].x, d, whole, z);
        s->few[k].n = o->keep(s->number, z, whole, q->threshold, s->few[k].row, s->few[k].z);
    }
}

/* Open the rows of a part that fire; place[row] becomes where its hits go. */
static void open_rows(struct ws_scan_work *s, int64_t from, ws_hits *out)
{
    int64_t place = out->n;

    for (int64_t word = 0; word < PART / 64; word++) {
        for (uint64_t bits = s->hit[word]; bits; bits &= bits - 1) {
            int64_t row = 64 * word + __builtin_ctzll(bits), n = s->place[row];

            out->row[out->rows] = from + row;
            out->first[out->rows++] = s->place[row] = place;
            place += n;
        }
    }
}

/* The hits of a part, sample by sample, into an answer in order of the rows. */
static ws_err merge_part(struct ws_scan_work *s, int64_t samples, int64_t from, ws_hits *out)
{
    int64_t n = 0;
    ws_err err;

    for (int64_t k = 0; k < samples; n += s->few[k++].n)
        for (int64_t i = 0; i < s->few[k].n; i++) {
            uint32_t row = s->few[k].row[i];

            s->hit[row / 64] |= 1ull << row % 64;
            s->place[row]++;
        }
    if (n == 0) return WS_OK;
    if ((err = ws_hits_reserve_rows(out, n)) || (err = ws_hits_reserve(out, n))) return err;
    open_rows(s, from, out);
    for (int64_t k = 0; k < samples; k++)
        for (int64_t i = 0; i < s->few[k].n; i++) {
            int64_t to = s->place[s->few[k].row[i]]++;

            out->pos[to] = (int32_t)k;
            out->z[to] = s->few[k].z[i];
            out->note[to] = 0;
        }
    for (int64_t k = 0; k < samples; k++)
        for (int64_t i = 0; i < s->few[k].n; i++) s->place[s->few[k].row[i]] = 0;
    memset(s->hit, 0, sizeof s->hit);
    out->n += n;
    out->first[out->rows] = out->n;
    return WS_OK;
}

static ws_err scan_few(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    const ws_rows_ops *o = ws_rows();
    const int64_t *ids;
    const ws_samples *x = ws_query_samples(ix, q, &ids);
    int64_t n = ix->shard.n, d = ix->shard.d;
    ws_err err = WS_OK;

    memset(ix->scan->hit, 0, sizeof ix->scan->hit); /* an earlier query may have failed */
    memset(ix->scan->place, 0, sizeof ix->scan->place);
    for (uint32_t i = 0; i < PART; i++) ix->scan->number[i] = i;
    for (int64_t k = 0; k < q->n; k++)
        for (int64_t j = 0; j < d; j++)
            ix->scan->few[k].x[j] = (double)x->x[ws_sample_at(ids, k) * d + j];
    for (int64_t from = 0; from < n && !err; from += PART) {
        scan_part(ix, o, q, from, n - from < PART ? n - from : PART);
        err = merge_part(ix->scan, q->n, from, hits);
    }
    ix->counts.candidates += n * q->n;
    ix->counts.inner_products += n * q->n;
    return err;
}

/* Rows from .. of the shard that take part, at most BLOCK; *next is where to go on. */
static int64_t list_rows(const ws_index *ix, const ws_query *q, int64_t from, int64_t *row,
                         int64_t *next)
{
    int64_t n = 0, r = from;

    for (; r < ix->shard.n && n < BLOCK; r++)
        if (!q->mask || q->mask[r]) row[n++] = r;
    *next = r;
    return n;
}

/* Propose for one block of rows, then decide. */
static ws_err scan_block(ws_index *ix, const double *norm, const ws_query *q, int64_t n,
                         ws_hits *hits)
{
    struct ws_scan_work *s = ix->scan;
    int64_t d = ix->shard.d;
    double most = ws_propose_max_norm(ix->proposer);
    ws_err err;

    for (int64_t k = 0; k < n; k++) {
        int64_t r = s->row[k];
        double bound = norm ? norm[r] : ws_propose_norm(ix->shard.w + r * d, d);
        double above = nextafter(q->threshold - (double)ix->shard.b[r], -INFINITY);

        s->cut[k] = ws_propose_cut(above, bound, most, d);
    }
    if ((err = ws_propose_rows(ix->proposer, q->mask ? ix->shard.w : ix->shard.w + s->row[0] * d, d,
                               q->mask ? s->row : NULL, n, s->cut, &s->pairs)))
        return err;
    ix->counts.inner_products += n * q->n;
    for (int64_t k = 0; k < n && !err; k++) {
        int64_t from = s->pairs.first[k];

        err = ws_scan_decide(ix, q, s->row[k], s->pairs.col + from, s->pairs.first[k + 1] - from,
                             hits);
    }
    return err;
}

ws_err ws_scan_query(ws_index *ix, const double *norm, const ws_query *q, ws_hits *hits)
{
    const int64_t *ids;
    const ws_samples *x = ws_query_samples(ix, q, &ids);
    ws_err err = ws_scan_prepare(ix, q->n);

    if (!err && q->n <= FEW && ix->shard.d <= SHORT && x->x && !ws_samples_packed(x) && !q->mask)
        return scan_few(ix, q, hits);
    if (!err && q->n > DIRECT) err = ws_propose_samples(ix->proposer, x, ids, q->n);
    for (int64_t from = 0; from < ix->shard.n && !err;) {
        int64_t n = list_rows(ix, q, from, ix->scan->row, &from);

        if (n > 0 && q->n > DIRECT) err = scan_block(ix, norm, q, n, hits);
        for (int64_t k = 0; k < n && q->n <= DIRECT && !err; k++)
            err = ws_scan_decide(ix, q, ix->scan->row[k], NULL, q->n, hits);
    }
    return err;
}

/* ---- the kind ---- */

static ws_err build(ws_index *ix)
{
    scan *s = (scan *)ix;
    ws_err err = ws_alloc(&s->norm, ix->shard.n, sizeof *s->norm, "norms of the neurons");

    if (err) return err;
    for (int64_t r = 0; r < ix->shard.n; r++)
        s->norm[r] = ws_propose_norm(ix->shard.w + r * ix->shard.d, ix->shard.d);
    ix->counts.bytes = ix->shard.n * (int64_t)sizeof *s->norm;
    return WS_OK;
}

static ws_err query(ws_index *ix, const ws_query *q, ws_hits *hits)
{
    return ws_scan_query(ix, ((scan *)ix)->norm, q, hits);
}

static ws_err update(ws_index *ix, const ws_moves *moves)
{
    scan *s = (scan *)ix;

    for (int64_t k = 0; k < moves->k; k++) {
        int64_t r = moves->row[k];

        s->norm[r] = ws_propose_norm(ix->shard.w + r * ix->shard.d, ix->shard.d);
    }
    return WS_OK;
}

static void destroy(ws_index *ix)
{
    ws_free(&((scan *)ix)->norm);
}

static double bytes(const ws_index_plan *p)
{
    return 8 * (double)p->n;
}

const ws_index_ops ws_index_scan = {
    .name = "scan",
    .size = sizeof(scan),
    .exact = 1,
    .answers = 1u << WS_QUERY_SAMPLE | 1u << WS_QUERY_NEAR | 1u << WS_QUERY_ANY,
    .build = build,
    .query = query,
    .update = update,
    .destroy = destroy,
    .bytes = bytes,
};
