/* loss.h - losses, one row of a table each: value, gradient, verdict.
 *
 * Loss is the mean over the samples of a batch.
 *   squared   1/2 sum_c (f_c - y_c)^2; y as the data set gives it (see ws_targets)
 *   logistic  sum_c log(1 + e^f_c) - y_c f_c, y in {0, 1}
 *   softmax   log sum_c e^f_c - f_y */
#ifndef WS_MODEL_LOSS_H
#define WS_MODEL_LOSS_H

#include <stdint.h>

/* What a sample should give: classes, or numbers. */
typedef struct ws_targets {
    int32_t c;            /* outputs */
    const int32_t *label; /* [n] class of each sample, or NULL */
    const float *value;   /* [n x c] targets where there are no classes, or NULL */
    int32_t classes;      /* 0 without labels */
} ws_targets;

typedef struct ws_loss {
    const char *name;
    double curvature; /* upper bound of the second derivative by the outputs: 1, 1/4, 1/2 */
    /* loss of one sample; grad[c] = its derivative by f_c; *correct = 1 if the verdict is right,
     * -1 where right and wrong have no meaning */
    double (*eval)(const ws_targets *t, int64_t i, const double *f, double *grad, int *correct);
    /* outputs the network needs for these targets (classes or columns); 0 if they do not fit */
    int32_t (*outputs)(int32_t classes, int32_t columns);
} ws_loss;

const ws_loss *ws_loss_find(const char *name);
const char *const *ws_loss_names(void);

/** Loss of a batch: the mean of eval over samples ids[0..n), added in order, and in grad
 *  [n x c] the derivative of that mean.  *correct counts right verdicts (-1: no meaning).
 *  Not collective; the same bits on every rank. */
double ws_loss_batch(const ws_loss *l, const ws_targets *t, const int64_t *ids, int64_t n,
                     const double *f, double *grad, int64_t *correct);

/** The class a row of outputs stands for: the largest, first wins; one output: f > 0 is 1.
 *  Not collective. */
int32_t ws_class_of(const double *f, int32_t c);

#endif
