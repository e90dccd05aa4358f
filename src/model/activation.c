/* activation.c - the table of activations: value, slope, power.
 *
 * Powers of the smooth ones are E[value(z)^2] by the trapezoidal rule on [-12, 12] deviations,
 * which for such functions is accurate far beyond what a scale needs; fixed steps, fixed bits. */
#include "wingspan/model/activation.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "wingspan/core/fmath.h"

static double relu_value(double z, double t)
{
    return z > t ? z - t : 0;
}

static double relu_slope(double z, double t)
{
    return z > t ? 1 : 0;
}

static double relu_power(double spread, double t)
{
    return ws_gauss_tail(t / spread);
}

static double quadratic_value(double z, double t)
{
    return (z - t) * (z - t) / 2;
}

static double quadratic_slope(double z, double t)
{
    return z - t;
}

/* log(1 + e^y) without overflow. */
static double softplus_value(double z, double t)
{
    double y = z - t;

    return y > 0 ? y + ws_log1p(ws_exp(-y)) : ws_log1p(ws_exp(y));
}

static double softplus_slope(double z, double t)
{
    double y = z - t, e = ws_exp(-fabs(y));

    return y >= 0 ? 1 / (1 + e) : e / (1 + e);
}

static double tanh_value(double z, double t)
{
    return ws_tanh(z - t);
}

static double tanh_slope(double z, double t)
{
    double v = ws_tanh(z - t);

    return (1 - v) * (1 + v);
}

static double mean_square(double (*value)(double, double), double spread, double t)
{
    enum { STEPS = 2400 };
    double sum = 0, h = 24.0 / STEPS;

    for (int i = 0; i <= STEPS; i++) {
        double u = -12 + h * i, v = value(spread * u, t);
        sum += v * v * ws_exp(-u * u / 2);
    }
    return sum * h / 2.5066282746310002; /* sqrt(2 pi) */
}

static double quadratic_power(double spread, double t)
{
    return mean_square(quadratic_value, spread, t);
}

static double softplus_power(double spread, double t)
{
    return mean_square(softplus_value, spread, t);
}

static double tanh_power(double spread, double t)
{
    return mean_square(tanh_value, spread, t);
}

static const ws_activation table[] = {
    {"relu", 0, relu_value, relu_slope, relu_power},
    {"quadratic", 1, quadratic_value, quadratic_slope, quadratic_power},
    {"softplus", 1, softplus_value, softplus_slope, softplus_power},
    {"tanh", 1, tanh_value, tanh_slope, tanh_power},
};

enum { KINDS = sizeof table / sizeof *table };

const ws_activation *ws_activation_find(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

const char *const *ws_activation_names(void)
{
    static const char *const names[] = {"relu", "quadratic", "softplus", "tanh", NULL};

    return names;
}
