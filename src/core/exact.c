/* exact.c - the two-limb integers of exact.h: carrying, and the way back to a double. */
#include "wingspan/core/exact.h"

static double power_of_two(int e)
{
    union {
        uint64_t u;
        double d;
    } p = {.u = (uint64_t)(1023 + e) << 52};

    return p.d;
}

double ws_exact_value(int64_t hi, int64_t lo, int e)
{
    /* 112 bits at most.  The conversion rounds to nearest, ties to even; the two powers of two
     * change nothing more while the value stays a normal number. */
    double v = (double)((__int128)hi * ((__int128)1 << 48) + lo);
    int half = (e - 70) / 2;

    return v * power_of_two(half) * power_of_two(e - 70 - half);
}

void ws_exact_carry(int64_t *hi, int64_t *lo, int64_t n)
{
    const int64_t mask = ((int64_t)1 << 48) - 1;

    /* The sum in hi may wrap on the way: unsigned, so that wrapping is defined. */
    for (int64_t i = 0; i < n; i++) {
        hi[i] = (int64_t)((uint64_t)hi[i] + (uint64_t)(lo[i] >> 48));
        lo[i] &= mask;
    }
}
