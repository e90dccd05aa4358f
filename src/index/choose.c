/* choose.c - which kind "auto" is, from the plan of a run.
 *
 * A smooth activation uses every neuron.  A tree a sample pays for few samples, if a step of it is
 * estimated cheaper than a scan.  Lists with a slack pay while they are short: their length is the
 * Gaussian tail at threshold minus slack.  Otherwise a scan is as good as anything.  What does not
 * fit in memory is not chosen. */
#include <stdio.h>

#include "wingspan/core/fmath.h"

#include "index_impl.h"

/* A moved neuron writes a leaf for every sample, so a tree a sample is for few samples.  A full step
 * at d = 64 and auto shift, query and update, scan / dtree / certified: 32 samples, width 4096 0.48 /
 * 0.28 / 0.37 ms, width 2^20 132 / 65 / 80 ms; 64 samples, width 65536 48 / 36 / 29 ms; 128 samples 77 /
 * 82 / 34 ms.  wtree is never better than dtree by much, and reads every root: it is not chosen.
 * Lists that hold a larger share of all pairs cost as much to walk as sgemm to propose anew. */
#define FEW_SAMPLES 64
#define DTREE_SAMPLES 256
#define LISTED_SHARE 0.12
#define DEFAULT_SLACK 0.8

enum { REASON = 200 };

/* The share of pairs within the slack of the threshold at the start. */
static double listed_share(const ws_index_plan *p)
{
    double slack = p->opt.slack > 0 ? p->opt.slack : DEFAULT_SLACK;

    return p->spread > 0 ? ws_gauss_tail((p->threshold - slack) / p->spread) : 1;
}

/* Nanoseconds a neuron and step, from rates seen on one core with AVX-512: for a scan 90 GF/s, and
 * comparing; for the trees 3.5 ns a leaf written and 0.2 for each pair that moves it, about 8 ns a node
 * visited (dots included). */
static double scan_cost(const ws_index_plan *p)
{
    return (double)p->batch * (0.022 * (double)p->d + 1.7);
}

static double dtree_cost(const ws_index_plan *p)
{
    double fired = (double)p->batch * p->active, any = -ws_expm1(-fired);
    double depth = p->active > 0 && p->active < 1 ? -ws_log(p->active) / 0.6931 : 0;

    return (double)p->registered * (any * 3.5 + fired * 0.2) + fired * (2 * depth + 2) * 8;
}

const char *ws_index_choose(const ws_index_plan *p, char reason[200])
{
    double dtree = ws_index_bytes("dtree", p), lists = ws_index_bytes("certified", p);
    double share = listed_share(p);
    int trees = p->registered > 0 && p->registered <= DTREE_SAMPLES && dtree <= p->memory &&
                dtree_cost(p) < scan_cost(p);
    int listed = p->registered > 0 && share <= LISTED_SHARE && lists <= p->memory;

    if (p->smooth) {
        snprintf(reason, REASON, "the activation uses all %lld neurons", (long long)p->n);
        return "all";
    }
    if (trees && (!listed || p->registered <= FEW_SAMPLES)) {
        snprintf(reason, REASON, "a tree for each of %lld samples takes %.4g MB a rank",
                 (long long)p->registered, dtree / 1e6);
        return "dtree";
    }
    if (listed) {
        snprintf(reason, REASON, "lists with a slack hold %.3g %% of the pairs in %.4g MB a rank",
                 100 * share, lists / 1e6);
        return "certified";
    }
    if (p->registered > 0 && share <= LISTED_SHARE)
        snprintf(reason, REASON, "lists would take %.4g MB a rank and %.4g MB are free",
                 lists / 1e6, p->memory / 1e6);
    else
        snprintf(reason, REASON, "%.3g %% of the pairs lie near the threshold: too many for lists",
                 100 * share);
    return "scan";
}
