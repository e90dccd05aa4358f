/* Conjugate gradients with every preconditioner: few iterations at 8 n rows, and no more for a wider
 * network. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "newton_impl.h"
#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"

enum { N = 48, D = 32, WIDEST = 65536 };

static float x[N * D];
static const ws_samples samples = {.n = N, .d = D, .x = x};

static int setup(void **state)
{
    ws_key key = {4, WS_STREAM_TEST, 0};

    (void)state;
    for (int i = 0; i < N; i++) {
        float *row = x + i * D;
        ws_random_normal(&key, (uint64_t)i, D, 1, row);
        /* Near-duplicates: a condition that plain iterations feel. */
        for (int j = 0; j < D && i % 2; j++) row[j] = (row - D)[j] + 0.01F * row[j];
        double norm = sqrt(ws_norm2(row, D));
        for (int j = 0; j < D; j++) row[j] = (float)((double)row[j] / norm);
    }
    return 0;
}

/* Iterations to 1e-8 of one system. */
static int iterations(const char *kind, int64_t m, uint64_t seed)
{
    ws_net_spec spec = {.m = m,
                        .d = D,
                        .c = 1,
                        .phi = ws_activation_find("relu"),
                        .threshold = 0.5,
                        .scale = 1 / sqrt((double)m),
                        .init_scale = 1,
                        .x_scale = 1,
                        .seed = 5};
    ws_optim_spec os = {.name = "gauss-newton"};
    ws_newton_spec ns = {N, 0, 1e-8, 500, WS_SPD_SERIAL, kind, seed};
    int64_t ids[N];
    ws_query q = {.n = N, .ids = ids, .threshold = spec.threshold};
    double r[N];
    ws_newton_step step = {0};
    ws_hits hits = {0};
    ws_newton *nt;
    ws_index *ix;
    ws_optim *o;
    ws_net *net;
    ws_shard shard;

    for (int i = 0; i < N; i++) ids[i] = i;
    for (int i = 0; i < N; i++) r[i] = sin(3.0 * i + 1);
    assert_all(ws_net_create(&world, &spec, &net) == WS_OK);
    assert_all(ws_optim_create(&os, net, &o) == WS_OK);
    assert_all(ws_newton_create(&ns, o, &samples, &nt) == WS_OK);
    assert_all(ws_index_create(&world, "scan", NULL, &ix) == WS_OK);
    shard = ws_net_shard(net);
    assert_all(ws_index_build(ix, &shard, &samples, spec.threshold) == WS_OK);
    assert_all(ws_index_query(ix, &q, &hits) == WS_OK);
    assert_all(ws_newton_linearise(nt, &hits) == WS_OK);
    assert_all(ws_newton_solve(nt, r, 0, 1e-6, &step) == WS_OK && step.ok);
    ws_newton_destroy(&nt);
    ws_index_destroy(&ix);
    ws_optim_destroy(&o);
    ws_net_destroy(&net);
    ws_hits_free(&hits);
    return step.iterations;
}

static void eight_rows_a_sample_are_enough_at_any_width(void **state)
{
    const char *kinds[16] = {"leverage"};
    int plain;

    (void)state;
    for (int k = 0; ws_sketch_kinds()[k]; k++) kinds[k + 1] = ws_sketch_kinds()[k];
    for (int k = 0; kinds[k]; k++) {
        int least = 1000, most = 0;

        print_message("%s:", kinds[k]);
        for (int64_t m = 1024; m <= WIDEST; m *= 8) {
            int n = iterations(kinds[k], m, 1);
            print_message(" %d", n);
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        print_message(" iterations at widths 1024, 8192, 65536\n");
        assert_true(most <= 25);
        assert_true(most - least <= 0.2 * most);
    }
    plain = iterations("none", 8192, 1);
    print_message("none: %d\n", plain);
    assert_true(plain > 30);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(eight_rows_a_sample_are_enough_at_any_width, setup),
};

WS_TEST_MAIN(tests)
