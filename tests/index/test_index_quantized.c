/* The suite, on rows and samples as bytes. */
#include "conform_index.h"

static int use(void **state)
{
    (void)state;
    return conform_index_use(&world, "quantized");
}

static const struct CMUnitTest tests[] = {CONFORM_INDEX(use)};

WS_TEST_MAIN(tests)
