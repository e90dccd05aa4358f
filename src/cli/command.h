/* command.h - one file a command, one line in the table of main.c. */
#ifndef WS_CLI_COMMAND_H
#define WS_CLI_COMMAND_H

#include "wingspan/core/comm.h"
#include "wingspan/core/err.h"
#include "wingspan/core/options.h"

typedef struct ws_command {
    const char *name, *words, *summary; /* words: what follows the name in the usage line */
    const ws_opt *rows;                 /* its options */
    const char *more;                   /* shown after the options, or NULL */
    /* Collective over all ranks; agreed. argv begins after the command's name. */
    ws_err (*run)(const ws_comm *comm, const struct ws_command *c, int argc, char **argv);
} ws_command;

extern const ws_command ws_cmd_train, ws_cmd_eval, ws_cmd_predict, ws_cmd_info, ws_cmd_convert,
    ws_cmd_export, ws_cmd_plot, ws_cmd_bench, ws_cmd_kernel, ws_cmd_width;

enum { WS_MAX_WORDS = 16 };

/* What a command line said, the same on every rank. */
typedef struct ws_said {
    ws_opt_given given;
    int n_words;
    char word[WS_MAX_WORDS][WS_OPT_TEXT];
} ws_said;

/** Rank 0 parses (and prints help if asked to), all receive target (size bytes) and what was said.
 *  Collective.  At least `least` words are needed, at most `most` taken; `what` names them.
 *  @return agreed: WS_ERR_USAGE; *help is 1 if help was printed and nothing is to be done */
ws_err ws_parse(const ws_comm *comm, const ws_command *c, int argc, char **argv, void *target,
                size_t size, int least, int most, const char *what, ws_said *said, int *help);

/** Print the help of a command to stdout.  Rank 0. */
void ws_command_help(const ws_command *c);

#endif
