/* option_help.c - --help from the table: grouped, aligned, within 100 columns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wingspan/core/options.h"

enum { LEFT = 26, WIDTH = 100 };

/* The words a value may be; a long list starts on its own line. */
static void head_of(const ws_opt *row, char *text, size_t size)
{
    char words[80];
    const char *value = row->type == WS_OPT_FLAG  ? ""
                        : row->range[0]           ? row->range
                        : row->type == WS_OPT_STR ? "TEXT"
                                                  : "N";

    if (row->type == WS_OPT_INT || row->type == WS_OPT_REAL) {
        snprintf(words, sizeof words, "%.*sN", (int)strcspn(row->range, "[("), row->range);
        value = words;
    }
    snprintf(text, size, "  --%s %s", row->name, value);
}

/* Wrap text into lines that begin at column LEFT. */
static void wrap(FILE *f, const char *text)
{
    int at = LEFT;

    while (*text) {
        int n = (int)strcspn(text, " ");
        if (at + 1 + n > WIDTH) {
            fprintf(f, "\n%*s", LEFT, "");
            at = LEFT;
        } else if (at > LEFT) {
            fputc(' ', f);
            at++;
        }
        fprintf(f, "%.*s", n, text);
        at += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', f);
}

static void put_row(FILE *f, const ws_opt *row)
{
    char head[300], text[600];
    int shown = row->standard && row->standard[0] && row->type != WS_OPT_FLAG;

    head_of(row, head, sizeof head);
    snprintf(text, sizeof text, "%s%s%s%s", row->help, shown ? " (" : "",
             shown ? row->standard : "", shown ? ")" : "");
    if ((int)strlen(head) < LEFT)
        fprintf(f, "%-*s", LEFT, head);
    else
        fprintf(f, "%s\n%*s", head, LEFT, "");
    wrap(f, text);
}

char *ws_options_help(const ws_opt *rows)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    const char *group = "";

    if (!f) return NULL;
    for (const ws_opt *row = rows; row->name; row++) {
        if (strcmp(group, row->group) != 0) fprintf(f, "%s:\n", row->group);
        group = row->group;
        put_row(f, row);
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
