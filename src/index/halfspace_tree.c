/* halfspace_tree.c - rows sorted into slots, boxes fitted around them, and how updates keep both.
 *
 * Work of an update: every moved row is a leaf write, every box fitted again a node visit, and
 * sorting a node anew writes each of its rows once for every halving. */
#include <math.h>
#include <string.h>

#include "halfspace.h"

enum { AHEAD = 8, COLUMNS = 16 };

/* Leaves so much wider than when they were sorted make it worth while to sort again. */
#define LOOSE 1.5f

/* ---- rows in slots ---- */

/* Bits of a float as a number that orders likewise; NaN last or first. */
static uint32_t ordered(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof u);
    return u >> 31 ? ~u : u | 1u << 31;
}

static float coordinate(const ws_shard *s, int64_t r, int64_t j)
{
    return j < s->d ? s->w[r * s->d + j] : s->b[r];
}

/* The coordinate along which rows id[0..n) lie widest apart, in units of its scale. */
static int64_t widest(const ws_halfspace *h, const uint32_t *id, int64_t n)
{
    const ws_shard *s = &h->base.shard;
    int64_t at = 0;
    float most = -1;

    for (int64_t j = 0; j <= s->d; j++) {
        float low = INFINITY, high = -INFINITY;

        for (int64_t i = 0; i < n; i++) {
            float v = coordinate(s, id[i], j);
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        if (!((high - low) * h->scale[j] > most)) continue;
        most = (high - low) * h->scale[j];
        at = j;
    }
    return at;
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
    if (a > b) {
        uint64_t swap = a;
        a = b;
        b = swap;
    }
    return c < a ? a : c > b ? b : c;
}

/* The k smallest of n keys come first (Hoare); keys are distinct. */
static void select_smallest(uint64_t *key, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1;

    while (low < high) {
        uint64_t pivot = median(key[low], key[low + (high - low) / 2], key[high]);
        int64_t i = low, j = high;

        while (i <= j) {
            while (key[i] < pivot) i++;
            while (key[j] > pivot) j--;
            if (i > j) break;
            uint64_t swap = key[i];
            key[i++] = key[j];
            key[j--] = swap;
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            return;
    }
}

/* Halve n rows until a leaf holds them; the left part fills whole leaves, a power of two of them. */
static void halve(ws_halfspace *h, uint32_t *id, int64_t n)
{
    while (n > WS_LEAF) {
        int64_t half = WS_LEAF, j = widest(h, id, n);

        while (2 * half < n) half *= 2;
        for (int64_t i = 0; i < n; i++)
            h->key[i] = (uint64_t)ordered(coordinate(&h->base.shard, id[i], j)) << 32 | id[i];
        select_smallest(h->key, n, half);
        for (int64_t i = 0; i < n; i++) id[i] = (uint32_t)h->key[i];
        h->base.counts.leaf_writes += n;
        halve(h, id + half, n - half);
        n = half;
    }
}

/* Write row r's numbers into its slot; a row that can never fire becomes NaN. */
static void put(ws_halfspace *h, int64_t r)
{
    const ws_shard *s = &h->base.shard;
    int64_t slot = h->slot[r], d = s->d;
    float *to = h->leaf + slot / WS_LEAF * (d + 1) * WS_LEAF + slot % WS_LEAF;
    float sum = 0;

    for (int64_t j = 0; j < d; j++) {
        float v = to[j * WS_LEAF] = s->w[r * d + j];
        sum += v * 0; /* NaN if some number is not finite */
    }
    to[d * WS_LEAF] = s->b[r];
    sum += s->b[r] * 0;
    h->base.counts.leaf_writes++;
    if (sum == 0) return;
    h->wild = 1;
    for (int64_t j = 0; j <= d; j++)
        if (isnan(to[j * WS_LEAF])) to[d * WS_LEAF] = -INFINITY;
    if (to[d * WS_LEAF] != -INFINITY) return;
    /* z would be NaN or -infinity: the row is silent, and boxes need not hold it. */
    for (int64_t j = 0; j <= d; j++) to[j * WS_LEAF] = NAN;
}

/* ---- boxes ---- */

/* Smallest and largest of n numbers, NaN left out. */
static void bounds(const float *v, int64_t n, float *low, float *high)
{
    float a[8], b[8];

    for (int k = 0; k < 8; k++) {
        a[k] = INFINITY;
        b[k] = -INFINITY;
    }
    for (int64_t i = 0; i < n; i += 8)
        for (int k = 0; k < 8; k++) {
            a[k] = v[i + k] < a[k] ? v[i + k] : a[k];
            b[k] = v[i + k] > b[k] ? v[i + k] : b[k];
        }
    for (int k = 1; k < 8; k++) {
        a[0] = a[k] < a[0] ? a[k] : a[0];
        b[0] = b[k] > b[0] ? b[k] : b[0];
    }
    *low = a[0];
    *high = b[0];
}

/* A box around nothing: z is -infinity everywhere. */
static void make_empty(float *box, int64_t d)
{
    for (int64_t j = 0; j < d; j++) box[j * 2 * WS_FAN] = box[j * 2 * WS_FAN + WS_FAN] = 0;
    box[d * 2 * WS_FAN] = box[d * 2 * WS_FAN + WS_FAN] = -INFINITY;
}

/* A leaf's box, and how wide it is. */
static float fit_leaf(ws_halfspace *h, int64_t i, float *box)
{
    int64_t d = h->base.shard.d;
    float wide = 0;

    for (int64_t j = 0; j <= d; j++) {
        float *low = box + j * 2 * WS_FAN, *high = low + WS_FAN;

        bounds(h->leaf + (i * (d + 1) + j) * WS_LEAF, WS_LEAF, low, high);
        wide += (*high - *low) * h->scale[j];
    }
    if (box[d * 2 * WS_FAN + WS_FAN] > -INFINITY) return wide;
    make_empty(box, d);
    return 0;
}

/* The box around the eight or fewer of the level below, and how wide their leaves are together. */
static float fit_node(const ws_level *below, int64_t i, int64_t d, float *box)
{
    const float *child = below->box + i * (d + 1) * 2 * WS_FAN;
    float wide = 0;

    make_empty(box, d);
    for (int64_t c = 0; c < WS_FAN && i * WS_FAN + c < below->n; c++, child++) {
        int first = !(box[d * 2 * WS_FAN + WS_FAN] > -INFINITY);

        wide += below->wide[i * WS_FAN + c];
        if (!(child[d * 2 * WS_FAN + WS_FAN] > -INFINITY)) continue;
        for (int64_t j = 0; j <= d; j++) {
            float *low = box + j * 2 * WS_FAN, *high = low + WS_FAN;
            float a = child[j * 2 * WS_FAN], b = child[j * 2 * WS_FAN + WS_FAN];

            *low = first || a < *low ? a : *low;
            *high = first || b > *high ? b : *high;
        }
    }
    return wide;
}

/* The column of node i's numbers in its block of boxes. */
static float *box_of(ws_level *v, int64_t i, int64_t d)
{
    return v->box + i / WS_FAN * (d + 1) * 2 * WS_FAN + i % WS_FAN;
}

void ws_halfspace_clear(ws_halfspace *h, int level, int64_t i)
{
    make_empty(box_of(&h->level[level], i, h->base.shard.d), h->base.shard.d);
}

/* Make a node's box tight around what is below. */
static void fit(ws_halfspace *h, int level, int64_t i)
{
    ws_level *v = &h->level[level];
    int64_t d = h->base.shard.d;
    float *box = box_of(v, i, d);

    v->wide[i] = level == 0 ? fit_leaf(h, i, box) : fit_node(v - 1, i, d, box);
    h->base.counts.node_visits++;
}

void ws_halfspace_sort(ws_halfspace *h, int level, int64_t i)
{
    int64_t first = i * h->level[level].span, n = ws_halfspace_below(h, &h->level[level], i);
    uint32_t *id = h->id + first * WS_LEAF;

    halve(h, id, n);
    for (int64_t k = 0; k < n; k++) {
        h->slot[id[k]] = (uint32_t)(first * WS_LEAF + k);
        put(h, id[k]);
    }
    if (level + 1 == h->levels) {
        h->asked = 0;
        h->usual = h->waste = 0;
    }
    for (int l = 0; l <= level; l++) {
        ws_level *v = &h->level[l];
        int64_t from = first / v->span;
        int64_t to = (first * WS_LEAF + n + v->span * WS_LEAF - 1) / (v->span * WS_LEAF);

        for (int64_t k = from; k < to; k++) {
            fit(h, l, k);
            v->sorted[k] = v->wide[k];
            v->moves[k] = 0;
        }
    }
}

/* ---- updates ---- */

/* Count moves below a node; it is put on a list the first time. */
static void touch(ws_level *v, int64_t i, int64_t moves, uint32_t *list, int64_t *n)
{
    if (v->fresh[i] == 0) list[(*n)++] = (uint32_t)i;
    v->fresh[i] += moves;
}

/* Fit a node's box; sort its rows anew if that is worth it and paid for: half of them have moved. */
static void refresh(ws_halfspace *h, int level, int64_t i)
{
    ws_level *v = &h->level[level];

    v->moves[i] += v->fresh[i];
    v->fresh[i] = 0;
    fit(h, level, i);
    if (level > 0 && v->wide[i] > LOOSE * v->sorted[i] &&
        2 * v->moves[i] >= ws_halfspace_below(h, v, i))
        ws_halfspace_sort(h, level, i);
}

/* Has looking for hits in a spoilt tree cost as much as sorting all rows would? */
static int sorting_pays(const ws_halfspace *h)
{
    double halvings = log2((double)h->leaves) + 1;

    return h->waste > (double)h->base.shard.n * halvings;
}

/* Ask for the lines that a put will write. */
static void fetch(const ws_halfspace *h, int64_t r)
{
    int64_t slot = h->slot[r], d = h->base.shard.d;
    const float *to = h->leaf + slot / WS_LEAF * (d + 1) * WS_LEAF + slot % WS_LEAF;

    for (int64_t j = 0; j <= d && j < COLUMNS; j++) __builtin_prefetch(to + j * WS_LEAF, 1);
}

ws_err ws_halfspace_update(ws_index *ix, const ws_moves *m)
{
    ws_halfspace *h = (ws_halfspace *)ix;
    uint32_t *list = h->list[0], *above = h->list[1];
    int64_t n = 0;

    for (int64_t k = 0; k < m->k; k++) {
        if (k + AHEAD < m->k) fetch(h, m->row[k + AHEAD]);
        put(h, m->row[k]);
        touch(&h->level[0], h->slot[m->row[k]] / WS_LEAF, 1, list, &n);
    }
    for (int l = 0; l < h->levels; l++) {
        uint32_t *swap = list;
        int64_t next = 0;

        for (int64_t k = 0; k < n; k++) {
            int64_t i = list[k];

            if (l + 1 < h->levels)
                touch(&h->level[l + 1], i / WS_FAN, h->level[l].fresh[i], above, &next);
            refresh(h, l, i);
        }
        list = above;
        above = swap;
        n = next;
    }
    if (sorting_pays(h)) ws_halfspace_sort(h, h->levels - 1, 0);
    return WS_OK;
}
