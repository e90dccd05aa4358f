/* Certified: the bounds hold for every pair after any moves and are tight, points are bounded by
 * their own radius, relisting keeps the lists small, the slack follows the displacement. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "certified.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

enum { N = 150, D = 70, S = 400, MAIN = 5 }; /* neurons, length, samples, directions of most */

static float w[N * D], listed[N * D], b[N], x[S * D];
static const ws_shard shard = {N, D, w, b};
static ws_samples samples = {.n = S, .d = D, .x = x};
static uint8_t byte[S * D];
static double level[D];
static float scale[S];
static const double threshold = 2;
static int64_t ids[S];
static ws_hits hits;
static uint32_t draws;

static double draw(void)
{
    const ws_key key = {11, WS_STREAM_TEST, 0};

    return ws_random_uniform(&key, 0, draws++);
}

static double bell(void)
{
    return draw() + draw() + draw() + draw() - draw() - draw() - draw() - draw();
}

/* Unit samples that lie near a few directions, as data do. */
static int setup(void **state)
{
    double main[MAIN][D], norm;

    draws = 0;
    for (int k = 0; k < MAIN * D; k++) main[k / D][k % D] = bell();
    for (int i = 0; i < S; i++) {
        double v[D];
        ids[i] = i;
        for (int j = 0; j < D; j++) v[j] = 0.3 * bell();
        for (int k = 0; k < MAIN; k++) {
            double c = bell();
            for (int j = 0; j < D; j++) v[j] += c * main[k][j];
        }
        norm = 0;
        for (int j = 0; j < D; j++) norm += v[j] * v[j];
        for (int j = 0; j < D; j++) x[i * D + j] = (float)(v[j] / sqrt(norm));
    }
    for (int k = 0; k < N * D; k++) w[k] = (float)(1.2 * bell());
    for (int r = 0; r < N; r++) b[r] = (float)(0.1 * bell());
    memcpy(listed, w, sizeof w);
    return ws_index_create(&world, "certified", NULL, (ws_index **)state) ||
           ws_index_build(*state, &shard, &samples, threshold);
}

/* The same samples in steps of their own, as bytes. */
static int setup_packed(void **state)
{
    int err = setup(state);

    for (int j = 0; j < D; j++) level[j] = WS_PACKED_ZERO + 100 + j + 0.25;
    for (int i = 0; i < S; i++) {
        scale[i] = 0.006f + 0.00001f * (float)(i % 7);
        for (int j = 0; j < D; j++) {
            double at = (double)x[i * D + j] / (double)scale[i] + level[j] - WS_PACKED_ZERO;

            byte[i * D + j] = (uint8_t)fmin(fmax(rint(at), 0), 255);
        }
    }
    samples.packed = (ws_packed){byte, level, scale, NULL};
    for (int i = 0; i < S; i++)
        for (int j = 0; j < D; j++)
            x[i * D + j] = (float)(ws_packed_apart(&samples.packed, D, i, j) * (double)scale[i]);
    return err || ws_index_build(*state, &shard, &samples, threshold);
}

static int teardown(void **state)
{
    samples.packed = (ws_packed){0};
    ws_index_destroy((ws_index **)state);
    ws_hits_free(&hits);
    return *state != NULL;
}

static void ask(ws_index *ix)
{
    ws_query q = {.n = S, .ids = ids, .threshold = threshold};

    assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
}

/* What scan would say, for points x. */
static int is_scan(const ws_query *q, const float *points)
{
    int64_t at = 0;

    for (int64_t r = 0; r < N; r++)
        for (int64_t k = 0; k < q->n; k++) {
            double z = ws_dot(w + r * D, points + k * D, D) + (double)b[r];
            if (!(z > q->threshold)) continue;
            if (at >= hits.n || hits.pos[at] != k || hits.z[at] != z) return 0;
            at++;
        }
    return at == hits.n;
}

/* Every neuron that fires moves by a combination of its samples: all one way (towards a sample
 * that need not fire it), or any way. */
static void step(ws_index *ix, double size)
{
    static float coef[N * S];
    static double norm[N];
    double delta[D];
    int64_t towards = (int64_t)(draw() * S);
    int straight = draw() < 0.5;

    ask(ix);
    for (int64_t i = 0; i < hits.rows; i++) {
        memset(delta, 0, sizeof delta);
        for (int64_t p = hits.first[i]; p < hits.first[i + 1]; p++) {
            double way = straight ? ws_dot(x + hits.pos[p] * D, x + towards * D, D) : bell();
            coef[p] = (float)(size * way);
            ws_axpy_sample(delta, coef[p], &samples, hits.pos[p]);
        }
        norm[i] = sqrt(ws_row_add(w + hits.row[i] * D, delta, D)) * (1 + 1e-12);
    }
    assert_int_equal(ws_index_update(ix, &(ws_moves){.k = hits.rows,
                                                     .row = hits.row,
                                                     .norm = norm,
                                                     .first = hits.first,
                                                     .pos = hits.pos,
                                                     .ids = ids,
                                                     .coef = coef,
                                                     .z = hits.z,
                                                     .note = hits.note}),
                     WS_OK);
}

/* Neurons from .. to - 1 move by one vector of this length, which is no combination. */
static void push(ws_index *ix, int64_t from, int64_t to, double length)
{
    int64_t row[N];
    double norm[N], delta[D] = {0};

    delta[from % D] = length;
    for (int64_t r = from; r < to; r++) {
        row[r - from] = r;
        norm[r - from] = sqrt(ws_row_add(w + r * D, delta, D)) * (1 + 1e-12);
    }
    assert_int_equal(ws_index_update(ix, &(ws_moves){.k = to - from, .row = row, .norm = norm}),
                     WS_OK);
}

static double product(const float *row, int64_t i)
{
    double z;

    ws_dot_many(row, &samples, &i, 1, &z);
    return z;
}

static void both_bounds_hold_for_every_pair_and_the_second_is_tighter(void **state)
{
    const ws_certified *c = *state;
    double first = 0, second = 0;
    int64_t n = 0;

    assert_true(c->sketch.on);
    for (int k = 0; k < 40; k++) {
        step(*state, (double[]){0.003, 0.02, 0.1}[k % 3]);
        for (int64_t r = 0; r < N; r++) {
            const ws_row *v = &c->row[r];

            if (v->moved2 == 0) memcpy(listed + r * D, w + r * D, D * sizeof *w);
            for (int64_t i = 0; i < S; i++) {
                double then = product(listed + r * D, i);
                double now = product(w + r * D, i) + (double)b[r];
                double t = ws_dot(c->t + r * WS_SKETCH, c->sketch.s + i * WS_SKETCH, WS_SKETCH);
                double rest = (double)v->residue * (double)c->sketch.q[i];
                double sketch = t + rest + (double)v->rest, fixed = 0;

                for (int64_t j = 0; j < WS_SKETCH; j++)
                    fixed += c->t_fixed[r * WS_SKETCH + j] * c->sketch.fixed[i * WS_SKETCH + j];
                fixed = fixed * (double)v->unit + rest + (double)v->offset;
                assert_true(now <= then + (double)v->reach);
                assert_true(now <= then + sketch);
                assert_true(now <= then + fixed && sketch <= fixed);
                assert_true(ws_index_moved(&c->base, r) == sqrt(v->moved2));
                if (v->moved2 < 0.01 || isinf(v->cut)) continue;
                first += then + (double)v->reach - now;
                second += then + fixed - now;
                n++;
            }
        }
    }
    assert_true(n > 1000 && second < 0.6 * first);
}

static void sets_stay_those_of_scan_while_neurons_outgrow_their_lists(void **state)
{
    ws_query q = {.n = S, .ids = ids, .threshold = threshold};
    const ws_certified *c = *state;
    int64_t outgrown = 0, before, fired = 0, computed = 0;

    for (int k = 0; k < 60; k++) {
        step(*state, 0.05);
        before = ws_index_count(*state).candidates;
        ask(*state);
        assert_true(is_scan(&q, x));
        computed += ws_index_count(*state).candidates - before;
        fired += hits.n;
        for (int64_t r = 0; r < N; r++)
            outgrown += (double)c->row[r].cut + (double)c->row[r].reach > threshold;
    }
    /* Evaluating an outgrown neuron on the whole batch would cost far more. */
    assert_true(outgrown > 100);
    assert_true(computed < 2 * fired);
}

static void points_are_bounded_by_their_own_radius(void **state)
{
    static float points[20 * D];
    double radius[20];
    ws_samples near = {.n = 20, .d = D, .x = points};
    ws_query q = {WS_QUERY_NEAR, 20, ids, &near, radius, threshold, NULL, NULL};
    int64_t before;

    for (int k = 0; k < 10; k++) {
        for (int i = 0; i < 20; i++) {
            double size = i == 7 ? 3 : 0.02, sum = 0;
            for (int j = 0; j < D; j++) {
                float to = (float)((double)x[i * D + j] + size * bell() / sqrt((double)D));
                sum += pow((double)to - (double)x[i * D + j], 2);
                points[i * D + j] = to;
            }
            radius[i] = sqrt(sum) * (1 + 1e-12);
        }
        step(*state, 0.02);
        before = ws_index_count(*state).candidates;
        assert_int_equal(ws_index_query(*state, &q, &hits), WS_OK);
        assert_true(is_scan(&q, points));
        /* The far point needs every neuron; the others must not pay for it. */
        assert_true(ws_index_count(*state).candidates - before < N + 19 * N / 3);
    }
}

static void relisting_leaves_few_segments_and_few_stale_entries(void **state)
{
    ws_certified *c = *state;
    int64_t held = 0, live = 0, count = 0;
    ws_query q = {.n = S, .ids = ids, .threshold = threshold};

    for (int k = 0; k < 150; k++) {
        int64_t from = (int64_t)(draw() * (N / 2)), row[7];

        push(*state, from, from + 7, bell() / 4);
        for (int i = 0; i < 7; i++) row[i] = from + i;
        assert_int_equal(ws_certified_tidy(c), WS_OK);
        assert_int_equal(ws_certified_list(c, row, 7), WS_OK);
        ask(*state);
        assert_true(is_scan(&q, x));
    }
    for (int64_t k = 0; k < c->segments; k++) {
        held += c->segment[k].n;
        live += c->segment[k].live;
        count += c->segment[k].rows > 0;
    }
    assert_true(count < 20 && c->segments < 20);
    assert_true((double)held < 1.3 * (double)live + 100);
}

static void the_slack_follows_how_far_a_neuron_has_moved(void **state)
{
    const ws_certified *c = *state;
    float far, little, start = c->upkeep[0].rho;

    push(*state, 0, 40, 1.8 * (double)start);
    push(*state, 40, 80, 1.05 * (double)start);
    for (int k = 0; k < 20 && ws_index_count(*state).relisted == 0; k++) {
        ask(*state); /* whole batches are computed until a listing would have been cheaper */
        push(*state, 80, 81, 0);
    }
    assert_true(ws_index_count(*state).relisted >= 64);
    far = c->upkeep[3].rho;
    little = c->upkeep[43].rho;
    assert_true(fabsf(little - 1.25f * start) < 1e-5f);
    assert_true(far > 1.7f * start && far <= 2 * start);
    assert_true(c->row[3].moved2 == 0 && c->upkeep[90].rho == start);
}

/* Filter and sketch on each path: the same sets, where no value is within rounding of the bar. */
static void every_path_lets_the_same_pass(void **state)
{
    static const char *const paths[] = {"portable", "avx512"};
    ws_certified *c = *state;
    static int32_t far[2][S + 16];
    static uint32_t pass[2][N + 16];
    int64_t n[2] = {0}, m[2] = {0};

    step(*state, 0.1);
    ask(*state);                                      /* sets c->batch */
    for (uint32_t e = 0; e < c->segment[0].n; e += 3) /* some entries just meet the bar */
        c->segment[0].bar[c->segment[0].entry[e] >> WS_Z_BITS] =
            (int32_t)(c->segment[0].entry[e] & WS_Z_MASK);
    for (int64_t i = 0; i < S; i++) {
        const ws_segment *s = &c->segment[0];

        for (int k = 0; k < 2; k++) {
            if (!ws_simd_select(paths[k])) return;
            n[k] = ws_certified_simd()->filter(s->entry + s->first[i],
                                               s->first[i + 1] - s->first[i], s->bar, pass[k]);
            m[k] = ws_certified_simd()->outside(&c->batch, &c->row[i % N],
                                                c->t_fixed + i % N * WS_SKETCH, 0, far[k]);
        }
        assert_true(n[0] == n[1] && m[0] == m[1]);
        assert_memory_equal(pass[0], pass[1], (size_t)n[0] * sizeof **pass);
        assert_memory_equal(far[0], far[1], (size_t)m[0] * sizeof **far);
    }
}

/* A row's candidates on each path: the same are left, in order, with z as listed. */
static void every_path_screens_alike(void **state)
{
    static const char *const paths[] = {"portable", "avx512"};
    ws_certified *c = *state;
    ws_listed at[S + 4 + WS_SOON] = {{0}};
    static int32_t pos[2][S + 16];
    static float z[2][S + 16];
    int64_t n[2], asked = 0, left = 0;

    step(*state, 0.1);
    ask(*state); /* sets c->batch */
    for (int64_t r = 0; r < N; r++) {
        const ws_row *v = &c->row[r];
        int64_t count = 1 + r % 40;

        for (int64_t i = 0; i < count; i++)
            at[i] = (ws_listed){
                (uint32_t)(draw() * (threshold + 0.2 - (double)v->cut) / (double)v->step),
                (int32_t)(i * S / count)};
        for (int k = 0; k < 2; k++) {
            if (!ws_simd_select(paths[k])) return;
            n[k] = ws_certified_simd()->screen(&c->batch, v, c->t_fixed + r * WS_SKETCH, 0, at,
                                               count, pos[k], z[k]);
        }
        asked += count;
        left += n[0];
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(pos[0], pos[1], (size_t)n[0] * sizeof **pos);
        for (int64_t i = 0, j = 0; i < n[0]; i++, j++) {
            while (at[j].pos != pos[0][i]) j++;
            for (int k = 0; k < 2; k++)
                assert_true(fabs((double)z[k][i] - (double)v->cut -
                                 ((double)at[j].q + 0.5) * (double)v->step) < 1e-5);
        }
    }
    assert_true(left > asked / 10 && left < asked * 9 / 10);
}

/* Samples that fill more than a block are answered block by block. */
static void many_samples_are_answered_as_scan_does(void **state)
{
    enum { ROWS = 30, WIDE = 1000, MANY = 5000 };
    float *v, *points, zero[ROWS] = {0};
    int64_t *all, missed = 0;
    ws_index *ix[2] = {NULL, NULL};
    ws_hits got[2] = {{0}, {0}};
    ws_difference off;

    (void)state;
    assert_int_equal(ws_alloc(&v, ROWS * WIDE, sizeof *v, "test"), WS_OK);
    assert_int_equal(ws_alloc(&points, MANY * WIDE, sizeof *points, "test"), WS_OK);
    assert_int_equal(ws_alloc(&all, MANY, sizeof *all, "test"), WS_OK);
    for (int64_t k = 0; k < MANY * WIDE; k++) points[k] = (float)(draw() - 0.5) / 9;
    for (int64_t k = 0; k < ROWS * WIDE; k++) v[k] = (float)bell();
    for (int64_t i = 0; i < MANY; i++) all[i] = MANY - 1 - i;
    for (int k = 0; k < 2; k++) {
        ws_shard rows = {ROWS, WIDE, v, zero};
        ws_samples block = {.n = MANY, .d = WIDE, .x = points};
        ws_query q = {.n = MANY, .ids = all, .threshold = 1};

        assert_int_equal(ws_index_create(&world, k ? "certified" : "scan", NULL, &ix[k]), WS_OK);
        assert_int_equal(ws_index_build(ix[k], &rows, &block, 1), WS_OK);
        assert_int_equal(ws_index_query(ix[k], &q, &got[k]), WS_OK);
    }
    ws_hits_compare(&got[1], &got[0], &off);
    missed = off.missed + off.extra + off.changed;
    assert_true(got[0].rows == ROWS && got[0].n > ROWS * 100 && missed == 0);
    for (int k = 0; k < 2; k++) {
        ws_hits_free(&got[k]);
        ws_index_destroy(&ix[k]);
    }
    ws_free(&v);
    ws_free(&points);
    ws_free(&all);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    FRESH(both_bounds_hold_for_every_pair_and_the_second_is_tighter),
    cmocka_unit_test_setup_teardown(both_bounds_hold_for_every_pair_and_the_second_is_tighter,
                                    setup_packed, teardown),
    FRESH(sets_stay_those_of_scan_while_neurons_outgrow_their_lists),
    FRESH(points_are_bounded_by_their_own_radius),
    FRESH(relisting_leaves_few_segments_and_few_stale_entries),
    FRESH(the_slack_follows_how_far_a_neuron_has_moved),
    FRESH(every_path_lets_the_same_pass),
    FRESH(every_path_screens_alike),
    cmocka_unit_test(many_samples_are_answered_as_scan_does),
};

WS_TEST_MAIN(tests)
