/* optim_impl.h - the state of an optimiser, and what a rule does with one group of parameters. */
#ifndef WS_OPTIM_IMPL_H
#define WS_OPTIM_IMPL_H

#include "wingspan/optim/optim.h"

/* One group of parameters of one neuron: its row, its bias or its output weights. */
typedef struct group {
    int64_t n;
    float *theta;          /* [n] */
    double *theta64;       /* [n] in a float64 network: then this is what counts; else NULL */
    const float *start;    /* [n] theta(0), or NULL without ridge */
    float *first, *second; /* [n] moments, or NULL where the rule keeps none */
    double decay;
} group;

/* A rule turns the gradient g of a group into its step, both [n]; count is the number of steps
 * this neuron has taken, this one included. */
typedef struct ws_optim_rule {
    const char *name;
    const char *first, *second; /* names of the moments in checkpoints, or NULL */
    void (*step)(const ws_optim_spec *s, const group *q, const double *g, double rate,
                 int64_t count, double *delta);
} ws_optim_rule;

extern const ws_optim_rule ws_rule_plain, ws_rule_momentum, ws_rule_adam;

enum { GROUP_W, GROUP_B, GROUP_A, GROUPS };

struct ws_optim {
    ws_optim_spec spec;
    const ws_optim_rule *rule;
    ws_net *net;
    int combines;                          /* a row's step is a combination of samples alone */
    float *first[GROUPS], *second[GROUPS]; /* [n x group] moments */
    int64_t *count;                        /* [n] adam: steps of each neuron */
    ws_optim_array arrays[2 * GROUPS + 1];
    int n_arrays;
    ws_exact_limbs penalty;
    int penalty_exponent;
    double *g, *delta;    /* [max(d, c)] */
    double *norm, *dbias; /* [rows of the last step] */
    float *coef;          /* [pairs of the last step] */
    double *lanes;        /* work space of ws_rows_combine() */
    int64_t norm_capacity, dbias_capacity, coef_capacity, lanes_capacity;
    double *coef64; /* [pairs of one row] in a float64 network */
    int64_t coef64_capacity;
};

/** Step row i of hits of a float64 network (step64.c).  @return local: as ws_optim_step */
ws_err ws_optim_row64(ws_optim *o, const ws_hits *h, int64_t i, const ws_samples *x,
                      const int64_t *ids, const double *grad, double rate);

/** ||theta - theta(0)||^2 of a neuron over everything that is trained. */
double ws_penalty_of(const ws_net *net, int64_t row);

/** Take an old contribution away and put the new one in.  @return local: WS_ERR_DIVERGED */
ws_err ws_penalty_move(ws_optim *o, int64_t row, double before, double after);

#endif
