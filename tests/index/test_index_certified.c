/* The suite, on lists with a slack. */
#include "conform_index.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "certified");
}

static const struct CMUnitTest tests[] = {CONFORM_INDEX(use)};

WS_TEST_MAIN(tests)
