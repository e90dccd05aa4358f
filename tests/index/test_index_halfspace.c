/* The suite, on a tree of boxes. */
#include "conform_index.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "halfspace");
}

static const struct CMUnitTest tests[] = {
    CONFORM_INDEX(use),
};

WS_TEST_MAIN(tests)
