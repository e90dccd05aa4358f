/* activation.h - the activations, one row of a table each. */
#ifndef WS_MODEL_ACTIVATION_H
#define WS_MODEL_ACTIVATION_H

typedef struct ws_activation {
    const char *name;
    int smooth; /* 1: every neuron takes part, the index is "all"; 0: fires when z > threshold */
    double (*value)(double z, double threshold);
    double (*slope)(double z, double threshold);
    /* value(z) by E[value(N(0,1))^2], so that --output-scale active keeps outputs of order one:
     * the variance of one neuron's contribution for z ~ N(0, spread^2). */
    double (*power)(double spread, double threshold);
} ws_activation;

/* relu: max(z - t, 0), power = the share that fires, Q(t / spread), as DESIGN's s_m = 1/sqrt(m Q).
 * quadratic: (z - t)^2 / 2;  softplus: log(1 + e^(z - t));  tanh: tanh(z - t). */

/** The activation of a name, or NULL.  Not collective. */
const ws_activation *ws_activation_find(const char *name);

/** Names, NULL-terminated. */
const char *const *ws_activation_names(void);

#endif
