/* train_util.h - small runs for tests: data made here, a fingerprint of everything a run leaves.
 *
 * Each test runs ws_train on some communicator and compares fingerprints: a hash over the bytes
 * of the weights, the optimiser's state and the loss of every step. */
#ifndef TRAIN_UTIL_H
#define TRAIN_UTIL_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/hash.h"
#include "wingspan/core/random.h"
#include "wingspan/io/checkpoint.h"
#include "wingspan/io/table.h"
#include "wingspan/train/train.h"
#include "ws_test.h"

enum { N = 45, N_TEST = 13, D = 11 };

/* Classes 0..classes-1, or a real target if classes is 0: the same file from any rank. */
static inline ws_err make_data(const ws_comm *comm, const char *file, int classes)
{
    static float x[N + N_TEST][D], t[N + N_TEST];
    static int32_t y[N + N_TEST];
    ws_key key = {7, WS_STREAM_TEST, 0};
    int here = comm->rank == 0;

    for (int i = 0; i < N + N_TEST; i++) {
        y[i] = classes ? i % classes : 0;
        ws_random_normal(&key, (uint64_t)i, D, 1.0, x[i]);
        if (classes) x[i][y[i] % D] += 2;
        t[i] = 100 + 40 * x[i][0];
    }
    ws_table_column cols[4] = {
        {"/x", WS_FLOAT32, N, here ? 0 : N, here ? N : 0, D, x},
        {"/y", classes ? WS_INT32 : WS_FLOAT32, N, here ? 0 : N, here ? N : 0, 0,
         classes ? (void *)y : (void *)t},
        {"/x_test", WS_FLOAT32, N_TEST, here ? 0 : N_TEST, here ? N_TEST : 0, D, x[N]},
        {"/y_test", classes ? WS_INT32 : WS_FLOAT32, N_TEST, here ? 0 : N_TEST, here ? N_TEST : 0,
         0, classes ? (void *)(y + N) : (void *)(t + N)}};
    return ws_table_write(comm, file, cols, 4);
}

/* Defaults and "name=value" pairs, one blank between. */
static inline ws_train_options options(const char *words)
{
    ws_train_options o;
    char text[1000], *save, *word;

    assert_int_equal(ws_train_defaults(&o), WS_OK);
    o.quiet = 1;
    snprintf(text, sizeof text, "%s", words);
    for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        *value++ = 0;
        assert_non_null(ws_option_find(ws_train_table, word));
        assert_int_equal(ws_option_set(ws_option_find(ws_train_table, word), value, &o), WS_OK);
    }
    return o;
}

/* Which options the words name, as a command line would say. */
static inline ws_opt_given given_of(const char *words)
{
    ws_opt_given g = {{0}};

    for (int i = 0; ws_train_table[i].name; i++) {
        char key[64];
        const char *at;
        snprintf(key, sizeof key, "%s=", ws_train_table[i].name);
        at = strstr(words, key);
        if (at && (at == words || at[-1] == ' ')) g.from[i] = 2;
    }
    return g;
}

static inline uint64_t hash_of(ws_ckpt *c, const char *path, ws_type type, size_t size, uint64_t h)
{
    int64_t dims[2] = {0, 0}, count;
    int ndims;
    char *p = NULL;

    if (!ws_ckpt_has(c, path)) return h;
    assert_int_equal(ws_ckpt_shape(c, path, &ndims, dims), WS_OK);
    count = dims[0] * (ndims > 1 ? dims[1] : 1);
    assert_int_equal(ws_alloc(&p, count, size, "test"), WS_OK);
    assert_int_equal(ws_ckpt_get_array(c, path, type, count, p), WS_OK);
    h = ws_hash(p, (size_t)count * size, h);
    ws_free(&p);
    return h;
}

/* Everything that must have the same bits, read on this rank alone. */
static inline uint64_t fingerprint(const char *file)
{
    static const char *state[] = {"/optim/momentum_w", "/optim/momentum_b", "/optim/momentum_a",
                                  "/optim/moment1_w",  "/optim/moment2_w",  "/optim/moment1_b",
                                  "/optim/moment2_b",  "/optim/moment1_a",  "/optim/moment2_a"};
    ws_comm self;
    ws_ckpt *c;
    char precision[64];
    ws_type type;
    size_t size;
    uint64_t h = 1;

    ws_comm_create(MPI_COMM_SELF, &self);
    if (ws_ckpt_open(&self, file, 0, &c)) {
        fprintf(stderr, "%s\n", ws_err_text());
        fail();
    }
    assert_int_equal(ws_ckpt_get_text(c, "/options", "precision", precision, 64), WS_OK);
    type = strcmp(precision, "float64") == 0 ? WS_FLOAT64 : WS_FLOAT32;
    size = type == WS_FLOAT64 ? 8 : 4;
    h = hash_of(c, "/model/w", type, size, h);
    h = hash_of(c, "/model/b", type, size, h);
    h = hash_of(c, "/model/a", type, size, h);
    h = hash_of(c, "/model/moved", WS_UINT8, 1, h);
    h = hash_of(c, "/model/alpha_neuron", WS_INT32, 4, h);
    h = hash_of(c, "/model/alpha_count", WS_UINT8, 1, h);
    h = hash_of(c, "/model/alpha_sample", WS_UINT8, 1, h);
    h = hash_of(c, "/model/alpha_value", WS_FLOAT64, 8, h);
    h = hash_of(c, "/model/alpha_sums", WS_INT64, 8, h);
    h = hash_of(c, "/progress/loss_history", WS_FLOAT64, 8, h);
    for (size_t i = 0; i < sizeof state / sizeof *state; i++)
        h = hash_of(c, state[i], WS_FLOAT32, 4, h);
    ws_ckpt_close(&c);
    ws_comm_destroy(&self);
    return h;
}

/* Train on comm with these words; the checkpoint is `file`. */
static inline ws_err train_on(const ws_comm *comm, const char *words, const char *file,
                              ws_train_result *result)
{
    ws_train_options o = options(words);
    ws_opt_given given = given_of(words);

    snprintf(o.checkpoint, sizeof o.checkpoint, "%s", file);
    return ws_train(comm, &o, &given, result);
}

/* A communicator of the first k ranks of world; false on the others. */
static inline int first_ranks(int k, ws_comm *sub)
{
    MPI_Comm part;

    MPI_Comm_split(world.mpi, world.rank < k ? 0 : MPI_UNDEFINED, world.rank, &part);
    if (part == MPI_COMM_NULL) return 0;
    ws_comm_create(part, sub);
    MPI_Comm_free(&part);
    return 1;
}

/* Fingerprint of a run on the first k ranks, known to all. */
static inline uint64_t run_on(int k, const char *words, const char *file)
{
    ws_train_result result;
    ws_comm sub;
    uint64_t h = 0;
    int err = 0;

    if (first_ranks(k, &sub)) {
        err = (int)train_on(&sub, words, file, &result);
        if (err && sub.rank == 0) fprintf(stderr, "%s: %s\n", words, ws_err_text());
        ws_comm_destroy(&sub);
    }
    assert_all(err == 0);
    MPI_Barrier(world.mpi);
    if (world.rank == 0) h = fingerprint(file);
    MPI_Bcast(&h, 1, MPI_UINT64_T, 0, world.mpi);
    return h;
}

#endif
