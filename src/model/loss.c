/* loss.c - the table of losses. Every rank computes them from the same outputs, by wingspan's
 * own exp and log, so gradients have the same bits everywhere. */
#include "wingspan/model/loss.h"

#include <stddef.h>
#include <string.h>

#include "wingspan/core/fmath.h"

/* The number output c of sample i should give under squared loss. */
static double squared_target(const ws_targets *t, int64_t i, int32_t c)
{
    if (!t->label) return (double)t->value[i * t->c + c];
    if (t->c == 1) return t->label[i] ? 1 : -1;
    return (t->label[i] == c) - 1.0 / t->c;
}

/* Is the verdict right?  Classes by ws_class_of; 0/1 labels: the largest output's label is 1. */
static int verdict(const ws_targets *t, int64_t i, const double *f)
{
    int32_t best = ws_class_of(f, t->c);

    if (t->label) return best == t->label[i];
    if (t->c == 1) return (t->value[i] > 0.5f) == (best == 1);
    return t->value[i * t->c + best] > 0.5f;
}

static double squared(const ws_targets *t, int64_t i, const double *f, double *grad, int *correct)
{
    double sum = 0;

    for (int32_t c = 0; c < t->c; c++) {
        grad[c] = f[c] - squared_target(t, i, c);
        sum += grad[c] * grad[c];
    }
    *correct = t->label ? verdict(t, i, f) : -1;
    return sum / 2;
}

static double logistic(const ws_targets *t, int64_t i, const double *f, double *grad, int *correct)
{
    double sum = 0;

    for (int32_t c = 0; c < t->c; c++) {
        double y = t->label ? (double)t->label[i] : (double)t->value[i * t->c + c];
        double a = f[c] < 0 ? -f[c] : f[c], e = ws_exp(-a);

        grad[c] = (f[c] < 0 ? e / (1 + e) : 1 / (1 + e)) - y;
        sum += (f[c] > 0 ? f[c] : 0) + ws_log1p(e) - y * f[c];
    }
    *correct = verdict(t, i, f);
    return sum;
}

static double softmax(const ws_targets *t, int64_t i, const double *f, double *grad, int *correct)
{
    double top = f[0], sum = 0;
    int32_t y = t->label[i];

    for (int32_t c = 1; c < t->c; c++) top = f[c] > top ? f[c] : top;
    for (int32_t c = 0; c < t->c; c++) sum += grad[c] = ws_exp(f[c] - top);
    for (int32_t c = 0; c < t->c; c++) grad[c] /= sum;
    grad[y] -= 1;
    *correct = verdict(t, i, f);
    return ws_log(sum) + top - f[y];
}

static int32_t squared_outputs(int32_t classes, int32_t columns)
{
    return classes == 0 ? columns : classes == 2 ? 1 : classes;
}

static int32_t logistic_outputs(int32_t classes, int32_t columns)
{
    return classes == 0 ? columns : classes == 2 ? 1 : 0;
}

static int32_t softmax_outputs(int32_t classes, int32_t columns)
{
    (void)columns;
    return classes;
}

static const ws_loss table[] = {
    {"squared", 1, squared, squared_outputs},
    {"logistic", 0.25, logistic, logistic_outputs},
    {"softmax", 0.5, softmax, softmax_outputs},
};

const ws_loss *ws_loss_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

const char *const *ws_loss_names(void)
{
    static const char *const names[] = {"squared", "logistic", "softmax", NULL};

    return names;
}

double ws_loss_batch(const ws_loss *l, const ws_targets *t, const int64_t *ids, int64_t n,
                     const double *f, double *grad, int64_t *correct)
{
    double sum = 0, each = 1.0 / (double)n;

    *correct = 0;
    for (int64_t i = 0; i < n; i++) {
        int right;
        sum += l->eval(t, ids[i], f + i * t->c, grad + i * t->c, &right);
        *correct = right < 0 ? -1 : *correct + right;
    }
    for (int64_t e = 0; e < n * t->c; e++) grad[e] *= each;
    return sum * each;
}

int32_t ws_class_of(const double *f, int32_t c)
{
    int32_t best = 0;

    if (c == 1) return f[0] > 0;
    for (int32_t k = 1; k < c; k++)
        if (f[k] > f[best]) best = k;
    return best;
}
