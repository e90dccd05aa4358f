/* example.c - a program of its own that links libwingspan: trains ten steps, then predicts. */
#include <math.h>
#include <stdio.h>

#include "wingspan/wingspan.h"

static ws_err work(const ws_comm *comm, const char *data)
{
    ws_train_options o;
    ws_train_result trained;
    ws_predictor *p = NULL;
    ws_score score;
    ws_err err;

    if ((err = ws_train_defaults(&o))) return err;
    snprintf(o.data, sizeof o.data, "%s", data);
    snprintf(o.checkpoint, sizeof o.checkpoint, "example.h5");
    o.width = 2048;
    o.steps = 10;
    o.quiet = 1;
    if ((err = ws_train(comm, &o, NULL, &trained))) return err;
    if ((err = ws_predictor_open(comm, "example.h5", &p))) return err;
    err = ws_predictor_run(p, data, "test", "pred.h5", &score);
    ws_predictor_close(&p);
    if (!err && comm->rank == 0)
        printf("%lld steps, loss %.4f, test accuracy %.4f\n", (long long)trained.step, trained.loss,
               score.accuracy);
    return err;
}

int main(int argc, char **argv)
{
    ws_comm comm;
    ws_err err;

    MPI_Init(&argc, &argv);
    ws_comm_create(MPI_COMM_WORLD, &comm);
    err = argc == 2 ? work(&comm, argv[1]) : ws_fail(WS_ERR_USAGE, "usage: example DATA.h5");
    if (err && comm.rank == 0) fprintf(stderr, "example: %s\n", ws_err_text());
    ws_comm_destroy(&comm);
    MPI_Finalize();
    return err != WS_OK;
}
