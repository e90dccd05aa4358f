/* Exact sums: no order, grouping or number of ranks changes a bit; errors ride along. */
#include <math.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/alloc.h"
#include "wingspan/core/exact.h"
#include "wingspan/core/random.h"

enum { TERMS = 5000, E = 3 };

/* Terms over 40 binary orders of magnitude, of both signs. */
static double term(uint64_t i)
{
    static const ws_key key = {3, WS_STREAM_TEST, 0};
    double u = ws_random_uniform(&key, i, 0) - 0.5;

    return ldexp(u, (int)(i % 40) - 10);
}

static void add(int64_t *hi, int64_t *lo, double v)
{
    ws_exact_limbs e = ws_exact_split(v, E);

    *hi += e.hi;
    *lo += e.lo;
}

/* All terms here, in order: the bits that every distribution must give. */
static double sum_here(int step)
{
    int64_t hi = 0, lo = 0;

    for (uint64_t i = 0; i < TERMS; i++) add(&hi, &lo, term(i * (uint64_t)step % TERMS));
    ws_exact_carry(&hi, &lo, 1);
    return ws_exact_value(hi, lo, E);
}

static void order_does_not_matter(void **state)
{
    long double sum = 0;

    (void)state;
    for (uint64_t i = 0; i < TERMS; i++) sum += (long double)term(i);
    assert_true(sum_here(1) == sum_here(7) && sum_here(1) == sum_here(4999));
    assert_true(fabs((double)(sum - (long double)sum_here(1))) < 1e-6);
}

/* Uneven shares: rank p has the terms whose number modulo 1 + 2 + ... falls to it; rank 0 none. */
static void any_number_of_ranks_gives_the_same_bits(void **state)
{
    ws_meeting t = {0};
    int shares = world.size * (world.size - 1) / 2;

    (void)state;
    assert_all(ws_meeting_open(&t, 3, 2) == WS_OK);
    for (uint64_t i = 0; i < TERMS; i++) {
        int share = shares ? (int)(i % (uint64_t)shares) : 0, owner = shares ? 1 : 0;
        while (shares && share >= owner) share -= owner++;
        if (owner == world.rank) add(&t.hi[1], &t.lo[1], term(i));
    }
    t.count[1] = world.rank;
    assert_all(ws_meeting_hold(&t, &world, WS_OK, 3, 2) == WS_OK);
    assert_all(ws_exact_value(t.hi[1], t.lo[1], E) == sum_here(1));
    assert_all(t.hi[0] == 0 && t.lo[2] == 0 && t.count[0] == 0);
    assert_all(t.count[1] == shares);
    ws_meeting_free(&t);
}

static void limbs_hold_a_value_to_the_last_place(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < TERMS; i++) {
        ws_exact_limbs e = ws_exact_split(term(i), E);
        ws_exact_carry(&e.hi, &e.lo, 1);
        assert_true(e.lo >= 0 && e.lo < (int64_t)1 << 48);
        assert_true(fabs(ws_exact_value(e.hi, e.lo, E) - term(i)) <= ldexp(1, E - 71));
    }
}

/* 16384 contributions at the limit stay in range between two carries. */
static void the_largest_contributions_do_not_overflow(void **state)
{
    double v = ldexp(1, E + 29) - 1;
    int64_t hi = 0, lo = 0;

    (void)state;
    for (int i = 0; i < 2046; i++) add(&hi, &lo, v);
    ws_exact_carry(&hi, &lo, 1);
    assert_true(ws_exact_value(hi, lo, E) == 2046 * v);
    for (int i = 0; i < 4092; i++) add(&hi, &lo, -v);
    ws_exact_carry(&hi, &lo, 1);
    assert_true(ws_exact_value(hi, lo, E) == -2046 * v);
}

static void a_failure_on_one_rank_reaches_all_in_the_same_meeting(void **state)
{
    ws_meeting t = {0};
    int bad = world.rank == world.size - 1;
    ws_err err = ws_meeting_open(&t, 100, 1);

    (void)state;
    if (bad) err = ws_fail(WS_ERR_NOMEM, "no room");
    assert_all(ws_meeting_hold(&t, &world, err, 100, 1) == WS_ERR_NOMEM);
    assert_all(strcmp(ws_err_text(), "no room") == 0);
    ws_meeting_free(&t);
}

/* A rank that could not even open the meeting still holds it; more words than one message. */
static void a_rank_without_memory_does_not_keep_the_others_waiting(void **state)
{
    int64_t sizes[] = {10, 32765, 32766, 32768, 70000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ws_meeting t = {0};
        int bad = world.rank == world.size - 1;
        ws_err err;

        if (bad) ws_alloc_fail_at(1);
        err = ws_meeting_open(&t, sizes[i], 3);
        ws_alloc_fail_at(0);
        assert_true((err == WS_ERR_NOMEM) == bad);
        assert_all(ws_meeting_hold(&t, &world, err, sizes[i], 3) == WS_ERR_NOMEM);
        assert_all(ws_meeting_open(&t, sizes[i], 3) == WS_OK);
        t.hi[sizes[i] - 1] = 1;
        t.count[2] = 5;
        assert_all(ws_meeting_hold(&t, &world, WS_OK, sizes[i], 3) == WS_OK);
        assert_all(t.hi[sizes[i] - 1] == world.size && t.count[2] == 5 * world.size);
        ws_meeting_free(&t);
    }
}

static void ranks_that_hold_other_numbers_are_found(void **state)
{
    ws_meeting t = {0};
    ws_err want = world.size > 1 ? WS_ERR_MISMATCH : WS_OK;

    (void)state;
    for (int bit = 0; bit < 48; bit += 5) {
        assert_all(ws_meeting_open(&t, 4, 0) == WS_OK);
        t.hash = 0x123456789abcu ^ (world.rank == world.size - 1 ? (uint64_t)1 << bit : 0);
        assert_all(ws_meeting_hold(&t, &world, WS_OK, 4, 0) == want);
    }
    ws_meeting_free(&t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(order_does_not_matter),
    cmocka_unit_test(any_number_of_ranks_gives_the_same_bits),
    cmocka_unit_test(limbs_hold_a_value_to_the_last_place),
    cmocka_unit_test(the_largest_contributions_do_not_overflow),
    cmocka_unit_test(a_failure_on_one_rank_reaches_all_in_the_same_meeting),
    cmocka_unit_test(a_rank_without_memory_does_not_keep_the_others_waiting),
    cmocka_unit_test(ranks_that_hold_other_numbers_are_found),
};

WS_TEST_MAIN(tests)
