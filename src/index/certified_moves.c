/* certified_moves.c - how far a row has moved since it was listed, and when it is listed again.
 *
 * For a step that combines samples, w += sum_p c_p x_p, the square of the displacement D grows by
 * 2 <D, step> + ||step||^2, and <D, x_p> = z_p now - z_p listed is at hand, or bounded by the
 * sketch where the sample is not listed: the net displacement, not the length of the path. Other
 * steps add their length. Every rounding goes into the bounds: that of the stored z (float32
 * products, and q), of the float32 row, of the sketch, of ws_dot. */
#include "certified.h"

#include "wingspan/core/dot.h"
#include "wingspan/core/fetch.h"

/* All ranks list at the same steps, so that none waits for another's listing: eight times an epoch if
 * GROUP rows want it, since a few alone would read all samples for themselves, else every PATIENCE
 * such times. */
enum { TICKS = 8, GROUP = 32, PATIENCE = 16 };

static const float growth = 1.25f; /* of the slack, each time, at least */

int ws_certified_error_code(double share)
{
    int exponent;

    if (!(share <= 1)) return -1;
    frexp(fmax(share, 0x1p-200), &exponent); /* share <= 2^exponent */
    return exponent < 0 ? -exponent : 0;
}

/* |z of an entry - <w listed, x>| for every registered sample. */
static double z_error(const ws_certified *c, const ws_row *r)
{
    union {
        uint64_t u;
        double d;
    } share = {.u = (uint64_t)(1023 - r->error) << 52}; /* 2^-error */

    return share.d * (double)r->norm * c->max_norm + 2 * (double)r->step + 1e-36;
}

/* |ws_dot - <w, x>|, and what adding the bias rounds. */
static double dot_error(const ws_certified *c, double norm, double bias)
{
    return ((double)c->base.shard.d + 8) * 0x1p-52 * (norm * c->max_norm + bias);
}

/* An entry passes if its q is above: z + reach > T, a step to spare. */
static int32_t bar_of(const ws_certified *c, const ws_row *r)
{
    double v = (c->base.threshold - (double)r->reach - (double)r->cut) / (double)r->step - 0.5;

    if (!(v > 1)) return -1;
    return v < WS_Z_MASK ? (int32_t)v - 1 : WS_Z_MASK;
}

static void tell_segment(const ws_certified *c, const ws_row *r)
{
    ws_segment *s = &c->segment[r->segment];
    uint64_t bit = 1ull << r->slot % 64;

    s->bar[r->slot] = bar_of(c, r);
    if ((double)r->cut + (double)r->reach <= c->base.threshold)
        s->open[r->slot / 64] &= ~bit;
    else
        s->open[r->slot / 64] |= bit;
}

/* Of t' and s', which are t and s in 16 bits: <t, s> = <t', s'> + <t - t', s> + <t', s - s'>. */
static void fixed_bounds(const ws_certified *c, ws_row *r, double t_most, double scale)
{
    const ws_sketch *s = &c->sketch;
    double away = 0.51 * sqrt(WS_SKETCH) * scale + 1e-28;

    r->unit = (float)(scale * s->unit);
    r->offset = ws_round_up((double)r->rest + away * s->most + (t_most + away) * s->lost);
}

/* The formula of certified_sketch.c with all that has been rounded on the way. */
static void sketch_bounds(const ws_certified *c, int64_t k, double u, double fixed)
{
    const ws_sketch *s = &c->sketch;
    ws_row *r = &c->row[k];
    double most = c->max_norm, path = (double)r->path, drift = (double)r->drift;
    double size, t_most, t_least, left, rest, float_sums, square, scale;

    r->residue = INFINITY;
    r->rest = r->unit = r->offset = 0;
    if (!s->on || !(path < 1e6) || isinf(r->cut)) return;
    scale = (double)c->loops->fix(c->t + k * WS_SKETCH, c->t_fixed + k * WS_SKETCH, &square);
    size = sqrt(square);
    t_most = size * (1 + 1e-12) + (double)r->blur;
    t_least = fmax(0, size * (1 - 1e-12) - (double)r->blur);
    left = (u + drift) * (u + drift) - t_least * t_least * (1 - s->skew) +
           2 * t_most * s->leak * path / most;
    left = sqrt(fmax(left, 0)) * (1 + 1e-9);
    rest = drift * most +
           1.01 * (s->skew * t_most * most + (double)r->blur * most + s->leak * (t_most + path));
    float_sums =
        (WS_SKETCH + 8) * t_most * most + 10 * (((double)r->norm + u + left) * most + fabs(fixed) +
                                                fabs((double)r->cut) + fabs(c->base.threshold));
    r->residue = ws_round_up(left);
    r->rest = ws_round_up(fixed + rest + 0x1.1p-24 * float_sums);
    fixed_bounds(c, r, t_most, scale);
}

void ws_certified_bounds(ws_certified *c, int64_t k)
{
    ws_row *r = &c->row[k];
    double u = sqrt(r->moved2), b = (double)c->base.shard.b[k], norm = (double)r->norm + u;
    double fixed = z_error(c, r) + dot_error(c, norm, fabs(b)) + b, reach;

    fixed += 1e-12 * (fabs(fixed) + norm * c->max_norm);
    reach = u * c->max_norm + fixed;
    reach += 1e-7 * (fabs(reach) + norm * c->max_norm * 1e-3);
    r->reach = isfinite(reach) ? ws_round_up(reach) : INFINITY;
    sketch_bounds(c, k, u, fixed);
    if (r->segment >= 0) tell_segment(c, r);
}

/* <D, x_p> of pair p of a move within *error: from z listed, or from the sketch. */
static double inner(const ws_certified *c, const ws_row *r, const ws_moves *m, int64_t p,
                    const float *t, double b_old, double *error)
{
    int64_t i;

    if (!isnan(m->note[p])) {
        *error = 0; /* the caller's */
        return m->z[p] - b_old - (double)m->note[p];
    }
    if (isinf(r->residue)) return NAN;
    i = m->ids[m->pos[p]];
    *error = (double)r->residue * (double)c->sketch.q[i] +
             2 * ((double)r->rest - b_old + fabs(b_old) * 0x1p-20);
    return ws_dot(t, c->sketch.s + i * WS_SKETCH, WS_SKETCH);
}

/* The new bound of u^2 by the recurrence, or -1 where <D, step> is not known. */
static double recurrence(const ws_certified *c, const ws_moves *m, int64_t k)
{
    const ws_row *r = &c->row[m->row[k]];
    const float *t = c->t + m->row[k] * WS_SKETCH;
    double b_old = (double)c->base.shard.b[m->row[k]] - (m->dbias ? m->dbias[k] : 0);
    double sum = 0, size = 0, blur = 0, norm = (double)r->norm + sqrt(r->moved2), error, more = 0;

    if (!m->first || !m->z || !m->note) return -1;
    for (int64_t p = m->first[k]; p < m->first[k + 1]; p++) {
        double coef = (double)m->coef[p];

        sum += coef * inner(c, r, m, p, t, b_old, &more);
        size += fabs(coef);
        blur += fabs(coef) * more;
    }
    if (!isfinite(sum)) return -1;
    /* Coefficients of packed samples are rounded once scaled. */
    error = z_error(c, r) + dot_error(c, norm, fabs(b_old)) +
            (1e-12 * norm + WS_PACKED_ERROR * sqrt(r->moved2)) * c->max_norm;
    return fmax(0, r->moved2 + 2 * (sum + blur + size * error) + m->norm[k] * m->norm[k]) *
           (1 + 1e-12);
}

/* t follows the combination; a step that is none ends the sketch until the next listing. */
static void follow(const ws_certified *c, const ws_moves *m, int64_t k)
{
    ws_row *r = &c->row[m->row[k]];
    int64_t first = m->first ? m->first[k] : 0;
    double size = 0;

    if (!m->first || !c->sketch.on) r->path = INFINITY;
    if (isinf(r->path)) return;
    c->loops->combine(c->t + m->row[k] * WS_SKETCH, m->coef + first, c->sketch.s, m->ids,
                      m->pos + first, m->first[k + 1] - first, m->first[m->k] - first);
    for (int64_t p = first; p < m->first[k + 1]; p++) size += fabs((double)m->coef[p]);
    size *= c->max_norm;
    r->path = ws_round_up(((double)r->path + size) * (1 + 1e-9));
    /* The step was summed in float64, coefficients of packed samples in float32. */
    r->drift = ws_round_up(
        (double)r->drift +
        ((double)(m->first[k + 1] - m->first[k] + 8) * 0x1p-52 + WS_PACKED_ERROR) * size);
    /* Each addition rounds by 2^-24 of its product and of what t is then. */
    r->blur =
        ws_round_up((double)r->blur +
                    (double)(m->first[k + 1] - m->first[k]) * 0x1.2p-23 * (double)r->path + 1e-36);
}

static void move(ws_certified *c, const ws_moves *m, int64_t k)
{
    ws_row *r = &c->row[m->row[k]];
    double step = m->norm[k], path = sqrt(r->moved2) + step, square = recurrence(c, m, k);
    double u = square >= 0 ? fmin(sqrt(square), path) : path;
    double rounding = 0x1.01p-24 * ((double)r->norm + path) + 1e-36;

    follow(c, m, k);
    /* The row was rounded to float32 after the step. */
    r->drift = ws_round_up((double)r->drift + rounding);
    u += rounding;
    r->moved2 = u * u * (1 + 1e-14);
    ws_certified_bounds(c, m->row[k]);
}

static ws_err relist(ws_certified *c)
{
    ws_err err = ws_certified_tidy(c);

    for (int64_t from = 0; from < c->queue_n && !err; from += WS_SEGMENT_ROWS) {
        int64_t n = c->queue_n - from < WS_SEGMENT_ROWS ? c->queue_n - from : WS_SEGMENT_ROWS;

        for (int64_t k = from; k < from + n; k++) {
            float u = (float)sqrt(c->row[c->queue[k]].moved2);
            float rho = c->upkeep[c->queue[k]].rho;

            /* As much as it has moved, so that it lasts as long again. */
            c->upkeep[c->queue[k]].rho = fminf(fmaxf(growth * rho, u), 2 * rho);
        }
        err = ws_certified_list(c, c->queue + from, n);
    }
    c->base.counts.relisted += c->queue_n;
    c->queue_n = 0;
    return err;
}

WS_FETCH prefetch(const ws_certified *c, const ws_moves *m, int64_t k)
{
    if (k >= m->k) return;
    __builtin_prefetch(&c->row[m->row[k]], 1);
    for (int i = 0; i < WS_SKETCH; i += 16) __builtin_prefetch(c->t + m->row[k] * WS_SKETCH + i, 1);
    for (int i = 0; i < WS_SKETCH; i += 32)
        __builtin_prefetch(c->t_fixed + m->row[k] * WS_SKETCH + i, 1);
}

ws_err ws_certified_update(ws_index *ix, const ws_moves *moves)
{
    ws_certified *c = (ws_certified *)ix;

    c->loops = ws_certified_simd();
    for (int64_t k = 0; k < moves->k; k++) {
        prefetch(c, moves, k + 6);
        move(c, moves, k);
    }
    if (c->asked < c->base.samples.n / TICKS) return WS_OK;
    c->asked = 0;
    c->ticks++;
    return c->queue_n >= GROUP || (c->queue_n > 0 && c->ticks % PATIENCE == 0) ? relist(c) : WS_OK;
}
