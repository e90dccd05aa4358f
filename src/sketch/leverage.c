/* leverage.c - sampled rows of J': scores, draws, the exchange, the sum.
 *
 * A sampled neuron travels as words {k, rows, samples[k], coordinates[rows]} and one weight a row;
 * its entries are those of the samples, which every rank holds. */
#include "wingspan/sketch/leverage.h"

#include <math.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/exact.h"
#include "wingspan/core/fmath.h"
#include "wingspan/core/random.h"

/* Random numbers of a neuron: how many rows, and which. */
enum { USE_NUMBER = 8, USE_COORDINATE };
/* A Poisson number of a large mean is a sum of some of this mean. */
static const double part = 32;
/* Sums of scores are kept at scale 2^SCALE: they cannot exceed n. */
enum { SCALE = 24 };

typedef struct words {
    int32_t *word;
    double *weight;
    int64_t n, rows, room, rows_room;
} words;

struct ws_leverage {
    const ws_comm *comm;
    const ws_samples *x;
    int bias;
    int64_t s;
    uint64_t seed;
    double *score; /* [neurons of this rank] */
    int64_t score_room;
    double *tau, *row; /* [d + 1], [d] */
    float *rowf;       /* [n x d] the samples of one neuron, dense */
    int64_t rowf_room;
    double *block; /* [k x rows] entries of a neuron's sampled rows */
    int64_t block_room;
    words mine, all;
    double sum;
};

ws_err ws_leverage_create(const ws_comm *comm, const ws_samples *x, int bias, int64_t s,
                          uint64_t seed, ws_leverage **out)
{
    ws_leverage *l = NULL;
    ws_err err;

    *out = NULL;
    if ((err = ws_same(comm, "rows of a sample", s))) return err;
    if (!(err = ws_alloc(&l, 1, sizeof *l, "leverage scores"))) {
        *l = (ws_leverage){.comm = comm, .x = x, .bias = bias, .s = s, .seed = seed};
        err = ws_alloc(&l->tau, x->d + 1, sizeof *l->tau, "leverage scores");
        if (!err) err = ws_alloc(&l->row, x->d, sizeof *l->row, "leverage scores");
    }
    if ((err = ws_agree(comm, err))) {
        ws_leverage_destroy(&l);
        return err;
    }
    *out = l;
    return WS_OK;
}

static void free_words(words *w)
{
    ws_free(&w->word);
    ws_free(&w->weight);
}

void ws_leverage_destroy(ws_leverage **l)
{
    if (!*l) return;
    ws_free(&(*l)->score);
    ws_free(&(*l)->tau);
    ws_free(&(*l)->row);
    ws_free(&(*l)->rowf);
    ws_free(&(*l)->block);
    free_words(&(*l)->mine);
    free_words(&(*l)->all);
    ws_free(l);
}

static int64_t packed(int64_t i)
{
    return i * (i + 1) / 2;
}

/* ---- scores ---- */

/* p' (M o (X X' + bias)) p over the k samples of a neuron. */
static double neuron_score(const ws_leverage *l, const int32_t *pos, int64_t k, const double *m,
                           const float *inner)
{
    double diagonal = 0, rest = 0;

    for (int64_t p = 0; p < k; p++) {
        const double *mp = m + packed(pos[p]);
        const float *ip = inner + packed(pos[p]);

        for (int64_t q = 0; q < p; q++) rest += mp[pos[q]] * ((double)ip[pos[q]] + l->bias);
        diagonal += mp[pos[p]] * ((double)ip[pos[p]] + l->bias);
    }
    return fmax(diagonal + 2 * rest, 0);
}

static ws_err neuron_scores(ws_leverage *l, const ws_fired *f, const double *m, const float *inner)
{
    ws_meeting meet = {0};
    ws_err err = ws_grow(&l->score, &l->score_room, f->rows, sizeof *l->score, "leverage scores");

    if (!err) err = ws_meeting_open(&meet, 1, 0);
    for (int64_t r = 0; r < f->rows && !err; r++) {
        int64_t k = f->first[r + 1] - f->first[r];
        ws_exact_limbs t;

        l->score[r] = neuron_score(l, f->pos + f->first[r], k, m, inner);
        t = ws_exact_split(l->score[r], SCALE);
        meet.hi[0] += t.hi;
        meet.lo[0] += t.lo;
        if (r % WS_EXACT_ADDS == WS_EXACT_ADDS - 1) ws_exact_carry(meet.hi, meet.lo, 1);
    }
    if (!(err = ws_meeting_hold(&meet, l->comm, err, 1, 0)))
        l->sum = ws_exact_value(meet.hi[0], meet.lo[0], SCALE);
    ws_meeting_free(&meet);
    return err;
}

/* The scores of a neuron's rows: b' M b for every coordinate; returns their sum.  An entry of M
 * goes in as two float32, since large entries may cancel. */
static double row_scores(ws_leverage *l, const int32_t *pos, int64_t k, const double *m)
{
    int64_t d = l->x->d;
    double sum = 0;

    memset(l->tau, 0, (size_t)(d + 1) * sizeof *l->tau);
    for (int64_t p = 0; p < k; p++) {
        const double *mp = m + packed(pos[p]);
        const float *xp = l->rowf + p * d;
        double off = 0;

        memset(l->row, 0, (size_t)d * sizeof *l->row);
        for (int64_t q = 0; q < p; q++) {
            float high = (float)mp[pos[q]];
            ws_axpy(l->row, high, l->rowf + q * d, d);
            ws_axpy(l->row, (float)(mp[pos[q]] - (double)high), l->rowf + q * d, d);
            off += mp[pos[q]];
        }
        for (int64_t j = 0; j < d; j++)
            l->tau[j] += (double)xp[j] * (2 * l->row[j] + mp[pos[p]] * (double)xp[j]);
        l->tau[d] += l->bias ? 2 * off + mp[pos[p]] : 0;
    }
    for (int64_t j = 0; j <= d; j++) sum += l->tau[j] = fmax(l->tau[j], 0);
    return sum;
}

/* ---- draws ---- */

static double uniform(const ws_leverage *l, int use, int64_t id, int64_t at)
{
    ws_key key = {l->seed, WS_STREAM_SKETCH, (uint32_t)use};

    return ws_random_uniform(&key, (uint64_t)id, (uint32_t)at);
}

/* A Poisson number by inversion, in parts. */
static int64_t poisson(const ws_leverage *l, int64_t id, double mean)
{
    int64_t total = 0, parts = (int64_t)(mean / part) + 1;
    double each = mean / (double)parts;

    for (int64_t t = 0; t < parts; t++) {
        double u = uniform(l, USE_NUMBER, id, t), p = ws_exp(-each), sum = p;
        int64_t n = 0;

        while (u >= sum && n < 1000) {
            p *= each / (double)++n;
            sum += p;
        }
        total += n;
    }
    return total;
}

static int64_t pick(const double *tau, int64_t n, double at)
{
    int64_t last = 0;

    for (int64_t j = 0; j < n; j++) {
        if (tau[j] > 0) last = j;
        if (tau[j] > 0 && at < tau[j]) return j;
        at -= tau[j];
    }
    return last; /* rounding */
}

static ws_err open_neuron(ws_leverage *l, const int32_t *pos, int64_t k, int64_t draws)
{
    words *w = &l->mine;
    int64_t d = l->x->d;
    ws_err err;

    if ((err = ws_grow(&l->rowf, &l->rowf_room, k * d, sizeof *l->rowf, "leverage scores")) ||
        (err =
             ws_grow(&w->word, &w->room, w->n + 2 + k + draws, sizeof *w->word, "sampled rows")) ||
        (err = ws_grow(&w->weight, &w->rows_room, w->rows + draws, sizeof *w->weight,
                       "sampled rows")))
        return err;
    for (int64_t p = 0; p < k; p++) ws_samples_row(l->x, pos[p], l->rowf + p * d);
    return WS_OK;
}

/* Draw rows of one neuron; a row that is hit again is in the sample once. */
static ws_err draw_neuron(ws_leverage *l, int64_t id, const int32_t *pos, int64_t k, double mean,
                          const double *m)
{
    words *w = &l->mine;
    int64_t draws = poisson(l, id, mean), rows = 0;
    ws_err err;
    double sum;

    if (draws == 0) return WS_OK;
    if ((err = open_neuron(l, pos, k, draws))) return err;
    if (!((sum = row_scores(l, pos, k, m)) > 0)) return WS_OK;
    w->word[w->n] = (int32_t)k;
    memcpy(w->word + w->n + 2, pos, (size_t)k * sizeof *pos);
    for (int64_t t = 0; t < draws; t++) {
        int32_t *taken = w->word + w->n + 2 + k;
        int32_t j = (int32_t)pick(l->tau, l->x->d + 1, sum * uniform(l, USE_COORDINATE, id, t));
        int64_t old = 0;

        while (old < rows && taken[old] != j) old++;
        if (old < rows) continue;
        taken[rows] = j;
        w->weight[w->rows + rows++] = -1 / ws_expm1(-mean * l->tau[j] / sum);
    }
    w->word[w->n + 1] = (int32_t)rows;
    w->n += 2 + k + rows;
    w->rows += rows;
    return WS_OK;
}

/* Every rank gets the rows of all, in order of ranks and so of neurons. */
static ws_err exchange(ws_leverage *l)
{
    int size = l->comm->size, n[2] = {ws_int(l->mine.n), ws_int(l->mine.rows)};
    int *count = NULL, *from[2] = {NULL, NULL}, *each[2];
    ws_err err = ws_alloc(&count, 6 * size, sizeof *count, "sampled rows");

    if ((err = ws_agree(l->comm, err))) return err;
    MPI_Allgather(n, 2, MPI_INT, count, 2, MPI_INT, l->comm->mpi);
    l->all.n = l->all.rows = 0;
    for (int t = 0; t < 2; t++) {
        each[t] = count + (2 + 2 * t) * size;
        from[t] = each[t] + size;
    }
    for (int k = 0; k < size; k++) {
        each[0][k] = count[2 * k];
        each[1][k] = count[2 * k + 1];
        from[0][k] = ws_int(l->all.n);
        from[1][k] = ws_int(l->all.rows);
        l->all.n += each[0][k];
        l->all.rows += each[1][k];
    }
    err = ws_grow(&l->all.word, &l->all.room, l->all.n, sizeof *l->all.word, "sampled rows");
    if (!err)
        err = ws_grow(&l->all.weight, &l->all.rows_room, l->all.rows, sizeof *l->all.weight,
                      "sampled rows");
    if (!(err = ws_agree(l->comm, err))) {
        MPI_Allgatherv(l->mine.word, n[0], MPI_INT32_T, l->all.word, each[0], from[0], MPI_INT32_T,
                       l->comm->mpi);
        MPI_Allgatherv(l->mine.weight, n[1], MPI_DOUBLE, l->all.weight, each[1], from[1],
                       MPI_DOUBLE, l->comm->mpi);
    }
    ws_free(&count);
    return err;
}

/* Room for the sum over any neuron of the sample. */
static ws_err open_block(ws_leverage *l)
{
    int64_t most = 1;
    ws_err err = ws_grow(&l->rowf, &l->rowf_room, l->x->d, sizeof *l->rowf, "leverage scores");

    for (const int32_t *at = l->all.word; at < l->all.word + l->all.n; at += 2 + at[0] + at[1]) {
        int64_t size = (int64_t)at[0] * at[1];
        if (size > most) most = size;
    }
    return err ? err : ws_grow(&l->block, &l->block_room, most, sizeof *l->block, "sampled rows");
}

ws_err ws_leverage_draw(ws_leverage *l, const ws_fired *f, const double *m, const float *inner)
{
    ws_err err = neuron_scores(l, f, m, inner);

    if (err) return err;
    l->mine.n = l->mine.rows = 0;
    for (int64_t r = 0; r < f->rows && !err && l->sum > 0; r++)
        err = draw_neuron(l, f->id[r], f->pos + f->first[r], f->first[r + 1] - f->first[r],
                          (double)l->s * (l->score[r] / l->sum), m);
    if ((err = ws_agree(l->comm, err)) || (err = exchange(l))) return err;
    return ws_agree(l->comm, open_block(l));
}

/* ---- the sum ---- */

/* Entries of a neuron's sampled rows, [k x rows], each times the root of its weight. */
static void fill_block(ws_leverage *l, const int32_t *at, const double *weight)
{
    const int32_t *pos = at + 2, *coordinate = pos + at[0];

    for (int64_t p = 0; p < at[0]; p++) {
        const float *x = l->rowf;

        if (l->x->x)
            x = l->x->x + pos[p] * l->x->d;
        else
            ws_samples_row(l->x, pos[p], l->rowf);
        for (int64_t t = 0; t < at[1]; t++)
            l->block[p * at[1] + t] =
                sqrt(weight[t]) * (coordinate[t] == l->x->d ? 1 : (double)x[coordinate[t]]);
    }
}

static void add_neuron(ws_leverage *l, const int32_t *at, int64_t i0, int64_t i1, double *panel)
{
    const int32_t *pos = at + 2;
    int64_t rows = at[1];

    for (int64_t p = 0; p < at[0]; p++) {
        const double *b = l->block + p * rows;
        double *to = panel + packed(pos[p]) - packed(i0);

        if (pos[p] < i0 || pos[p] >= i1) continue;
        for (int64_t q = 0; q <= p; q++) {
            double sum = 0;
            for (int64_t t = 0; t < rows; t++) sum += b[t] * l->block[q * rows + t];
            to[pos[q]] += sum;
        }
    }
}

void ws_leverage_add(ws_leverage *l, int64_t i0, int64_t i1, double *panel)
{
    const double *weight = l->all.weight;

    for (const int32_t *at = l->all.word; at < l->all.word + l->all.n; at += 2 + at[0] + at[1]) {
        fill_block(l, at, weight);
        add_neuron(l, at, i0, i1, panel);
        weight += at[1];
    }
}

int64_t ws_leverage_rows(const ws_leverage *l, double *sum)
{
    *sum = l->sum;
    return l->all.rows;
}

double ws_leverage_bytes(int64_t n, int64_t d, int64_t s)
{
    /* M; the samples of one neuron; rows of a few tens of samples each. */
    return 4.0 * (double)n * (double)n + 4.0 * (double)n * (double)d + 200.0 * (double)s;
}
