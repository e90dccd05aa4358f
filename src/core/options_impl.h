/* options_impl.h - shared by the files that read, write and explain options. */
#ifndef WS_CORE_OPTIONS_IMPL_H
#define WS_CORE_OPTIONS_IMPL_H

#include "wingspan/core/options.h"

/* A numeric range as its text says: "[2,2^40]", "auto|(0,inf)"; words before it are not part. */
typedef struct ws_opt_range {
    double lo, hi;
    int open_lo, open_hi;
} ws_opt_range;

ws_opt_range ws_opt_range_of(const ws_opt *row);

/** Read a number: 12, 1e6, 2^20, 64k, 3M, 2G (thousands), 64Ki, 64KiB, 1MiB, 2GiB (1024s).
 *  Returns 0 if the text is no number. */
int ws_opt_number(const char *text, double *v);

#endif
