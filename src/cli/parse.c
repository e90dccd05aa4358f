/* parse.c - options and words of a command, read on rank 0 and known to all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

void ws_command_help(const ws_command *c)
{
    char *text = ws_options_help(c->rows);

    printf("%s\n\nusage: wingspan %s%s%s\n\n%s", c->summary, c->name, c->words[0] ? " " : "",
           c->words, text ? text : "");
    if (c->more) printf("\n%s", c->more);
    free(text);
}

static ws_err parse_here(const ws_command *c, int argc, char **argv, void *target, int least,
                         int most, const char *what, ws_said *said, int *help)
{
    const char *words[WS_MAX_WORDS];
    ws_err err = ws_options_parse(c->rows, argc, argv, target, &said->given, words, most,
                                  &said->n_words, help);

    if (*help) {
        ws_command_help(c);
        return WS_OK;
    }
    if (!err && said->n_words < least)
        err = ws_fail(WS_ERR_USAGE, "wingspan %s needs %s: see wingspan %s --help", c->name, what,
                      c->name);
    for (int i = 0; i < said->n_words && !err; i++) {
        if (strlen(words[i]) >= WS_OPT_TEXT)
            err = ws_fail(WS_ERR_USAGE, "a word of the command line is too long");
        else
            strcpy(said->word[i], words[i]);
    }
    return err;
}

ws_err ws_parse(const ws_comm *comm, const ws_command *c, int argc, char **argv, void *target,
                size_t size, int least, int most, const char *what, ws_said *said, int *help)
{
    ws_err err = WS_OK;

    *help = 0;
    memset(said, 0, sizeof *said);
    memset(target, 0, size);
    if (comm->rank == 0) err = parse_here(c, argc, argv, target, least, most, what, said, help);
    if ((err = ws_agree(comm, err))) return err;
    MPI_Bcast(help, 1, MPI_INT, 0, comm->mpi);
    MPI_Bcast(target, ws_int((int64_t)size), MPI_BYTE, 0, comm->mpi);
    MPI_Bcast(said, sizeof *said, MPI_BYTE, 0, comm->mpi);
    return WS_OK;
}
