/* make_data.c - data sets for the scripts beside it, good and bad: make_data KIND FILE. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "wingspan/core/random.h"
#include "wingspan/io/table.h"

enum { N = 60, T = 20, D = 6 };

static float x[N + T][D], real_y[N + T];
static int32_t y[N + T];

static int is(const char *kind, const char *word)
{
    return strcmp(kind, word) == 0;
}

static void fill(const char *kind)
{
    ws_key key = {21, WS_STREAM_TEST, 0};

    for (int i = 0; i < N + T; i++) {
        y[i] = i % 3;
        ws_random_normal(&key, (uint64_t)i, D, 1, x[i]);
        x[i][y[i]] += 3;
        real_y[i] = 1000 + 20 * x[i][0];
    }
    if (is(kind, "nan")) x[17][4] = NAN;
    if (is(kind, "inf")) x[N + 3][2] = INFINITY;
    if (is(kind, "negative")) y[9] = -7;
    if (is(kind, "other")) x[0][0] += 1;
    if (is(kind, "zero")) memset(x[11], 0, sizeof x[11]);
    for (int i = 0; i < N + T && is(kind, "one"); i++) y[i] = 0;
}

/* 80 MB once they are floats: more than the shared memory of many containers. */
static ws_err make_large(const ws_comm *comm, const char *file)
{
    enum { ROWS = 20000, COLS = 1000 };
    static uint8_t v[ROWS][COLS];
    static int32_t label[ROWS];
    ws_table_column cols[2] = {{"/x", WS_UINT8, ROWS, 0, ROWS, COLS, v},
                               {"/y", WS_INT32, ROWS, 0, ROWS, 0, label}};

    for (int i = 0; i < ROWS; i++) {
        label[i] = i % 3;
        for (int j = 0; j < COLS; j++) v[i][j] = (uint8_t)((i * 31 + j * 17 + i * j) % 251);
        v[i][label[i]] = 255;
    }
    return ws_table_write(comm, file, cols, 2);
}

int main(int argc, char **argv)
{
    ws_comm world;
    ws_err err;
    int n, real, columns;

    MPI_Init(&argc, &argv);
    if (argc != 3) return 2;
    ws_comm_create(MPI_COMM_WORLD, &world);
    fill(argv[1]);
    n = is(argv[1], "empty") ? 0 : N;
    real = is(argv[1], "real");
    columns = is(argv[1], "vector") ? 0 : is(argv[1], "nocolumns") ? 0 : D;
    ws_table_column cols[4] = {
        {"/x", WS_FLOAT32, n, 0, n, columns, x},
        {"/y", real ? WS_FLOAT32 : WS_INT32, is(argv[1], "short") ? n - 1 : n, 0,
         is(argv[1], "short") ? n - 1 : n, 0, real ? (void *)real_y : (void *)y},
        {"/x_test", WS_FLOAT32, T, 0, T, is(argv[1], "width") ? D - 1 : D, x[N]},
        {"/y_test", real ? WS_FLOAT32 : WS_INT32, T, 0, T, 0,
         real ? (void *)(real_y + N) : (void *)(y + N)}};
    err = is(argv[1], "large")
              ? make_large(&world, argv[2])
              : ws_table_write(&world, argv[2], cols, is(argv[1], "nolabels") ? 1 : 4);
    if (err) fprintf(stderr, "%s\n", ws_err_text());
    ws_comm_destroy(&world);
    MPI_Finalize();
    return err != WS_OK;
}
