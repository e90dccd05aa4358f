/* cmd_export.c - wingspan export: every row of a network, whatever form its checkpoint has. */
#include <stdio.h>

#include "command.h"
#include "wingspan/io/table.h"
#include "wingspan/model/net64.h"
#include "wingspan/train/restore.h"

typedef struct options {
    char out[WS_OPT_TEXT];
} options;

static const ws_opt rows[] = {
    {"out", WS_OPT_STR, offsetof(options, out), "model.h5", "", "Options",
     "where to write /w (m,d), /b (m) and /a (m,C), in the precision of the run", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static ws_err write_rows(const ws_comm *comm, const ws_net *net, const char *file)
{
    const ws_net_spec *s = &net->spec;
    const ws_net64 *f = net->f64;
    ws_type type = f ? WS_FLOAT64 : WS_FLOAT32;
    ws_table_column cols[3] = {
        {"/w", type, s->m, net->first, net->n, s->d, f ? (void *)f->w : net->w},
        {"/b", type, s->m, net->first, net->n, 0, f ? (void *)f->b : net->b},
        {"/a", type, s->m, net->first, net->n, s->c, f ? (void *)f->a : net->a},
    };

    return ws_table_write(comm, file, cols, 3);
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    ws_ckpt *file = NULL;
    ws_net *net = NULL;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 1, 1, "a checkpoint", &said, &help);

    if (err || help) return err;
    if (!(err = ws_ckpt_open(comm, said.word[0], 0, &file)))
        err = ws_checkpoint_rows(file, comm, &net);
    ws_ckpt_close(&file);
    if (!err) err = write_rows(comm, net, o.out);
    if (!err && comm->rank == 0)
        printf("%lld neurons of %lld weights in %s\n", (long long)net->spec.m,
               (long long)net->spec.d, o.out);
    ws_net_destroy(&net);
    return err;
}

const ws_command ws_cmd_export = {"export",
                                  "CHECKPOINT [--out FILE]",
                                  "write all weights of a checkpoint to a plain HDF5 file",
                                  rows,
                                  NULL,
                                  run};
