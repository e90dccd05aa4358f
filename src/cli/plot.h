/* plot.h - curves of runs, drawn by gnuplot. */
#ifndef WS_CLI_PLOT_H
#define WS_CLI_PLOT_H

#include <stdint.h>

#include "wingspan/core/err.h"

enum { WS_PLOT_COLUMNS = 8 };

/* One file: rows of numbers, NaN where a line has none. */
typedef struct ws_curve {
    char name[200];
    int bench; /* rows of a bench, not steps of a run */
    int64_t n, capacity;
    double (*row)[WS_PLOT_COLUMNS]; /* see plot_data.c */
} ws_curve;

/** Read a metrics file (JSON Lines) or the JSON of a bench.  Local; free with ws_free(&c->row). */
ws_err ws_curve_read(const char *file, ws_curve *c);

/** Draw all curves into one picture: .png or .svg by the name.  Local. */
ws_err ws_plot_draw(const ws_curve *curves, int n, const char *out);

#endif
