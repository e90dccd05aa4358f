/* newton_impl.h - the state of Gauss-Newton steps, shared by its four files:
 * newton.c (solve), newton_gram.c (the matrix that outputs share), newton_product.c (sums over
 * neurons), newton_rows.c (weights there and back). */
#ifndef WS_OPTIM_NEWTON_IMPL_H
#define WS_OPTIM_NEWTON_IMPL_H

#include "optim_impl.h"
#include "wingspan/linalg/spd.h"
#include "wingspan/optim/newton.h"
#include "wingspan/sketch/leverage.h"
#include "wingspan/sketch/sketch.h"

enum { WS_NEWTON_PANEL = 1 << 24 }; /* entries of the shared matrix at a time */

struct ws_newton {
    ws_newton_spec spec;
    ws_optim *o;
    ws_net *net;
    const ws_samples *x;
    int64_t entries; /* n x c */
    const ws_hits *hits;

    /* the pairs of hits by sample: the inner products of one sample stay in cache for all neurons
     * that fire on it; sample i's are pair[start[i]] .. pair[start[i + 1] - 1] */
    struct ws_newton_pair {
        int32_t row, p; /* of hits: place of the neuron, place of the sample in its list */
    } * pair;
    int64_t *start; /* [n + 1] */
    int64_t pair_room;

    /* the matrix that all outputs share */
    ws_spd *gram;
    int32_t *count; /* pairs of samples fired together: a panel of rows, packed */
    double *held;   /* <x_i, x_j> of the entries held here, in the order they are put */
    int64_t held_at, held_known;
    int64_t *alone;        /* [n] neurons that fire on a sample */
    float *inner;          /* <x_i, x_j>, j <= i, packed; or NULL where it would be too large */
    int bare;              /* nothing preconditions */
    ws_sketch *sketch;     /* or NULL */
    ws_leverage *leverage; /* or NULL */
    double *inverse;       /* of the shared matrix, a packed triangle: for leverage scores */
    double *panel;         /* sampled sums of a panel of rows, packed */
    ws_samples train;      /* the n samples, for the sketch */
    int64_t *neuron;       /* global ids of hits, for the sketch */
    int64_t neuron_room;
    double diagonal; /* mean of the diagonal of J J' */

    /* a solution */
    double *b, *z, *rest, *work; /* [entries], work [3 entries] */
    double *turned;              /* [c x n] right-hand sides as spd.h wants them */
    double *moved;               /* [entries] J D, with ridge */
    double pull;                 /* L / u */
    ws_meeting meet;
    ws_newton_seconds seconds;

    /* products: a neuron's inner products as a triangle, at pack + pack_at of its place in hits;
     * those that do not fit are put together in `triangle`, each time they are needed */
    float *pack, *triangle;
    int64_t *pack_at; /* [rows of hits]; -1: does not fit */
    int64_t pack_room, pack_at_room;
    int64_t wide;   /* outputs, padded to whole vectors */
    double *padded; /* [n x wide] what is multiplied */
    int64_t *sum;   /* [n x 2 x wide] limbs of the product */
    double *sign;   /* [wide] output weights of one neuron */
    int64_t *flip;  /* [wide] */

    /* one neuron */
    double *coef, *image, *row; /* [n], [n], [d] */
    float *rowf;                /* [d] */
    int64_t *ids;               /* [n] */

    /* what a step changed */
    ws_hits all; /* every neuron that moves: fired, and with ridge all that ever moved */
    float *old_w, *old_b;
    double *old_w64, *old_b64; /* in a float64 network */
    uint8_t *old_touched;
    int64_t old_w_room, old_b_room, old_touched_room, old_w64_room, old_b64_room;
    ws_exact_limbs old_penalty;
};

/* Entries of a packed triangle before row i. */
static inline int64_t ws_newton_packed(int64_t i)
{
    return i * (i + 1) / 2;
}

/* Does a neuron say anything?  The odd one of a coupled start does not. */
static inline int ws_newton_speaks(const ws_net *net, int64_t row)
{
    return net->a[row * net->spec.c] != 0;
}

/** Counts of samples fired together -> the shared matrix, its diagonal's mean.  Collective; agreed. */
ws_err ws_newton_gram(ws_newton *nt);

/** Sort the pairs of hits by sample.  Local: WS_ERR_NOMEM. */
ws_err ws_newton_sort(ws_newton *nt);

/** Put the triangles of this rank's neurons together.  Local: WS_ERR_NOMEM. */
ws_err ws_newton_pack(ws_newton *nt);

/** moved = J (theta - theta(0)).  Collective; agreed. */
ws_err ws_newton_moved(ws_newton *nt);

/** Do the k samples that a neuron fires on multiply through their Gram matrix, rather than
 *  through the d coordinates?  Bits depend on it: a function of k and the data's shape alone. */
int ws_newton_by_inner(const ws_newton *nt, int64_t k);

#endif
