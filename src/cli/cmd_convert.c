/* cmd_convert.c - wingspan convert: a data set from IDX, LIBSVM or CSV. */
#include <stdio.h>

#include "command.h"
#include "wingspan/io/convert.h"

typedef struct options {
    char format[WS_OPT_TEXT], input[WS_OPT_TEXT], labels[WS_OPT_TEXT], test[WS_OPT_TEXT];
    char test_labels[WS_OPT_TEXT], label_column[WS_OPT_TEXT], header[WS_OPT_TEXT];
    char target[WS_OPT_TEXT], out[WS_OPT_TEXT];
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"input", WS_OPT_STR, F(input), NULL, "", "Options",
     "samples to train on, gzip or not (IDX: the images)", 0},
    {"labels", WS_OPT_STR, F(labels), "", "", "Options", "IDX: their labels", 0},
    {"test", WS_OPT_STR, F(test), "", "", "Options", "samples to test on", 0},
    {"test-labels", WS_OPT_STR, F(test_labels), "", "", "Options", "IDX: their labels", 0},
    {"out", WS_OPT_STR, F(out), NULL, "", "Options", "the data set to write, as in digits.h5", 0},
    {"format", WS_OPT_STR, F(format), "auto", "auto|idx|libsvm|csv", "Options",
     "auto looks at the file", 0},
    {"label-column", WS_OPT_STR, F(label_column), "last", "", "Options",
     "CSV: name, number from 0, last or none", 0},
    {"header", WS_OPT_STR, F(header), "auto", "auto|yes|no", "Options",
     "CSV: does the first line name the columns", 0},
    {"target", WS_OPT_STR, F(target), "auto", "auto|class|real", "Options",
     "labels as classes or as real targets; auto: classes if all are whole numbers", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    ws_convert_report report;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 0, 0, "", &said, &help);

    if (err || help) return err;
    if (comm->rank == 0) {
        ws_convert_options opt = {.format = o.format,
                                  .input = o.input,
                                  .labels = or_null(o.labels),
                                  .test = or_null(o.test),
                                  .test_labels = or_null(o.test_labels),
                                  .label_column = o.label_column,
                                  .header = o.header,
                                  .target = o.target,
                                  .output = o.out};
        err = ws_convert(&opt, &report);
    }
    if ((err = ws_agree(comm, err)) || comm->rank != 0) return err;
    printf("%s: %lld samples, %lld to test, %lld columns", o.out, (long long)report.n,
           (long long)report.n_test, (long long)report.d);
    if (report.classes > 0) printf(", labels up to %d", report.classes - 1);
    printf(" (from %s)\n", report.kind);
    return WS_OK;
}

const ws_command ws_cmd_convert = {"convert",
                                   "--input FILE --out FILE",
                                   "make a data set from IDX, LIBSVM or CSV files",
                                   rows,
                                   NULL,
                                   run};
