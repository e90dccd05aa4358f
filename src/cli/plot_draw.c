/* plot_draw.c - gnuplot draws; data and script go to it through a pipe, so no name is ever a word
 * of a shell. The picture appears whole or not at all. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plot.h"
#include "slope.h"

/* One panel: which columns of every curve, counted from 1. */
typedef struct panel {
    const char *title, *x_label;
    int x, y, more;        /* more: a second column, as points, or 0 */
    const char *log, *key; /* logarithmic axes; where the legend goes */
} panel;

enum { PANELS = 4 };

static const panel panels[][PANELS] = {
    [WS_CURVE_RUN] =
        {
            {"loss", "epoch", 2, 3, 0, "y", "top right"},
            {"accuracy (points: test)", "epoch", 2, 4, 5, "", "bottom right"},
            {"active neurons a sample", "epoch", 2, 6, 0, "", "bottom right"},
            {"seconds a step", "epoch", 2, 7, 0, "y", "top right"},
        },
    [WS_CURVE_INDEX] =
        {
            {"work a sample: inner products and nodes visited", "width m", 1, 2, 0, "xy",
             "top left"},
            {"seconds a query", "width m", 1, 3, 0, "xy", "top left"},
            {"seconds to build", "width m", 1, 4, 0, "xy", "top left"},
            {"bytes", "width m", 1, 5, 0, "xy", "top left"},
        },
    [WS_CURVE_WORK] =
        {
            {"work a training step", "width m", 1, 2, 0, "xy", "top left"},
            {"seconds a training step", "width m", 1, 3, 0, "xy", "top left"},
            {"active neurons a sample", "width m", 1, 4, 0, "xy", "top left"},
            {"share of neurons that fire on some sample", "width m", 1, 5, 0, "xy", "top left"},
        },
    [WS_CURVE_STEP] =
        {
            {"seconds a step", "width m", 1, 2, 0, "xy", "top left"},
            {"times the floor", "width m", 1, 3, 0, "xy", "top left"},
            {"bytes of rows that a step moves", "width m", 1, 4, 0, "xy", "top left"},
            {"bytes that a step exchanges", "width m", 1, 5, 0, "xy", "top left"},
        },
    [WS_CURVE_COMPARE] =
        {
            {"seconds an epoch", "samples a step", 1, 2, 0, "xy", "top left"},
            {"seconds a step", "samples a step", 1, 3, 0, "xy", "top left"},
            {"times faster than dense", "samples a step", 1, 4, 0, "xy", "top left"},
            {"times the floor of its kind", "samples a step", 1, 5, 0, "xy", "top left"},
        },
};

/* Told apart by those who see fewer colours too (Okabe and Ito). */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#e69f00", "#56b4e9", "#000000", "#999999"};

enum { COLOURS = sizeof colours / sizeof *colours };

/* A text inside single quotes of gnuplot. */
static void quoted(FILE *f, const char *text)
{
    fputc('\'', f);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', f);
        if ((unsigned char)*text >= ' ') fputc(*text, f);
    }
    fputc('\'', f);
}

static void put_data(FILE *f, const ws_curve *c, int k)
{
    fprintf(f, "$c%d << EOD\n", k);
    for (int64_t i = 0; i < c->n; i++) {
        for (int j = 0; j < WS_PLOT_COLUMNS; j++)
            if (isfinite(c->row[i][j]))
                fprintf(f, "%.9g ", c->row[i][j]);
            else
                fputs("nan ", f);
        fputc('\n', f);
    }
    fputs("EOD\n", f);
}

static int has_values(const ws_curve *c, int column)
{
    for (int64_t i = 0; i < c->n; i++)
        if (isfinite(c->row[i][column - 1])) return 1;
    return 0;
}

/* Logarithmic only if every value can be. */
static int can_log(const ws_curve *curves, int n, int column)
{
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < curves[k].n; i++)
            if (curves[k].row[i][column - 1] <= 0) return 0;
    return 1;
}

/* The name of a curve: a run's file; a bench's kind of index, with the file where two share it. */
static void put_label(FILE *f, const ws_curve *curves, int n, int k, const panel *p)
{
    const ws_curve *c = &curves[k];
    char text[300];
    int twice = 0, used;
    double e;

    for (int i = 0; i < n; i++) twice += strcmp(curves[i].label, c->label) == 0;
    used = snprintf(text, sizeof text, "%s%s%s", c->label, c->label[0] && twice > 1 ? ", " : "",
                    !c->label[0] || twice > 1 ? c->name : "");
    if (c->kind != WS_CURVE_RUN && c->kind != WS_CURVE_COMPARE) {
        e = ws_slope(&c->row[0][p->x - 1], &c->row[0][p->y - 1], WS_PLOT_COLUMNS, c->n);
        if (isfinite(e)) snprintf(text + used, sizeof text - (size_t)used, ":  m^%.2f", e);
    }
    quoted(f, text);
}

static void put_curve(FILE *f, const panel *p, const ws_curve *curves, int n, int k)
{
    const char *colour = colours[k % COLOURS];
    int bench = curves[k].kind != WS_CURVE_RUN;

    fprintf(f, " $c%d using %d:%d with %s lw 2 lc rgb '%s'", k, p->x, p->y,
            bench ? "linespoints" : "lines", colour);
    if (bench) fprintf(f, " pt %d ps 1", 5 + 2 * (k % 5));
    fputs(" title ", f);
    put_label(f, curves, n, k, p);
}

static void put_axes(FILE *f, const panel *p, const ws_curve *curves, int n)
{
    int log = p->log[0] && can_log(curves, n, p->y), both = log && strcmp(p->log, "xy") == 0;

    fprintf(f, "set title '%s'\nset xlabel '%s'\nunset logscale\n", p->title, p->x_label);
    fprintf(f, "set format '%%g'\nset xrange [*:*]\nset key %s\n", both ? "top left" : "top right");
    if (log) fputs("set logscale y\nset format y '10^{%L}'\n", f);
    if (both)
        fputs("set logscale x 2\nset format x '2^{%L}'\nset offsets graph 0.03, graph 0.03, graph "
              "0.25, 0\n",
              f);
}

static void put_panel(FILE *f, const panel *p, const ws_curve *curves, int n)
{
    int drawn = 0;

    put_axes(f, p, curves, n);
    for (int k = 0; k < n; k++) {
        if (has_values(&curves[k], p->y)) {
            fputs(drawn++ ? "," : "plot", f);
            put_curve(f, p, curves, n, k);
        }
        if (p->more > 0 && has_values(&curves[k], p->more))
            fprintf(f, "%s $c%d using %d:%d with points pt 7 ps 0.8 lc rgb '%s' notitle",
                    drawn++ ? "," : "plot", k, p->x, p->more, colours[k % COLOURS]);
    }
    if (!drawn) fputs("set yrange [0:1]\nplot [0:1] nan title 'no values'\nset yrange [*:*]", f);
    fputc('\n', f);
}

static void put_script(FILE *f, const ws_curve *curves, int n, const char *temp, int svg)
{
    fprintf(f, "set terminal %s size 1200,850 font 'sans,11' background rgb 'white'\nset output ",
            svg ? "svg" : "pngcairo");
    quoted(f, temp);
    fputs("\nset datafile missing 'nan'\nset grid lc rgb '#dddddd' lt 1 lw 0.8\n"
          "set border 3 lc rgb '#444444'\nset tics nomirror textcolor rgb '#222222'\n"
          "set key noenhanced Left reverse samplen 2\nset title noenhanced font ',13'\n",
          f);
    for (int k = 0; k < n; k++) put_data(f, &curves[k], k);
    fputs("set multiplot layout 2,2 margins 0.065,0.985,0.07,0.945 spacing 0.07,0.12\n", f);
    for (int i = 0; i < PANELS; i++) put_panel(f, &panels[curves[0].kind][i], curves, n);
    fputs("unset multiplot\nunset output\n", f);
}

/* Does the file begin as a picture does? */
static int is_picture(const char *file, int svg)
{
    unsigned char head[8] = {0};
    FILE *f = fopen(file, "rb");
    size_t n = f ? fread(head, 1, 8, f) : 0;

    if (f) fclose(f);
    return n == 8 && (svg ? head[0] == '<' : memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0);
}

ws_err ws_plot_draw(const ws_curve *curves, int n, const char *out)
{
    size_t length = strlen(out);
    int svg = length > 4 && strcmp(out + length - 4, ".svg") == 0, code;
    char temp[1100];
    FILE *f;

    for (int k = 1; k < n; k++)
        if (curves[k].kind != curves[0].kind)
            return ws_fail(WS_ERR_USAGE,
                           "%s and %s are not of one kind: runs, and each bench, go into pictures "
                           "of their own",
                           curves[0].name, curves[k].name);
    snprintf(temp, sizeof temp, "%s.tmp", out);
    if (!(f = fopen(temp, "w"))) return ws_fail(WS_ERR_IO, "--out %s cannot be written", out);
    fclose(f);
    signal(SIGPIPE, SIG_IGN);
    if (!(f = popen("gnuplot 2>/dev/null", "w"))) return ws_fail(WS_ERR_IO, "gnuplot cannot start");
    put_script(f, curves, n, temp, svg);
    code = pclose(f);
    if (code == 0 && is_picture(temp, svg) && rename(temp, out) == 0) return WS_OK;
    unlink(temp);
    return ws_fail(WS_ERR_IO, WIFEXITED(code) && WEXITSTATUS(code) == 127
                                  ? "gnuplot is missing: install the package gnuplot-nox"
                                  : "gnuplot could not draw the picture");
}
