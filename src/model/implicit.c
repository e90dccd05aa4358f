/* implicit.c - the held neurons: listed from the start, or added from a checkpoint.
 *
 * Ids ascend, so they are kept as 32-bit offsets in chunks; counts, samples and alphas lie in the
 * same order in three plain arrays, and everybody walks them from the first to the last. */
#include <math.h>

#include "implicit_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/dot.h"

static ws_err alloc_batch(ws_implicit *im)
{
    const char *what = "a batch of neurons";
    const ws_net_spec *s = &im->net->spec;
    int64_t padded = im->probe->padded;
    ws_err err;

    if ((err = ws_alloc(&im->id, BATCH, sizeof *im->id, what)) ||
        (err = ws_alloc(&im->bare, BATCH, sizeof *im->bare, what)) ||
        (err = ws_alloc(&im->w, BATCH * s->d, sizeof *im->w, what)) ||
        (err = ws_alloc(&im->a, BATCH * s->c, sizeof *im->a, what)) ||
        (err = ws_alloc(&im->z, BATCH * padded, sizeof *im->z, what)) ||
        (err = ws_alloc(&im->moved, padded, sizeof *im->moved, what)) ||
        (err = ws_alloc(&im->value, padded + 1, sizeof *im->value, what)) ||
        (err = ws_alloc(&im->fired, im->n + 1, sizeof *im->fired, what)) ||
        (err = ws_alloc(&im->fires, im->n + 1, sizeof *im->fires, what)))
        return err;
    return ws_alloc(&im->candidate, BLOCK, sizeof *im->candidate, what);
}

static ws_err fill_gram(ws_implicit *im)
{
    const char *what = "inner products of the samples";
    int64_t padded = im->probe->padded;
    ws_err err;

    if ((err = ws_alloc(&im->gram, im->n * padded, sizeof *im->gram, what)) ||
        (err = ws_alloc(&im->apart, im->n, sizeof *im->apart, what)) ||
        (err = ws_alloc(&im->reach, im->n, sizeof *im->reach, what)))
        return err;
    for (int64_t j = 0; j < im->n; j++) {
        const double *g = im->gram + j * padded;

        ws_samples_row(&im->x, j, im->w);
        ws_probe_products(im->probe, im->w, 1, im->gram + j * padded);
        for (int64_t i = 0; i < im->n; i++)
            if (i != j) im->apart[j] = fmax(im->apart[j], fabs(g[i]));
    }
    return WS_OK;
}

ws_err ws_implicit_create(const ws_net *net, const ws_samples *x, int64_t n, ws_implicit **out)
{
    ws_implicit *im = NULL;
    ws_err err = ws_alloc(&im, 1, sizeof *im, "an implicit network");

    *out = NULL;
    if (err) return err;
    WS_ASSERT(n <= WS_IMPLICIT_SAMPLES);
    im->net = net;
    im->x = *x;
    im->x.n = im->n = n;
    err = ws_probe_create(&net->spec, &im->x, n, &im->probe);
    if (!err) err = alloc_batch(im);
    if (!err) err = fill_gram(im);
    if (err)
        ws_implicit_destroy(&im);
    else
        *out = im;
    return err;
}

static void free_state(state *s)
{
    ws_free(&s->count);
    ws_free(&s->sample);
    ws_free(&s->alpha);
}

void ws_implicit_destroy(ws_implicit **p)
{
    ws_implicit *im = *p;

    if (!im) return;
    ws_probe_destroy(&im->probe);
    ws_free(&im->gram);
    ws_free(&im->apart);
    ws_free(&im->reach);
    ws_free(&im->start);
    ws_free(&im->gap);
    ws_free(&im->chunk);
    ws_free(&im->offset);
    free_state(&im->now);
    free_state(&im->next);
    ws_free(&im->id);
    ws_free(&im->bare);
    ws_free(&im->w);
    ws_free(&im->a);
    ws_free(&im->z);
    ws_free(&im->moved);
    ws_free(&im->value);
    ws_free(&im->fired);
    ws_free(&im->fires);
    ws_free(&im->candidate);
    ws_free(p);
}

void ws_implicit_batch(ws_implicit *im, int64_t k, const ws_probe *probe, double *z)
{
    probe->source->rows(probe, im->id, k, im->w);
    probe->source->signs(probe, im->id, k, im->a);
    ws_probe_products(probe, im->w, k, z);
}

/* Hold one more neuron, without displacement. */
static ws_err append(ws_implicit *im, int64_t id)
{
    const char *what = "neurons that fire";
    chunk *c = im->chunks ? &im->chunk[im->chunks - 1] : NULL;
    ws_err err;

    if ((err = ws_grow(&im->offset, &im->offset_room, im->held + 1, sizeof *im->offset, what)) ||
        (err = ws_grow(&im->now.count, &im->now.count_room, im->held + 1, sizeof *im->now.count,
                       what)))
        return err;
    if (!c || c->n == CHUNK || id - c->base > (int64_t)UINT32_MAX) {
        if ((err = ws_grow(&im->chunk, &im->chunk_room, im->chunks + 1, sizeof *im->chunk, what)))
            return err;
        c = &im->chunk[im->chunks++];
        *c = (chunk){id, 0};
    }
    im->offset[im->held] = (uint32_t)(id - c->base);
    im->now.count[im->held++] = 0;
    c->n++;
    return WS_OK;
}

static int speaks(const ws_implicit *im, int64_t i)
{
    return im->a[i * im->net->spec.c] != 0; /* the odd one of a coupled start does not */
}

/* Displacements of the last held neuron; alpha NULL: zeros. */
static ws_err add_pairs(ws_implicit *im, int64_t count, const uint16_t *sample, const double *alpha)
{
    const char *what = "displacements";
    state *s = &im->now;
    int64_t want = s->pairs + count;
    ws_err err;

    if ((err = ws_grow(&s->sample, &s->sample_room, want, sizeof *sample, what)) ||
        (err = ws_grow(&s->alpha, &s->alpha_room, want, sizeof *alpha, what)))
        return err;
    for (int64_t p = 0; p < count; p++) {
        s->sample[s->pairs] = sample[p];
        s->alpha[s->pairs++] = alpha ? alpha[p] : 0;
    }
    s->count[im->held - 1] = (uint16_t)count;
    return WS_OK;
}

/* Hold those of the batch that fire. */
static ws_err list_batch(ws_implicit *im, int64_t k, ws_implicit_sums *sums)
{
    ws_err err = WS_OK;

    ws_implicit_batch(im, k, im->probe, im->z);
    for (int64_t i = 0; i < k && !err; i++) {
        const double *z = im->z + i * im->probe->padded;
        int64_t f = ws_beyond(z, im->n, im->net->spec.threshold, im->fires, im->value);

        if (f == 0 || !speaks(im, i)) continue;
        if ((err = ws_implicit_consume(im, i, f, sums)) || (err = append(im, im->id[i])) ||
            (err = add_pairs(im, f, im->fires, NULL)))
            break;
        err = ws_implicit_note(im, im->fires, f, z);
    }
    sums->products += k * im->n;
    return err;
}

ws_err ws_implicit_list(ws_implicit *im, int64_t from, int64_t to, ws_implicit_sums *sums)
{
    ws_err err = WS_OK;

    for (int64_t at = from; at < to && !err; at += BLOCK) {
        int64_t first = im->net->first + at, n = to - at < BLOCK ? to - at : BLOCK;
        int64_t k = ws_probe_candidates(im->probe, first, n, im->candidate);

        for (int64_t i = 0; i < k && !err; i += BATCH) {
            int64_t few = k - i < BATCH ? k - i : BATCH;

            for (int64_t p = 0; p < few; p++) im->id[p] = first + im->candidate[i + p];
            err = list_batch(im, few, sums);
        }
        ws_exact_carry(sums->hi, sums->lo, im->n * im->net->spec.c);
    }
    return err;
}

void ws_implicit_keep(ws_implicit *im)
{
    state was = im->now;

    im->now = im->next;
    im->next = was;
    im->next.pairs = 0;
}

int64_t ws_implicit_held(const ws_implicit *im)
{
    return im->held;
}

int64_t ws_implicit_pairs(const ws_implicit *im)
{
    return im->now.pairs;
}

void ws_implicit_ids(const ws_implicit *im, int64_t from, int64_t k, int64_t *id)
{
    int64_t c = 0, first = 0;

    while (c < im->chunks && first + im->chunk[c].n <= from) first += im->chunk[c++].n;
    for (int64_t h = from; h < from + k; h++) {
        if (h == first + im->chunk[c].n) first += im->chunk[c++].n;
        id[h - from] = im->chunk[c].base + im->offset[h];
    }
}

ws_implicit_view ws_implicit_state(const ws_implicit *im)
{
    return (ws_implicit_view){im->now.count, im->now.sample, im->now.alpha};
}

void *ws_implicit_spare(ws_implicit *im, int64_t n, size_t size)
{
    im->next.pairs = 0;
    return (size_t)im->next.alpha_room * sizeof *im->next.alpha / size >= (size_t)n ? im->next.alpha
                                                                                    : NULL;
}

static ws_err not_ours(int64_t id, const char *what)
{
    return ws_fail(WS_ERR_DATA, "the displacement of neuron %lld %s", (long long)id, what);
}

/* One neuron's displacement as a checkpoint has it. */
static ws_err check_pairs(const ws_implicit *im, int64_t id, int64_t count, const uint16_t *sample,
                          const double *alpha)
{
    if (count > im->n) return not_ours(id, "has more samples than there are");
    for (int64_t p = 0; p < count; p++) {
        if (sample[p] >= im->n || (p > 0 && sample[p] <= sample[p - 1]))
            return not_ours(id, "names samples that do not ascend");
        if (!isfinite(alpha[p])) return not_ours(id, "is not finite");
    }
    return WS_OK;
}

static ws_err check_id(const ws_implicit *im, int64_t id, int64_t last)
{
    if (id >= im->net->first && id < im->net->first + im->net->n && id > last) return WS_OK;
    return not_ours(id, "is of no neuron here: ids are out of range or do not ascend");
}

ws_err ws_implicit_add(ws_implicit *im, int64_t k, const int64_t *id, const uint16_t *count,
                       const uint16_t *sample, const double *alpha)
{
    int64_t last = -1;

    if (im->held > 0) ws_implicit_ids(im, im->held - 1, 1, &last);
    for (int64_t i = 0; i < k; i++) {
        ws_err err;

        if ((err = check_id(im, id[i], last)) ||
            (err = check_pairs(im, id[i], count[i], sample, alpha)) || (err = append(im, id[i])) ||
            (err = add_pairs(im, count[i], sample, alpha)))
            return err;
        last = id[i];
        sample += count[i];
        alpha += count[i];
    }
    return WS_OK;
}

/* At most so many neurons of a shard are held: each fires on a sample of its own. */
static double most_held(double neurons, double pairs)
{
    return neurons < pairs ? neurons : pairs;
}

double ws_implicit_saved_bytes(int64_t n, double neurons, double active)
{
    double pairs = neurons * active * (double)n, word = n <= UINT8_MAX ? 1 : 4;
    double id = neurons <= INT32_MAX ? 4 : 8;

    return most_held(neurons, pairs) * (id + word) + pairs * (8 + word);
}

double ws_implicit_bytes(const ws_net_spec *s, int64_t n, double neurons, double active)
{
    double pairs = neurons * active * (double)n, held = most_held(neurons, pairs);
    double batch = BATCH * (4.0 * (double)s->d + 8.0 * (double)n + s->c);

    return held * (sizeof(uint32_t) + 2 * sizeof(uint16_t) + sizeof(float)) +
           pairs * (3 * sizeof(double) + 2 * sizeof(uint16_t)) + batch +
           8.0 * (double)n * (double)n + ws_probe_bytes(n, s->d);
}
