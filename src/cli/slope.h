/* slope.h - the exponent of a power law: least squares in logarithms. */
#ifndef WS_CLI_SLOPE_H
#define WS_CLI_SLOPE_H

#include <math.h>
#include <stdint.h>

/* y ~ x^e over n pairs, `stride` doubles apart; NaN if there are not two widths or a value is
 * not positive. */
static inline double ws_slope(const double *x, const double *y, int64_t stride, int64_t n)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, count = (double)n;

    for (int64_t i = 0; i < n; i++) {
        double u, v;

        if (!(x[i * stride] > 0) || !(y[i * stride] > 0)) return NAN;
        u = log(x[i * stride]);
        v = log(y[i * stride]);
        sx += u;
        sy += v;
        sxx += u * u;
        sxy += u * v;
    }
    return count * sxx > sx * sx * (1 + 1e-12) ? (count * sxy - sx * sy) / (count * sxx - sx * sx)
                                               : NAN;
}

#endif
