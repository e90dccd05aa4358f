/* cmd_kernel.c - wingspan kernel: the spectrum of a limiting kernel on a data set, what bounds it from
 * below, what it takes to fit the labels, and a layer of finite width beside it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "wingspan/core/alloc.h"
#include "wingspan/io/dataset.h"
#include "wingspan/kernel/ntk.h"
#include "wingspan/linalg/blas.h"

typedef struct options {
    char kind[WS_OPT_TEXT], data[WS_OPT_TEXT], prepare[WS_OPT_TEXT], init[WS_OPT_TEXT];
    int64_t samples, width, seed;
    double shift;
    int json;
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"kind", WS_OPT_STR, F(kind), "bias-ntk", "ntk|bias-ntk", "Options",
     "two-layer relu network of infinite width; bias-ntk: with --bias trained", 0},
    {"data", WS_OPT_STR, F(data), NULL, "", "Options",
     "data set in HDF5; its x is used, and its y where it is two classes or one column", 0},
    {"prepare", WS_OPT_STR, F(prepare), "unit", "unit|center-unit|standard-unit", "Options",
     "as in wingspan train", 0},
    {"samples", WS_OPT_INT, F(samples), "0", "[0,2^31)", "Options",
     "the first so many samples; 0: all", 0},
    {"shift", WS_OPT_REAL, F(shift), "0", "[0,40]", "Options",
     "a neuron fires beyond it; in deviations of z", 0},
    {"width", WS_OPT_INT, F(width), "0", "[0,2^40]", "Options",
     "also the matrix of the neurons that training at this width starts from; 0: no", 0},
    {"init", WS_OPT_STR, F(init), "gaussian", "gaussian|coupled", "Options",
     "with --width: as in wingspan train", 0},
    {"seed", WS_OPT_INT, F(seed), "1", "[0,2^62]", "Options", "with --width: of the neurons", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "Options", "print one JSON object", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

/* Everything that is printed; NaN where it has no meaning. */
typedef struct answer {
    ws_spectrum s;
    ws_ntk_bounds bounds;
    double fit;       /* Q y' K^-1 y / n */
    double unshifted; /* condition at shift 0 */
    double frozen;    /* least eigenvalue without trained biases */
    ws_layer_spectrum layer;
} answer;

/* y as the squared loss has it: -1 and +1, or the standardised target; NULL for anything else. */
static ws_err labels(const ws_dataset *ds, double **y)
{
    int classes = ds->prep.classes == 2 && ds->label, column = ds->value && ds->columns == 1;
    int zero_one = strcmp(ws_dataset_kind(ds), "labels") == 0;
    ws_err err;

    *y = NULL;
    if (!ds->has_y || !(classes || column)) return WS_OK;
    if ((err = ws_alloc(y, ds->n, sizeof **y, "labels"))) return err;
    for (int64_t i = 0; i < ds->n; i++)
        (*y)[i] = classes    ? 2 * ds->label[i] - 1
                  : zero_one ? 2 * (double)ds->value[i] - 1
                             : (double)ds->value[i];
    return WS_OK;
}

static ws_err fit_labels(const ws_comm *comm, const ws_dataset *ds, const options *o, int biased,
                         answer *a)
{
    double *y = NULL, energy = NAN;
    ws_err err = ws_agree(comm, labels(ds, &y));

    if (!err && y) err = ws_ntk_energy(comm, &ds->all, ds->n, o->shift, biased, y, &energy);
    a->fit = a->s.active * energy / (double)ds->n;
    ws_free(&y);
    return err;
}

/* The layer, and the two kernels that card-like comparisons need. */
static ws_err beside(const ws_comm *comm, const ws_dataset *ds, const options *o, int biased,
                     answer *a)
{
    ws_spectrum other;
    ws_err err = ws_ntk_layer(comm, &ds->all, ds->n, o->shift, biased, o->width, (uint64_t)o->seed,
                              strcmp(o->init, "coupled") == 0, &a->layer);

    if (err || (err = ws_ntk_spectrum(comm, &ds->all, ds->n, 0, biased, NULL, &other))) return err;
    a->unshifted = other.largest / other.least;
    if (!biased) return WS_OK;
    err = ws_ntk_spectrum(comm, &ds->all, ds->n, o->shift, 0, NULL, &other);
    a->frozen = other.least;
    return err;
}

static void line(const char *what, double v, const char *note)
{
    printf("  %-24s %-12.6g %s\n", what, v, note);
}

static void verdict(const char *what, double v, const char *relation, double than, int holds)
{
    printf("  %-48s %10.6g %s %-10.6g %s\n", what, v, relation, than, holds ? "yes" : "no");
}

static void print_layer(const options *o, int biased, const answer *a)
{
    const ws_layer_spectrum *l = &a->layer;
    double q = a->s.active, near = 4 / sqrt((double)o->width);
    double condition = a->s.largest / a->s.least, tenth = a->unshifted / 10;

    printf("a layer of width %lld, %s, seed %lld\n", (long long)o->width, o->init,
           (long long)o->seed);
    line("least eigenvalue", l->least, "");
    line("largest", l->largest, "");
    line("condition", l->largest / l->least, "");
    line("distance by the largest", l->distance / a->s.largest, "in the spectral norm");
    line("active", l->active, "of the neurons a sample");
    line("on the samples", l->fewest, "at least");
    line("", l->most, "at most");
    verdict("V1 entries differ by at most 4/sqrt(width)", l->entry, "<=", near, l->entry <= near);
    if (o->shift >= 2)
        verdict("V2 condition by that at shift 0, a tenth", condition, "< ", tenth,
                condition < tenth);
    verdict("V4 active by Q(shift), within a tenth", l->active / q, "~ ", 1,
            fabs(l->active / q - 1) <= 0.1);
    if (biased)
        verdict("V5 least by that of fixed biases", a->s.least / a->frozen, "> ", 1.5,
                a->s.least > 1.5 * a->frozen);
    printf("  V3, and V4 to the end, are about training: launch/reproduce V\n");
}

static void print(const options *o, int biased, const answer *a)
{
    const ws_spectrum *s = &a->s;

    printf("kernel            %s, shift %g, %lld samples\n", o->kind, o->shift, (long long)s->n);
    printf("active            %.6g of the neurons a sample\n", s->active);
    printf("least eigenvalue  %.6g\n", s->least);
    printf("largest           %.6g\n", s->largest);
    printf("condition         %.6g\n", s->largest / s->least);
    printf("nearest samples   |<x_i, x_j>| = %.6g\n", s->nearest);
    printf("lower bounds of the least eigenvalue\n");
    line("discs (Gershgorin)", s->disc, "");
    if (biased) {
        line("worst case", a->bounds.worst, "e^(-B^2/2) d/(100 n^2), d = min |x_i +- x_j|");
        line("by the nearest samples", a->bounds.region, "may be negative");
        line("sharper", a->bounds.sharp, "Q(B) - P[both fire, nearest samples]");
    }
    if (!isnan(a->fit)) {
        printf("to fit the labels\n");
        line("Q y'K^-1 y / n", a->fit, "");
        line("bound of the test loss", sqrt(32 * a->fit), "sqrt(32 Q y'K^-1 y / n) + ...");
    }
    if (o->width) print_layer(o, biased, a);
}

static void number(const char *key, double v)
{
    if (isfinite(v))
        printf(",\"%s\":%.17g", key, v);
    else
        printf(",\"%s\":null", key);
}

static void print_json(const options *o, int biased, const answer *a)
{
    const ws_spectrum *s = &a->s;
    const ws_layer_spectrum *l = &a->layer;

    printf("{\"type\":\"kernel\",\"kind\":\"%s\",\"shift\":%.17g,\"samples\":%lld", o->kind,
           o->shift, (long long)s->n);
    number("active", s->active);
    number("least", s->least);
    number("largest", s->largest);
    number("disc", s->disc);
    number("nearest", s->nearest);
    number("condition", s->largest / s->least);
    number("deviation", s->deviation);
    number("bound_worst", biased ? a->bounds.worst : NAN);
    number("bound_nearest", biased ? a->bounds.region : NAN);
    number("bound_sharp", biased ? a->bounds.sharp : NAN);
    number("fit", a->fit);
    number("test_bound", sqrt(32 * a->fit));
    if (o->width) {
        printf(",\"width\":%lld,\"init\":\"%s\",\"seed\":%lld", (long long)o->width, o->init,
               (long long)o->seed);
        number("layer_least", l->least);
        number("layer_largest", l->largest);
        number("layer_entry", l->entry);
        number("layer_distance", l->distance);
        number("layer_active", l->active);
        number("layer_active_least", l->fewest);
        number("layer_active_most", l->most);
        number("condition_unshifted", a->unshifted);
        number("least_fixed", a->frozen);
    }
    printf("}\n");
}

static ws_err answer_all(const ws_comm *comm, const ws_dataset *ds, const options *o, int biased,
                         answer *a)
{
    ws_err err;

    *a = (answer){.fit = NAN, .unshifted = NAN, .frozen = NAN};
    if ((err = ws_ntk_spectrum(comm, &ds->all, ds->n, o->shift, biased, NULL, &a->s))) return err;
    a->bounds = ws_ntk_bounds_of(o->shift, a->s.nearest, ds->n);
    if ((err = fit_labels(comm, ds, o, biased, a))) return err;
    return o->width ? beside(comm, ds, o, biased, a) : WS_OK;
}

static ws_err check(const options *o, const ws_said *said)
{
    for (int i = 0; rows[i].name && !o->width; i++)
        if (said->given.from[i] &&
            (strcmp(rows[i].name, "init") == 0 || strcmp(rows[i].name, "seed") == 0))
            return ws_fail(WS_ERR_USAGE, "--%s goes with --width: the limit has no neurons",
                           rows[i].name);
    return WS_OK;
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    ws_dataset_options d = {0};
    ws_dataset *ds;
    answer a;
    int help, biased;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 0, 0, "", &said, &help);

    if (err || help || (err = check(&o, &said))) return err;
    ws_blas_init();
    biased = strcmp(o.kind, "bias-ntk") == 0;
    d.prepare = (ws_prepare)ws_prepare_find(o.prepare);
    d.samples = o.samples;
    if ((err = ws_dataset_load(comm, o.data, &d, &ds))) return err;
    err = answer_all(comm, ds, &o, biased, &a);
    if (!err && comm->rank == 0) (o.json ? print_json : print)(&o, biased, &a);
    ws_dataset_destroy(&ds);
    return err;
}

const ws_command ws_cmd_kernel = {"kernel",
                                  "--data FILE [options]",
                                  "eigenvalues of the kernel of infinite width, and of a layer",
                                  rows,
                                  NULL,
                                  run};
