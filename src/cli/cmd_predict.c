/* cmd_predict.c - wingspan predict: outputs and classes for every sample of a data set. */
#include <math.h>
#include <stdio.h>

#include "command.h"
#include "wingspan/train/train.h"

typedef struct options {
    char data[WS_OPT_TEXT], out[WS_OPT_TEXT], part[WS_OPT_TEXT];
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"data", WS_OPT_STR, F(data), NULL, "", "Options", "the data set with the samples", 0},
    {"out", WS_OPT_STR, F(out), "pred.h5", "", "Options",
     "where to write /output (n,C), in the units of the targets, and /class (n)", 0},
    {"part", WS_OPT_STR, F(part), "train", "train|test|all", "Options",
     "x of the data set, its x_test, or one after the other", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    ws_predictor *p = NULL;
    ws_score score;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 1, 1, "a checkpoint", &said, &help);

    if (err || help) return err;
    if ((err = ws_predictor_open(comm, said.word[0], &p))) return err;
    err = ws_predictor_run(p, o.data, o.part, o.out, &score);
    ws_predictor_close(&p);
    if (err || comm->rank != 0) return err;
    printf("%lld predictions in %s\n", (long long)score.n, o.out);
    if (!isnan(score.accuracy)) printf("accuracy %.4f\n", score.accuracy);
    if (!isnan(score.rmse)) printf("rmse %.6g\n", score.rmse);
    return WS_OK;
}

const ws_command ws_cmd_predict = {"predict",
                                   "CHECKPOINT --data FILE [--out FILE]",
                                   "outputs and classes for new samples",
                                   rows,
                                   NULL,
                                   run};
