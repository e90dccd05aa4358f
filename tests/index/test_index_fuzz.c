/* Every exact kind against scan: random shapes, moves and queries; rows, positions and z must agree
 * bit for bit.  Kinds come from the registry.  Numbers are now and then small integers (ties at the
 * threshold), neurons are doubled, vectors are zero, shards are empty, samples are sparse.
 *
 * Compiled with FUZZ_UPDATES, one shape is moved that often instead: see the second test. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"
#include "wingspan/index/index.h"

enum { KINDS = 16, N = 220, D = 40, S = 70 };

typedef struct fuzz {
    uint64_t shape, rank; /* random streams: what all ranks share, and this rank's own */
    uint32_t draws[2];
    int64_t n, d, s;
    float w[N * D], b[N], x[S * D];
    ws_samples samples; /* dense or sparse */
    int64_t ptr[S + 1];
    int32_t col[S * D];
    float val[S * D];
    double threshold, slack;

    int kinds; /* the first is scan */
    ws_index *ix[KINDS];
    ws_hits hits[KINDS];
    int64_t ids[S], asked; /* of the last query about samples */
    ws_query_kind kind;
    int64_t updates, fired, flips;
} fuzz;

/* ---- random numbers ---- */

static double draw(fuzz *f, int own)
{
    const ws_key key = {23, WS_STREAM_TEST, (uint32_t)own};

    return ws_random_uniform(&key, own ? f->rank : f->shape, f->draws[own]++);
}

static int64_t pick(fuzz *f, int own, int64_t n)
{
    return (int64_t)(draw(f, own) * (double)n);
}

/* About normal, or a small integer. */
static float number(fuzz *f, int own, int whole)
{
    double v = draw(f, own) + draw(f, own) + draw(f, own) - 1.5;

    return whole ? (float)(int)(4 * v) : (float)(2 * v);
}

/* ---- shapes ---- */

static void sparsify(fuzz *f)
{
    int64_t k = 0;

    for (int64_t i = 0; i < f->s; i++) {
        for (int64_t j = 0; j < f->d; j++) {
            if (f->x[i * f->d + j] == 0) continue;
            f->col[k] = (int32_t)j;
            f->val[k++] = f->x[i * f->d + j];
        }
        f->ptr[i + 1] = k;
    }
    f->samples = (ws_samples){.n = f->s, .d = f->d, .ptr = f->ptr, .col = f->col, .val = f->val};
}

static void fill(fuzz *f, int whole)
{
    double zero = pick(f, 0, 2) ? 0.5 : 0, size = whole ? 1 : 1 / sqrt((double)f->d);

    for (int64_t k = 0; k < f->s * f->d; k++)
        f->x[k] = draw(f, 0) < zero ? 0 : (float)size * number(f, 0, whole);
    if (pick(f, 0, 2)) memset(f->x, 0, (size_t)f->d * sizeof *f->x);
    for (int64_t k = 0; k < f->n * f->d; k++) f->w[k] = number(f, 1, whole);
    for (int64_t r = 0; r < f->n; r++) {
        f->b[r] = pick(f, 1, 3) ? 0 : number(f, 1, whole);
        if (r > 0 && pick(f, 1, 5) == 0) { /* a double */
            int64_t twin = pick(f, 1, r);

            memcpy(f->w + r * f->d, f->w + twin * f->d, (size_t)f->d * sizeof *f->w);
            f->b[r] = f->b[twin];
        } else if (pick(f, 1, 20) == 0)
            memset(f->w + r * f->d, 0, (size_t)f->d * sizeof *f->w);
    }
}

/* All exact kinds but `all`, which finds more than what fires. */
static void create(fuzz *f)
{
    const ws_shard shard = {f->n, f->d, f->w, f->b};
    const ws_index_options o = {.slack = f->slack};

    f->kinds = 0;
    for (const char *const *name = ws_index_kinds(); *name; name++) {
        ws_index *ix;

        if (strcmp(*name, "all") == 0) continue;
        assert_all(ws_index_create(&world, *name, &o, &ix) == WS_OK);
        assert_all(ws_index_build(ix, &shard, &f->samples, f->threshold) == WS_OK);
        if (!ws_index_is_exact(ix)) {
            ws_index_destroy(&ix);
            continue;
        }
        assert_true(f->kinds < KINDS);
        f->ix[f->kinds++] = ix;
    }
    assert_string_equal(ws_index_kind(f->ix[0]), "scan");
    assert_true(f->kinds >= 4);
}

static void destroy(fuzz *f)
{
    for (int k = 0; k < f->kinds; k++) {
        ws_index_destroy(&f->ix[k]);
        ws_hits_free(&f->hits[k]);
    }
}

/* ---- queries ---- */

static int same(const ws_hits *a, const ws_hits *b)
{
    return a->rows == b->rows && a->n == b->n &&
           memcmp(a->row, b->row, (size_t)a->rows * sizeof *a->row) == 0 &&
           memcmp(a->first, b->first, (size_t)(a->rows + 1) * sizeof *a->first) == 0 &&
           (a->n == 0 || (memcmp(a->pos, b->pos, (size_t)a->n * sizeof *a->pos) == 0 &&
                          memcmp(a->z, b->z, (size_t)a->n * sizeof *a->z) == 0));
}

static void compare(fuzz *f, const ws_query *q)
{
    for (int k = 0; k < f->kinds; k++) {
        assert_int_equal(ws_index_query(f->ix[k], q, &f->hits[k]), WS_OK);
        if (same(&f->hits[k], &f->hits[0])) continue;
        print_error("%s differs from scan: shape %d, n %d, d %d, s %d, kind %d, threshold %.17g\n",
                    ws_index_kind(f->ix[k]), (int)f->shape, (int)f->n, (int)f->d, (int)f->s,
                    (int)q->kind, q->threshold);
        fail();
    }
}

/* Some samples, or all, in some order. */
static void choose(fuzz *f)
{
    int shuffled = pick(f, 1, 2) == 0;

    f->asked = pick(f, 1, 3) ? f->s : 1 + pick(f, 1, f->s);
    for (int64_t i = 0; i < f->s; i++) f->ids[i] = i;
    for (int64_t i = 0; i < f->asked && shuffled; i++) {
        int64_t j = i + pick(f, 1, f->s - i), swap = f->ids[i];

        f->ids[i] = f->ids[j];
        f->ids[j] = swap;
    }
}

/* The usual threshold, another, a wild one, or most often one that a pair of the query just misses or
 * just meets: a bound that is too low by a rounding error shows there. */
static double some_threshold(fuzz *f, const float *y)
{
    int64_t how = pick(f, 1, 8), r = pick(f, 1, f->n), k = pick(f, 1, f->asked);
    const float *x = f->kind == WS_QUERY_SAMPLE ? f->x + f->ids[k] * f->d : y + k * f->d;
    double z;

    if (how == 0 || f->n == 0) return f->threshold;
    if (how == 1) return f->threshold + 2 * draw(f, 1) - 1;
    if (how == 2) return (double[]){-INFINITY, INFINITY, -1e30, 1e30}[pick(f, 1, 4)];
    z = ws_dot(f->w + r * f->d, x, f->d) + (double)f->b[r];
    return how == 3 ? z : nextafter(z, -INFINITY);
}

/* Points near the chosen samples, in y, and how far away. */
static void step_aside(fuzz *f, float *y, double *radius)
{
    double size = pick(f, 1, 3) ? 0.05 : 0;

    for (int64_t k = 0; k < f->asked; k++) {
        double sum = 0;

        for (int64_t j = 0; j < f->d; j++) {
            float old = f->x[f->ids[k] * f->d + j];

            y[k * f->d + j] = (float)((double)old + size * (double)number(f, 1, 0));
            sum += pow((double)y[k * f->d + j] - (double)old, 2);
        }
        radius[k] = sqrt(sum) * (1 + 1e-12);
    }
}

static void ask(fuzz *f)
{
    static float y[S * D];
    double radius[S];
    uint8_t mask[N];
    ws_samples points = {.d = f->d, .x = y};
    ws_query q = {.ids = f->ids, .x = &points, .radius = radius};

    choose(f);
    step_aside(f, y, radius);
    for (int64_t r = 0; r < f->n; r++) mask[r] = draw(f, 1) < 0.7;
    f->kind = (ws_query_kind[]){WS_QUERY_SAMPLE, WS_QUERY_SAMPLE, WS_QUERY_NEAR,
                                WS_QUERY_ANY}[pick(f, 1, 4)];
    q.kind = f->kind;
    q.n = points.n = f->asked;
    q.mask = pick(f, 1, 4) ? NULL : mask;
    for (int k = 0; k < 8; k++) {
        q.threshold = some_threshold(f, y);
        compare(f, &q);
    }
    q.mask = NULL;
    q.threshold = f->threshold; /* who fires here may move */
    compare(f, &q);
}

/* ---- moves ---- */

typedef struct moves {
    int64_t k, pairs, row[N], first[N + 1], from[N * S];
    double norm[N], dbias[N], z[N * S];
    int32_t pos[N * S];
    float coef[N * S], note[N * S];
} moves;

/* Add delta to row r, perhaps something to its bias, and write that down. */
static void shift(fuzz *f, moves *m, int64_t r, const double *delta, double bias)
{
    float old = f->b[r];

    m->row[m->k] = r;
    m->norm[m->k] = sqrt(ws_row_add(f->w + r * f->d, delta, f->d)) * (1 + 1e-12);
    f->b[r] = (float)((double)old + bias * (double)number(f, 1, 0));
    m->dbias[m->k++] = (double)f->b[r] - (double)old;
    m->first[m->k] = m->pairs;
}

/* Each kind is told, with the notes that it gave itself. */
static void tell(fuzz *f, moves *m, int combined, int with_z)
{
    ws_moves v = {m->k, m->row, m->norm, m->dbias, NULL, m->pos, f->ids, m->coef, NULL, NULL};

    if (combined) v.first = m->first;
    if (with_z) v.z = m->z;
    for (int k = 0; k < f->kinds; k++) {
        for (int64_t i = 0; i < m->pairs; i++) m->note[i] = f->hits[k].note[m->from[i]];
        if (with_z) v.note = m->note;
        assert_int_equal(ws_index_update(f->ix[k], &v), WS_OK);
    }
    f->updates += m->k;
}

/* Neurons that fired in the last query move by combinations of what fired them. */
static void combine(fuzz *f, moves *m, double size)
{
    const ws_hits *h = &f->hits[0];
    int whole = pick(f, 1, 4) == 0, alone = pick(f, 1, 3) == 0;
    double bias = pick(f, 1, 2) ? 0.1 * size : 0;

    for (int64_t i = 0; i < h->rows; i++) {
        double delta[D] = {0};

        if (pick(f, 1, 4) == 0) continue;
        for (int64_t p = h->first[i]; p < h->first[i + 1]; p++, m->pairs++) {
            float c = whole ? (float)(pick(f, 1, 3) - 1) : (float)size * number(f, 1, 0);

            if (alone) c = p == h->first[i] ? fabsf(c) : 0; /* straight towards a sample */

            m->from[m->pairs] = p;
            m->pos[m->pairs] = h->pos[p];
            m->z[m->pairs] = h->z[p];
            m->coef[m->pairs] = c;
            ws_axpy(delta, c, f->x + f->ids[h->pos[p]] * f->d, f->d);
        }
        shift(f, m, h->row[i], delta, bias);
    }
    tell(f, m, 1, pick(f, 1, 3) > 0);
}

/* Any neurons move anywhere, some to a new place altogether. */
static void push(fuzz *f, moves *m, double size)
{
    for (int64_t r = 0; r < f->n; r++) {
        int anew = pick(f, 1, 10) == 0;
        double delta[D];

        if (pick(f, 1, 3)) continue;
        for (int64_t j = 0; j < f->d; j++)
            delta[j] = anew ? (double)(number(f, 1, 0) - f->w[r * f->d + j])
                            : size * (double)number(f, 1, 0);
        shift(f, m, r, delta, 0);
    }
    tell(f, m, 0, 0);
}

static void move(fuzz *f, double most)
{
    static moves m;
    double size = most * (double[]){0.001, 0.01, 0.1, 1}[pick(f, 1, 4)];

    m.k = m.pairs = m.first[0] = 0;
    if (f->kind == WS_QUERY_SAMPLE && pick(f, 1, 6))
        combine(f, &m, size);
    else
        push(f, &m, size);
}

/* ---- the tests ---- */

static fuzz f;

static void begin(uint64_t shape, int64_t n, int64_t d, int64_t s)
{
    f = (fuzz){.shape = shape, .rank = shape << 8 | (uint64_t)world.rank, .n = n, .d = d, .s = s};
    f.threshold = pick(&f, 0, 2) ? 1 : 0.3;
    f.slack = 0.1;
    fill(&f, pick(&f, 0, 3) == 0);
    sparsify(&f);
    if (pick(&f, 0, 2)) f.samples = (ws_samples){.n = s, .d = d, .x = f.x};
    create(&f);
}

#ifndef FUZZ_UPDATES
static void every_exact_kind_gives_the_bits_of_scan(void **state)
{
    static const int64_t n[] = {0, 1, 2, 3, 4, 5, 17, 64, 65, 200}, d[] = {1, 1, 2, 3, 8, 16, 40},
                         s[] = {1, 2, 4, 5, 33, 70};

    (void)state;
    for (uint64_t shape = 0; shape < 60; shape++) {
        f.shape = shape + 1000;
        f.draws[0] = 0;
        begin(shape, n[((int64_t)shape + 3 * world.rank) % 10], d[pick(&f, 0, 7)],
              s[pick(&f, 0, 6)]);
        for (int k = 0; k < 12; k++) {
            ask(&f);
            move(&f, 0.5);
        }
        ask(&f);
        destroy(&f);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_exact_kind_gives_the_bits_of_scan),
};
#else
/* Pairs of the last answer, as a table. */
static void mark(uint8_t *table)
{
    const ws_hits *h = &f.hits[0];

    memset(table, 0, N * S);
    for (int64_t i = 0; i < h->rows; i++)
        for (int64_t p = h->first[i]; p < h->first[i + 1]; p++)
            table[h->row[i] * S + f.ids[h->pos[p]]] = 1;
}

/* Ask about everything as a step of gd does, and count who changed sides. */
static void ask_all(void)
{
    static uint8_t now[N * S], before[N * S];
    ws_query q = {.n = f.s, .ids = f.ids, .threshold = f.threshold};

    for (int64_t i = 0; i < f.s; i++) f.ids[i] = i;
    f.kind = q.kind;
    f.asked = f.s;
    compare(&f, &q);
    mark(now);
    f.fired += f.hits[0].n;
    for (int k = 0; f.updates > 0 && k < N * S; k++) f.flips += now[k] != before[k];
    memcpy(before, now, sizeof now);
}

static void after_very_many_updates_every_exact_kind_gives_the_bits_of_scan(void **state)
{
    (void)state;
    begin(7, 150 - 20 * world.rank, 16, 40);
    while (f.updates < FUZZ_UPDATES) {
        ask_all();
        if (pick(&f, 1, 3) == 0) ask(&f);
        move(&f, 0.1);
    }
    ask_all();
    assert_true(100 * f.flips >= f.fired);
    for (int k = 0; k < f.kinds; k++)
        if (strcmp(ws_index_kind(f.ix[k]), "certified") == 0)
            assert_true(ws_index_count(f.ix[k]).relisted >= 3 * f.n);
    destroy(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(after_very_many_updates_every_exact_kind_gives_the_bits_of_scan),
};
#endif

WS_TEST_MAIN(tests)
