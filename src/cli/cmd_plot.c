/* cmd_plot.c - wingspan plot: a picture of runs or of benches. */
#include <stdio.h>

#include "command.h"
#include "plot.h"
#include "wingspan/core/alloc.h"

typedef struct options {
    char out[WS_OPT_TEXT];
} options;

static const ws_opt rows[] = {
    {"out", WS_OPT_STR, offsetof(options, out), "run.png", "", "Options",
     "the picture to write, .png or .svg", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static ws_err draw(const ws_said *said, const char *out)
{
    static ws_curve curves[WS_PLOT_CURVES];
    int n = 0;
    ws_err err = WS_OK;

    for (int k = 0; k < said->n_words && !err; k++) err = ws_curves_read(said->word[k], curves, &n);
    if (!err) err = ws_plot_draw(curves, n, out);
    for (int k = 0; k < n; k++) ws_free(&curves[k].row);
    return err;
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 1, WS_MAX_WORDS,
                          "a metrics file or a bench", &said, &help);

    if (err || help) return err;
    if (comm->rank == 0) err = draw(&said, o.out);
    if (!(err = ws_agree(comm, err)) && comm->rank == 0) printf("%s\n", o.out);
    return err;
}

const ws_command ws_cmd_plot = {
    "plot",
    "FILE [MORE ...]",
    "draw runs (--metrics) or benches (--json)",
    rows,
    "Runs: loss, accuracy, active neurons, seconds a step. Benches: work, seconds and bytes\n"
    "against the width on logarithmic axes, with the exponents; launch/compare: against the "
    "batch.\n"
    "A file's content says which.\n",
    run};
