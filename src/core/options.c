/* options.c - a command line and an ini file into a struct, by its table.
 *
 * Mistakes are collected, one a line, and reported together. */
#include "wingspan/core/options.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options_impl.h"

typedef struct parser {
    const ws_opt *rows;
    void *target;
    ws_opt_given *given;
    const char *file; /* ini file being read */
    char mistakes[6000];
    size_t used;
} parser;

static void mistake(parser *p, const char *text)
{
    int n;

    if (p->used >= sizeof p->mistakes - 1) return;
    n = snprintf(p->mistakes + p->used, sizeof p->mistakes - p->used, "%s%s", p->used ? "\n" : "",
                 text);
    p->used += (size_t)n;
}

const ws_opt *ws_option_find(const ws_opt *rows, const char *name)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, name) == 0) return rows;
    return NULL;
}

/* Damerau-Levenshtein distance (adjacent swaps count one), for words of up to 63 letters. */
static int distance(const char *a, const char *b)
{
    int n = (int)strlen(a), m = (int)strlen(b), d[64][64];

    if (n > 63 || m > 63) return 99;
    for (int i = 0; i <= n; i++) d[i][0] = i;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            int v = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < v) v = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < v) v = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < v)
                v = d[i - 2][j - 2] + 1;
            d[i][j] = v;
        }
    return d[n][m];
}

const char *ws_nearest(const char *word, const char *const *names, int n)
{
    const char *best = NULL;
    int least = 4, len = (int)strlen(word);

    if (len / 2 + 1 < least) least = len / 2 + 1;
    for (int i = 0; i < n; i++) {
        int d = distance(word, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

static void unknown(parser *p, const char *name, const char *where)
{
    const char *names[128], *near;
    char text[400];
    int n = 0;

    for (const ws_opt *row = p->rows; row->name && n < 128; row++) names[n++] = row->name;
    near = ws_nearest(name, names, n);
    snprintf(text, sizeof text, "unknown option --%.100s%.200s%s%s%s", name, where,
             near ? "; did you mean --" : ": see --help", near ? near : "", near ? "?" : "");
    mistake(p, text);
}

static void set(parser *p, const ws_opt *row, const char *value, int from, const char *where)
{
    int i = (int)(row - p->rows);
    char text[WS_OPT_TEXT + 600];

    if (ws_option_set(row, value, p->target)) {
        snprintf(text, sizeof text, "%s%s", ws_err_text(), where);
        mistake(p, text);
    }
    p->given->from[i] = (uint8_t)from;
}

/* One line of the ini file; sections only group lines. Options of the command line win. */
static int ini_line(void *user, const char *section, const char *name, const char *value)
{
    parser *p = user;
    const ws_opt *row = ws_option_find(p->rows, name);
    char where[WS_OPT_TEXT];

    (void)section;
    snprintf(where, sizeof where, " (in %.300s)", p->file);
    if (!row)
        unknown(p, name, where);
    else if (p->given->from[row - p->rows] != 2)
        set(p, row, value, 1, where);
    return 1;
}

static void read_ini(parser *p, const char *file)
{
    char text[600];
    int bad;

    p->file = file;
    bad = ini_parse(file, ini_line, p);
    if (bad == 0) return;
    if (bad < 0)
        snprintf(text, sizeof text, "--config %.400s cannot be read: check that the file exists",
                 file);
    else
        snprintf(text, sizeof text, "--config %.400s: line %d is not name = value", file, bad);
    mistake(p, text);
}

/* Is this word a value, not the next option? */
static int is_value(const char *word)
{
    double v;

    return strncmp(word, "--", 2) != 0 && (word[0] != '-' || !word[1] || ws_opt_number(word, &v));
}

/* "--name value" or "--name=value" at argv[i]; returns how many words it took. */
static int option(parser *p, int argc, char **argv, int i)
{
    const char *equal = strchr(argv[i], '=');
    char name[100], text[200];
    const ws_opt *row;

    snprintf(name, sizeof name, "%.*s",
             equal ? (int)(equal - argv[i] - 2) : (int)strlen(argv[i] + 2), argv[i] + 2);
    row = ws_option_find(p->rows, name);
    if (!row) {
        unknown(p, name, "");
        return equal || i + 1 >= argc || !is_value(argv[i + 1]) ? 1 : 2;
    }
    if (equal) {
        set(p, row, equal + 1, 2, "");
        return 1;
    }
    if (row->type == WS_OPT_FLAG) {
        set(p, row, "yes", 2, "");
        return 1;
    }
    if (i + 1 >= argc || !is_value(argv[i + 1])) {
        snprintf(text, sizeof text, "--%s needs a value", name);
        mistake(p, text);
        return 1;
    }
    set(p, row, argv[i + 1], 2, "");
    return 2;
}

static int asks_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return 1;
    return 0;
}

static void words_and_options(parser *p, int argc, char **argv, const char **words, int max_words,
                              int *n_words)
{
    char text[300];

    for (int i = 0; i < argc;) {
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
            i += option(p, argc, argv, i);
            continue;
        }
        if (argv[i][0] == '-' && argv[i][1]) {
            snprintf(text, sizeof text, "%.100s is not an option: options begin with two dashes",
                     argv[i]);
            mistake(p, text);
        } else if (*n_words < max_words) {
            words[(*n_words)++] = argv[i];
        } else {
            snprintf(text, sizeof text, "%.100s is one word too many: see --help", argv[i]);
            mistake(p, text);
        }
        i++;
    }
}

ws_err ws_options_parse(const ws_opt *rows, int argc, char **argv, void *target,
                        ws_opt_given *given, const char **words, int max_words, int *n_words,
                        int *help)
{
    parser p = {.rows = rows, .target = target, .given = given};
    const ws_opt *config = ws_option_find(rows, "config");
    char text[200];

    *n_words = 0;
    *given = (ws_opt_given){{0}};
    if ((*help = asks_help(argc, argv))) return WS_OK;
    for (const ws_opt *row = rows; row->name; row++)
        if (row->standard && ws_option_set(row, row->standard, target)) mistake(&p, ws_err_text());

    words_and_options(&p, argc, argv, words, max_words, n_words);
    if (config && given->from[config - rows]) read_ini(&p, (const char *)target + config->field);
    for (const ws_opt *row = rows; row->name; row++)
        if (!row->standard && !given->from[row - rows]) {
            snprintf(text, sizeof text, "--%s is missing: %.120s", row->name, row->help);
            mistake(&p, text);
        }
    return p.used ? ws_fail(WS_ERR_USAGE, "%s", p.mistakes) : WS_OK;
}
