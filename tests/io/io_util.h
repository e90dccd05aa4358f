/* io_util.h - small files for the tests of io. */
#ifndef IO_UTIL_H
#define IO_UTIL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wingspan/io/checkpoint.h"
#include "wingspan/io/table.h"
#include "ws_test.h"

/* One array that rank 0 holds whole. */
static inline ws_table_column column(const char *path, ws_type type, int64_t rows, int64_t cols,
                                     const void *data)
{
    int here = world.rank == 0;

    return (ws_table_column){path, type, rows, here ? 0 : rows, here ? rows : 0, cols, data};
}

static inline void flip_bit(const char *file, long at)
{
    FILE *f = fopen(file, "r+b");
    int c;

    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 4, f);
    fclose(f);
}

static inline long size_of(const char *file)
{
    FILE *f = fopen(file, "rb");
    long n;

    if (!f) return -1;
    fseek(f, 0, SEEK_END);
    n = ftell(f);
    fclose(f);
    return n;
}

/* The text says this, on every rank. */
static inline int says(const char *part)
{
    return strstr(ws_err_text(), part) != NULL;
}

#endif
