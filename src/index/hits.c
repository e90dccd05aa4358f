/* hits.c - the answer of a query, built row by row and reused from query to query.
 *
 * Rows are opened in ascending order; a row that nothing was added to vanishes when it is closed.
 * If memory runs out the whole answer is given back, so that a failed query leaves it empty. */
#include "wingspan/core/alloc.h"

#include "index_impl.h"

ws_err ws_hits_reserve_rows(ws_hits *h, int64_t k)
{
    int64_t need = h->rows + k + 1; /* first has a closing entry */
    int64_t row = h->row_capacity, first = h->row_capacity;
    ws_err err;

    if (need <= h->row_capacity) return WS_OK;
    if ((err = ws_grow(&h->row, &row, need, sizeof *h->row, "rows of an index answer")) ||
        (err = ws_grow(&h->first, &first, need, sizeof *h->first, "rows of an index answer"))) {
        ws_hits_free(h);
        return err;
    }
    h->row_capacity = row < first ? row : first;
    return WS_OK;
}

ws_err ws_hits_row(ws_hits *h, int64_t row)
{
    ws_err err = ws_hits_reserve_rows(h, 1);

    if (err) return err;
    h->row[h->rows] = row;
    h->first[h->rows++] = h->n;
    return WS_OK;
}

ws_err ws_hits_reserve(ws_hits *h, int64_t k)
{
    int64_t need = h->n + k, pos = h->capacity, z = pos, note = pos;
    ws_err err;

    if (need <= h->capacity) return WS_OK;
    if ((err = ws_grow(&h->pos, &pos, need, sizeof *h->pos, "pairs of an index answer")) ||
        (err = ws_grow(&h->z, &z, need, sizeof *h->z, "pairs of an index answer")) ||
        (err = ws_grow(&h->note, &note, need, sizeof *h->note, "pairs of an index answer"))) {
        ws_hits_free(h);
        return err;
    }
    h->capacity = pos < z ? pos : z;
    if (note < h->capacity) h->capacity = note;
    return WS_OK;
}

void ws_hits_close(ws_hits *h)
{
    if (h->n == h->first[h->rows - 1]) h->rows--;
    h->first[h->rows] = h->n;
}

void ws_hits_free(ws_hits *h)
{
    ws_free(&h->row);
    ws_free(&h->first);
    ws_free(&h->pos);
    ws_free(&h->z);
    ws_free(&h->note);
    *h = (ws_hits){0};
}
