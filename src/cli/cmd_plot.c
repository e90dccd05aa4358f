/* cmd_plot.c - wingspan plot: a picture of one or more runs. */
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
    ws_curve curves[WS_MAX_WORDS] = {{.n = 0}};
    ws_err err = WS_OK;

    for (int k = 0; k < said->n_words && !err; k++) err = ws_curve_read(said->word[k], &curves[k]);
    if (!err) err = ws_plot_draw(curves, said->n_words, out);
    for (int k = 0; k < said->n_words; k++) ws_free(&curves[k].row);
    return err;
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 1, WS_MAX_WORDS, "a metrics file",
                          &said, &help);

    if (err || help) return err;
    if (comm->rank == 0) err = draw(&said, o.out);
    if (!(err = ws_agree(comm, err)) && comm->rank == 0) printf("%s\n", o.out);
    return err;
}

const ws_command ws_cmd_plot = {"plot",
                                "RUN.jsonl [MORE.jsonl ...]",
                                "draw loss, accuracy, active neurons and seconds a step",
                                rows,
                                NULL,
                                run};
