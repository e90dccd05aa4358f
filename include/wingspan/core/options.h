/* options.h - typed rows bound to the fields of a struct: one table gives the command line, the
 * --config file, --help, the checks, the dump into checkpoints and metrics, and the way back.
 *
 * Precedence: defaults < --config FILE.ini < command line.  All mistakes are collected and
 * reported together, each with the nearest valid name. */
#ifndef WS_CORE_OPTIONS_H
#define WS_CORE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "wingspan/core/err.h"

typedef enum ws_opt_type {
    WS_OPT_STR, /* char[WS_OPT_TEXT]; range: "a|b|c" lists the words, "" is any text */
    WS_OPT_INT, /* int64_t; range "[lo,hi]" with ( or ) for open ends; 2^20, 64k, 1e6 are understood */
    WS_OPT_REAL, /* double; range as INT; "inf" for no bound.  Range "auto|(0,inf)": the word auto is
                  * NaN; "auto|half|all|(0,inf)": half is -1, all -2 (the range must not be negative) */
    WS_OPT_FLAG  /* int, 0 or 1; given as --name or --name=yes|no */
} ws_opt_type;

enum { WS_OPT_TEXT = 1024 };

typedef struct ws_opt {
    const char *name; /* without dashes */
    ws_opt_type type;
    size_t field;         /* offsetof */
    const char *standard; /* default as text; NULL: required */
    const char *range;
    const char *group; /* heading in --help */
    const char *help;  /* one line, at most 90 characters */
    int run;           /* 1: belongs to a run and may change on resume (limits, files, logging) */
} ws_opt;

/* Which options were given, and where: [rows] 0 default, 1 config file, 2 command line. */
typedef struct ws_opt_given {
    uint8_t from[128];
} ws_opt_given;

/** Fill a struct from its table: defaults, then the ini file named by the row called "config"
 *  (if the table has one and it is given), then argv.  Positional words go to words[].
 *
 *  Not collective: rank 0 parses, then broadcasts the struct.
 *  "--name value" and "--name=value" are both understood; "-h" is "--help".
 *
 *  @param rows   table, ended by a row with name NULL
 *  @param target the struct
 *  @param words  [out] up to max_words positional words (pointers into argv), *n_words of them
 *  @param help   [out] 1 if --help was asked for; nothing else is checked then
 *  @return local: WS_ERR_USAGE with a text of every mistake, one a line; each line is one sentence
 */
ws_err ws_options_parse(const ws_opt *rows, int argc, char **argv, void *target,
                        ws_opt_given *given, const char **words, int max_words, int *n_words,
                        int *help);

/** Set one option from text (checks range).  Not collective.
 *  @return local: WS_ERR_USAGE */
ws_err ws_option_set(const ws_opt *row, const char *text, void *target);

/** Write an option's value as text that ws_option_set reads back to the same bits.
 *  Not collective. */
void ws_option_text(const ws_opt *row, const void *target, char *text, size_t size);

/** 1 if a real number's value is one of the words of its range.  Not collective. */
int ws_option_is_word(const ws_opt *row, const void *target);

/** The row of a name, or NULL. */
const ws_opt *ws_option_find(const ws_opt *rows, const char *name);

/** The closest name within a sensible edit distance, or NULL, among n names.  Not collective. */
const char *ws_nearest(const char *word, const char *const *names, int n);

/** The help text of a table, grouped, fitting 100 columns, ended by a newline: into a buffer the
 *  caller frees with free(); NULL if out of memory. */
char *ws_options_help(const ws_opt *rows);

#endif
