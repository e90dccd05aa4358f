/* rows_kernel.h - ws_rows_ops.dots for one vector unit; included by rows.c once for each, with NAME,
 * TARGET and LOAD (eight floats as eight doubles) defined.  The compiler splits vectors of eight
 * doubles where registers are shorter.
 *
 * A lane of ws_dot starts at +0, one here at its first product: that could only make -0 of a sum
 * that is +0, which the last addition of +0 mends. */

/* d <= 16 is known when this is compiled: no lane has more than one coordinate. */
TARGET static inline __attribute__((always_inline)) void
NAME(fixed)(const float *c, const int64_t *off, const float *b, const double *x, const int d,
            int64_t n, double *restrict z)
{
    const float *at[16];
    double y[16];

#pragma GCC unroll 16
    for (int j = 0; j < d; j++) {
        at[j] = c + off[j];
        y[j] = x[j];
    }
    for (int64_t i = 0; i < n; i += 8) {
        double8 lane[16], bias;
        int lanes = d;

#pragma GCC unroll 16
        for (int j = 0; j < d; j++) {
            LOAD(lane[j], at[j] + i);
            lane[j] *= y[j];
        }
#pragma GCC unroll 4
        for (int h = 8; h >= 1; h /= 2) {
#pragma GCC unroll 8
            for (int l = 0; l < h; l++)
                if (l + h < lanes) lane[l] += lane[l + h];
            lanes = lanes < h ? lanes : h;
        }
        LOAD(bias, b + i);
        lane[0] = (lane[0] + 0.0) + bias;
        memcpy(z + i, &lane[0], sizeof lane[0]);
    }
}

TARGET static void NAME(general)(const float *c, const int64_t *off, const float *b,
                                 const double *x, int64_t d, int64_t n, double *z)
{
    for (int64_t i = 0; i < n; i += 8) {
        double8 lane[16] = {0}, v;

        for (int64_t j = 0; j < d; j++) {
            LOAD(v, c + off[j] + i);
            lane[j % 16] += v * x[j];
        }
        for (int h = 8; h >= 1; h /= 2)
            for (int l = 0; l < h; l++) lane[l] += lane[l + h];
        LOAD(v, b + i);
        lane[0] += v;
        memcpy(z + i, &lane[0], sizeof lane[0]);
    }
}

TARGET static void NAME(dots)(const float *c, const int64_t *off, const float *b, const double *x,
                              int64_t d, int64_t n, double *z)
{
    switch (d) {
    case 1:
        NAME(fixed)(c, off, b, x, 1, n, z);
        return;
    case 2:
        NAME(fixed)(c, off, b, x, 2, n, z);
        return;
    case 3:
        NAME(fixed)(c, off, b, x, 3, n, z);
        return;
    case 4:
        NAME(fixed)(c, off, b, x, 4, n, z);
        return;
    case 5:
        NAME(fixed)(c, off, b, x, 5, n, z);
        return;
    case 6:
        NAME(fixed)(c, off, b, x, 6, n, z);
        return;
    case 7:
        NAME(fixed)(c, off, b, x, 7, n, z);
        return;
    case 8:
        NAME(fixed)(c, off, b, x, 8, n, z);
        return;
    default:
        NAME(general)(c, off, b, x, d, n, z);
    }
}
