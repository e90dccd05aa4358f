/* option_value.c - one option's value: from text, checked, and back to text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options_impl.h"

static double suffix_of(const char *s)
{
    static const struct {
        const char *word;
        double factor;
    } table[] = {{"k", 1e3},
                 {"K", 1e3},
                 {"M", 1e6},
                 {"G", 1e9},
                 {"T", 1e12},
                 {"Ki", 1024},
                 {"KiB", 1024},
                 {"Mi", 1048576},
                 {"MiB", 1048576},
                 {"Gi", 1073741824},
                 {"GiB", 1073741824},
                 {"kB", 1e3},
                 {"MB", 1e6},
                 {"GB", 1e9},
                 {"TB", 1e12},
                 {"Ti", 1099511627776},
                 {"TiB", 1099511627776}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(s, table[i].word) == 0) return table[i].factor;
    return 0;
}

int ws_opt_number(const char *text, double *v)
{
    char *end;
    double factor;

    if (!strchr("+-.0123456789i", text[0]) || !text[0]) return 0;
    *v = strtod(text, &end);
    if (end == text || isnan(*v)) return 0;
    if (*end == '^') {
        const char *power = end + 1;
        double p = strtod(power, &end);
        if (end == power || *end) return 0;
        *v = pow(*v, p);
        return 1;
    }
    if (!*end) return 1;
    if ((factor = suffix_of(end)) == 0) return 0;
    *v *= factor;
    return 1;
}

ws_opt_range ws_opt_range_of(const ws_opt *row)
{
    ws_opt_range r = {-INFINITY, INFINITY, 0, 0};
    const char *t = row->range;
    char lo[40], hi[40];

    t += strcspn(t, "[(");
    if (sscanf(t, "%*1[[(]%39[^,],%39[^])]", lo, hi) != 2) return r;
    r.open_lo = t[0] == '(';
    r.open_hi = t[strlen(t) - 1] == ')';
    ws_opt_number(lo, &r.lo);
    ws_opt_number(hi, &r.hi);
    return r;
}

static ws_err wrong(const ws_opt *row, const char *text, const char *must)
{
    return ws_fail(WS_ERR_USAGE, "--%s %s is not valid: it must be %s", row->name,
                   text[0] ? text : "\"\"", must);
}

/* "auto or a number in [0,1)" in words. */
static void range_words(const ws_opt *row, char *words, size_t size)
{
    const char *t = row->range;
    int before = (int)strcspn(t, "[(");

    snprintf(words, size, "%.*s%s%s%s%s", before ? before - 1 : 0, t, before ? " or " : "",
             row->type == WS_OPT_INT ? "a whole number" : "a number", *t ? " in " : "", t + before);
}

/* The length of word k of those that stand before a number's range, and where it is; 0: no such. */
static size_t word_of(const ws_opt *row, int k, const char **at)
{
    const char *t = row->range, *end = t + strcspn(t, "[(");

    for (; k > 0 && t < end; k--) t += strcspn(t, "|") + 1;
    *at = t;
    return t < end ? strcspn(t, "|") : 0;
}

/* Word 0 is kept as NaN, word k as -k.  @return 1 if text is one of them */
static int set_word(const ws_opt *row, const char *text, double *v)
{
    const char *word;
    size_t n;

    for (int k = 0; row->type == WS_OPT_REAL && (n = word_of(row, k, &word)) > 0; k++)
        if (strlen(text) == n && strncmp(text, word, n) == 0) {
            *v = k ? -(double)k : (double)NAN;
            return 1;
        }
    return 0;
}

int ws_option_is_word(const ws_opt *row, const void *target)
{
    double v = *(const double *)(const void *)((const char *)target + row->field);
    const char *word;

    return row->type == WS_OPT_REAL && word_of(row, 0, &word) > 0 &&
           (isnan(v) || (v < 0 && v == floor(v) && v > -100 && word_of(row, (int)-v, &word) > 0));
}

static ws_err set_number(const ws_opt *row, const char *text, void *at)
{
    ws_opt_range r = ws_opt_range_of(row);
    char words[120];
    double v;
    int ok;

    range_words(row, words, sizeof words);
    if (set_word(row, text, at)) return WS_OK;
    ok = ws_opt_number(text, &v) && (r.open_lo ? v > r.lo : v >= r.lo) &&
         (r.open_hi ? v < r.hi : v <= r.hi);
    if (ok && row->type == WS_OPT_INT) ok = fabs(v) < 9.2e18 && v == floor(v);
    if (!ok) return wrong(row, text, words);
    if (row->type == WS_OPT_REAL) {
        *(double *)at = v;
        return WS_OK;
    }
    /* Plain digits keep all of their 64 bits. */
    *(int64_t *)at =
        strspn(text, "-0123456789") == strlen(text) ? strtoll(text, NULL, 10) : (int64_t)v;
    return WS_OK;
}

static ws_err set_text(const ws_opt *row, const char *text, char *at)
{
    char words[300], list[300], *save, *word;
    const char *names[32];
    int n = 0;

    if (strlen(text) >= WS_OPT_TEXT)
        return ws_fail(WS_ERR_USAGE, "--%s is longer than %d characters", row->name,
                       WS_OPT_TEXT - 1);
    if (row->range[0]) {
        snprintf(list, sizeof list, "%s", row->range);
        for (word = strtok_r(list, "|", &save); word && n < 32; word = strtok_r(NULL, "|", &save)) {
            if (strcmp(word, text) == 0) break;
            names[n++] = word;
        }
        if (!word) {
            const char *near = ws_nearest(text, names, n);
            snprintf(words, sizeof words, "one of %s%s%s%s", row->range,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
            return wrong(row, text, words);
        }
    }
    strcpy(at, text);
    return WS_OK;
}

static ws_err set_flag(const ws_opt *row, const char *text, int *at)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (int i = 0; i < 8; i++)
        if (strcmp(text, words[i]) == 0) {
            *at = i % 2;
            return WS_OK;
        }
    return wrong(row, text, "yes or no");
}

ws_err ws_option_set(const ws_opt *row, const char *text, void *target)
{
    void *at = (char *)target + row->field;

    if (row->type == WS_OPT_STR) return set_text(row, text, at);
    if (row->type == WS_OPT_FLAG) return set_flag(row, text, at);
    return set_number(row, text, at);
}

void ws_option_text(const ws_opt *row, const void *target, char *text, size_t size)
{
    const void *at = (const char *)target + row->field;

    if (row->type == WS_OPT_STR) {
        snprintf(text, size, "%s", (const char *)at);
    } else if (row->type == WS_OPT_INT) {
        snprintf(text, size, "%lld", (long long)*(const int64_t *)at);
    } else if (row->type == WS_OPT_FLAG) {
        snprintf(text, size, "%s", *(const int *)at ? "yes" : "no");
    } else if (ws_option_is_word(row, target)) {
        const char *word;
        double v = *(const double *)at;
        int n = (int)word_of(row, isnan(v) ? 0 : (int)-v, &word);
        snprintf(text, size, "%.*s", n, word);
    } else if (isnan(*(const double *)at)) {
        snprintf(text, size, "auto");
    } else {
        double v = *(const double *)at;
        for (int digits = 6; digits <= 17; digits++) { /* the shortest that reads back */
            snprintf(text, size, "%.*g", digits, v);
            if (strtod(text, NULL) == v) break;
        }
    }
}
