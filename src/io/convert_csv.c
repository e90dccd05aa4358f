/* convert_csv.c - comma, semicolon or tab separated numbers, with or without a header. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert_impl.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/options.h"

enum { CLASSES = 1000, NAME = 100 };

typedef struct csv {
    const ws_convert_options *opt;
    ws_out *out;
    char separator;
    int header;            /* does the first line name the columns? */
    int64_t fields, label; /* columns of the file; which is the label, -1 none */
    char (*word)[NAME];    /* labels that are words, in order of appearance */
    int words, numbers;    /* how many; whether number labels were seen */
    char *names;           /* the training file's header; owned */
    int part;              /* 0 training, 1 test */
} csv;

static ws_err wrong(const ws_lines *l, int64_t column, const char *what, const char *text, int n)
{
    return ws_fail(WS_ERR_DATA, "%s, line %lld, column %lld (from 0): %s%s%.*s%s", l->name,
                   (long long)l->number, (long long)column, what, n ? " \"" : "", n > 60 ? 60 : n,
                   text, n ? "\"" : "");
}

/* The next field; *at moves past its separator, NULL after the last. Quotes are taken off. */
static const char *field(char **at, char separator, int *n)
{
    char *from = *at + strspn(*at, " "), *end;

    if (*from == '"') {
        end = strchr(++from, '"');
        if (!end) end = from + strlen(from);
        *n = (int)(end - from);
        if (*end) end++;
        end += strspn(end, " ");
    } else {
        char stop[2] = {separator, 0};
        end = from + strcspn(from, stop);
        *n = (int)(end - from);
        while (*n > 0 && from[*n - 1] == ' ') --*n;
    }
    *at = *end == separator ? end + 1 : NULL;
    return from;
}

static char separator_of(const char *line)
{
    return strchr(line, '\t') ? '\t' : strchr(line, ';') && !strchr(line, ',') ? ';' : ',';
}

/* Columns of a line, and whether any but the label's is no number. */
static int64_t count_fields(char *line, char separator, int *text)
{
    int64_t n = 0, words = 0;
    double v;
    int k;

    for (char *at = line; at; n++) {
        const char *f = field(&at, separator, &k);
        if (k > 0 && !ws_number(f, f + k, &v)) words++;
    }
    *text = words > 1 || (words == 1 && n == 1);
    return n;
}

static ws_err find_label(csv *c, char *line)
{
    const char *want = c->opt->label_column, *names[256];
    char *end, copies[256][NAME];
    int64_t number = strtoll(want, &end, 10);
    int n = 0, k;

    if (strcmp(want, "none") == 0) {
        c->label = -1;
        return WS_OK;
    }
    if (strcmp(want, "last") == 0) {
        c->label = c->fields - 1;
        return WS_OK;
    }
    if (c->header) {
        int64_t at_column = 0;
        for (char *at = line; at; at_column++) {
            const char *f = field(&at, c->separator, &k);
            if ((int)strlen(want) == k && strncmp(f, want, (size_t)k) == 0) {
                c->label = at_column;
                return WS_OK;
            }
            if (n < 256) {
                snprintf(copies[n], NAME, "%.*s", k > NAME - 1 ? NAME - 1 : k, f);
                names[n] = copies[n];
                n++;
            }
        }
    }
    if (*want && !*end && number >= 0 && number < c->fields) {
        c->label = number;
        return WS_OK;
    }
    {
        const char *near = ws_nearest(want, names, n);
        return ws_fail(WS_ERR_USAGE, "--label-column %s is not a column of %s%s%s%s", want,
                       c->opt->input, near ? "; did you mean " : ", which has ", near ? near : "",
                       near ? "?" : "other names or fewer columns");
    }
}

/* The class of a word: in order of first appearance. */
static ws_err class_of(csv *c, const ws_lines *l, const char *f, int n, double *y)
{
    char name[NAME];

    if (n > NAME - 1) return wrong(l, c->label, "a label is longer than 99 bytes:", f, n);
    snprintf(name, sizeof name, "%.*s", n, f);
    for (int k = 0; k < c->words; k++)
        if (strcmp(c->word[k], name) == 0) {
            *y = k;
            return WS_OK;
        }
    if (c->numbers) return wrong(l, c->label, "the label is a word, others are numbers:", f, n);
    if (c->part == 1)
        return wrong(l, c->label, "a label that the training file does not have:", f, n);
    if (c->words == CLASSES) return wrong(l, c->label, "more than 1000 words as labels:", f, n);
    strcpy(c->word[c->words], name);
    *y = c->words++;
    return WS_OK;
}

static ws_err label(csv *c, const ws_lines *l, const char *f, int n, double *y)
{
    if (n == 0) return wrong(l, c->label, "the label is missing", "", 0);
    if (!ws_number(f, f + n, y)) return class_of(c, l, f, n, y);
    if (c->words)
        return wrong(l, c->label,
                     "the label is a number, others are words (if the first line names the "
                     "columns, say --header yes):",
                     f, n);
    if (!isfinite(*y)) return wrong(l, c->label, "the label is not finite:", f, n);
    c->numbers = 1;
    return WS_OK;
}

static ws_err row(csv *c, const ws_lines *l, char *line, int part)
{
    ws_err err = WS_OK;
    float *to = ws_out_row(c->out, part, &err);
    int64_t at_column = 0, j = 0;
    double v = 0, y = 0;
    int n;

    for (char *at = line; at && !err; at_column++) {
        const char *f = field(&at, c->separator, &n);
        if (at_column >= c->fields) return wrong(l, at_column, "one field too many", "", 0);
        if (at_column == c->label) {
            err = label(c, l, f, n, &y);
        } else {
            if (n == 0) return wrong(l, at_column, "a value is missing", "", 0);
            if (!ws_number(f, f + n, &v)) return wrong(l, at_column, "not a number:", f, n);
            if (!isfinite((float)v)) return wrong(l, at_column, "not finite as float32:", f, n);
            to[j++] = (float)v;
        }
    }
    if (!err && at_column < c->fields) return wrong(l, at_column, "fields are missing", "", 0);
    return !err && c->label >= 0 ? ws_out_y(c->out, part, y) : err;
}

/* The header of the test file must name the same columns; both lines have as many. */
static ws_err same_names(csv *c, const ws_lines *l, char *line)
{
    char *a = c->names, *b = line;

    for (int64_t at_column = 0; a && b; at_column++) {
        int n, k;
        const char *want = field(&a, c->separator, &n), *found = field(&b, c->separator, &k);
        if (n != k || strncmp(want, found, (size_t)n) != 0)
            return wrong(l, at_column, "the training file has another name for this column than",
                         found, k);
    }
    return WS_OK;
}

static ws_err keep_names(csv *c, const char *line)
{
    int64_t n = (int64_t)strlen(line) + 1;
    ws_err err = ws_alloc(&c->names, n, 1, "names of the columns");

    if (!err) memcpy(c->names, line, (size_t)n);
    return err;
}

/* The first line decides separator, header and columns; the test file must agree. */
static ws_err first_line(csv *c, const ws_lines *l, char *line, int part)
{
    int text;
    int64_t fields;
    ws_err err;

    if (part == 0) c->separator = separator_of(line);
    fields = count_fields(line, c->separator, &text);
    if (part == 1) {
        if (fields == c->fields) return c->header ? same_names(c, l, line) : WS_OK;
        return ws_fail(WS_ERR_SHAPE, "%s has %lld columns but %s has %lld", c->opt->test,
                       (long long)fields, c->opt->input, (long long)c->fields);
    }
    c->fields = fields;
    c->header = strcmp(c->opt->header, "auto") == 0 ? text : strcmp(c->opt->header, "yes") == 0;
    if ((err = find_label(c, line)) || (c->header && (err = keep_names(c, line)))) return err;
    if (c->fields - (c->label >= 0) < 1)
        return ws_fail(WS_ERR_DATA, "%s has no column but the label", c->opt->input);
    return WS_OK;
}

static ws_err read_file(csv *c, const char *file, int part)
{
    ws_lines l;
    ws_err err = ws_lines_open(file, &l);
    char *line;
    int begun = 0;

    c->part = part;

    while (!err && (line = ws_lines_next(&l, &err))) {
        if (!line[strspn(line, " \t")]) continue;
        if (!begun) {
            begun = 1;
            if ((err = first_line(c, &l, line, part)) ||
                (err = ws_out_begin(c->out, part, c->fields - (c->label >= 0), 0, c->label >= 0)))
                break;
            if (c->header) continue;
        }
        err = row(c, &l, line, part);
    }
    if (!err && c->out->part[part].n == 0) err = ws_fail(WS_ERR_DATA, "%s has no rows", file);
    ws_lines_close(&l);
    return err;
}

ws_err ws_convert_csv(const ws_convert_options *opt, ws_out *o, int *words)
{
    csv c = {.opt = opt, .out = o, .label = -1};
    ws_err err = ws_alloc(&c.word, CLASSES, NAME, "words of labels");

    if (!err) err = read_file(&c, opt->input, 0);
    if (!err && opt->test) err = read_file(&c, opt->test, 1);
    *words = c.words;
    ws_free(&c.word);
    ws_free(&c.names);
    return err;
}
