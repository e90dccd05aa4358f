/* A run with implicit weights: the explicit run, on any ranks, stopped or not, only further down. */
#include <stdlib.h>

#include "train_util.h"

#include "implicit.h"
#include "wingspan/core/dot.h"

#define RUN "optimizer=gauss-newton loss=squared weights=implicit "

static int setup(void **state)
{
    (void)state;
    return make_data(&world, "classes.h5", 3) || make_data(&world, "real.h5", 0);
}

static const char *const runs[] = {
    RUN "data=real.h5 width=3001 shift=1.5 samples=20",
    RUN "data=classes.h5 width=3001 shift=1.5 init=coupled prepare=center-unit",
    RUN "data=real.h5 width=1001 shift=1 init=structured samples=20",
    RUN "data=classes.h5 width=1001 shift=1 init=structured-coupled samples=30",
};

enum { RUNS = sizeof runs / sizeof *runs };

static void any_ranks_give_the_same_bits(void **state)
{
    (void)state;
    for (int k = 0; k < RUNS; k++) {
        char words[500];
        uint64_t want;

        snprintf(words, sizeof words, "%s steps=4", runs[k]);
        want = run_on(1, words, "one.h5");
        assert_int_equal(run_on(world.size, words, "all.h5"), want);
        snprintf(words, sizeof words, "%s steps=4 seed=2", runs[k]);
        assert_int_not_equal(run_on(world.size, words, "all.h5"), want);
    }
}

static void so_does_any_vector_unit(void **state)
{
    static const char *const units[] = {"portable", "avx2", "avx512"};
    const char *was = ws_simd_name();
    char words[500];
    uint64_t want;

    (void)state;
    snprintf(words, sizeof words, "%s steps=3", runs[1]);
    want = run_on(world.size, words, "all.h5");
    for (int k = 0; k < 3; k++)
        if (ws_simd_select(units[k])) assert_int_equal(run_on(world.size, words, "all.h5"), want);
    assert_true(ws_simd_select(was));
}

static void a_stop_in_the_middle_changes_nothing(void **state)
{
    int fewer = world.size > 1 ? world.size - 1 : 1;

    (void)state;
    for (int k = 0; k < RUNS; k++) {
        char words[500];
        uint64_t want;

        snprintf(words, sizeof words, "%s steps=5", runs[k]);
        want = run_on(1, words, "whole.h5");
        snprintf(words, sizeof words, "%s steps=%d", runs[k], 1 + k % 3);
        run_on(world.size, words, "part.h5");
        assert_int_equal(run_on(fewer, "resume=part.h5 steps=5", "part.h5"), want);
    }
}

static double loss_of(const char *words)
{
    ws_train_result result;

    assert_all(train_on(&world, words, "loss.h5", &result) == WS_OK);
    return result.loss;
}

/* One step apart, rounding is all that differs; in the end explicit weights stall. */
static void it_follows_the_explicit_run_and_goes_below(void **state)
{
    (void)state;
    for (int k = 0; k < RUNS; k++) {
        char words[500], rows[500], *at;
        double a, b;

        snprintf(words, sizeof words, "%s steps=1 cg-tolerance=1e-11", runs[k]);
        strcpy(rows, words);
        at = strstr(rows, "implicit");
        memcpy(at, "explicit", 8);
        a = loss_of(words);
        b = loss_of(rows);
        assert_true(fabs(a - b) < 1e-4 * b + 1e-9);
    }
    assert_true(loss_of(RUN "data=real.h5 width=3001 shift=1.5 samples=20 steps=12") < 1e-24);
    assert_true(loss_of("data=real.h5 optimizer=gauss-newton width=3001 shift=1.5 samples=20 "
                        "steps=12") > 1e-18);
}

static void a_prediction_is_what_training_saw(void **state)
{
    ws_predictor *p;
    ws_score score, test;
    ws_train_result result;

    (void)state;
    assert_all(train_on(&world, RUN "data=real.h5 width=3001 shift=1.5 steps=6", "run.h5",
                        &result) == WS_OK);
    assert_all(ws_predictor_open(&world, "run.h5", &p) == WS_OK);
    assert_all(ws_predictor_run(p, "real.h5", "train", "", &score) == WS_OK);
    assert_all(ws_predictor_run(p, "real.h5", "test", "", &test) == WS_OK);
    ws_predictor_close(&p);
    assert_true(fabs(score.loss - result.loss) <= 1e-12 * result.loss);
    assert_true(fabs(test.rmse - result.test_rmse) <= 1e-12 * result.test_rmse);
}

static void what_it_cannot_do_is_refused(void **state)
{
    static const char *const wrong[] = {"optimizer=sgd",      "bias=trained",   "index=scan",
                                        "ridge=0.1",          "verify-index=1", "precision=float64",
                                        "preconditioner=srht"};
    ws_train_result result;

    (void)state;
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        char words[300];

        snprintf(words, sizeof words,
                 "data=real.h5 width=101 optimizer=gauss-newton "
                 "weights=implicit %s",
                 wrong[k]);
        assert_all(train_on(&world, words, "no.h5", &result) == WS_ERR_USAGE);
        assert_non_null(strstr(ws_err_text(), "--weights implicit does not go with"));
    }
}

/* ---- files that claim what cannot be ---- */

enum { K = 3, P = 4, COLUMNS = 2, SAMPLES = 2, WIDTH = 40 };

typedef struct content {
    int64_t id[K];
    uint8_t count[K], sample[P];
    double alpha[P];
} content;

static void put(const content *c, const char *file)
{
    ws_ckpt_writer *w;
    int64_t k = K, p = P;

    assert_int_equal(ws_ckpt_create(&world, file, 0, &w), WS_OK);
    assert_int_equal(ws_ckpt_put_int(w, "/model", "listed", 1), WS_OK);
    assert_int_equal(ws_ckpt_put_array(w, "/model/alpha_neuron", WS_INT64, 1, &k, c->id), WS_OK);
    assert_int_equal(ws_ckpt_put_array(w, "/model/alpha_count", WS_UINT8, 1, &k, c->count), WS_OK);
    assert_int_equal(ws_ckpt_put_array(w, "/model/alpha_sample", WS_UINT8, 1, &p, c->sample),
                     WS_OK);
    assert_int_equal(ws_ckpt_put_array(w, "/model/alpha_value", WS_FLOAT64, 1, &p, c->alpha),
                     WS_OK);
    assert_int_equal(ws_ckpt_commit(&w, 1), WS_OK);
}

static ws_err get(const content *made)
{
    static float x[SAMPLES * COLUMNS] = {1, 0, 0, 1};
    ws_samples s = {.n = SAMPLES, .d = COLUMNS, .x = x};
    ws_net_spec spec = {.m = WIDTH,
                        .d = COLUMNS,
                        .c = 1,
                        .phi = ws_activation_find("relu"),
                        .threshold = 1,
                        .scale = 1,
                        .init_scale = 1,
                        .x_scale = 1,
                        .implicit = 1};
    ws_net *net;
    ws_implicit *im;
    ws_ckpt *c;
    int listed;
    ws_err err;

    put(made, "made.h5");
    assert_int_equal(ws_net_create(&world, &spec, &net), WS_OK);
    assert_int_equal(ws_implicit_create(net, &s, SAMPLES, &im), WS_OK);
    assert_int_equal(ws_ckpt_open(&world, "made.h5", 0, &c), WS_OK);
    err = ws_implicit_get(c, net, im, SAMPLES, &listed);
    ws_ckpt_close(&c);
    ws_implicit_destroy(&im);
    ws_net_destroy(&net);
    assert_all(err == WS_OK || strstr(ws_err_text(), "made.h5") != NULL);
    return err;
}

static void displacements_that_cannot_be_are_refused(void **state)
{
    const content good = {{3, 17, 39}, {1, 2, 1}, {0, 0, 1, 1}, {1, 2, 3, 4}};
    content c = good;

    (void)state;
    assert_all(get(&good) == WS_OK);
    c.id[2] = WIDTH;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.id[0] = -1;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.id[1] = 3;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.count[0] = 2;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.count[2] = 0;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.count[1] = 200;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.sample[3] = SAMPLES;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.sample[2] = 0;
    assert_all(get(&c) == WS_ERR_DATA);
    c = good, c.alpha[1] = NAN;
    assert_all(get(&c) == WS_ERR_DATA);
}

/* Sums of another length are refused, and a file need not have them. */
static void sums_are_taken_whole_or_not_at_all(void **state)
{
    static const struct {
        int64_t n;
        int found;
        ws_err err;
    } files[] = {{5, 1, WS_OK}, {4, 1, WS_ERR_DATA}, {6, 1, WS_ERR_DATA}, {0, 0, WS_OK}};

    (void)state;
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        int64_t put[6] = {1, -2, 3, INT64_MIN, 5, 6}, got[5] = {0};
        ws_ckpt_writer *w;
        ws_ckpt *c;
        int found = 7;

        assert_int_equal(ws_ckpt_create(&world, "sums.h5", 0, &w), WS_OK);
        if (files[k].n > 0)
            assert_int_equal(
                ws_ckpt_put_array(w, "/model/alpha_sums", WS_INT64, 1, &files[k].n, put), WS_OK);
        assert_int_equal(ws_ckpt_commit(&w, 1), WS_OK);
        assert_int_equal(ws_ckpt_open(&world, "sums.h5", 0, &c), WS_OK);
        assert_all(ws_implicit_get_sums(c, 5, got, &found) == files[k].err);
        assert_int_equal(found, files[k].found);
        assert_true(files[k].n != 5 || memcmp(put, got, sizeof got) == 0);
        ws_ckpt_close(&c);
    }
}

/* Collectives of the last step in a metrics file. */
static int collectives(const char *file)
{
    char line[8000];
    int n = -1;
    FILE *f = fopen(file, "r");

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        const char *at = strstr(line, "\"collectives\":");

        if (at && strstr(line, "\"type\":\"step\"")) n = atoi(at + 14);
    }
    fclose(f);
    return n;
}

/* The step that a resumed run takes is the first pass it makes. */
static void a_resumed_run_knows_its_place(void **state)
{
    char words[500];

    (void)state;
    snprintf(words, sizeof words, "%s steps=2", runs[0]);
    run_on(world.size, words, "part.h5");
    run_on(world.size, "resume=part.h5 steps=3 metrics=part.jsonl", "part.h5");
    assert_all(world.rank > 0 || collectives("part.jsonl") == 1);
}

/* A stop in the listing leaves a checkpoint of nothing, from which the run starts as it would. */
static void a_stop_in_the_listing_is_clean(void **state)
{
    ws_train_result result;
    char words[500];
    uint64_t want;

    (void)state;
    snprintf(words, sizeof words, "%s steps=3", runs[0]);
    want = run_on(1, words, "whole.h5");
    if (world.rank == world.size - 1) ws_train_request_stop();
    assert_all(train_on(&world, words, "part.h5", &result) == WS_ERR_STOPPED);
    assert_int_equal(result.step, 0);
    assert_int_equal(run_on(world.size, "resume=part.h5 steps=3", "part.h5"), want);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(any_ranks_give_the_same_bits, setup),
    cmocka_unit_test(so_does_any_vector_unit),
    cmocka_unit_test(a_stop_in_the_middle_changes_nothing),
    cmocka_unit_test(it_follows_the_explicit_run_and_goes_below),
    cmocka_unit_test(a_prediction_is_what_training_saw),
    cmocka_unit_test(what_it_cannot_do_is_refused),
    cmocka_unit_test(displacements_that_cannot_be_are_refused),
    cmocka_unit_test(a_resumed_run_knows_its_place),
    cmocka_unit_test(sums_are_taken_whole_or_not_at_all),
    cmocka_unit_test(a_stop_in_the_listing_is_clean),
};

WS_TEST_MAIN(tests)
