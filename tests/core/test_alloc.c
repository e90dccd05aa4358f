/* Memory that is counted, zeroed, aligned, and fails when told to. */
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/alloc.h"

static void blocks_are_zero_and_aligned_at_every_size(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 1 << 23; n = n * 3 + 1) {
        char *p;
        assert_int_equal(ws_alloc(&p, n, 1, "test"), WS_OK);
        assert_true((uintptr_t)p % 64 == 0);
        for (int64_t i = 0; i < n; i += 97) assert_true(p[i] == 0);
        ws_free(&p);
        assert_null(p);
    }
}

static void growing_keeps_the_content(void **state)
{
    int64_t *p = NULL, capacity = 0;

    (void)state;
    for (int64_t n = 1; n < 500000; n++) {
        assert_int_equal(ws_grow(&p, &capacity, n, sizeof *p, "test"), WS_OK);
        p[n - 1] = n;
    }
    for (int64_t i = 0; i < 499999; i++) assert_true(p[i] == i + 1);
    ws_free(&p);
}

/* The size kept beside the block is the larger one: what was overrun shows under --dev. */
static void a_lowered_capacity_keeps_what_is_below_it(void **state)
{
    int64_t *p = NULL, capacity = 0;

    (void)state;
    assert_int_equal(ws_grow(&p, &capacity, 4000, sizeof *p, "test"), WS_OK);
    for (int64_t i = 0; i < 4000; i++) p[i] = i;
    capacity = 10;
    assert_int_equal(ws_grow(&p, &capacity, 20, sizeof *p, "test"), WS_OK);
    assert_true(capacity >= 20 && capacity < 4000);
    for (int64_t i = 0; i < 10; i++) assert_true(p[i] == i);
    ws_free(&p);
}

static void what_is_held_is_counted(void **state)
{
    int64_t before = ws_alloc_bytes();
    char *small, *large;

    (void)state;
    assert_int_equal(ws_alloc(&small, 1000, 1, "test"), WS_OK);
    assert_int_equal(ws_alloc(&large, 10000000, 1, "test"), WS_OK);
    assert_true(ws_alloc_bytes() - before >= 10001000);
    ws_free(&small);
    ws_free(&large);
    assert_int_equal(ws_alloc_bytes(), before);
}

static void the_call_that_was_named_fails_and_no_other(void **state)
{
    int64_t capacity = 4;
    char *p, *q, *r;

    (void)state;
    assert_int_equal(ws_alloc(&r, 4, 1, "test"), WS_OK);
    memcpy(r, "abc", 4);
    ws_alloc_fail_at(2);
    assert_int_equal(ws_alloc(&p, 10, 1, "first thing"), WS_OK);
    assert_int_equal(ws_alloc(&q, 10, 1, "second thing"), WS_ERR_NOMEM);
    assert_null(q);
    assert_non_null(strstr(ws_err_text(), "second thing"));
    ws_alloc_fail_at(1);
    assert_int_equal(ws_grow(&r, &capacity, 100, 1, "third thing"), WS_ERR_NOMEM);
    assert_true(capacity == 4 && strcmp(r, "abc") == 0);
    assert_int_equal(ws_alloc(&q, 10, 1, "fourth thing"), WS_OK);
    ws_free(&p);
    ws_free(&q);
    ws_free(&r);
}

static void sizes_that_overflow_are_refused(void **state)
{
    char *p;

    (void)state;
    assert_int_equal(ws_alloc(&p, INT64_MAX / 2, 16, "test"), WS_ERR_NOMEM);
    assert_int_equal(ws_alloc(&p, -1, 16, "test"), WS_ERR_NOMEM);
    assert_int_equal(ws_alloc(&p, 0, 16, "test"), WS_OK);
    assert_null(p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_are_zero_and_aligned_at_every_size),
    cmocka_unit_test(growing_keeps_the_content),
    cmocka_unit_test(a_lowered_capacity_keeps_what_is_below_it),
    cmocka_unit_test(what_is_held_is_counted),
    cmocka_unit_test(the_call_that_was_named_fails_and_no_other),
    cmocka_unit_test(sizes_that_overflow_are_refused),
};

WS_TEST_MAIN(tests)
