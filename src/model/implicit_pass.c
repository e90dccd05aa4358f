/* implicit_pass.c - one pass over the held neurons: where they are, where a step takes them, and
 * what the network gives there.
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

ws_err ws_implicit_output(const ws_net *net, int64_t id, const int8_t *a, const double *z,
                          const uint16_t *list, int64_t k, int64_t *hi, int64_t *lo)
{
    int32_t c = net->spec.c;

    for (int64_t p = 0; p < k; p++) {
        double v = z[list[p]] - net->spec.threshold;
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

/* Neuron i of the batch takes the step; its products there are left in moved. */
static int64_t take_step(ws_implicit *im, int64_t i, const cursor *at, const double *step)
{
    const ws_net_spec *s = &im->net->spec;
    int64_t n = im->n, padded = im->probe->padded, k = im->now.count[at->held], f;
    const uint16_t *sample = im->now.sample + at->pair;
    const double *alpha = im->now.alpha + at->pair, *start = im->z + i * padded;
    state *to = &im->next;

    memcpy(im->moved, start, (size_t)n * sizeof *start);
    ws_displace(im->moved, n, im->gram, padded, sample, alpha, k);
    f = ws_beyond(im->moved, n, s->threshold, im->fired);
    k = merge(s, im->a + i * s->c, step, sample, alpha, k, im->fired, f, to->sample + to->pairs,
              to->alpha + to->pairs);
    memcpy(im->moved, start, (size_t)n * sizeof *start);
    ws_displace(im->moved, n, im->gram, padded, to->sample + to->pairs, to->alpha + to->pairs, k);
    to->count[at->held] = (uint16_t)k;
    to->pairs += k;
    return f;
}

ws_err ws_implicit_consume(ws_implicit *im, int64_t i, const double *z, ws_implicit_sums *sums,
                           int64_t *fires)
{
    const ws_net *net = im->net;
    const int8_t *a = im->a + i * net->spec.c;
    int64_t k = *fires = ws_beyond(z, im->n, net->spec.threshold, im->fires);

    sums->active += k;
    sums->fired += k > 0;
    if (k > 0 && sums->pairs) add_pairs(sums->pairs, a, net->spec.c, im->fires, k);
    return ws_implicit_output(net, im->id[i], a, z, im->fires, k, sums->hi, sums->lo);
}

static ws_err one(ws_implicit *im, int64_t i, const cursor *at, const double *step,
                  ws_implicit_sums *sums)
{
    int64_t padded = im->probe->padded, f = 0, k;
    double *z = im->z + i * padded;
    ws_err err;

    if (step) {
        f = take_step(im, i, at, step);
        z = im->moved;
    } else {
        ws_displace(z, im->n, im->gram, padded, im->now.sample + at->pair, im->now.alpha + at->pair,
                    im->now.count[at->held]);
    }
    err = ws_implicit_consume(im, i, z, sums, &k);
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

ws_err ws_implicit_pass(ws_implicit *im, const double *step, ws_implicit_sums *sums)
{
    int64_t entries = im->n * im->net->spec.c, since = 0;
    cursor at = {0};

    im->next.pairs = 0;
    while (at.held < im->held) {
        int64_t k = im->held - at.held < BATCH ? im->held - at.held : BATCH;
        ws_err err = step ? make_room(im) : WS_OK;

        if (err) return err;
        for (cursor to = at; to.held < at.held + k; ws_cursor_next(im, &to))
            im->id[to.held - at.held] = ws_cursor_id(im, &to);
        ws_implicit_batch(im, k, im->probe, im->z);
        for (int64_t i = 0; i < k; i++, ws_cursor_next(im, &at))
            if ((err = one(im, i, &at, step, sums))) return err;
        /* A neuron adds at most once to an entry. */
        if ((since += k) > WS_EXACT_ADDS - BATCH) {
            ws_exact_carry(sums->hi, sums->lo, entries);
            since = 0;
        }
    }
    ws_exact_carry(sums->hi, sums->lo, entries);
    return WS_OK;
}
