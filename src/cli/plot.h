/* plot.h - curves of runs and of benches, drawn by gnuplot. */
#ifndef WS_CLI_PLOT_H
#define WS_CLI_PLOT_H

#include <stdint.h>

#include "wingspan/core/err.h"

enum { WS_PLOT_COLUMNS = 8, WS_PLOT_CURVES = 64 };

/* What a curve is of: the steps of a run; bench index, work, step and dense; launch/compare. */
typedef enum ws_curve_kind {
    WS_CURVE_RUN,
    WS_CURVE_INDEX,
    WS_CURVE_WORK,
    WS_CURVE_STEP,
    WS_CURVE_COMPARE
} ws_curve_kind;

/* Rows of numbers, NaN where a line has none. */
typedef struct ws_curve {
    char name[200]; /* of the file */
    char label[60]; /* of a bench: the kind of index */
    ws_curve_kind kind;
    int64_t n, capacity;
    double (*row)[WS_PLOT_COLUMNS]; /* see plot_data.c */
} ws_curve;

/** Add the curves of a file: a run's metrics (JSON Lines), or a bench's JSON, one a kind of index.
 *  What the file is, its content says.  Local; free with ws_free(&c->row), after an error too. */
ws_err ws_curves_read(const char *file, ws_curve curves[WS_PLOT_CURVES], int *n);

/** Draw all curves into one picture: .png or .svg by the name.  Local. */
ws_err ws_plot_draw(const ws_curve *curves, int n, const char *out);

#endif
