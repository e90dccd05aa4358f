/* dot_portable.c - the lanes of dot.h in plain C: the definition of the bits. */
#include <stddef.h>

#include "dot_impl.h"

static int available(void)
{
    return 1;
}

static double dot(const float *w, const float *x, int64_t d)
{
    double lane[WS_LANES] = {0};
    int64_t j = 0;

    for (; j + WS_LANES <= d; j += WS_LANES)
        for (int l = 0; l < WS_LANES; l++) lane[l] += (double)w[j + l] * (double)x[j + l];
    for (int l = 0; j + l < d; l++) lane[l] += (double)w[j + l] * (double)x[j + l];
    return ws_lane_sum(lane);
}

static void dot4(const float *w, const float *const *x, int64_t n, int64_t d, double *z,
                 const ws_fetch *f)
{
    ws_fetch_row(f->row, d);
    for (int64_t k = 0; k < n; k++) z[k] = dot(w, x[k], d);
}

static void axpy(double *acc, double c, const float *x, int64_t d)
{
    for (int64_t j = 0; j < d; j++) acc[j] += c * (double)x[j];
}

static double row_add(float *w, const double *delta, int64_t d)
{
    double lane[WS_LANES] = {0};

    for (int64_t j = 0; j < d; j++) {
        double square = delta[j] * delta[j];
        w[j] = (float)((double)w[j] + delta[j]);
        lane[j % WS_LANES] += square;
    }
    return ws_lane_sum(lane);
}

static void dot_bytes(const float *w, const uint8_t *const *x, int64_t n, int64_t d,
                      const double *level, double *z, const ws_fetch *f)
{
    ws_fetch_row(f->row, d);
    for (int64_t k = 0; k < n; k++) {
        double lane[WS_LANES] = {0};

        for (int64_t j = 0; j < d; j++)
            lane[j % WS_LANES] +=
                (double)w[j] * ((double)WS_PACKED_ZERO + (double)x[k][j] - level[j]);
        z[k] = ws_lane_sum(lane);
    }
}

const ws_dot_ops ws_dot_portable = {"portable", available, dot,  dot4,      axpy,
                                    row_add,    NULL,      NULL, dot_bytes, NULL};
