/* certified_moves.c - how far a row has moved since it was listed, and when it is listed again.
 *
 * For a step that combines listed samples, w += sum_p c_p x_p, the square of the displacement D
 * grows by 2 <D, step> + ||step||^2, and <D, x_p> = z_p now - z_p listed is at hand: the net
 * displacement, not the length of the path. Other steps add their length. Every rounding goes into
 * the bound: that of the stored z (float32 products), of the float32 row, of ws_dot. */
#include <math.h>

#include "certified.h"

enum { GROUP = 64 }; /* rows listed together: fewer would waste the GEMM */

static const float growth = 1.25f; /* of the slack, each time */

/* |stored z - <w listed, x>| for every registered sample. */
static double z_error(const ws_certified *c, int64_t r)
{
    return ws_propose_margin(c->base.shard.d) * c->norm[r] * c->max_norm + 1e-36;
}

/* |ws_dot - <w, x>|, and what adding the bias rounds. */
static double dot_error(const ws_certified *c, double norm, double bias)
{
    return ((double)c->base.shard.d + 8) * 0x1p-52 * (norm * c->max_norm + bias);
}

void ws_certified_reach(ws_certified *c, int64_t r)
{
    double u = sqrt(c->moved2[r]), b = (double)c->base.shard.b[r], norm = c->norm[r] + u;
    double reach = u * c->max_norm + z_error(c, r) + dot_error(c, norm, fabs(b)) + b;

    reach += 1e-6 * (fabs(reach) + norm * c->max_norm * 1e-3);
    c->state[r].reach = isfinite(reach) ? nextafterf((float)reach, INFINITY) : INFINITY;
}

/* The new bound of u^2 by the recurrence, or -1 where the listed z are not known. */
static double recurrence(const ws_certified *c, const ws_moves *m, int64_t k)
{
    int64_t r = m->row[k];
    double b_old = (double)c->base.shard.b[r] - (m->dbias ? m->dbias[k] : 0);
    double inner = 0, size = 0, norm = c->norm[r] + sqrt(c->moved2[r]), error;

    if (!m->first || !m->z || !m->note) return -1;
    for (int64_t p = m->first[k]; p < m->first[k + 1]; p++) {
        double coef = (double)m->coef[p];

        inner += coef * (m->z[p] - b_old - (double)m->note[p]);
        size += fabs(coef);
    }
    if (!isfinite(inner)) return -1;
    error = z_error(c, r) + dot_error(c, norm, fabs(b_old)) + 1e-12 * norm * c->max_norm;
    return fmax(0, c->moved2[r] + 2 * (inner + size * error) + m->norm[k] * m->norm[k]) *
           (1 + 1e-12);
}

static void move(ws_certified *c, const ws_moves *m, int64_t k)
{
    int64_t r = m->row[k];
    double step = m->norm[k], path = sqrt(c->moved2[r]) + step, square = recurrence(c, m, k);
    double u = square >= 0 ? fmin(sqrt(square), path) : path;

    /* The row was rounded to float32 after the step. */
    u += 0x1.01p-24 * (c->norm[r] + path) + 1e-36;
    c->moved2[r] = u * u * (1 + 1e-14);
    ws_certified_reach(c, r);
}

/* May a sample outside the list fire it at the usual threshold?  (NaN: yes.) */
static int outgrown(const ws_certified *c, int64_t r)
{
    return !((double)c->cut[r] + (double)c->state[r].reach <= c->base.threshold);
}

static ws_err relist(ws_certified *c)
{
    ws_err err = ws_certified_tidy(c); /* makes room for one more segment */

    if (err) return err;
    for (int64_t k = 0; k < c->queue_n; k++) c->rho[c->queue[k]] *= growth;
    err = ws_certified_list(c, c->queue, c->queue_n);
    c->base.counts.relisted += c->queue_n;
    c->queue_n = 0;
    return err;
}

ws_err ws_certified_update(ws_index *ix, const ws_moves *moves)
{
    ws_certified *c = (ws_certified *)ix;

    for (int64_t k = 0; k < moves->k; k++) {
        int64_t r = moves->row[k];

        move(c, moves, k);
        if (c->queued[r] || isinf(c->cut[r]) || !outgrown(c, r)) continue;
        c->queued[r] = 1;
        c->queue[c->queue_n++] = r;
    }
    return c->queue_n >= GROUP ? relist(c) : WS_OK;
}
