/* bench_table.c - what the benches print: a table with fitted exponents, or JSON; and what they
 * are asked: widths and kinds. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "slope.h"

ws_err ws_bench_widths(const char *text, int64_t list[WS_BENCH_WIDTHS], int *n)
{
    ws_opt one = {.name = "width", .type = WS_OPT_INT, .range = "[1,2^40]"};
    const char *dots = strstr(text, "..");
    char low[100];
    int64_t lo, hi;
    ws_err err;

    snprintf(low, sizeof low, "%.*s", dots ? (int)(dots - text) : 90, text);
    if ((err = ws_option_set(&one, low, &lo))) return err;
    hi = lo;
    if (dots && (err = ws_option_set(&one, dots + 2, &hi))) return err;
    for (*n = 0; lo <= hi && *n < WS_BENCH_WIDTHS; lo *= 2) list[(*n)++] = lo;
    return *n ? WS_OK
              : ws_fail(WS_ERR_USAGE, "--width %.60s: the range is empty, write 2^12..2^16", text);
}

/* The kinds there are, for a sentence; `all` finds nothing and is not one of them. */
static void list_kinds(char *text, size_t size)
{
    size_t at = 0;

    text[0] = 0;
    for (const char *const *k = ws_index_kinds(); *k && at < size; k++)
        if (strcmp(*k, "all") != 0)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", *k);
}

static const char *find_kind(const char *word)
{
    for (const char *const *k = ws_index_kinds(); *k; k++)
        if (strcmp(*k, word) == 0 && strcmp(*k, "all") != 0) return *k;
    return NULL;
}

ws_err ws_bench_kinds(const char *text, const char *list[WS_BENCH_KINDS], int *n)
{
    char words[WS_OPT_TEXT], known[300], *save, *word;

    snprintf(words, sizeof words, "%s", text);
    *n = 0;
    for (word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        const char *kind = find_kind(word);

        list_kinds(known, sizeof known);
        if (!kind)
            return ws_fail(WS_ERR_USAGE, "--kind %.60s: there is no such index; choose %s", word,
                           known);
        if (*n < WS_BENCH_KINDS) list[(*n)++] = kind;
    }
    if (*n) return WS_OK;
    list_kinds(known, sizeof known);
    return ws_fail(WS_ERR_USAGE, "--kind names no index: choose from %s", known);
}

double ws_bench_exponent(const ws_bench_rows *rows, int column)
{
    return ws_slope(&rows->v[0][0], &rows->v[0][column], WS_BENCH_COLUMNS, rows->n);
}

static void cell(const ws_bench_column *c, double v)
{
    double u = v / c->unit;

    if (c->unit == 0)
        printf(" %8s", v > 0 ? "yes" : "NO");
    else if (!isfinite(u))
        printf(" %8s", "-");
    else if (u == floor(u) && fabs(u) < 1e8)
        printf(" %8.0f", u);
    else if (fabs(u) >= 1e8)
        printf(" %8.2g", u);
    else
        printf(" %8.*f", u >= 1000 ? 0 : u >= 100 ? 1 : u >= 10 ? 2 : u >= 1 ? 3 : 4, u);
}

static int is_in(const ws_bench_column *columns, int c, int part)
{
    return c == 0 || columns[c].part == part;
}

static void exponents(const ws_bench_column *columns, int part, const ws_bench_rows *rows)
{
    printf("%8s", "exponent");
    for (int c = 1; columns[c].key; c++) {
        double e = columns[c].fit ? ws_bench_exponent(rows, c) : NAN;

        if (!is_in(columns, c, part)) continue;
        if (isfinite(e))
            printf(" %8.3f", e);
        else
            printf(" %8s", columns[c].fit ? "-" : "");
    }
    printf("\n");
}

void ws_bench_table(const ws_bench_column *columns, int part, const ws_bench_rows *rows)
{
    printf("%8s", columns[0].head);
    for (int c = 1; columns[c].key; c++)
        if (is_in(columns, c, part)) printf(" %8s", columns[c].head);
    printf("\n");
    for (int i = 0; i < rows->n; i++) {
        printf("%8.0f", rows->v[i][0]);
        for (int c = 1; columns[c].key; c++)
            if (is_in(columns, c, part)) cell(&columns[c], rows->v[i][c]);
        printf("\n");
    }
    if (rows->n > 1) exponents(columns, part, rows);
}

static void value(const char *before, const ws_bench_column *c, double v)
{
    printf("%s\"%s\":", before, c->key);
    if (c->unit == 0)
        printf("%s", v > 0 ? "true" : "false");
    else if (isfinite(v))
        printf("%.9g", v);
    else
        printf("null");
}

void ws_bench_json(const ws_bench_column *columns, const ws_bench_rows *rows)
{
    const char *before = "";

    printf("\"kind\":\"%s\",\"exact\":%s,\"rows\":[", rows->kind, rows->exact ? "true" : "false");
    for (int i = 0; i < rows->n; i++) {
        printf("%s{", i ? "," : "");
        for (int c = 0; columns[c].key; c++) value(c ? "," : "", &columns[c], rows->v[i][c]);
        printf("}");
    }
    printf("],\"exponents\":{");
    for (int c = 1; columns[c].key; c++) {
        if (!columns[c].fit) continue;
        value(before, &columns[c], ws_bench_exponent(rows, c));
        before = ",";
    }
    printf("}");
}

void ws_bench_json_row(const ws_bench_column *columns, const double *v)
{
    for (int c = 1; columns[c].key; c++) value(",", &columns[c], v[c]);
}
