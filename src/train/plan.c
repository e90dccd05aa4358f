/* plan.c - what a run will need before it is started: memory a rank, work a step, messages.
 *
 * Memory is the peak of resident pages summed over ranks, pages shared by a node counted once:
 * the arrays below, and what MPI and its libraries take on their own. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "run.h"
#include "wingspan/core/fmath.h"

/* Resident memory of a rank before any array exists: read from the system. */
static double base_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long pages = 0, shared = 0;
    int ok = f && fscanf(f, "%*d %ld %ld", &pages, &shared) == 2;

    if (f) fclose(f);
    return ok ? (double)(pages - shared) * 4096.0 : 64e6;
}

/* Samples of the largest query: the batch, a block of test samples, or those of --rate auto. */
static double largest_query(const ws_run *r)
{
    int measures =
        !(r->opt.rate > 0) && strcmp(r->opt.optimizer, "adam") != 0 && !ws_is_newton(&r->opt);
    double n = (double)r->batch, test = fmin(1024, (double)r->ds->n_test);

    return fmax(fmax(n, test), measures ? fmin(4096, (double)r->ds->n) : 0);
}

static double pair_bytes(const ws_run *r, int64_t n)
{
    int smooth = r->net ? r->net->spec.phi->smooth : ws_run_spec(r).phi->smooth;
    double active = smooth ? 1 : ws_gauss_tail(r->opt.shift);
    double each = sizeof(int32_t) + sizeof(double) + sizeof(float) +
                  (strcmp(r->opt.precision, "float64") == 0 ? sizeof(double) : 0);
    double before = r->per_epoch == 1 ? (double)r->batch * sizeof(int32_t) : 0;

    return (largest_query(r) * each + before) * active * (double)n + 16.0 * (double)n;
}

ws_err ws_run_plan(const ws_run *r, ws_plan *p)
{
    ws_net_spec spec = ws_run_spec(r);
    ws_optim_spec opt = ws_run_optim(r);
    ws_index_plan ip = ws_run_index_plan(r);
    double rank0 = 0, base = base_bytes(), sums[2];
    ws_comm node = {0};
    int leader;
    char reason[200];
    const char *kind = ip.smooth                ? "all"
                       : r->opt.index[0] == 'a' ? ws_index_choose(&ip, reason)
                                                : r->opt.index;
    double entries = (double)r->batch * r->targets.c;

    *p = (ws_plan){0};
    if (spec.implicit) kind = "none";
    ws_comm_node(r->comm, &node);
    leader = node.rank == 0;
    ws_comm_destroy(&node);
    p->weights = ws_net_bytes(&spec, ip.n);
    p->optimiser = ws_optim_bytes(&opt, &spec, ip.n);
    if (ws_is_newton(&r->opt)) {
        ws_newton_spec ns = ws_newton_of(r);
        p->optimiser += ws_newton_bytes(&ns, &spec, ip.n, r->comm->size);
    }
    p->index = spec.implicit ? 0 : ws_index_bytes(kind, &ip);
    p->pairs = spec.implicit ? 0 : pair_bytes(r, ip.n);
    if (spec.implicit) {
        double pairs = entries * (entries + 1) / 2, order = entries * entries;

        p->weights = ws_implicit_bytes(&spec, r->ds->n, (double)ip.n, ip.active);
        p->optimiser = 8 * (pairs + 2 * order + (double)r->ds->n * (double)r->ds->n);
    }
    p->exchange = entries * (2 * sizeof(double) + 2 * sizeof(int64_t)) +
                  (double)ws_near_bytes(r->batch, r->ds->n, r->ds->d, r->ds->packed);
    p->data = ws_dataset_bytes(r->ds->n + r->ds->n_test, r->ds->d, r->ds->columns, r->ds->packed);
    p->base = base;
    p->active = spec.phi->smooth ? (double)spec.m : (double)spec.m * ws_gauss_tail(r->opt.shift);
    sums[0] = base;
    sums[1] = leader;
    MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, r->comm->mpi);
    p->nodes = (int64_t)sums[1];
    for (int k = 0; k < r->comm->size; k++) {
        ws_layout l = {spec.m, r->comm->size};
        double share = (double)ws_layout_count(&l, k) / (double)ip.n;
        rank0 += share * (p->weights + p->optimiser + p->index + p->pairs) + p->exchange;
    }
    p->total = rank0 + sums[0] + (double)p->nodes * p->data;
    return WS_OK;
}

static void line(const char *what, double bytes)
{
    printf("  %-28s %10.1f MB\n", what, bytes / 1e6);
}

void ws_plan_print(const ws_run *r, const ws_plan *p)
{
    ws_index_plan ip = ws_run_index_plan(r);
    char reason[200] = "asked for";
    const char *kind = ip.smooth                ? "all"
                       : r->opt.index[0] == 'a' ? ws_index_choose(&ip, reason)
                                                : r->opt.index;
    int implicit = ws_is_implicit(&r->opt);
    int64_t e = r->batch * r->targets.c, pairs = implicit ? e * (e + 1) / 2 : 0;
    int64_t words = 2 * (e + 1) + COUNTS + 2 + pairs;

    printf("plan: nothing is trained\n");
    printf("data      %s: %lld samples, %lld to test, %lld columns, %d outputs, loss %s\n",
           r->ds->name, (long long)r->ds->n, (long long)r->ds->n_test, (long long)r->ds->d,
           r->targets.c, r->opt.loss);
    printf("network   width %lld over %d ranks, at most %lld a rank; shift %.4g\n",
           (long long)r->opt.width, r->comm->size, (long long)ip.n, r->opt.shift);
    printf("active    about %.0f neurons a sample (%.3g %%)\n", p->active,
           100 * p->active / (double)r->opt.width);
    if (implicit)
        printf("index     none: the neurons that fire at the start are listed once and held\n");
    else
        printf("index     %s%s%s\n", ws_index_title(kind), ip.smooth ? "" : ": ",
               ip.smooth ? "" : reason);
    if (!implicit && r->opt.index[0] == 'a' && ws_index_close(&ip) > 1)
        printf("          %d kinds are close: they will be timed at the start\n",
               ws_index_close(&ip));
    printf("steps     %lld of %lld samples, %lld an epoch\n", (long long)r->total,
           (long long)r->batch, (long long)r->per_epoch);
    printf("a step    1 reduction of %.1f kB a rank%s\n", (double)words * 8 / 1e3,
           ws_is_newton(&r->opt) && !implicit ? ", again for each iteration of conjugate gradients"
                                              : "");
    printf("memory of the largest rank\n");
    line(implicit ? "neurons that fire" : "weights", p->weights);
    line("optimiser", p->optimiser);
    line("index", p->index);
    line("fired pairs of a batch", p->pairs);
    line("outputs and exchange", p->exchange);
    line("MPI and libraries", p->base);
    line("data, one copy a node", p->data);
    printf("memory of all ranks            %10.1f MB\n", p->total / 1e6);
    if (r->opt.checkpoint[0])
        printf("checkpoint                     %10.1f MB, %lld kept\n",
               (implicit ? ws_implicit_saved_bytes(r->ds->n, (double)r->opt.width, ip.active)
                         : (double)r->opt.width * (ws_run_spec(r).float64 ? 8 : 4) *
                                   (double)(r->ds->d + 1 + r->targets.c) +
                               p->optimiser * (double)r->opt.width / (double)ip.n) /
                   1e6,
               (long long)r->opt.keep);
}
