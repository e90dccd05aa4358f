/* A network is the same numbers on any number of ranks; coupled pairs cancel exactly. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/blocks.h"
#include "wingspan/core/random.h"
#include "wingspan/model/net.h"

enum { M = 37, D = 5, C = 3, S = 6 };

static float x[S * D];
static ws_samples samples = {.n = S, .d = D, .x = x};

static ws_net_spec spec_of(const char *activation, ws_init init)
{
    return (ws_net_spec){.m = M,
                         .d = D,
                         .c = C,
                         .phi = ws_activation_find(activation),
                         .threshold = 0.3,
                         .scale = 0.7,
                         .init_scale = 1,
                         .x_scale = 4,
                         .init = init,
                         .seed = 11,
                         .train_output = 1};
}

static int setup(void **state)
{
    ws_key key = {1, WS_STREAM_TEST, 0};

    (void)state;
    ws_random_normal(&key, 0, S * D, 1, x);
    return 0;
}

/* Outputs of all samples on the ranks of comm. */
static void outputs(const ws_comm *comm, const ws_net_spec *spec, double out[S * C])
{
    ws_net *net;
    ws_index *ix;
    ws_hits hits = {0};
    ws_meeting meet = {0};
    ws_query q = {.kind = WS_QUERY_ANY, .n = S, .x = &samples, .threshold = spec->threshold};
    ws_shard shard;

    assert_int_equal(ws_net_create(comm, spec, &net), WS_OK);
    shard = ws_net_shard(net);
    assert_int_equal(ws_index_create(comm, spec->phi->smooth ? "all" : "scan", NULL, &ix), WS_OK);
    assert_int_equal(ws_index_build(ix, &shard, &samples, spec->threshold), WS_OK);
    assert_int_equal(ws_index_query(ix, &q, &hits), WS_OK);
    assert_int_equal(ws_meeting_open(&meet, S * C, 0), WS_OK);
    assert_int_equal(ws_net_forward(net, &hits, S, meet.hi, meet.lo), WS_OK);
    assert_int_equal(ws_meeting_hold(&meet, comm, WS_OK, S * C, 0), WS_OK);
    ws_net_outputs(net, meet.hi, meet.lo, S * C, out);
    ws_meeting_free(&meet);
    ws_hits_free(&hits);
    ws_index_destroy(&ix);
    ws_net_destroy(&net);
}

static void outputs_have_the_same_bits_on_any_number_of_ranks(void **state)
{
    static const char *const kinds[] = {"relu", "quadratic", "softplus", "tanh"};
    ws_comm self;

    (void)state;
    ws_comm_create(MPI_COMM_SELF, &self);
    for (int k = 0; k < 8; k++) {
        ws_net_spec spec = spec_of(kinds[k % 4], k < 4 ? WS_INIT_GAUSSIAN : WS_INIT_STRUCTURED);
        double all[S * C], alone[S * C];
        outputs(&world, &spec, all);
        outputs(&self, &spec, alone);
        assert_all(memcmp(all, alone, sizeof all) == 0);
        assert_all(fabs(all[0]) > 1e-6);
    }
    ws_comm_destroy(&self);
}

static void coupled_pairs_give_exactly_zero_for_every_sample(void **state)
{
    static const char *const kinds[] = {"relu", "quadratic", "softplus", "tanh"};

    (void)state;
    for (int k = 0; k < 8; k++) {
        ws_net_spec spec =
            spec_of(kinds[k % 4], k < 4 ? WS_INIT_COUPLED : WS_INIT_STRUCTURED_COUPLED);
        double out[S * C];
        outputs(&world, &spec, out);
        for (int i = 0; i < S * C; i++) assert_true(out[i] == 0);
    }
}

/* Blocks have 4 rows, or 8 neurons: shards end inside of them. */
static void a_shard_is_what_its_global_ids_say(void **state)
{
    (void)state;
    for (int init = 0; init < WS_INITS; init++) {
        ws_net_spec spec = spec_of("relu", (ws_init)init);
        ws_net *net;

        assert_all(ws_net_create(&world, &spec, &net) == WS_OK);
        for (int64_t i = 0; i < net->n; i++) {
            float w[D], b, a[C];
            ws_net_start(&spec, net->first + i, w, &b, a);
            assert_memory_equal(w, net->w + i * D, sizeof w);
            assert_memory_equal(a, net->a + i * C, sizeof a);
            for (int c = 0; c < C; c++)
                assert_true(fabsf(a[c]) == 1 || (ws_init_is_coupled(spec.init) &&
                                                 net->first + i == M - 1 && a[c] == 0));
        }
        ws_net_destroy(&net);
    }
}

static void rows_of_a_structured_start_are_rows_of_blocks(void **state)
{
    ws_blocks b = ws_blocks_of(11, D, 1.5);
    float w[D], want[D], many[M * D];

    (void)state;
    for (int coupled = 0; coupled < 2; coupled++) {
        ws_net_spec spec =
            spec_of("relu", coupled ? WS_INIT_STRUCTURED_COUPLED : WS_INIT_STRUCTURED);

        spec.init_scale = 1.5;
        assert_int_equal(ws_init_find(coupled ? "structured-coupled" : "structured"), spec.init);
        assert_true(ws_init_is_structured(spec.init));
        for (int64_t r = 0; r < M; r++) {
            ws_net_start(&spec, r, w, NULL, NULL);
            ws_blocks_rows(&b, coupled ? r / 2 : r, 1, want, D);
            assert_memory_equal(w, want, sizeof w);
            for (int64_t n = 0; n <= M - r; n += 5) {
                ws_net_start_rows(&spec, r, n, many);
                if (n > 0) assert_memory_equal(many, want, sizeof w);
            }
        }
    }
    assert_int_equal(ws_init_find("structure"), -1);
}

static void signs_are_fair_and_differ_between_outputs(void **state)
{
    ws_net_spec spec = spec_of("relu", WS_INIT_GAUSSIAN);
    double sum[C] = {0}, both = 0;

    (void)state;
    for (int64_t r = 0; r < 20000; r++) {
        float a[C];
        ws_net_start(&spec, r, NULL, NULL, a);
        for (int c = 0; c < C; c++) sum[c] += (double)a[c];
        both += (double)(a[0] * a[1]);
    }
    for (int c = 0; c < C; c++) assert_true(fabs(sum[c]) < 600);
    assert_true(fabs(both) < 600);
}

static void an_activation_beyond_the_limit_ends_the_run(void **state)
{
    ws_net_spec spec = spec_of("relu", WS_INIT_GAUSSIAN);
    int64_t row = 0, first[2] = {0, 1}, hi[C], lo[C];
    int32_t pos = 0;
    double z = 1e30;
    ws_hits hits = {.rows = 1, .n = 1, .row = &row, .first = first, .pos = &pos, .z = &z};
    ws_net *net;

    (void)state;
    assert_all(ws_net_create(&world, &spec, &net) == WS_OK);
    if (net->n > 0) {
        assert_int_equal(ws_net_forward(net, &hits, 1, hi, lo), WS_ERR_DIVERGED);
        assert_non_null(strstr(ws_err_text(), "--rate"));
    }
    ws_net_destroy(&net);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(outputs_have_the_same_bits_on_any_number_of_ranks, setup),
    cmocka_unit_test(coupled_pairs_give_exactly_zero_for_every_sample),
    cmocka_unit_test(a_shard_is_what_its_global_ids_say),
    cmocka_unit_test(rows_of_a_structured_start_are_rows_of_blocks),
    cmocka_unit_test(signs_are_fair_and_differ_between_outputs),
    cmocka_unit_test(an_activation_beyond_the_limit_ends_the_run),
};

WS_TEST_MAIN(tests)
