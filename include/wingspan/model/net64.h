/* net64.h - float64 weights beside the float32 rows of a shard (--precision float64).
 *
 * Weights, biases and output weights are float64, and with them decides who fires and what comes out:
 * a neuron fires on x if z = ws_dot64(w, x) + b > threshold.  The index goes on with the float32 rows
 * of the shard, which stay so close that
 *
 *     ||w64 - w32|| <= loose,    |b64 - b32| <= 2^-24 |b64|:
 *
 * asked with a threshold that is lower by what this can come to, it names every pair that fires and a
 * few more (train/filter.c drops those).  The float32 row is not always the rounded float64 one: where
 * a step is a combination of samples it takes that step itself, rounded as the index is told, and
 * drifts until it is rounded anew, once it is further off than `loose`. */
#ifndef WS_MODEL_NET64_H
#define WS_MODEL_NET64_H

#include "wingspan/model/net.h"

typedef struct ws_net64 {
    double *w;       /* [n x d] */
    double *b;       /* [n] */
    double *a;       /* [n x c] */
    double size;     /* no row here is longer: a power of two, which grows when one is */
    double bias;     /* no bias here is larger: likewise */
    double loose;    /* size 2^-18 */
    uint8_t *stale;  /* [n] 1 if the float32 row is further off */
    int64_t stale_n; /* so many are */
    int64_t *row;    /* of the last ws_net64_refresh() */
    double *norm;
    int64_t row_capacity, norm_capacity;
} ws_net64;

/** Give a shard float64 weights, all 0.  Not collective.  @return local: WS_ERR_NOMEM */
ws_err ws_net64_create(ws_net *net);
void ws_net64_destroy(ws_net64 **p); /* NULL is fine */

/** Bytes of n neurons.  Not collective. */
double ws_net64_bytes(const ws_net_spec *spec, int64_t n);

/** After the float32 weights were written: the float64 ones are the same numbers; and the other way
 *  round, rounded.  Not collective. */
void ws_net64_widen(ws_net *net);
void ws_net64_round(ws_net *net);

/** A neuron was stepped: b32 and a32 become the rounded b64 and a64, and the bounds stay true.
 *  Not collective.  The float32 row has been moved by the caller, to within a few roundings. */
void ws_net64_settle(ws_net *net, int64_t row);

/** Round the float32 rows that have drifted too far; moves says what the index must be told, and is
 *  valid until the next call.  Not collective.  @return local: WS_ERR_NOMEM */
ws_err ws_net64_refresh(ws_net *net, ws_moves *moves);

/** A threshold for the index: every sample with ||x|| <= x_norm that fires a neuron in float64 has
 *  ws_dot(w32, x) + b32 above it.  Not collective.  To be asked after ws_net64_refresh(). */
double ws_net64_threshold(const ws_net *net, double x_norm);

/** z[k] of one neuron on samples ids[k].  Not collective. */
void ws_net64_z(const ws_net *net, int64_t row, const ws_samples *x, const int64_t *ids, int64_t n,
                double *z);

/** As ws_net_row_coef(), not rounded to float32. */
void ws_net64_row_coef(const ws_net *net, const ws_hits *hits, int64_t i, const double *grad,
                       double *coef);

/** ||theta - theta(0)||^2 of a neuron over everything that is trained.  Not collective. */
double ws_net64_moved2(const ws_net *net, int64_t row);

/** Fetch a row that will be wanted soon: rows lie anywhere.  Not collective. */
static inline void ws_net64_prefetch(const ws_net *net, int64_t row)
{
    enum { LINE = 8, MOST = 4096 }; /* doubles */
    const double *w = net->f64->w + row * net->spec.d;

    for (int64_t j = 0; j < net->spec.d && j < MOST; j += LINE) __builtin_prefetch(w + j, 0, 2);
}

#endif
