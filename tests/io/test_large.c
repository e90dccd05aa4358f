/* A checkpoint of more than 2 GiB from one rank: counts of MPI and HDF5 are 32 bits wide. */
#include <sys/statvfs.h>

#include "io_util.h"
#include "wingspan/core/alloc.h"

static void more_than_two_gibibytes_from_one_rank_come_back(void **state)
{
    int64_t rows = 700001, cols = 800; /* 2.24 GB */
    struct statvfs v;
    float *data;
    ws_ckpt_writer *w;
    ws_ckpt *c;

    (void)state;
    if (statvfs(".", &v) == 0 && (double)v.f_bavail * (double)v.f_frsize < 3e9) {
        print_message("skipped: 3 GB of disk are needed\n");
        skip();
    }
    assert_int_equal(ws_alloc(&data, rows * cols, sizeof *data, "test"), WS_OK);
    for (int64_t i = 0; i < rows * cols; i++) data[i] = (float)(i % 16777213);
    assert_int_equal(ws_ckpt_create(&world, "large.h5", (double)rows * (double)cols * 4, &w),
                     WS_OK);
    assert_int_equal(ws_ckpt_put_rows(w, "/model/w", WS_FLOAT32, rows, 0, rows, cols, data), WS_OK);
    assert_int_equal(ws_ckpt_commit(&w, 1), WS_OK);
    for (int64_t i = 0; i < rows * cols; i++) data[i] = 0;
    assert_int_equal(ws_ckpt_open(&world, "large.h5", 0, &c), WS_OK);
    assert_true(ws_ckpt_length(c) > (int64_t)1 << 31);
    assert_int_equal(ws_ckpt_get_rows(c, "/model/w", WS_FLOAT32, 0, rows, cols, data), WS_OK);
    for (int64_t i = 0; i < rows * cols; i++) assert_true(data[i] == (float)(i % 16777213));
    ws_ckpt_close(&c);
    ws_free(&data);
    unlink("large.h5");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(more_than_two_gibibytes_from_one_rank_come_back),
};

WS_TEST_MAIN(tests)
