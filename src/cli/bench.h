/* bench.h - the measurements of wingspan bench. */
#ifndef WS_CLI_BENCH_H
#define WS_CLI_BENCH_H

#include "command.h"
#include "wingspan/index/index.h"

typedef struct ws_bench_options {
    char kind[WS_OPT_TEXT], width[WS_OPT_TEXT];
    char data[WS_OPT_TEXT], prepare[WS_OPT_TEXT], loss[WS_OPT_TEXT], schedule[WS_OPT_TEXT];
    char with[WS_OPT_TEXT]; /* further options of train: NAME=VALUE,... */
    int64_t dim, samples, batch, steps, epochs, seed;
    double shift;   /* NaN: auto */
    double updates; /* neurons moved in a step; NaN: every one that fires */
    double rate;    /* NaN: auto */
    double slack;
    int64_t seeds;
    int json, finish, whole;
} ws_bench_options;

enum { WS_BENCH_WIDTHS = 40, WS_BENCH_COLUMNS = 32, WS_BENCH_KINDS = 16, WS_BENCH_NAME = 64 };

/* ---- a problem: Gaussian rows, random samples of norm 1 (bench_case.c) ---- */

/* The arrays of a ws_moves. */
typedef struct ws_bench_moves {
    int64_t k, *row, *first;
    int32_t *pos;
    double *norm, *z;
    float *coef, *note;
} ws_bench_moves;

typedef struct ws_bench_case {
    const ws_bench_options *o;
    int64_t width, first, n; /* neurons over all ranks; the first one here; neurons here */
    float *w, *b, *x;
    int64_t *ids; /* [samples] 0, 1, ... */
    double threshold;
    ws_samples samples;
    ws_shard shard;
    ws_bench_moves moved[2]; /* the last step: neurons that fired, and others */
    double *delta;           /* [d] */
} ws_bench_case;

/** Make the shard of this rank.  Collective; agreed.  Free it in any case. */
ws_err ws_bench_case_make(const ws_comm *comm, const ws_bench_options *o, int64_t width,
                          ws_bench_case *c);
void ws_bench_case_free(ws_bench_case *c);

/** Move neurons as a step of training does, and note in c->moved[group] what the index must be
 *  told before anything else moves.
 *
 *  Not collective.  hits are the answer for all samples.  Group 0: the neurons that fired move by a
 *  combination of the samples that fired them, a little; one pair in 16 is pushed below the
 *  threshold.  Group 1: for every 64 of them, one neuron anywhere is moved until some sample fires it.
 *  @return local: WS_ERR_NOMEM */
ws_err ws_bench_case_step(ws_bench_case *c, const ws_hits *hits, int64_t step, int group);

/** What an index must be told about c->moved[group]. */
ws_moves ws_bench_case_moves(const ws_bench_case *c, int group);

/* ---- data (bench_data.c) ---- */

/** Write random samples with random targets, o->samples x o->dim.  Collective; agreed. */
ws_err ws_bench_data_make(const ws_comm *comm, const ws_bench_options *o, const char *file);

/** A name in this folder, which all nodes see, that no other run uses.  Collective. */
void ws_bench_file_name(const ws_comm *comm, const char *ending, char name[WS_BENCH_NAME]);

/** The file of --data, or one that is made.  Collective; agreed.  Close it in any case. */
ws_err ws_bench_data_open(const ws_comm *comm, const ws_bench_options *o, char file[WS_OPT_TEXT]);
void ws_bench_data_close(const ws_comm *comm, const ws_bench_options *o, const char *file);

/* Dense samples: the training samples of --data, or random ones of norm 1. */
typedef struct ws_bench_samples {
    ws_samples x;
    double rms; /* of their norms */
    struct ws_dataset *ds;
    float *own;
} ws_bench_samples;

/** Get them.  Collective; agreed.  Free them in any case. */
ws_err ws_bench_samples_get(const ws_comm *comm, const ws_bench_options *o, ws_bench_samples *s);
void ws_bench_samples_free(ws_bench_samples *s);

/* ---- what was measured (bench_table.c) ---- */

/* How the ranks' values of a column come together. */
typedef enum ws_bench_over { WS_BENCH_SUM, WS_BENCH_MOST, WS_BENCH_SAME } ws_bench_over;

typedef struct ws_bench_column {
    int part;         /* of the table; the width is in every part */
    const char *head; /* at most 8 letters */
    const char *key;  /* in JSON; NULL ends the columns */
    double unit;      /* of the table; 0: yes or no */
    int fit;          /* an exponent in the width is fitted */
    ws_bench_over over;
} ws_bench_column;

/* Rows of one kind of index, a width each. */
typedef struct ws_bench_rows {
    const char *kind;
    int exact, n;
    double v[WS_BENCH_WIDTHS][WS_BENCH_COLUMNS];
} ws_bench_rows;

/** "65536" or "2^12..2^20" into powers of two.  Local: WS_ERR_USAGE. */
ws_err ws_bench_widths(const char *text, int64_t list[WS_BENCH_WIDTHS], int *n);

/** "dtree,scan" into names of the registry of kinds.  Local: WS_ERR_USAGE. */
ws_err ws_bench_kinds(const char *text, const char *list[WS_BENCH_KINDS], int *n);

/** Exponent of a column in the width; NaN if it cannot be fitted. */
double ws_bench_exponent(const ws_bench_rows *rows, int column);

/** One part of the table with a line of exponents.  Column 0 is the width. */
void ws_bench_table(const ws_bench_column *columns, int part, const ws_bench_rows *rows);

/** "kind":...,"rows":[...],"exponents":{...} */
void ws_bench_json(const ws_bench_column *columns, const ws_bench_rows *rows);

/** ,"key":value for every column but the width of one row. */
void ws_bench_json_row(const ws_bench_column *columns, const double *v);

/* ---- the measurements ---- */

/** Build, query and update times of indexes, their answers compared with scan's, beside scan and
 *  sgemm on the same rows.  Collective; agreed: WS_ERR_INEXACT if an answer was not scan's. */
ws_err ws_bench_index(const ws_comm *comm, const ws_bench_options *o);

/** Work counted in full training steps.  Collective; agreed. */
ws_err ws_bench_work(const ws_comm *comm, const ws_bench_options *o);

/** Where the seconds of training steps go, beside the least that the machine would need.
 *  Collective; agreed. */
ws_err ws_bench_step(const ws_comm *comm, const ws_bench_options *o);

/** The same network trained by dense products.  Collective; agreed. */
ws_err ws_bench_dense(const ws_comm *comm, const ws_bench_options *o);

/** Gauss-Newton steps of train by part, beside one done by dense products.  Collective; agreed. */
ws_err ws_bench_newton(const ws_comm *comm, const ws_bench_options *o);

/** The first listing of a structured start beside a dense one.  Collective; agreed. */
ws_err ws_bench_start(const ws_comm *comm, const ws_bench_options *o);

/** How far fired sets are from their limit, for independent rows and for rows in blocks.
 *  Collective; agreed. */
ws_err ws_bench_overlap(const ws_comm *comm, const ws_bench_options *o);

#endif
