/* choose.c - which kind "auto" is, from the plan of a run.
 *
 * A smooth activation uses every neuron.  Otherwise each kind in the table below has an estimate
 * of what a step costs, and the cheapest that fits in memory is chosen.  The estimates are good
 * for what is far apart; where they are close, trial.c asks the machine. */
#include <stdio.h>
#include <string.h>

#include "wingspan/core/fmath.h"

#include "index_impl.h"

enum { REASON = 200 };

/* ---- what a step costs, in nanoseconds a neuron, by rates seen on one core with AVX-512 ---- */

/* A row is read from memory for sgemm. */
static double read_ns(const ws_index_plan *p)
{
    return 0.45 * (double)p->d + 20;
}

/* A length-d product: proposed by sgemm, decided by ws_dot. */
static double propose_ns(const ws_index_plan *p)
{
    return 0.02 * (double)p->d + 0.4;
}

static double decide_ns(const ws_index_plan *p)
{
    return 0.1 * (double)p->d + 7;
}

/* Pairs of the batch that fire, and the chance that one of them does. */
static double fired(const ws_index_plan *p)
{
    return (double)p->batch * p->active;
}

static double any_fires(const ws_index_plan *p)
{
    return -ws_expm1(-fired(p));
}

static double scan_cost(const ws_index_plan *p)
{
    return read_ns(p) + (double)p->batch * propose_ns(p) + fired(p) * decide_ns(p) +
           20 * any_fires(p);
}

/* A leaf for every sample when a neuron moves, 3.5 ns, and 0.2 for each pair that moves it; 8 ns a node
 * on the walk to each fired leaf, dots included.  A full step at d = 64 and auto shift, scan / dtree /
 * certified: 32 samples, width 4096 0.48 / 0.28 / 0.37 ms, width 2^20 132 / 65 / 80 ms; 128 samples,
 * width 65536 77 / 82 / 34 ms.  wtree is never much better, and reads every root: it is not here. */
static double dtree_cost(const ws_index_plan *p)
{
    double depth = p->active > 0 && p->active < 1 ? -ws_log(p->active) / 0.6931 : 0;

    return (double)p->registered * (any_fires(p) * 3.5 + fired(p) * 0.2) + 20 * any_fires(p) +
           fired(p) * (2 * depth + 2) * 8;
}

/* The share of pairs within the slack of the threshold at the start: what lists hold. */
static double listed_share(const ws_index_plan *p)
{
    double slack = p->opt.slack > 0 ? p->opt.slack : WS_CERTIFIED_SLACK * p->spread;

    return p->spread > 0 ? ws_gauss_tail((p->threshold - slack) / p->spread) : 1;
}

/* Entries are walked, few rows are read; one move in a thousand ends with the neuron listed again. */
static double certified_cost(const ws_index_plan *p)
{
    double relist = 0.001 * any_fires(p) * (double)p->registered * propose_ns(p);

    return (double)p->batch * listed_share(p) * 4 + 1.5 * fired(p) * decide_ns(p) +
           any_fires(p) * 20 + relist;
}

/* ---- the table: a kind that answers for registered samples may be chosen if it stands here ---- */

static const struct rule {
    const char *kind;
    double (*cost)(const ws_index_plan *p);
} rules[] = {
    {"certified", certified_cost},
    {"dtree", dtree_cost},
    {"scan", scan_cost},
};

enum { RULES = sizeof rules / sizeof *rules };

int ws_index_candidates(const ws_index_plan *p, ws_candidate list[WS_INDEX_CANDIDATES])
{
    int n = 0;

    for (int k = 0; k < RULES; k++) {
        int is_scan = strcmp(rules[k].kind, "scan") == 0, at;
        ws_candidate c = {rules[k].kind, 0, ws_index_bytes(rules[k].kind, p)};

        if (c.bytes < 0 || (!is_scan && (c.bytes > p->memory || p->registered == 0))) continue;
        c.cost = rules[k].cost(p);
        for (at = n; at > 0 && list[at - 1].cost > c.cost; at--) list[at] = list[at - 1];
        list[at] = c;
        n++;
    }
    return n;
}

const char *ws_index_choose(const ws_index_plan *p, char reason[200])
{
    ws_candidate list[WS_INDEX_CANDIDATES];
    int n;

    if (p->smooth) {
        snprintf(reason, REASON, "the activation uses all %lld neurons", (long long)p->n);
        return "all";
    }
    n = ws_index_candidates(p, list);
    if (strcmp(list[0].kind, "certified") == 0)
        snprintf(reason, REASON, "lists with a slack hold %.3g %% of the pairs in %.4g MB a rank",
                 100 * listed_share(p), list[0].bytes / 1e6);
    else if (strcmp(list[0].kind, "dtree") == 0)
        snprintf(reason, REASON, "a tree for each of %lld samples takes %.4g MB a rank",
                 (long long)p->registered, list[0].bytes / 1e6);
    else if (n > 1)
        snprintf(reason, REASON, "%.3g %% of the pairs fire, %.3g %% are near: too many for %s",
                 100 * p->active, 100 * listed_share(p), list[1].kind);
    else
        snprintf(reason, REASON, "nothing else fits in %.4g MB a rank", p->memory / 1e6);
    return list[0].kind;
}

/* ---- any x ---- */

/* On the safe side of what was measured: bytes win at d = 784 (README.md), a tree over the weights
 * where rows are this short and this few fire. Between these limits nobody has looked. */
#define QUANTIZED_DIM 128
#define HALFSPACE_DIM 8
#define HALFSPACE_ACTIVE 0.02

const char *ws_index_choose_any(const ws_index_plan *p, char reason[200])
{
    if (p->smooth) return ws_index_choose(p, reason);
    if (p->d <= HALFSPACE_DIM && p->active <= HALFSPACE_ACTIVE &&
        ws_index_bytes("halfspace", p) >= 0 && ws_index_bytes("halfspace", p) <= p->memory) {
        snprintf(reason, REASON, "%lld columns are few and %.3g %% of the neurons fire",
                 (long long)p->d, 100 * p->active);
        return "halfspace";
    }
    if (p->d >= QUANTIZED_DIM && ws_index_bytes("quantized", p) >= 0 &&
        ws_index_bytes("quantized", p) <= p->memory) {
        snprintf(reason, REASON, "rows of %lld numbers: int8 proposes", (long long)p->d);
        return "quantized";
    }
    snprintf(reason, REASON, "for %lld columns nothing here beats it", (long long)p->d);
    return "scan";
}
