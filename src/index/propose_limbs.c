/* propose_limbs.c - products made of the data's own bytes (limbs.h), which need no second look. */
#include "propose_impl.h"

enum { COLS = 512 };

/* Above it the bound of limbs, a share of ||w|| ||x||, is too wide to be of use. */
static const double most_error = 0x1p-6;

static int applies(const ws_proposer *p)
{
    return p->may_limbs && !p->ids && ws_limbs_apply(p->x) &&
           ws_limbs_error(p->x, p->max_norm) < most_error;
}

static int64_t cols(const ws_proposer *p)
{
    return ws_smaller(p->n, COLS);
}

/* Rows come in twos. */
static int64_t products(const ws_propose_block *b)
{
    return 2 * b->cols;
}

static ws_err rows(ws_proposer *p, const ws_propose_block *b)
{
    return ws_limbs_rows(&p->limbs, p->x, b->w, b->n);
}

static ws_err tile(ws_proposer *p, const ws_propose_block *b, int64_t from, int64_t *count)
{
    int64_t n = ws_smaller(b->cols, p->n - from);
    ws_err err = WS_OK;

    for (int64_t r = 0; r < b->n && !err; r += 2) {
        ws_limbs_products(&p->limbs, p->x, r, from, n, p->tile);
        for (int64_t k = 0; k < 2 && r + k < b->n && !err; k++)
            err = ws_propose_stage(p, b, p->tile + k * n, n, b->cut[r + k], from, &count[r + k]);
    }
    return err;
}

static double error(const ws_proposer *p)
{
    return ws_limbs_error(p->x, p->max_norm);
}

const ws_propose_way ws_propose_limbs = {applies, NULL, cols, products, rows, tile, error};
