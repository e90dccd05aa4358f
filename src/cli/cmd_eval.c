/* cmd_eval.c - wingspan eval: loss and accuracy of a checkpoint on a data set. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "wingspan/train/train.h"

typedef struct options {
    char data[WS_OPT_TEXT], part[WS_OPT_TEXT];
    int json;
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"data", WS_OPT_STR, F(data), NULL, "", "Options", "the data set to evaluate on", 0},
    {"part", WS_OPT_STR, F(part), "auto", "auto|train|test|all", "Options",
     "which samples; auto: the test set if there is one", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "Options", "print one JSON object", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static void number(const char *key, double v, int last)
{
    if (isfinite(v))
        printf("\"%s\":%.17g%s", key, v, last ? "" : ",");
    else
        printf("\"%s\":null%s", key, last ? "" : ",");
}

static void print_score(const options *o, const ws_score *s)
{
    const char *part = strcmp(o->part, "train") == 0 ? "train "
                       : strcmp(o->part, "all") == 0 ? ""
                                                     : "test ";

    if (o->json) {
        printf("{\"samples\":%lld,", (long long)s->n);
        number("loss", s->loss, 0);
        number("accuracy", s->accuracy, 0);
        number("rmse", s->rmse, 1);
        printf("}\n");
        return;
    }
    printf("samples %lld\n", (long long)s->n);
    if (!isnan(s->loss)) printf("%sloss %.6g\n", part, s->loss);
    if (!isnan(s->accuracy)) printf("%saccuracy %.4f\n", part, s->accuracy);
    if (!isnan(s->rmse)) printf("%srmse %.6g\n", part, s->rmse);
}

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
    err = ws_predictor_run(p, o.data, strcmp(o.part, "auto") == 0 ? "" : o.part, "", &score);
    ws_predictor_close(&p);
    if (!err && isnan(score.loss))
        err =
            ws_fail(WS_ERR_DATA,
                    "%s has no labels of the kind the network was trained on: use wingspan predict",
                    o.data);
    if (!err && comm->rank == 0) print_score(&o, &score);
    return err;
}

const ws_command ws_cmd_eval = {
    "eval", "CHECKPOINT --data FILE", "loss and accuracy of a checkpoint on a data set", rows, NULL,
    run};
