/* implicit_pass.c - one pass over the held neurons: where they are, where a step takes them, and
 * what the network gives there. Rows are made anew only of those of which too little is known
 * (implicit_note.c).
 *
 * For each neuron
 *   1. products at its place: those of its start row, displaced           z
 *   2. with a step: alpha of every sample that fires it grows; a sample that never did before gets
 *      an alpha of its own; products at the new place, again from the start row
 *   3. the samples that fire it there: outputs, pairs that fire together
 * Products are a function of the row and the alphas alone, never of the way there: what is read
 * back from a checkpoint has the same bits. */
#include <math.h>
#include <string.h>

#include "implicit_impl.h"
#include "wingspan/core/alloc.h"

ws_err ws_implicit_output(const ws_net *net, int64_t id, const int8_t *a, const uint16_t *list,
                          const double *z, int64_t k, int64_t *hi, int64_t *lo)
{
    int32_t c = net->spec.c;

    for (int64_t p = 0; p < k; p++) {
        double v = z[p] - net->spec.threshold;
        int64_t at = (int64_t)list[p] * c;
        ws_exact_limbs t;

        if (!(fabs(v) <= net->limit))
            return ws_fail(WS_ERR_DIVERGED,
                           "training diverged: the activation of neuron %lld reached %.3g; use "
                           "more --damping",
                           (long long)id, v);
        t = ws_exact_split(v, net->exponent);
        for (int32_t q = 0; q < c; q++) {
            hi[at + q] += a[q] * t.hi;
            lo[at + q] += a[q] * t.lo;
        }
    }
    return WS_OK;
}

/* Row e of a packed triangle. */
static int64_t *packed(int64_t *pairs, int64_t e)
{
    return pairs + e * (e + 1) / 2;
}

/* Samples that one neuron fires together, with the signs of its outputs. */
static void add_pairs(int64_t *pairs, const int8_t *a, int32_t c, const uint16_t *list, int64_t k)
{
    for (int64_t p = 0; p < k; p++)
        for (int32_t u = 0; u < c; u++) {
            int64_t e = (int64_t)list[p] * c + u, *to = packed(pairs, e);

            for (int64_t q = 0; q < p; q++)
                for (int32_t v = 0; v < c; v++) to[(int64_t)list[q] * c + v] += a[u] * a[v];
            for (int32_t v = 0; v <= u; v++) to[(int64_t)list[p] * c + v] += a[u] * a[v];
        }
}

/* How far the step moves alpha of sample j. */
static double move_of(const ws_net_spec *s, const int8_t *a, const double *step, int64_t j)
{
    double sum = 0;

    for (int32_t q = 0; q < s->c; q++) sum += (double)a[q] * step[j * s->c + q];
    return s->scale * sum;
}

/* Alphas old [k] of samples s [k] and the step of the samples fired [f]: both lists ascend, and so
 * does what is written; how many. */
static int64_t merge(const ws_net_spec *spec, const int8_t *a, const double *step,
                     const uint16_t *s, const double *old, int64_t k, const uint16_t *fired,
                     int64_t f, uint16_t *sample, double *alpha)
{
    int64_t i = 0, j = 0, n = 0;

    while (i < k || j < f) {
        int held = i < k && (j == f || s[i] <= fired[j]);
        int fires = j < f && (i == k || fired[j] <= s[i]);
        uint16_t at = held ? s[i] : fired[j];

        sample[n] = at;
        alpha[n++] = (held ? old[i] : 0) + (fires ? move_of(spec, a, step, at) : 0);
        i += held;
        j += fires;
    }
    return n;
}

/* Samples in one list but not in the other; both ascend. */
static int64_t differ(const uint16_t *a, int64_t na, const uint16_t *b, int64_t nb)
{
    int64_t i = 0, j = 0, both = 0;

    while (i < na && j < nb) {
        both += a[i] == b[j];
        if (a[i] < b[j])
            i++;
        else if (a[i] > b[j])
            j++;
        else
            i++, j++;
    }
    return na + nb - 2 * both;
}

ws_err ws_implicit_consume(ws_implicit *im, int64_t i, int64_t k, ws_implicit_sums *sums)
{
    const ws_net *net = im->net;
    const int8_t *a = im->a + i * net->spec.c;

    sums->active += k;
    sums->fired += k > 0;
    if (k > 0 && sums->pairs) add_pairs(sums->pairs, a, net->spec.c, im->fires, k);
    return ws_implicit_output(net, im->id[i], a, im->fires, im->value, k, sums->hi, sums->lo);
}

/* The displacements of a neuron: those it has, or those that a step has just made. */
typedef struct list {
    const uint16_t *sample;
    const double *alpha;
    int64_t k;
} list;

static list list_at(const state *s, int64_t pair, int64_t k)
{
    return (list){s->sample + pair, s->alpha + pair, k};
}

/* The product with sample q of a list, from that of the start row. */
static double product(const ws_implicit *im, double z, list l, int64_t q)
{
    const double *g = im->gram + l.sample[q];

    for (int64_t p = 0; p < l.k; p++) z += l.alpha[p] * g[l.sample[p] * im->probe->padded];
    return z;
}

/* A neuron that is known: samples of its list that fire, from products of its start row with them. */
static int64_t firing(ws_implicit *im, const double *start, list l)
{
    int64_t f = 0;

    for (int64_t q = 0; q < l.k; q++) {
        double z = product(im, start[q], l, q);

        im->fires[f] = l.sample[q];
        im->value[f] = z;
        f += z > im->net->spec.threshold;
    }
    return f;
}

/* It takes the step: its list stays; what fired before is left in im->fired. */
static int64_t advance(ws_implicit *im, int64_t i, const double *start, list l, const double *step)
{
    const ws_net_spec *s = &im->net->spec;
    state *to = &im->next;
    int64_t f = 0;

    for (int64_t q = 0; q < l.k; q++) {
        int fires = product(im, start[q], l, q) > s->threshold;
        double move = move_of(s, im->a + i * s->c, step, l.sample[q]);

        im->fired[f] = to->sample[to->pairs + q] = l.sample[q];
        to->alpha[to->pairs + q] = l.alpha[q] + (fires ? move : 0);
        f += fires;
    }
    return f;
}

/* Any neuron: which of all samples fire. */
static int64_t firing_of_all(ws_implicit *im, const double *z, list l, uint16_t *fires)
{
    memcpy(im->moved, z, (size_t)im->n * sizeof *z);
    ws_displace(im->moved, im->n, im->gram, im->probe->padded, l.sample, l.alpha, l.k);
    return ws_beyond(im->moved, im->n, im->net->spec.threshold, fires, im->value);
}

/* It takes the step: every sample that fires it is in its list from now on. */
static int64_t advance_all(ws_implicit *im, int64_t i, const cursor *at, const double *z, list *l,
                           const double *step)
{
    const ws_net_spec *s = &im->net->spec;
    state *to = &im->next;
    int64_t f = firing_of_all(im, z, *l, im->fired), k = l->k;

    l->k = merge(s, im->a + i * s->c, step, l->sample, l->alpha, k, im->fired, f,
                 to->sample + to->pairs, to->alpha + to->pairs);
    if (l->k > k && im->gap[at->held] >= 0) im->gap[at->held] = (float)(-1 - k);
    return f;
}

/* Neuron i of the batch; z: products of its start row with all samples, or NULL: it is known. */
static ws_err one(ws_implicit *im, int64_t i, const cursor *at, const double *z, const double *step,
                  ws_implicit_sums *sums)
{
    list l = list_at(&im->now, at->pair, im->now.count[at->held]);
    int64_t f = 0, k;
    const double *start;
    ws_err err = WS_OK;

    if (at->held == im->noted) {
        err = ws_implicit_note(im, l.sample, l.k, z);
        if (!err && ws_implicit_is_known(im, at)) z = NULL;
    }
    if (err) return err;
    start = im->start + at->start;
    if (step) {
        f = z ? advance_all(im, i, at, z, &l, step) : advance(im, i, start, l, step);
        l = list_at(&im->next, im->next.pairs, l.k);
        im->next.count[at->held] = (uint16_t)l.k;
        im->next.pairs += l.k;
    }
    k = z ? firing_of_all(im, z, l, im->fires) : firing(im, start, l);
    err = ws_implicit_consume(im, i, k, sums);
    if (step) sums->flips += differ(im->fired, f, im->fires, k);
    return err;
}

/* Room for what the next batch may add. */
static ws_err make_room(ws_implicit *im)
{
    const char *what = "displacements";
    state *to = &im->next;
    int64_t want = to->pairs + BATCH * im->n;
    ws_err err;

    if ((err = ws_grow(&to->count, &to->count_room, im->held, sizeof *to->count, what)) ||
        (err = ws_grow(&to->sample, &to->sample_room, want, sizeof *to->sample, what)))
        return err;
    return ws_grow(&to->alpha, &to->alpha_room, want, sizeof *to->alpha, what);
}

/* The k neurons from a cursor on: signs of all, and products of those that are not known, which
 * come one after the other where slot is not -1. */
static void look_up(ws_implicit *im, cursor at, int64_t k, int8_t slot[BATCH],
                    ws_implicit_sums *sums)
{
    const ws_probe *probe = im->probe;
    int64_t few = 0;

    for (int64_t i = 0; i < k; i++, ws_cursor_next(im, &at)) {
        im->id[i] = ws_cursor_id(im, &at);
        slot[i] = ws_implicit_is_known(im, &at) ? -1 : (int8_t)few;
        if (slot[i] >= 0) im->bare[few++] = im->id[i];
    }
    probe->source->signs(probe, im->id, k, im->a);
    probe->source->rows(probe, im->bare, few, im->w);
    ws_probe_products(probe, im->w, few, im->z);
    sums->products += few * im->n;
}

ws_err ws_implicit_pass(ws_implicit *im, const double *step, ws_implicit_sums *sums)
{
    int64_t entries = im->n * im->net->spec.c, since = 0;
    cursor at = {0};

    im->next.pairs = 0;
    ws_implicit_reach(im, step);
    while (at.held < im->held) {
        int64_t k = im->held - at.held < BATCH ? im->held - at.held : BATCH;
        int8_t slot[BATCH];
        ws_err err = step ? make_room(im) : WS_OK;

        if (err) return err;
        look_up(im, at, k, slot, sums);
        for (int64_t i = 0; i < k; i++, ws_cursor_next(im, &at)) {
            const double *z = slot[i] < 0 ? NULL : im->z + slot[i] * im->probe->padded;

            if ((err = one(im, i, &at, z, step, sums))) return err;
        }
        /* A neuron adds at most once to an entry. */
        if ((since += k) > WS_EXACT_ADDS - BATCH) {
            ws_exact_carry(sums->hi, sums->lo, entries);
            since = 0;
        }
    }
    ws_exact_carry(sums->hi, sums->lo, entries);
    return WS_OK;
}
