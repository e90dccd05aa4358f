/* net.h - this rank's shard of a two-layer network
 *
 *     f_c(x) = s_m sum_r a_rc phi(<w_r, x> + b_r)
 *
 * with m neurons cut over ranks by ws_layout.  phi is a row of the activation table; for relu
 * phi(z) = max(z - shift, 0), so a neuron fires when z > shift.  Weights are float32, or float64
 * (wingspan/model/net64.h) with float32 rows beside them for the index; what is summed over neurons
 * is summed exactly (wingspan/core/exact.h), so outputs have the same bits for any number of ranks. */
#ifndef WS_MODEL_NET_H
#define WS_MODEL_NET_H

#include <stdint.h>

#include "wingspan/core/err.h"
#include "wingspan/core/exact.h"
#include "wingspan/core/layout.h"
#include "wingspan/index/index.h"
#include "wingspan/model/activation.h"

/* How the network starts, in the order of the table of start.c. */
typedef enum ws_init {
    WS_INIT_GAUSSIAN,
    WS_INIT_COUPLED,
    WS_INIT_STRUCTURED,
    WS_INIT_STRUCTURED_COUPLED,
    WS_INITS
} ws_init;

typedef struct ws_net_spec {
    int64_t m, d; /* neurons over all ranks, input length */
    int32_t c;    /* outputs */
    const ws_activation *phi;
    double threshold;  /* the shift in units of z: shift x init_scale x rms ||x|| */
    double scale;      /* s_m */
    double init_scale; /* standard deviation of the first weights */
    double x_scale;    /* an upper bound of ||x_i|| over the data (1 for unit samples) */
    ws_init init;
    uint64_t seed;
    int train_bias, train_output; /* 0 or 1 */
    int keep_start;               /* keep w(0), b(0), a(0) for ridge */
    int float64;                  /* 1: weights are float64; 0: float32 */
    int implicit;                 /* 1: no rows are held here, w, b, a are NULL: see implicit.h */
} ws_net_spec;

typedef struct ws_net {
    ws_net_spec spec;
    const ws_comm *comm; /* borrowed */
    ws_layout layout;
    int64_t first, n;     /* global id of the first neuron here; neurons here */
    float *w;             /* [n x d] */
    float *b;             /* [n] */
    float *a;             /* [n x c]; +-1 unless trained */
    float *w0, *b0, *a0;  /* start values if keep_start, else NULL: float32 in either precision */
    struct ws_net64 *f64; /* the weights that count, in float64; NULL: w, b and a are */
    uint8_t *touched;     /* [n] 1 if the neuron has moved since the start */
    ws_start start;       /* of a structured start, for the index */
    int exponent;         /* scale of the exact sums: 2^exponent */
    double limit;         /* a contribution beyond it ends the run as diverged */
} ws_net;

/** Create this rank's shard at its initial values.
 *
 *  Collective over comm; spec must be the same on every rank.
 *  gaussian: w_r ~ N(0, init_scale^2 I) keyed by the global id r, a_rc = +-1 fair.
 *  coupled: neurons 2q and 2q+1 share w, drawn with id q, and have opposite signs, so that
 *  f(x) is exactly 0.0 for every x; an odd last neuron has a = 0 (and says nothing at the start).
 *  structured: the rows of wingspan/core/blocks.h, each exactly N(0, init_scale^2 I) too, row r for
 *  neuron r; a_rc as gaussian.  structured-coupled: row q for neurons 2q and 2q+1, a_rc as coupled.
 *
 *  @return agreed: WS_ERR_NOMEM, WS_ERR_USAGE, WS_ERR_MISMATCH; *out NULL on error
 */
ws_err ws_net_create(const ws_comm *comm, const ws_net_spec *spec, ws_net **out);
void ws_net_destroy(ws_net **net);

/** The start of that name as in --init, a ws_init; -1 if there is none.  Not collective. */
int ws_init_find(const char *name);

/** Whether neurons 2q and 2q+1 share a row at the start, and whether rows come in blocks.  Not
 *  collective. */
int ws_init_is_coupled(ws_init init);
int ws_init_is_structured(ws_init init);

/** Recompute the initial row, bias and output weights of one global neuron.  Not collective.
 *  Any of w [d], b, a [c] may be NULL. */
void ws_net_start(const ws_net_spec *spec, int64_t id, float *w, float *b, float *a);

/** The initial rows of the n neurons from id on, one after the other: the bits of ws_net_start, but
 *  what they share is made once.  Not collective.  w is [n x d]. */
void ws_net_start_rows(const ws_net_spec *spec, int64_t id, int64_t n, float *w);

/** The shard as the index wants it. */
ws_shard ws_net_shard(const ws_net *net);

/** How the rows of the shard came about, for ws_index_start(); NULL: in no blocks.  Not collective. */
const ws_start *ws_net_blocks(const ws_net *net);

/** Bytes a rank holding n neurons needs (weights and start values).  Not collective. */
double ws_net_bytes(const ws_net_spec *spec, int64_t n);

/** Add this shard's share of the outputs to exact sums.
 *
 *  Not collective.  hi, lo are [batch x c] limbs (row = position in the batch) at scale
 *  2^net->exponent, carried on return.
 *  @return local: WS_ERR_DIVERGED if a contribution is not finite or exceeds net->limit
 *
 *  Cost: hits->n activations and hits->n x c integer additions.
 */
ws_err ws_net_forward(const ws_net *net, const ws_hits *hits, int64_t batch, int64_t *hi,
                      int64_t *lo);

/** Turn reduced sums into outputs: out[i] = s_m x value, for n = batch x c entries.
 *  Not collective: every rank gets the same bits. */
void ws_net_outputs(const ws_net *net, const int64_t *hi, const int64_t *lo, int64_t n,
                    double *out);

/** The derivative of the loss by each fired pre-activation, for the pairs of row i of hits:
 *  coef[p] = (float)(s_m phi'(z_p) sum_c a_rc grad[pos_p x c + c]), c ascending.
 *  Not collective.  grad is [batch x c]. */
void ws_net_row_coef(const ws_net *net, const ws_hits *hits, int64_t i, const double *grad,
                     float *coef);

/** The derivative of the loss by the output weights of row i: da[c] = s_m sum_p phi(z_p)
 *  grad[pos_p x c + c], pairs ascending.  Not collective. */
void ws_net_row_output_grad(const ws_net *net, const ws_hits *hits, int64_t i, const double *grad,
                            double *da);

#endif
