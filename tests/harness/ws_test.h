/* ws_test.h - cmocka on several ranks.
 *
 * Every rank runs every test in the same order.  An assertion that fails on one rank only would
 * leave the others inside a collective call, so
 *   - before more communication, assert with assert_all(): it agrees first and then fails on
 *     every rank;
 *   - a plain assert_*() that fails on one rank aborts the job (ctest sets CMOCKA_TEST_ABORT=1),
 *   - and ctest's TIMEOUT catches what is left. */
#ifndef WS_TEST_H
#define WS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#include "wingspan/core/alloc.h"
#include "wingspan/core/err.h"

static ws_comm world;

static inline int all_true(int cond)
{
    MPI_Allreduce(MPI_IN_PLACE, &cond, 1, MPI_INT, MPI_LAND, world.mpi);
    return cond;
}

#define assert_all(cond) assert_true(all_true(cond))

#define WS_TEST_MAIN(tests)                                                                        \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        int failed;                                                                                \
        MPI_Init(&argc, &argv);                                                                    \
        ws_comm_create(MPI_COMM_WORLD, &world);                                                    \
        if (world.rank != 0 && !freopen("/dev/null", "w", stdout)) return 1;                       \
        failed = cmocka_run_group_tests(tests, NULL, NULL);                                        \
        if (!failed && ws_alloc_bytes() != 0) {                                                    \
            fprintf(stderr, "rank %d: %lld bytes were never given back\n", world.rank,             \
                    (long long)ws_alloc_bytes());                                                  \
            failed = 1;                                                                            \
        }                                                                                          \
        MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, world.mpi);                      \
        ws_comm_destroy(&world);                                                                   \
        MPI_Finalize();                                                                            \
        return failed != 0;                                                                        \
    }

#endif
