/* Which kind "auto" is: by the estimates, and by time where they are close. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/random.h"
#include "wingspan/index/index.h"

enum { N = 500, D = 9, S = 70 };

static float w[N * D], before[N * D], b[N], x[S * D];
static char reason[200];

static ws_index_plan plan_of(int64_t d, int64_t registered, int64_t batch, double threshold)
{
    ws_index_plan p = {.n = 65536, .d = d, .registered = registered, .batch = batch};

    p.threshold = threshold;
    p.spread = 1;
    p.active = erfc(threshold / sqrt(2)) / 2;
    p.memory = 8e9;
    return p;
}

static void the_choice_follows_activation_sparsity_and_memory(void **state)
{
    ws_index_plan p = plan_of(784, 10000, 128, 3);

    (void)state;
    assert_string_equal(ws_index_choose(&p, reason), "certified");
    assert_non_null(strstr(reason, "% of the pairs"));
    p.memory = 1e3;
    assert_string_equal(ws_index_choose(&p, reason), "scan");
    assert_non_null(strstr(reason, "fits"));
    p = plan_of(16, 10000, 128, 0);
    assert_string_equal(ws_index_choose(&p, reason), "scan");
    p = plan_of(784, 0, 128, 3); /* nothing registered */
    assert_string_equal(ws_index_choose(&p, reason), "scan");
    p.smooth = 1;
    assert_string_equal(ws_index_choose(&p, reason), "all");
}

static void candidates_are_there_exact_and_in_order_of_cost(void **state)
{
    ws_index_plan p = plan_of(784, 64, 64, 2.5);
    ws_candidate list[WS_INDEX_CANDIDATES];
    int n = ws_index_candidates(&p, list), scan = 0;

    (void)state;
    assert_true(n >= 3);
    for (int k = 0; k < n; k++) {
        ws_index *ix = NULL;

        assert_all(ws_index_create(&world, list[k].kind, NULL, &ix) == WS_OK);
        assert_true(ws_index_is_exact(ix));
        ws_index_destroy(&ix);
        assert_true(list[k].cost > 0 && (k == 0 || list[k].cost >= list[k - 1].cost));
        scan += strcmp(list[k].kind, "scan") == 0;
    }
    assert_int_equal(scan, 1);
    p.memory = 0;
    assert_int_equal(ws_index_candidates(&p, list), 1);
}

/* What is best at any x follows the columns, among the kinds that there are. */
static void any_x_is_answered_by_a_kind_that_is_there(void **state)
{
    ws_index_plan low = plan_of(6, 0, 64, 2.5), high = plan_of(784, 0, 64, 2.5);
    ws_index_plan dense = plan_of(6, 0, 64, 0);

    (void)state;
    assert_string_equal(ws_index_choose_any(&low, reason),
                        ws_index_bytes("halfspace", &low) >= 0 ? "halfspace" : "scan");
    assert_string_equal(ws_index_choose_any(&high, reason),
                        ws_index_bytes("quantized", &high) >= 0 ? "quantized" : "scan");
    assert_string_equal(ws_index_choose_any(&dense, reason), "scan");
    high.memory = 0;
    assert_string_equal(ws_index_choose_any(&high, reason), "scan");
    dense.smooth = 1;
    assert_string_equal(ws_index_choose_any(&dense, reason), "all");
}

/* ---- by time ---- */

static ws_err try(ws_index_plan *p, const char **kind)
{
    static const ws_key key = {17, WS_STREAM_TEST, 0};
    const ws_shard shard = {world.rank == 0 && world.size > 1 ? 0 : N, p->d, w, b};
    const ws_samples samples = {.n = S, .d = D, .x = x};
    ws_err err;

    for (uint64_t r = 0; r < N; r++) ws_random_normal(&key, r, D, 1, w + r * D);
    for (uint64_t i = 0; i < S; i++) ws_random_normal(&key, N + i, D, 1.0 / 3, x + i * D);
    memcpy(before, w, sizeof w);
    *kind = ws_index_choose(p, reason);
    err = ws_index_trial(&world, &shard, &samples, p, kind, reason);
    assert_memory_equal(w, before, sizeof w);
    return err;
}

/* Milliseconds that the reason gives for a kind; huge if it names it not. */
static double told(const char *kind)
{
    const char *at = strstr(reason, kind);
    double ms = 1e300;

    if (at) assert_int_equal(sscanf(at + strlen(kind), " %lf ms", &ms), 1);
    return ms;
}

static void a_long_close_run_is_decided_by_time_alike_on_all_ranks(void **state)
{
    ws_index_plan p = plan_of(D, S, 40, 1.2);
    char first[32] = "";
    const char *kind;

    (void)state;
    p.steps = 1000000000;
    assert_true(ws_index_close(&p) >= 2);
    assert_all(try(&p, &kind) == WS_OK);
    assert_non_null(strstr(reason, " ms a step: measured on "));
    for (const char *const *k = ws_index_kinds(); *k; k++) assert_true(told(kind) <= told(*k));
    assert_true(told(kind) < 1e300);
    snprintf(first, sizeof first, "%.30s", kind);
    MPI_Bcast(first, sizeof first, MPI_CHAR, 0, world.mpi);
    assert_string_equal(first, kind);
}

static void a_short_run_is_not_worth_a_trial(void **state)
{
    ws_index_plan p = plan_of(D, S, 40, 1.2);
    const char *kind;

    (void)state;
    p.steps = 3;
    assert_true(ws_index_close(&p) < 2);
    assert_all(try(&p, &kind) == WS_OK);
    assert_string_equal(kind, ws_index_choose(&p, reason));
    assert_null(strstr(reason, "measured"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_choice_follows_activation_sparsity_and_memory),
    cmocka_unit_test(candidates_are_there_exact_and_in_order_of_cost),
    cmocka_unit_test(any_x_is_answered_by_a_kind_that_is_there),
    cmocka_unit_test(a_long_close_run_is_decided_by_time_alike_on_all_ranks),
    cmocka_unit_test(a_short_run_is_not_worth_a_trial),
};

WS_TEST_MAIN(tests)
