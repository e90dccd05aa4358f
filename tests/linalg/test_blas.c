/* A float32 product is within its stated bound of the exact one. */
#include <math.h>

#include "ws_test.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/random.h"
#include "wingspan/linalg/blas.h"

static void products_are_within_the_bound(void **state)
{
    enum { M = 37, N = 29, K = 500 };
    static float a[M * K], b[N * K], c[M * 40];
    ws_key key = {6, WS_STREAM_TEST, 0};

    (void)state;
    ws_blas_init();
    ws_random_normal(&key, 0, M * K, 1, a);
    ws_random_normal(&key, 1, N * K, 1, b);
    for (int64_t k = 0; k <= K; k += 50) {
        ws_sgemm_nt(M, N, k, a, K, b, K, c, 40);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                double bound =
                    ws_sgemm_error(k) * sqrt(ws_norm2(a + i * K, k)) * sqrt(ws_norm2(b + j * K, k));
                assert_true(fabs((double)c[i * 40 + j] - ws_dot(a + i * K, b + j * K, k)) <= bound);
            }
    }
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_within_the_bound)};

WS_TEST_MAIN(tests)
