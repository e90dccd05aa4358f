/* cmd_kernel.c - wingspan kernel: the spectrum of a limiting kernel on a data set. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "wingspan/io/dataset.h"
#include "wingspan/kernel/ntk.h"
#include "wingspan/linalg/blas.h"

typedef struct options {
    char kind[WS_OPT_TEXT], data[WS_OPT_TEXT], prepare[WS_OPT_TEXT];
    int64_t samples;
    double shift;
    int json;
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"kind", WS_OPT_STR, F(kind), "bias-ntk", "ntk|bias-ntk", "Options",
     "two-layer relu network of infinite width; bias-ntk: with --bias trained", 0},
    {"data", WS_OPT_STR, F(data), NULL, "", "Options", "data set in HDF5; its x is used", 0},
    {"prepare", WS_OPT_STR, F(prepare), "unit", "unit|center-unit|standard-unit", "Options",
     "as in wingspan train", 0},
    {"samples", WS_OPT_INT, F(samples), "0", "[0,2^31)", "Options",
     "the first so many samples; 0: all", 0},
    {"shift", WS_OPT_REAL, F(shift), "0", "[0,40]", "Options",
     "a neuron fires beyond it; in deviations of z", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "Options", "print one JSON object", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static void print(const options *o, const ws_spectrum *s)
{
    if (o->json) {
        printf("{\"type\":\"kernel\",\"kind\":\"%s\",\"shift\":%.17g,\"samples\":%lld,"
               "\"active\":%.17g,\"least\":%.17g,\"largest\":%.17g,\"disc\":%.17g,"
               "\"nearest\":%.17g}\n",
               o->kind, o->shift, (long long)s->n, s->active, s->least, s->largest, s->disc,
               s->nearest);
        return;
    }
    printf("kernel            %s, shift %g, %lld samples\n", o->kind, o->shift, (long long)s->n);
    printf("active            %.6g of the neurons a sample\n", s->active);
    printf("least eigenvalue  %.6g (at least %.6g by discs)\n", s->least, s->disc);
    printf("largest           %.6g\n", s->largest);
    printf("condition         %.6g\n", s->largest / s->least);
    printf("nearest samples   |<x_i, x_j>| = %.6g\n", s->nearest);
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    ws_dataset_options d = {0};
    ws_dataset *ds;
    ws_spectrum s;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 0, 0, "", &said, &help);

    if (err || help) return err;
    ws_blas_init();
    d.prepare = (ws_prepare)ws_prepare_find(o.prepare);
    d.samples = o.samples;
    if ((err = ws_dataset_load(comm, o.data, &d, &ds))) return err;
    err =
        ws_ntk_spectrum(comm, &ds->all, ds->n, o.shift, strcmp(o.kind, "bias-ntk") == 0, NULL, &s);
    if (!err && comm->rank == 0) print(&o, &s);
    ws_dataset_destroy(&ds);
    return err;
}

const ws_command ws_cmd_kernel = {
    "kernel", "--data FILE [options]", "eigenvalues of the kernel of infinite width", rows, NULL,
    run};
