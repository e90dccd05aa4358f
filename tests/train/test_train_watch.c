/* A watched run is the run, H_0 and its drift are those of the weights, and the words of --rate give
 * the rates that they say. */
#include "train_util.h"

#include <stdlib.h>

#include "wingspan/core/dot.h"
#include "wingspan/core/fmath.h"
#include "wingspan/io/dataset.h"
#include "wingspan/kernel/ntk.h"
#include "wingspan/linalg/lapack.h"
#include "wingspan/model/net.h"
#include "wingspan/train/restore.h"

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "two.h5", 2) || make_data(&world, "real.h5", 0);
}

static ws_dataset *prepared(void)
{
    ws_dataset_options d = {.prepare = WS_PREPARE_UNIT};
    ws_dataset *ds;

    assert_all(ws_dataset_load(&world, "two.h5", &d, &ds) == WS_OK);
    return ds;
}

/* Who fires, from the weights of a checkpoint or the start: [n x m] over all ranks. */
static void fired_of(const ws_net *net, const ws_dataset *ds, int *fires)
{
    int64_t m = net->spec.m;

    memset(fires, 0, (size_t)(ds->n * m) * sizeof *fires);
    for (int64_t r = 0; r < net->n; r++)
        for (int64_t i = 0; i < ds->n; i++)
            fires[i * m + net->first + r] =
                net->a[r] != 0 &&
                ws_dot(net->w + r * ds->d, ds->all.x + i * ds->d, ds->d) + (double)net->b[r] >
                    net->spec.threshold;
    MPI_Allreduce(MPI_IN_PLACE, fires, (int)(ds->n * m), MPI_INT, MPI_SUM, world.mpi);
}

/* Extreme eigenvalues of H, or of H - H' where before is given. */
static void extremes(const ws_dataset *ds, int64_t m, const int *fires, const int *before,
                     double *least, double *largest)
{
    static double h[N * N], value[N];

    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < N; j++) {
            double inner = ws_dot(ds->all.x + i * ds->d, ds->all.x + j * ds->d, ds->d);
            int64_t count = 0;
            for (int64_t r = 0; r < m; r++) {
                count += fires[i * m + r] * fires[j * m + r];
                if (before) count -= before[i * m + r] * before[j * m + r];
            }
            h[i * N + j] = (inner + 1) * (double)count / (double)m;
        }
    assert_int_equal(ws_eigenvalues(N, h, value), WS_OK);
    *least = value[0];
    *largest = value[N - 1];
}

enum { M = 301 };

static void the_matrix_and_its_drift_are_those_of_the_weights(void **state)
{
    static int start[N * M], end[N * M];
    static const char *const inits[] = {"gaussian", "coupled"};
    ws_dataset *ds = prepared();

    (void)state;
    for (int k = 0; k < 2; k++) {
        ws_train_watch w = {.gram = 1};
        ws_train_result result;
        ws_net_spec spec;
        ws_net *net;
        ws_ckpt *c;
        char words[300];
        double least, largest, low, high;
        int64_t flips = 0;

        snprintf(words, sizeof words,
                 "data=two.h5 width=%d init=%s shift=0.3 bias=trained optimizer=gd loss=squared "
                 "steps=5 rate=12 checkpoint=w.h5",
                 M, inits[k]);
        ws_train_options o = options(words);
        assert_all(ws_train_watched(&world, &o, &w, &result) == WS_OK);
        assert_all(ws_ckpt_open(&world, "w.h5", 0, &c) == WS_OK);
        assert_all(ws_checkpoint_rows(c, &world, &net) == WS_OK);
        ws_ckpt_close(&c);
        fired_of(net, ds, end);
        spec = net->spec;
        ws_net_destroy(&net);
        assert_all(ws_net_create(&world, &spec, &net) == WS_OK);
        fired_of(net, ds, start);
        ws_net_destroy(&net);
        extremes(ds, M, start, NULL, &least, &largest);
        assert_true(fabs(w.least - least) < 1e-10);
        extremes(ds, M, end, start, &low, &high);
        assert_true(w.drift > 0 && w.drift >= fmax(-low, high) - 1e-10);
        for (int64_t e = 0; e < N * M; e++) flips += start[e] != end[e];
        assert_true(w.flips == flips && flips > 0);
        if (k == 0) assert_true(w.output > 0.05);
        if (k == 1) assert_true(w.output == 0.0 && w.loss == 0.5);
    }
    ws_dataset_destroy(&ds);
}

/* A rate twice too large throws the first step far and the second back: the run of one step shows how
 * far, and the run of two must not forget it. */
static void the_drift_is_the_largest_of_the_looks(void **state)
{
    double drift[2];
    int64_t flips[2];

    (void)state;
    for (int steps = 1; steps <= 2; steps++) {
        ws_train_watch w = {.gram = 1};
        ws_train_result result;
        char words[200];

        snprintf(
            words, sizeof words,
            "data=two.h5 width=200 shift=0 init=coupled optimizer=gd loss=squared rate=8 steps=%d",
            steps);
        ws_train_options o = options(words);
        assert_all(ws_train_watched(&world, &o, &w, &result) == WS_OK);
        drift[steps - 1] = w.drift;
        flips[steps - 1] = w.flips;
    }
    assert_true(flips[1] < flips[0]); /* back it went */
    assert_true(drift[1] >= drift[0] && drift[0] > 0);
}

static void a_watched_run_is_the_run_and_the_same_on_any_number_of_ranks(void **state)
{
    static const char *const kinds[] = {"optimizer=gd", "optimizer=adam", "optimizer=sgd batch=8",
                                        "optimizer=gauss-newton loss=squared",
                                        "optimizer=gauss-newton loss=squared precision=float64"};
    ws_comm self;

    (void)state;
    ws_comm_create(MPI_COMM_SELF, &self);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        ws_train_watch all = {.gram = 1}, one = {.gram = 1};
        ws_train_result watched, plain, alone;
        char words[200];

        snprintf(words, sizeof words, "data=two.h5 width=151 shift=0.5 steps=7 %s", kinds[k]);
        ws_train_options o = options(words);
        assert_all(ws_train_watched(&world, &o, &all, &watched) == WS_OK);
        assert_all(ws_train(&world, &o, NULL, &plain) == WS_OK);
        assert_true(watched.loss == plain.loss && watched.step == plain.step);
        assert_all(ws_train_watched(&self, &o, &one, &alone) == WS_OK);
        assert_true(one.least == all.least && one.drift == all.drift && one.flips == all.flips &&
                    one.output == all.output && one.loss == all.loss && alone.loss == plain.loss);
    }
    ws_comm_destroy(&self);
}

static void what_cannot_be_watched_is_refused(void **state)
{
    ws_train_watch w = {.gram = 1};
    ws_train_result result;
    ws_train_options o = options("data=two.h5 width=64 activation=tanh steps=2");

    (void)state;
    assert_all(ws_train_watched(&world, &o, &w, &result) == WS_ERR_USAGE);
    o = options("data=two.h5 width=64 resume=w.h5");
    assert_all(ws_train_watched(&world, &o, &w, &result) == WS_ERR_USAGE);
    o = options(
        "data=two.h5 width=64 optimizer=gauss-newton loss=squared weights=implicit steps=2");
    assert_all(ws_train_watched(&world, &o, &w, &result) == WS_ERR_USAGE);
    w = (ws_train_watch){.gram = 0};
    o = options("data=two.h5 width=64 activation=tanh steps=2");
    assert_all(ws_train_watched(&world, &o, &w, &result) == WS_OK);
    assert_true(isnan(w.drift) && w.loss > 0);
    w = (ws_train_watch){.gram = 1, .least_wanted = 1e3};
    o = options("data=two.h5 width=64 steps=2");
    assert_all(ws_train_watched(&world, &o, &w, &result) == WS_OK);
    assert_true(result.step == 0 && w.least < 1e3 && w.drift == 0);
}

static void a_run_stops_when_every_sample_is_right(void **state)
{
    ws_train_result result;
    ws_train_options o = options(
        "data=two.h5 width=500 shift=0 optimizer=gd loss=squared steps=5000 target-accuracy=1");

    (void)state;
    assert_all(ws_train(&world, &o, NULL, &result) == WS_OK);
    assert_true(result.accuracy == 1 && result.step > 1 && result.step < 5000);
    o.steps = result.step - 1;
    assert_all(ws_train(&world, &o, NULL, &result) == WS_OK);
    assert_true(result.accuracy < 1);
    o = options("data=real.h5 width=50 steps=5 target-accuracy=1");
    assert_all(ws_train(&world, &o, NULL, &result) == WS_ERR_USAGE);
}

/* The rate that a run of one step has used: the metrics tell it. */
static double rate_of(const char *words)
{
    ws_train_options o = options(words);
    ws_train_result result;
    char line[65536], *at = NULL;
    double rate = NAN;
    FILE *f;

    snprintf(o.metrics, sizeof o.metrics, "rate.jsonl");
    assert_all(ws_train(&world, &o, NULL, &result) == WS_OK);
    if (world.rank == 0) {
        assert_non_null(f = fopen("rate.jsonl", "r"));
        while (fgets(line, sizeof line, f))
            if (strstr(line, "\"type\":\"step\"") && (at = strstr(line, "\"rate\":")))
                rate = strtod(at + 7, NULL);
        fclose(f);
    }
    MPI_Bcast(&rate, 1, MPI_DOUBLE, 0, world.mpi);
    return rate;
}

static void the_words_of_rate_are_what_they_say(void **state)
{
    const char *gd =
        "data=two.h5 width=300 shift=0.8 bias=trained loss=squared steps=1 optimizer=gd";
    char words[300];
    double rate, lambda;
    ws_dataset *ds = prepared();
    ws_spectrum s;

    (void)state;
    /* theory: l e^(B^2) / (n s^2 m) */
    assert_all(ws_ntk_spectrum(&world, &ds->all, ds->n, 0.8, 1, NULL, &s) == WS_OK);
    snprintf(words, sizeof words, "%s rate=theory output-scale=theory", gd);
    rate = rate_of(words);
    assert_true(fabs(rate / (s.least * exp(0.64) / N) - 1) < 1e-9);
    snprintf(words, sizeof words, "%s rate=theory output-scale=active", gd);
    assert_true(fabs(rate_of(words) / (rate * ws_gauss_tail(0.8)) - 1) < 1e-9);
    /* lambda-max: what auto is for gd; for sgd less careful, and less with momentum */
    snprintf(words, sizeof words, "%s rate=auto", gd);
    rate = rate_of(words);
    snprintf(words, sizeof words, "%s rate=lambda-max", gd);
    assert_true(rate_of(words) == rate);
    lambda =
        rate_of("data=two.h5 width=300 shift=0.8 steps=1 optimizer=sgd batch=8 rate=lambda-max");
    assert_true(lambda > rate_of("data=two.h5 width=300 shift=0.8 steps=1 optimizer=sgd batch=8"));
    rate = rate_of("data=two.h5 width=300 shift=0.8 steps=1 optimizer=sgd batch=8 rate=lambda-max "
                   "momentum=0.75");
    assert_true(fabs(rate / lambda - 0.25) < 1e-12);
    ws_dataset_destroy(&ds);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(the_matrix_and_its_drift_are_those_of_the_weights, setup),
    cmocka_unit_test(the_drift_is_the_largest_of_the_looks),
    cmocka_unit_test(a_watched_run_is_the_run_and_the_same_on_any_number_of_ranks),
    cmocka_unit_test(what_cannot_be_watched_is_refused),
    cmocka_unit_test(a_run_stops_when_every_sample_is_right),
    cmocka_unit_test(the_words_of_rate_are_what_they_say),
};

WS_TEST_MAIN(tests)
