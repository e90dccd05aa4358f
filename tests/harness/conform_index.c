/* conform_index.c - the suite of conform_index.h.
 *
 * A problem is a random shard of this rank (rank 0 of several owns nothing) and registered samples
 * that all ranks share.  `answer_is_right` compares a whole answer with brute force; `move` steps
 * neurons as an optimiser does and tells the index. */
#include "conform_index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

typedef struct problem {
    int64_t n, d, s; /* neurons here, length, registered samples */
    float *w, *b, *x;
    ws_samples dense, sparse;
    ws_shard shard;
    double threshold;
    uint64_t draws, rank; /* random numbers drawn so far, stream of this rank */
} problem;

static const char *kind;

int conform_index_use(const ws_comm *comm, const char *name)
{
    world = *comm;
    kind = name;
    return 0;
}

/* ---- problems ---- */

static double draw(problem *p)
{
    const ws_key key = {7, WS_STREAM_TEST, 0};

    return ws_random_uniform(&key, p->rank, (uint32_t)p->draws++);
}

static int64_t pick(problem *p, int64_t n)
{
    return (int64_t)(draw(p) * (double)n);
}

static double bell(problem *p)
{
    return draw(p) + draw(p) + draw(p) + draw(p) - draw(p) - draw(p) - draw(p) - draw(p);
}

static void *zeros(int64_t n, size_t size)
{
    void *p = calloc((size_t)n + 1, size);

    assert_non_null(p);
    return p;
}

/* The sparse form of p->dense. */
static void sparsify(problem *p)
{
    int64_t *ptr = zeros(p->s + 1, sizeof *ptr), k = 0;
    int32_t *col = zeros(p->s * p->d, sizeof *col);
    float *val = zeros(p->s * p->d, sizeof *val);

    for (int64_t i = 0; i < p->s; i++) {
        for (int64_t j = 0; j < p->d; j++)
            if (p->x[i * p->d + j] != 0) {
                col[k] = (int32_t)j;
                val[k++] = p->x[i * p->d + j];
            }
        ptr[i + 1] = k;
    }
    p->sparse = (ws_samples){.n = p->s, .d = p->d, .ptr = ptr, .col = col, .val = val};
}

/* n neurons a rank (rank 0 of several: none), s samples of which a third of the entries are 0. */
static problem problem_make(int64_t n, int64_t d, int64_t s)
{
    problem p = {.n = world.size > 1 && world.rank == 0 ? 0 : n, .d = d, .s = s};

    p.w = zeros(p.n * d, sizeof *p.w);
    p.b = zeros(p.n, sizeof *p.b);
    p.x = zeros(s * d, sizeof *p.x);
    for (int64_t k = 0; k < s * d; k++)
        p.x[k] = draw(&p) < 0.33 ? 0 : (float)(bell(&p) / sqrt((double)d));
    p.rank = 1 + (uint64_t)world.rank;
    for (int64_t k = 0; k < p.n * d; k++) p.w[k] = (float)bell(&p);
    for (int64_t k = 0; k < p.n; k++) p.b[k] = (float)(0.3 * bell(&p));
    p.dense = (ws_samples){.n = s, .d = d, .x = p.x};
    p.shard = (ws_shard){p.n, d, p.w, p.b};
    p.threshold = 0.7;
    sparsify(&p);
    return p;
}

static void problem_free(problem *p)
{
    free(p->w);
    free(p->b);
    free(p->x);
    free((void *)p->sparse.ptr);
    free((void *)p->sparse.col);
    free((void *)p->sparse.val);
}

static ws_index *build(const problem *p, const ws_samples *x)
{
    ws_index *ix = NULL;

    assert_all(ws_index_create(&world, kind, NULL, &ix) == WS_OK);
    assert_all(ws_index_build(ix, &p->shard, x, p->threshold) == WS_OK);
    return ix;
}

/* ---- the oracle ---- */

static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

/* Compare an answer with brute force over dense points x [q->n x d]. */
static int is_brute_force(const problem *p, const ws_query *q, const float *x, const ws_hits *h)
{
    int all = strcmp(kind, "all") == 0;
    int64_t at = 0, row = 0;

    for (int64_t r = 0; r < p->n; r++) {
        int64_t begin = at;

        for (int64_t k = 0; k < q->n; k++) {
            double z = ws_dot(p->w + r * p->d, x + k * p->d, p->d) + (double)p->b[r];

            if ((q->mask && !q->mask[r]) || !(all || z > q->threshold)) continue;
            if (at >= h->n || h->pos[at] != k || !same_bits(h->z[at], z)) {
                print_error("%s: neuron %lld, position %lld, z %.17g, threshold %.17g is missing\n",
                            kind, (long long)r, (long long)k, z, q->threshold);
                return 0;
            }
            at++;
        }
        if (at == begin) continue;
        if (row >= h->rows || h->row[row] != r || h->first[row] != begin) return 0;
        row++;
    }
    if (at != h->n || row != h->rows || h->first[row] != at)
        print_error("%s: %lld pairs too many\n", kind, (long long)(h->n - at));
    return at == h->n && row == h->rows && h->first[row] == at;
}

/* Ask, and compare. */
static int answer_is_right(ws_index *ix, problem *p, const ws_query *q, ws_hits *h)
{
    float *x = zeros(q->n * p->d, sizeof *x);
    int right;

    for (int64_t k = 0; k < q->n; k++)
        if (q->kind == WS_QUERY_SAMPLE)
            memcpy(x + k * p->d, p->x + q->ids[k] * p->d, (size_t)p->d * sizeof *x);
        else
            ws_samples_row(q->x, k, x + k * p->d);
    right = ws_index_query(ix, q, h) == WS_OK && is_brute_force(p, q, x, h);
    free(x);
    return right;
}

/* A random subset of the samples, now and then all, in random order; returns how many. */
static int64_t shuffle(problem *p, int64_t *ids)
{
    int64_t n = pick(p, 3) ? 1 + pick(p, p->s) : p->s;

    for (int64_t i = 0; i < p->s; i++) ids[i] = i;
    for (int64_t i = 0; i < n; i++) {
        int64_t j = i + pick(p, p->s - i), swap = ids[i];

        ids[i] = ids[j];
        ids[j] = swap;
    }
    return n;
}

/* Points near registered samples, and how far away they are. */
static void near_points(problem *p, const int64_t *ids, int64_t n, float *x, double *radius)
{
    double size = pick(p, 2) ? 0.02 : 0.5;

    for (int64_t k = 0; k < n; k++) {
        double sum = 0;

        for (int64_t j = 0; j < p->d; j++) {
            float old = p->x[ids[k] * p->d + j], moved = (float)((double)old + size * bell(p));

            x[k * p->d + j] = moved;
            sum += ((double)moved - (double)old) * ((double)moved - (double)old);
        }
        radius[k] = sqrt(sum) * (1 + 1e-12);
    }
}

/* The usual threshold, another one, or one that some pair of the query just meets or just misses:
 * a bound that is too low by a rounding error shows there. */
static double some_threshold(problem *p, const ws_query *q)
{
    static const double off[] = {0, 0, 0.4, -0.3, -5, 5};
    const float *x = q->kind == WS_QUERY_SAMPLE ? p->x : q->x->x;
    int64_t k = pick(p, q->n), r = pick(p, p->n), i = q->kind == WS_QUERY_SAMPLE ? q->ids[k] : k;
    double z;

    if (p->n == 0 || pick(p, 2)) return p->threshold + off[pick(p, 6)];
    z = ws_dot(p->w + r * p->d, x + i * p->d, p->d) + (double)p->b[r];
    return pick(p, 4) ? nextafter(z, -INFINITY) : z;
}

/* Some random queries of each kind, masked or not. */
static int queries_are_right(ws_index *ix, problem *p)
{
    int64_t *ids = zeros(p->s, sizeof *ids), n = shuffle(p, ids);
    float *x = zeros(n * p->d, sizeof *x);
    double *radius = zeros(n, sizeof *radius);
    uint8_t *mask = zeros(p->n, 1);
    ws_samples points = {.n = n, .d = p->d, .x = x};
    ws_query q = {.n = n, .ids = ids, .radius = radius, .x = &points};
    ws_hits hits = {0};
    int right = 1;

    for (int64_t r = 0; r < p->n; r++) mask[r] = draw(p) < 0.6;
    near_points(p, ids, n, x, radius);
    for (int k = 0; k < 6; k++) {
        q.kind = (ws_query_kind[]){WS_QUERY_SAMPLE, WS_QUERY_NEAR, WS_QUERY_ANY}[k % 3];
        q.threshold = some_threshold(p, &q);
        q.mask = pick(p, 3) == 0 ? mask : NULL;
        right &= answer_is_right(ix, p, &q, &hits);
    }
    ws_hits_free(&hits);
    free(ids);
    free(x);
    free(radius);
    free(mask);
    return right;
}

/* ---- moves ---- */

typedef struct step {
    ws_moves v;
    int64_t *row, *first;
    double *norm, *dbias, *z;
    int32_t *pos;
    float *coef, *note;
} step;

static step step_make(const problem *p, int64_t pairs)
{
    step s = {.row = zeros(p->n, 8), .first = zeros(p->n + 1, 8), .norm = zeros(p->n, 8)};

    s.dbias = zeros(p->n, 8);
    s.z = zeros(pairs, sizeof *s.z);
    s.pos = zeros(pairs, sizeof *s.pos);
    s.coef = zeros(pairs, sizeof *s.coef);
    s.note = zeros(pairs, sizeof *s.note);
    s.v = (ws_moves){.row = s.row, .norm = s.norm, .first = s.first, .pos = s.pos};
    s.v.coef = s.coef;
    s.v.z = s.z;
    s.v.note = s.note;
    return s;
}

static void step_free(step *s)
{
    free(s->row);
    free(s->first);
    free(s->norm);
    free(s->dbias);
    free(s->z);
    free(s->pos);
    free(s->coef);
    free(s->note);
}

/* Add delta to row r as an optimiser does, now and then with its bias, and note it. */
static void add_to_row(problem *p, step *s, int64_t r, const double *delta, double size)
{
    int64_t k = s->v.k++;
    float old = p->b[r];

    s->row[k] = r;
    s->norm[k] = sqrt(ws_row_add(p->w + r * p->d, delta, p->d)) * (1 + 1e-12);
    if (!s->v.dbias) return;
    p->b[r] = (float)((double)old + size * bell(p));
    s->dbias[k] = (double)p->b[r] - (double)old;
}

/* Some of the neurons that fire on some samples move by combinations of these. */
static int combine(ws_index *ix, problem *p, double size, int with_z)
{
    int64_t *ids = zeros(p->s, sizeof *ids), n = shuffle(p, ids), pairs = 0;
    double *delta = zeros(p->d, sizeof *delta);
    ws_query q = {.n = n, .ids = ids, .threshold = p->threshold};
    ws_hits h = {0};
    int right = answer_is_right(ix, p, &q, &h);
    step s = step_make(p, h.n);

    s.v.ids = ids;
    if (pick(p, 2)) s.v.dbias = s.dbias;
    if (!with_z) s.v.z = NULL;
    for (int64_t i = 0; i < h.rows; i++) {
        if (draw(p) < 0.3) continue;
        memset(delta, 0, (size_t)p->d * sizeof *delta);
        for (int64_t t = h.first[i]; t < h.first[i + 1]; t++, pairs++) {
            s.pos[pairs] = h.pos[t];
            s.z[pairs] = h.z[t];
            s.note[pairs] = h.note[t];
            s.coef[pairs] = (float)(size * bell(p));
            ws_axpy(delta, s.coef[pairs], p->x + ids[h.pos[t]] * p->d, p->d);
        }
        add_to_row(p, &s, h.row[i], delta, size);
        s.first[s.v.k] = pairs;
    }
    right &= ws_index_update(ix, &s.v) == WS_OK;
    step_free(&s);
    ws_hits_free(&h);
    free(delta);
    free(ids);
    return right;
}

/* Any neurons move anywhere: momentum, decay, Adam. */
static int push(ws_index *ix, problem *p, double size)
{
    double *delta = zeros(p->d, sizeof *delta);
    step s = step_make(p, 0);
    int right;

    s.v.first = NULL;
    if (pick(p, 2)) s.v.dbias = s.dbias;
    for (int64_t r = 0; r < p->n; r++) {
        if (draw(p) < 0.7) continue;
        for (int64_t j = 0; j < p->d; j++) delta[j] = size * bell(p) / sqrt((double)p->d);
        add_to_row(p, &s, r, delta, size);
    }
    right = ws_index_update(ix, &s.v) == WS_OK;
    step_free(&s);
    free(delta);
    return right;
}

/* Rounds of moves, each followed by queries of all kinds. */
static void walk(problem *p, const ws_samples *x, int rounds, double most)
{
    ws_index *ix = build(p, x);
    int right = queries_are_right(ix, p);

    for (int k = 0; k < rounds && right; k++) {
        double size = most * (double[]){0.001, 0.01, 0.1, 1}[pick(p, 4)];

        right &= pick(p, 4) ? combine(ix, p, size, pick(p, 3) > 0) : push(ix, p, size);
        right &= queries_are_right(ix, p);
    }
    assert_all(right);
    ws_index_destroy(&ix);
    assert_null(ix);
}

/* ---- the tests ---- */

void every_query_of_every_shape_gives_the_pairs_and_bits_of_brute_force(void **state)
{
    static const int64_t shape[][3] = {{1, 1, 1},   {2, 1, 9},     {5, 3, 2},
                                       {33, 17, 5}, {100, 20, 70}, {4200, 4, 6}};

    (void)state;
    for (size_t k = 0; k < sizeof shape / sizeof *shape; k++) {
        problem p = problem_make(shape[k][0] + world.rank, shape[k][1], shape[k][2]);

        walk(&p, &p.dense, 2, 0.1);
        problem_free(&p);
    }
}

/* All numbers are small integers, so most pre-activations meet some threshold exactly. */
void ties_duplicates_and_zero_vectors_are_decided_exactly(void **state)
{
    problem p = problem_make(60, 5, 20);
    int64_t ids[20];
    ws_hits hits = {0};
    ws_index *ix;
    int right = 1;

    (void)state;
    for (int64_t k = 0; k < p.s * p.d; k++) p.x[k] = k < p.d ? 0 : (float)(k * k % 5 - 2);
    for (int64_t k = 0; k < p.n * p.d; k++) p.w[k] = k < p.d ? 0 : (float)(k % 7 * k % 5 - 2);
    for (int64_t r = 0; r < p.n; r++) p.b[r] = (float)(r % 3 - 1);
    for (int64_t r = 30; r < p.n; r++) {
        memcpy(p.w + r * p.d, p.w + (r - 30) * p.d, (size_t)p.d * sizeof *p.w);
        p.b[r] = p.b[r - 30];
    }
    for (int64_t i = 0; i < p.s; i++) ids[i] = p.s - 1 - i;
    p.threshold = 3;
    ix = build(&p, &p.dense);
    for (int t = -3; t <= 6; t++) {
        ws_query q = {.n = p.s, .ids = ids, .threshold = t};

        right &= answer_is_right(ix, &p, &q, &hits);
    }
    assert_all(right);
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
    problem_free(&p);
}

void sparse_samples_answer_as_dense_ones(void **state)
{
    problem p = problem_make(50, 19, 24);

    (void)state;
    walk(&p, &p.sparse, 8, 0.1);
    problem_free(&p);
}

void any_sequence_of_moves_and_queries_stays_exact(void **state)
{
    problem p = problem_make(40 + 7 * world.rank, 12, 25);

    (void)state;
    walk(&p, &p.dense, 60, 0.1);
    problem_free(&p);
}

void large_rates_and_long_rows_stay_exact(void **state)
{
    problem p = problem_make(20, 300, 16);

    (void)state;
    for (int64_t k = 0; k < p.s * p.d; k++) p.x[k] *= 1.5f;
    walk(&p, &p.dense, 25, 300);
    problem_free(&p);
}

/* Products overflow or vanish in float32; infinities and NaN among the weights. */
void numbers_beyond_float_range_are_decided_by_the_exact_product(void **state)
{
    static const float wild[] = {1e30f, -1e30f, 3e38f, 1e-30f, INFINITY, -INFINITY, NAN};
    problem p = problem_make(42, 6, 12);

    (void)state;
    for (int64_t j = 0; j < 2 * p.d; j++) p.x[j] *= 1e15f;
    for (int64_t j = 2 * p.d; j < 4 * p.d; j++) p.x[j] *= 1e-20f;
    for (int64_t r = 0; r < p.n; r += 2)
        for (int64_t j = 0; j < p.d; j++) p.w[r * p.d + j] *= wild[r / 2 % 7];
    if (p.n > 0) p.b[1] = INFINITY;
    if (p.n > 0) p.b[3] = NAN;
    for (int k = 0; k < 2; k++) {
        walk(&p, &p.dense, 0, 0);
        p.threshold = 0;
    }
    problem_free(&p);
}

void counters_cover_what_was_done(void **state)
{
    problem p = problem_make(80, 10, 30);
    ws_index *ix = build(&p, &p.dense);
    ws_index_counts before, after = ws_index_count(ix);
    int64_t ids[] = {4, 2, 9, 0, 7, 11};
    ws_query q = {.n = 6, .ids = ids, .threshold = p.threshold};
    ws_hits hits = {0};

    (void)state;
    for (int k = 0; k < 3; k++) {
        before = after;
        assert_true(answer_is_right(ix, &p, &q, &hits));
        after = ws_index_count(ix);
        assert_true(after.candidates - before.candidates >= hits.n);
        assert_true(after.inner_products - before.inner_products >= hits.n);
        assert_true(after.candidates - before.candidates <= p.n * q.n);
        assert_true(after.node_visits >= before.node_visits);
    }
    assert_true(after.bytes >= 0);
    assert_true(after.bytes <= ws_alloc_bytes());
    assert_string_equal(ws_index_kind(ix), kind);
    assert_true(ws_index_is_exact(ix));
    assert_all(ws_index_build(ix, &p.shard, &p.dense, p.threshold) == WS_OK);
    assert_int_equal(ws_index_count(ix).candidates, 0);
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
    problem_free(&p);
}

void a_repeated_query_allocates_nothing(void **state)
{
    problem p = problem_make(300, 10, 30);
    ws_index *ix = build(&p, &p.dense);
    int64_t ids[30], calls = 0;
    ws_query q = {.n = 30, .ids = ids, .threshold = p.threshold};
    ws_hits hits = {0};

    (void)state;
    for (int64_t i = 0; i < 30; i++) ids[i] = i;
    for (int k = 0; k < 3; k++) {
        assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
        if (k == 1) calls = ws_alloc_calls();
    }
    assert_int_equal(ws_alloc_calls(), calls);
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
    problem_free(&p);
}

/* A life of an index: 1 if it went through, 0 if memory ran out; anything else fails the test. */
static int live(problem *p)
{
    ws_index *ix = NULL;
    ws_hits hits = {0};
    int64_t ids[] = {3, 1, 8, 5, 6, 0}, row[] = {0, 2};
    double norm[] = {0, 0};
    ws_samples points = {.n = 6, .d = p->d, .x = p->x};
    ws_query q = {.n = 6, .ids = ids, .x = &points, .threshold = p->threshold};
    ws_moves moves = {.k = p->n > 2 ? 2 : 0, .row = row, .norm = norm};
    ws_err err = ws_index_create(&world, kind, NULL, &ix);

    if (!err) err = ws_index_build(ix, &p->shard, &p->dense, p->threshold);
    assert_all(err == WS_OK || err == WS_ERR_NOMEM);
    assert_all(all_true(err == WS_OK) == (err == WS_OK)); /* the ranks agree */
    if (!err) err = ws_index_query(ix, &q, &hits);
    if (!err) err = ws_index_update(ix, &moves);
    q.kind = WS_QUERY_ANY;
    if (!err) err = ws_index_query(ix, &q, &hits);
    assert_all(err == WS_OK || err == WS_ERR_NOMEM);
    if (err) assert_true(hits.n == 0 || hits.n <= hits.capacity);
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
    return err == WS_OK;
}

void an_allocation_that_fails_anywhere_is_an_error_and_no_more(void **state)
{
    problem p = problem_make(60, 8, 12);
    int64_t held = ws_alloc_bytes();
    int last = world.rank == world.size - 1, through = 0, k;

    (void)state;
    for (k = 1; k < 400 && !through; k++) {
        if (last) ws_alloc_fail_at(k);
        through = all_true(live(&p));
        ws_alloc_fail_at(0);
        assert_all(ws_alloc_bytes() == held);
    }
    assert_all(k > 3 && through);
    assert_all(live(&p));
    problem_free(&p);
}

void a_build_that_fails_on_one_rank_fails_on_all(void **state)
{
    problem p = problem_make(30, 8, 12);
    int last = world.rank == world.size - 1;
    ws_err differ = world.size > 1 ? WS_ERR_MISMATCH : WS_OK;
    ws_shard bad = p.shard;
    ws_samples fewer = p.dense;
    ws_hits hits = {0};
    ws_index *ix = build(&p, &p.dense);
    ws_query q = {0};

    (void)state;
    if (last) bad.n = -1;
    assert_all(ws_index_build(ix, &bad, &p.dense, 1) == WS_ERR_SHAPE);
    assert_string_equal(ws_err_text(), "index build: -1 neurons of length 8 are no shard");
    assert_all(ws_index_query(ix, &q, &hits) == WS_ERR_SHAPE);
    fewer.n -= last;
    assert_all(ws_index_build(ix, &p.shard, &fewer, 1) == differ);
    assert_all(ws_index_build(ix, &p.shard, &p.dense, p.threshold) == WS_OK);
    assert_all(queries_are_right(ix, &p));
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
    problem_free(&p);
}
