/* cmd_train.c - wingspan train. */
#include <math.h>
#include <stdio.h>

#include "command.h"
#include "wingspan/train/train.h"

static void print_result(const ws_train_options *o, const ws_train_result *t)
{
    printf("step %lld\n", (long long)t->step);
    printf("loss %.6g\n", t->loss);
    if (!isnan(t->accuracy)) printf("train accuracy %.4f\n", t->accuracy);
    if (!isnan(t->test_accuracy)) printf("test accuracy %.4f\n", t->test_accuracy);
    if (!isnan(t->test_rmse)) printf("test rmse %.6g\n", t->test_rmse);
    if (o->verify_index > 0)
        printf("verified %lld queries, %lld neurons missed\n", (long long)t->verified,
               (long long)t->missed);
    printf("seconds %.1f\n", t->seconds);
    if (o->checkpoint[0]) printf("checkpoint %s\n", o->checkpoint);
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static ws_train_options o;
    static ws_said said;
    ws_train_result result;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 0, 0, "", &said, &help);

    if (err || help) return err;
    err = ws_train(comm, &o, &said.given, &result);
    if (comm->rank == 0 && !err && !o.dry_run) print_result(&o, &result);
    if (err == WS_ERR_STOPPED) {
        const char *file = o.checkpoint[0] ? o.checkpoint : o.resume;
        ws_fail(err, "stopped on request after step %lld%s%s", (long long)result.step,
                file[0] ? "; go on with wingspan train --resume "
                        : ": without --checkpoint it is lost",
                file);
    }
    return err;
}

const ws_command ws_cmd_train = {
    "train",
    "--data FILE [options]",
    "train a network, or resume a run",
    ws_train_table,
    "Exit codes: 0 done, 1 failed, 2 usage, 3 stopped by a signal after a checkpoint.\n",
    run};
