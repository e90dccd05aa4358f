/* cmd_width.c - wingspan width: the smallest width at which training succeeds.
 *
 * Doubling until enough seeds succeed, then, if asked for, bisection between the last width that did not
 * and the first that did.  What success is:
 *
 *   loss         the loss falls to --target
 *   sign         every training sample is right
 *   certificate  the proof of convergence holds (Munteanu, Omlor, Song, Woodruff, ICML 2022): with l the
 *                least eigenvalue of the limiting kernel, that of H_0 is at least 3/4 l, H_t never
 *                drifts further than l/2 from H_0, and the loss falls to --target */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "wingspan/core/fmath.h"
#include "wingspan/io/dataset.h"
#include "wingspan/kernel/ntk.h"
#include "wingspan/linalg/blas.h"
#include "wingspan/train/train.h"

enum { SEEDS = 1000, WIDTHS = 128 };

typedef struct options {
    char data[WS_OPT_TEXT], prepare[WS_OPT_TEXT], init[WS_OPT_TEXT], optimizer[WS_OPT_TEXT];
    char bias[WS_OPT_TEXT], loss[WS_OPT_TEXT], until[WS_OPT_TEXT], output_scale[WS_OPT_TEXT];
    int64_t samples, from, to, seed, seeds, pass, steps;
    double shift, init_scale, target, rate;
    int bisect, json;
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"data", WS_OPT_STR, F(data), NULL, "", "Training",
     "data set in HDF5; {} in its name stands for the seed, so that each run has its own", 0},
    {"prepare", WS_OPT_STR, F(prepare), "unit", "none|unit|center-unit|standard-unit", "Training",
     "as in wingspan train, and so are the next", 0},
    {"samples", WS_OPT_INT, F(samples), "0", "[0,2^31)", "Training", "0: all", 0},
    {"shift", WS_OPT_REAL, F(shift), "0", "auto|[0,40]", "Training", "", 0},
    {"bias", WS_OPT_STR, F(bias), "fixed", "fixed|trained", "Training", "", 0},
    {"init", WS_OPT_STR, F(init), "coupled", "gaussian|coupled|structured|structured-coupled",
     "Training", "", 0},
    {"init-scale", WS_OPT_REAL, F(init_scale), "1", "(0,1e6]", "Training", "", 0},
    {"output-scale", WS_OPT_STR, F(output_scale), "active", "", "Training", "", 0},
    {"loss", WS_OPT_STR, F(loss), "squared", "auto|squared|logistic|softmax", "Training", "", 0},
    {"optimizer", WS_OPT_STR, F(optimizer), "gd", "gd|sgd|adam|gauss-newton", "Training", "", 0},
    {"rate", WS_OPT_REAL, F(rate), "auto", "auto|lambda-max|theory|(0,inf)", "Training", "", 0},
    {"steps", WS_OPT_INT, F(steps), "10000", "[1,2^40]", "Training", "at most", 0},
    {"until", WS_OPT_STR, F(until), "loss", "loss|sign|certificate", "Search",
     "success: the loss falls to --target; every training sample is right; the loss falls to"
     " --target, the least eigenvalue of H_0 is at least 3/4 of the limiting kernel's, l, and H_t"
     " never drifts further than l/2 from H_0",
     0},
    {"target", WS_OPT_REAL, F(target), "1e-3", "[0,inf)", "Search", "loss to reach", 0},
    {"from", WS_OPT_INT, F(from), "2", "[1,2^40]", "Search", "first width; then its doubles", 0},
    {"to", WS_OPT_INT, F(to), "65536", "[1,2^40]", "Search", "no width above", 0},
    {"seed", WS_OPT_INT, F(seed), "1", "[0,2^62]", "Search", "of the first run at each width", 0},
    {"seeds", WS_OPT_INT, F(seeds), "5", "[1,1000]", "Search", "runs a width, each another seed",
     0},
    {"pass", WS_OPT_INT, F(pass), "4", "[1,1000]", "Search", "runs that must succeed", 0},
    {"bisect", WS_OPT_FLAG, F(bisect), "no", "", "Search", "search between the last two widths", 0},
    {"json", WS_OPT_FLAG, F(json), "no", "", "Search", "print one JSON object", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

/* What one width did: medians over the seeds. */
typedef struct outcome {
    int64_t width, good;
    double least, drift; /* by the least eigenvalue of the limiting kernel; NaN without it */
    double output;       /* largest |f_0| of all seeds */
    double first_loss, loss, steps, flips;
} outcome;

typedef struct search {
    const ws_comm *comm;
    const options *o;
    int certificate, sign;
    double limit[SEEDS]; /* least eigenvalue of the limiting kernel; 0: not known yet */
    int64_t tried;
    outcome list[WIDTHS];
} search;

/* --data for this seed. */
static ws_err data_of(const options *o, int64_t seed, char *name)
{
    const char *at = strstr(o->data, "{}");
    int n = at ? snprintf(name, WS_OPT_TEXT, "%.*s%lld%s", (int)(at - o->data), o->data,
                          (long long)seed, at + 2)
               : snprintf(name, WS_OPT_TEXT, "%s", o->data);

    return n < WS_OPT_TEXT ? WS_OK : ws_fail(WS_ERR_USAGE, "--data is too long");
}

static ws_err options_of(const search *s, int64_t width, int64_t seed, ws_train_options *t)
{
    const options *o = s->o;
    ws_err err = ws_train_defaults(t);

    if (err || (err = data_of(o, seed, t->data))) return err;
    snprintf(t->prepare, sizeof t->prepare, "%s", o->prepare);
    snprintf(t->init, sizeof t->init, "%s", o->init);
    snprintf(t->bias, sizeof t->bias, "%s", o->bias);
    snprintf(t->loss, sizeof t->loss, "%s", o->loss);
    snprintf(t->optimizer, sizeof t->optimizer, "%s", o->optimizer);
    snprintf(t->output_scale, sizeof t->output_scale, "%s", o->output_scale);
    t->samples = o->samples;
    t->width = width;
    t->seed = seed;
    t->steps = o->steps;
    t->shift = o->shift;
    t->init_scale = o->init_scale;
    t->rate = o->rate;
    if (s->sign)
        t->target_accuracy = 1;
    else
        t->target_loss = o->target;
    t->quiet = 1;
    return WS_OK;
}

/* The least eigenvalue of the limiting kernel of the data of t, at its shift. */
static ws_err limit_of(const search *s, const ws_train_options *t, double *least)
{
    double shift = isnan(t->shift) ? sqrt(0.4 * ws_log((double)t->width)) : t->shift;
    ws_dataset_options d = {.samples = t->samples};
    ws_dataset *ds;
    ws_spectrum k = {0};
    ws_err err;

    d.prepare = (ws_prepare)ws_prepare_find(t->prepare);
    if ((err = ws_dataset_load(s->comm, t->data, &d, &ds))) return err;
    err =
        ws_ntk_spectrum(s->comm, &ds->all, ds->n, shift, strcmp(t->bias, "trained") == 0, NULL, &k);
    ws_dataset_destroy(&ds);
    *least = k.least;
    if (!err && ws_spectrum_is_singular(&k))
        err =
            ws_fail(WS_ERR_DATA,
                    "the limiting kernel of %s is singular (two samples are the same or opposite), "
                    "so no width has the certificate",
                    t->data);
    return err;
}

/* The same for seed k of the search, which an automatic shift makes depend on the width. */
static ws_err limit(search *s, int64_t k, const ws_train_options *t, double *least)
{
    double *kept = s->limit + (strstr(s->o->data, "{}") ? k : 0);
    ws_err err = WS_OK;

    *least = NAN;
    if (!s->certificate) return WS_OK;
    if (!(*kept > 0) || isnan(s->o->shift)) err = limit_of(s, t, kept);
    *least = *kept;
    return err;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return isnan(x) ? !isnan(y) : isnan(y) ? -1 : (x > y) - (x < y);
}

static double median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Run k at this width.  *good = 1 if it succeeds; one that diverges does not. */
static ws_err try_seed(search *s, int64_t width, int64_t k, double *least, ws_train_watch *w,
                       ws_train_result *r, int *good)
{
    static ws_train_options t;
    ws_err err = ws_agree(s->comm, options_of(s, width, s->o->seed + k, &t));

    *good = 0;
    if (err || (err = limit(s, k, &t, least))) return err;
    *w = (ws_train_watch){.gram = 1, .least_wanted = s->certificate ? 0.75 * *least : 0};
    err = ws_train_watched(s->comm, &t, w, r);
    if (err == WS_ERR_DIVERGED) return WS_OK;
    *good = s->sign ? r->accuracy == 1 : r->loss <= s->o->target;
    if (s->certificate) *good = *good && w->least >= 0.75 * *least && w->drift <= *least / 2;
    return err;
}

static ws_err try_width(search *s, int64_t width, outcome *out)
{
    static double least[SEEDS], drift[SEEDS], first[SEEDS], loss[SEEDS], steps[SEEDS], flips[SEEDS];
    int64_t n = s->o->seeds;

    *out = (outcome){.width = width};
    for (int64_t k = 0; k < n; k++) {
        ws_train_watch w;
        ws_train_result r;
        double unit;
        int good;
        ws_err err = try_seed(s, width, k, &unit, &w, &r, &good);

        if (err) return err;
        out->good += good;
        out->output = fmax(out->output, w.output);
        least[k] = w.least / unit;
        drift[k] = w.drift / unit;
        first[k] = w.loss;
        loss[k] = r.loss;
        steps[k] = (double)r.step;
        flips[k] = (double)w.flips;
    }
    out->least = median(least, n);
    out->drift = median(drift, n);
    out->first_loss = median(first, n);
    out->loss = median(loss, n);
    out->steps = median(steps, n);
    out->flips = median(flips, n);
    return WS_OK;
}

static void head(const search *s)
{
    if (s->comm->rank != 0 || s->o->json) return;
    printf("%10s %9s %10s %10s %10s %8s %9s", "width", "succeed", "max |f_0|", "loss at 0", "loss",
           "steps", "flips");
    printf(s->certificate ? " %9s %9s\n" : "\n", "least/l", "drift/l");
}

static void print(const search *s, const outcome *t)
{
    char succeed[32];

    if (s->comm->rank != 0 || s->o->json) return;
    snprintf(succeed, sizeof succeed, "%lld/%lld", (long long)t->good, (long long)s->o->seeds);
    printf("%10lld %9s %10.4g %10.4g %10.3g %8.0f %9.0f", (long long)t->width, succeed, t->output,
           t->first_loss, t->loss, t->steps, t->flips);
    if (s->certificate) printf(" %9.3f %9.3f", t->least, t->drift);
    printf("\n");
    fflush(stdout);
}

/* Do enough runs of this width succeed? */
static ws_err enough(search *s, int64_t width, int *yes)
{
    outcome t;
    ws_err err = try_width(s, width, &t);

    if (err) return err;
    print(s, &t);
    if (s->tried < WIDTHS) s->list[s->tried++] = t;
    *yes = t.good >= s->o->pass;
    return WS_OK;
}

/* *width = the smallest found; 0 if none up to --to. */
static ws_err find(search *s, int64_t *width)
{
    int64_t bad = 0, good = 0;
    int yes = 0;
    ws_err err;

    for (int64_t m = s->o->from; m <= s->o->to && !good; m *= 2) {
        if ((err = enough(s, m, &yes))) return err;
        *(yes ? &good : &bad) = m;
    }
    while (s->o->bisect && good && bad && good - bad > 1) {
        int64_t middle = bad + (good - bad) / 2;
        if ((err = enough(s, middle, &yes))) return err;
        *(yes ? &good : &bad) = middle;
    }
    *width = good;
    return WS_OK;
}

static void number(const char *key, double v)
{
    if (isfinite(v))
        printf(",\"%s\":%.17g", key, v);
    else
        printf(",\"%s\":null", key);
}

static void print_json(const search *s, int64_t width)
{
    printf("{\"type\":\"width\",\"width\":%lld,\"until\":\"%s\",\"init\":\"%s\",\"seeds\":%lld,"
           "\"pass\":%lld,\"tried\":[",
           (long long)width, s->o->until, s->o->init, (long long)s->o->seeds,
           (long long)s->o->pass);
    for (int64_t k = 0; k < s->tried; k++) {
        const outcome *t = s->list + k;
        printf("%s{\"width\":%lld,\"succeed\":%lld", k ? "," : "", (long long)t->width,
               (long long)t->good);
        number("output", t->output);
        number("loss_start", t->first_loss);
        number("loss", t->loss);
        number("steps", t->steps);
        number("flips", t->flips);
        if (s->certificate) {
            number("least", t->least);
            number("drift", t->drift);
        }
        printf("}");
    }
    printf("]}\n");
}

static ws_err check(const options *o, const ws_said *said)
{
    if (o->pass > o->seeds)
        return ws_fail(WS_ERR_USAGE, "--pass %lld asks for more runs than --seeds %lld makes",
                       (long long)o->pass, (long long)o->seeds);
    if (o->from > o->to)
        return ws_fail(WS_ERR_USAGE, "--from %lld is above --to %lld", (long long)o->from,
                       (long long)o->to);
    for (int i = 0; rows[i].name && strcmp(o->until, "sign") == 0; i++)
        if (strcmp(rows[i].name, "target") == 0 && said->given.from[i])
            return ws_fail(WS_ERR_USAGE,
                           "--until sign has no --target: every sample must be right");
    return WS_OK;
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    static search s;
    int64_t width = 0;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 0, 0, "", &said, &help);

    if (err || help || (err = check(&o, &said))) return err;
    s = (search){.comm = comm,
                 .o = &o,
                 .certificate = strcmp(o.until, "certificate") == 0,
                 .sign = strcmp(o.until, "sign") == 0};
    ws_blas_init();
    head(&s);
    if ((err = find(&s, &width)) || comm->rank != 0) return err;
    if (o.json)
        print_json(&s, width);
    else if (width)
        printf("smallest width   %lld\n", (long long)width);
    else
        printf("no width up to %lld succeeds\n", (long long)o.to);
    return WS_OK;
}

const ws_command ws_cmd_width = {"width",
                                 "--data FILE [options]",
                                 "search the smallest width at which training succeeds",
                                 rows,
                                 NULL,
                                 run};
