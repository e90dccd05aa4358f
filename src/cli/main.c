/* main.c - the program: finds the command, prints what went wrong once, ends with the right code.
 *
 * Exit codes: 0 done, 1 failed, 2 the command line is wrong, 3 stopped by a signal after a clean
 * checkpoint. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "wingspan/core/alloc.h"
#include "wingspan/core/version.h"
#include "wingspan/io/checkpoint.h"
#include "wingspan/train/train.h"

static const ws_command *const commands[] = {
    &ws_cmd_train,  &ws_cmd_eval, &ws_cmd_predict, &ws_cmd_info,   &ws_cmd_convert,
    &ws_cmd_export, &ws_cmd_plot, &ws_cmd_bench,   &ws_cmd_kernel, &ws_cmd_width,
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *f)
{
    fprintf(f,
            "wingspan %s trains networks far wider than their data is large, over MPI ranks.\n\n",
            WS_VERSION);
    fprintf(f, "usage: mpirun -n RANKS wingspan COMMAND ...\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(f, "\nwingspan COMMAND --help tells the options of a command. A first run:\n"
               "  mpirun -n 2 wingspan train --data digits.h5 --width 16384 --checkpoint run.h5\n");
}

static const ws_command *find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static ws_err unknown(const char *name)
{
    const char *names[COMMANDS], *near;

    for (int i = 0; i < COMMANDS; i++) names[i] = commands[i]->name;
    near = ws_nearest(name, names, COMMANDS);
    return ws_fail(WS_ERR_USAGE, "there is no command %.60s%s%s%s", name,
                   near ? "; did you mean " : ": see wingspan --help", near ? near : "",
                   near ? "?" : "");
}

/* The first signal asks for a stop after this step, the second ends the program at once. */
static void on_signal(int number)
{
    ws_train_request_stop();
    signal(number, SIG_DFL);
}

static void catch_signals(void)
{
    static const int list[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) sigaction(list[i], &a, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of writing like a full disk */
}

/* Each line of the text of an error, once, with our name in front. */
static void print_error(void)
{
    char text[8192], *save, *line;

    snprintf(text, sizeof text, "%s", ws_err_text());
    fflush(stdout);
    for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        fprintf(stderr, "wingspan: %s\n", line);
    fflush(stderr);
}

static int exit_code(ws_err err)
{
    return err == WS_OK ? 0 : err == WS_ERR_USAGE ? 2 : err == WS_ERR_STOPPED ? 3 : 1;
}

static ws_err run(const ws_comm *comm, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    int help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    const ws_command *c = find(help && argc > 2 ? argv[2] : name);

    if (strcmp(name, "--version") == 0) {
        if (comm->rank == 0) printf("wingspan %s\n", WS_VERSION);
        return WS_OK;
    }
    if (help && argc <= 2) {
        if (comm->rank == 0) print_help(stdout);
        return WS_OK;
    }
    if (argc <= 1) return ws_fail(WS_ERR_USAGE, "a command is missing: see wingspan --help");
    if (!c) return unknown(help ? argv[2] : name);
    if (help) {
        if (comm->rank == 0) ws_command_help(c);
        return WS_OK;
    }
    return c->run(comm, c, argc - 2, argv + 2);
}

/* For tests: memory that is still held at the end was lost on the way. */
static ws_err check_memory(int rank)
{
    if (!getenv("WINGSPAN_CHECK_MEMORY") || ws_alloc_bytes() == 0) return WS_OK;
    fprintf(stderr, "wingspan: rank %d: %lld bytes were never given back\n", rank,
            (long long)ws_alloc_bytes());
    return WS_ERR_NOMEM;
}

int main(int argc, char **argv)
{
    ws_comm comm;
    ws_err err;
    int lost;

    catch_signals(); /* also while MPI starts: Slurm may signal a job that has just begun */
    MPI_Init(&argc, &argv);
    ws_comm_create(MPI_COMM_WORLD, &comm);
    ws_alloc_from_env(comm.rank);
    err = run(&comm, argc, argv);
    if (err && comm.rank == 0) print_error();
    lost = fflush(stdout) != 0 || ferror(stdout);
    if (lost && !err) {
        fprintf(stderr, "wingspan: the output could not be written: is the disk full?\n");
        err = WS_ERR_IO;
    }
    if (check_memory(comm.rank)) err = WS_ERR_NOMEM;
    ws_comm_destroy(&comm);
    if (ws_ckpt_ruined()) {
        fflush(NULL);
        _exit(exit_code(err));
    }
    MPI_Finalize();
    return exit_code(err);
}
