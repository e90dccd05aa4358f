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

/* One panel: which columns of every curve. */
typedef struct panel {
    const char *title, *x_label;
    int x, y, more; /* more: a second column, dashed, or -1 */
    const char *log;
} panel;

static const panel run_panels[] = {
    {"loss", "epoch", 2, 3, -1, "y"},
    {"accuracy (points: test)", "epoch", 2, 4, 5, ""},
    {"active neurons a sample", "epoch", 2, 6, -1, ""},
    {"seconds a step", "epoch", 2, 7, -1, "y"},
};

static const panel bench_panels[] = {
    {"active neurons a sample", "width", 1, 2, -1, "xy"},
    {"work a query", "width", 1, 3, -1, "xy"},
    {"seconds a query", "width", 1, 4, -1, "xy"},
};

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

static void put_panel(FILE *f, const panel *p, const ws_curve *curves, int n)
{
    int drawn = 0;

    fprintf(f, "set title '%s'\nset xlabel '%s'\nunset logscale\n", p->title, p->x_label);
    if (p->log[0] && can_log(curves, n, p->y)) fprintf(f, "set logscale %s\n", p->log);
    for (int k = 0; k < n; k++) {
        if (has_values(&curves[k], p->y)) {
            fprintf(f, "%s $c%d using %d:%d with lines lw 2 lc %d title ", drawn++ ? "," : "plot",
                    k, p->x, p->y, k + 1);
            quoted(f, curves[k].name);
        }
        if (p->more > 0 && has_values(&curves[k], p->more))
            fprintf(f, "%s $c%d using %d:%d with points pt 7 ps 0.8 lc %d notitle",
                    drawn++ ? "," : "plot", k, p->x, p->more, k + 1);
    }
    if (!drawn) fputs("set yrange [0:1]\nplot [0:1] nan title 'no values'\nset yrange [*:*]", f);
    fputc('\n', f);
}

static void put_script(FILE *f, const ws_curve *curves, int n, const char *temp, int svg)
{
    const panel *p = curves[0].bench ? bench_panels : run_panels;
    int panels = curves[0].bench ? 3 : 4;

    fprintf(f, "set terminal %s size 1200,800\nset output ", svg ? "svg" : "pngcairo");
    quoted(f, temp);
    fputs("\nset datafile missing 'nan'\nset grid\nset key noenhanced\nset title noenhanced\n", f);
    for (int k = 0; k < n; k++) put_data(f, &curves[k], k);
    fputs("set multiplot layout 2,2\n", f);
    for (int i = 0; i < panels; i++) put_panel(f, &p[i], curves, n);
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
        if (curves[k].bench != curves[0].bench)
            return ws_fail(WS_ERR_USAGE, "runs and benches do not go into one picture");
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
