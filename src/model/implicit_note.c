/* implicit_note.c - what is known of a held neuron, so that a pass need not make its row again.
 *
 * When a neuron is listed, or met first after a checkpoint was read, all products of its start row
 * are at hand. Those of the samples in its list are noted, and of all others only how far below the
 * threshold the nearest one is. With S = sum_j (|alpha_j| + what the step can add) a_j over its
 * list, a_j = max |<x_j, x_i>| over other samples i, no product outside the list grows by more than
 * S: while S is less than the gap, before and after a step the neuron fires on samples of its list
 * only, whose products are the noted ones, displaced: the same sums in the same order, the same
 * bits, 8 bytes a pair and 4 a neuron.
 *
 * A neuron that a further sample comes to fire is never known again: its row is made in every pass.
 * At width 2^30 that is one in 50000, and S reaches the gap of one in 10000. */
#include <math.h>
#include <string.h>

#include "implicit_impl.h"
#include "wingspan/core/alloc.h"

/* Rounding of S and of displaced products, relative: at most 2049 operations, each 2^-53. */
static const double slack = 1e-9;

/* The nearest of the samples that are not in the list; without branches that depend on z. */
static double gap_of(ws_implicit *im, const uint16_t *sample, int64_t k, const double *z)
{
    double *other = im->moved, most[8];

    memcpy(other, z, (size_t)im->n * sizeof *z);
    for (int64_t i = im->n; i < im->probe->padded; i++) other[i] = -INFINITY;
    for (int64_t p = 0; p < k; p++) other[sample[p]] = -INFINITY;
    memcpy(most, other, sizeof most);
    for (int64_t i = 8; i < im->probe->padded; i += 8)
        for (int l = 0; l < 8; l++) most[l] = other[i + l] > most[l] ? other[i + l] : most[l];
    for (int l = 1; l < 8; l++) most[0] = most[l] > most[0] ? most[l] : most[0];
    return im->net->spec.threshold - most[0];
}

ws_err ws_implicit_note(ws_implicit *im, const uint16_t *sample, int64_t k, const double *z)
{
    const char *what = "products of start rows";
    double gap = gap_of(im, sample, k, z) * (1 - 1e-6); /* rounded to float32 it does not grow */
    ws_err err;

    if ((err = ws_grow(&im->start, &im->start_room, im->starts + k, sizeof *im->start, what)) ||
        (err = ws_grow(&im->gap, &im->gap_room, im->noted + 1, sizeof *im->gap, what)))
        return err;
    for (int64_t p = 0; p < k; p++) im->start[im->starts++] = z[sample[p]];
    im->gap[im->noted++] = gap > 1e-30 ? (float)gap : (float)(-1 - k);
    return WS_OK;
}

void ws_implicit_reach(ws_implicit *im, const double *step)
{
    const ws_net_spec *s = &im->net->spec;

    for (int64_t j = 0; j < im->n; j++) {
        double sum = 0;

        for (int32_t q = 0; q < s->c && step; q++) sum += fabs(step[j * s->c + q]);
        im->reach[j] = s->scale * sum;
    }
}

int ws_implicit_is_known(const ws_implicit *im, const cursor *at)
{
    const uint16_t *sample = im->now.sample + at->pair;
    const double *alpha = im->now.alpha + at->pair;
    double s = 1e-12 * fabs(im->net->spec.threshold);

    if (at->held >= im->noted) return 0;
    for (int64_t p = 0; p < im->now.count[at->held]; p++)
        s += (fabs(alpha[p]) + im->reach[sample[p]]) * im->apart[sample[p]];
    return s * (1 + slack) < (double)im->gap[at->held];
}
