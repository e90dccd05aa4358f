/* tensor.c - from sketches of the neurons to sketches of (neuron, coordinate) pairs: every rank does
 * the same with the same integers. */
#include <math.h>
#include <string.h>

#include "sketch_impl.h"
#include "wingspan/core/alloc.h"

/* y_i[(a + b) mod s] = sum q_i[a] c[b], c the countsketch of x_i.  Most q_i[a] are 0, so the sum is
 * taken as it stands: an FFT would be cheaper only beyond 3 s log s / d fired neurons. */
ws_err ws_sketch_convolve(ws_sketch *k)
{
    int64_t d = k->x->d, s = k->s, *bucket = NULL;
    double *sign = NULL;
    float *row = NULL;
    ws_err err;

    if ((err = ws_alloc(&bucket, d, sizeof *bucket, "a sketch")) ||
        (err = ws_alloc(&sign, d, sizeof *sign, "a sketch")) ||
        (err = ws_alloc(&row, d, sizeof *row, "a sketch")))
        goto done;
    for (int64_t j = 0; j < d; j++) {
        uint32_t w[4];
        ws_sketch_draw(k, USE_COORDINATE, j, 0, w);
        bucket[j] = ws_sketch_below(w, s);
        sign[j] = ws_sketch_sign(w[2]);
    }
    memset(k->y, 0, (size_t)(k->n * s) * sizeof *k->y);
    for (int64_t i = 0; i < k->n; i++) {
        double *y = k->y + i * s;
        ws_samples_row(k->x, i, row);
        for (int64_t a = 0; a < s; a++) {
            double q = k->q[i * s + a];
            for (int64_t j = 0; j < d && q != 0; j++) {
                int64_t at = a + bucket[j];
                y[at < s ? at : at - s] += q * sign[j] * (double)row[j];
            }
        }
    }
done:
    ws_free(&bucket);
    ws_free(&sign);
    ws_free(&row);
    return err;
}

static void transform(double *v, int64_t order)
{
    for (int64_t h = 1; h < order; h *= 2)
        for (int64_t i = 0; i < order; i += 2 * h)
            for (int64_t j = i; j < i + h; j++) {
                double a = v[j], b = v[j + h];
                v[j] = a + b;
                v[j + h] = a - b;
            }
}

/* y_i[r] = q_i[r] t_i[row of r] / sqrt(s), t_i the Hadamard transform of x_i with signs. */
ws_err ws_sketch_multiply(ws_sketch *k)
{
    int64_t d = k->x->d, order = 1, *sampled = NULL;
    double *t = NULL, each = 1 / sqrt((double)k->s);
    float *row = NULL;
    ws_err err;

    while (order < d) order *= 2;
    if ((err = ws_alloc(&sampled, k->s, sizeof *sampled, "a sketch")) ||
        (err = ws_alloc(&t, order, sizeof *t, "a sketch")) ||
        (err = ws_alloc(&row, d, sizeof *row, "a sketch")))
        goto done;
    for (int64_t r = 0; r < k->s; r++) {
        uint32_t w[4];
        ws_sketch_draw(k, USE_ROW_COORDINATE, r, 0, w);
        sampled[r] = ws_sketch_below(w, order);
    }
    for (int64_t i = 0; i < k->n; i++) {
        ws_samples_row(k->x, i, row);
        for (int64_t j = 0; j < order; j++) {
            uint32_t w[4] = {0};
            if (j < d) ws_sketch_draw(k, USE_COORDINATE, j, 0, w);
            t[j] = j < d ? ws_sketch_sign(w[2]) * (double)row[j] : 0;
        }
        transform(t, order);
        for (int64_t r = 0; r < k->s; r++)
            k->y[i * k->s + r] = (double)k->q[i * k->s + r] * t[sampled[r]] * each;
    }
done:
    ws_free(&sampled);
    ws_free(&t);
    ws_free(&row);
    return err;
}
