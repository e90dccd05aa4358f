/* convert.h - data sets from IDX, LIBSVM and CSV files, gzip or not. */
#ifndef WS_IO_CONVERT_H
#define WS_IO_CONVERT_H

#include <stdint.h>

#include "wingspan/core/err.h"

typedef struct ws_convert_options {
    const char *format; /* "idx", "libsvm", "csv" or "auto": by content and name */
    const char *input;  /* the file; idx: the images */
    const char *labels; /* idx: the labels file, or NULL */
    const char *test;   /* optional second file: the test set */
    const char *test_labels;
    const char *label_column; /* csv: name (with a header), number from 0, "last" or "none" */
    const char *header;       /* csv: "yes", "no", "auto" */
    const char *target;       /* "auto", "class" or "real": how y is read */
    const char *output;       /* the data set to write */
} ws_convert_options;

typedef struct ws_convert_report {
    int64_t n, n_test, d;
    int32_t classes; /* 0: real targets or none */
    char kind[16];   /* format found */
} ws_convert_report;

/** Convert.  Not collective: rank 0 of a one-rank program.
 *  Errors name the file and the line (text) or byte (IDX).  The output appears whole or not at all.
 *  CSV labels that are words become classes 0, 1, ... in order of first appearance (told in report).
 *  @return local: WS_ERR_IO, WS_ERR_DATA, WS_ERR_NOMEM, WS_ERR_USAGE */
ws_err ws_convert(const ws_convert_options *opt, ws_convert_report *report);

#endif
