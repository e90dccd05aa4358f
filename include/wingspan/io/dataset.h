/* dataset.h - a prepared data set, one copy a node.
 *
 * File: x (n,d) float32, float64 or uint8 (/255); y (n) integer class, or (n) / (n,C) float
 * target or 0/1 labels; optional x_test, y_test.  Integer y: {-1,+1} reads as {0,1}; other
 * negative values are refused.  Read by one rank a node through parallel HDF5 into an MPI
 * shared-memory window; where /dev/shm is too small, one copy a rank, with a warning.
 *
 * Bytes are prepared by unit and center-unit in float32, with means in steps of 2^-14 / 255, so that
 * large sets of them are kept packed as well (samples.h). */
#ifndef WS_IO_DATASET_H
#define WS_IO_DATASET_H

#include <stdint.h>

#include "wingspan/core/err.h"
#include "wingspan/core/samples.h"

typedef enum ws_prepare {
    WS_PREPARE_NONE,
    WS_PREPARE_UNIT,         /* scale each sample to unit norm */
    WS_PREPARE_CENTER_UNIT,  /* subtract the training mean, then unit */
    WS_PREPARE_STANDARD_UNIT /* also divide columns by their deviation (constant ones by 1) */
} ws_prepare;

/* What preparation did, so that prediction repeats it: stored in the checkpoint. */
typedef struct ws_preparation {
    ws_prepare kind;
    int64_t d;
    double *mean;    /* [d] or NULL */
    double *inverse; /* [d] 1 / deviation, or NULL */
    int32_t c;       /* columns of float targets; 0 for classes and 0/1 labels */
    double *y_mean;  /* [c] float targets are stored as (y - mean) / deviation */
    double *y_scale; /* [c] */
    int32_t classes; /* 0: no classes */
    int64_t *label;  /* [classes] the data set's own value of class k */
} ws_preparation;

void ws_preparation_free(ws_preparation *p);

typedef struct ws_dataset {
    char name[256];       /* file name without its folder */
    int64_t n, n_test, d; /* training samples, test samples, columns */
    int32_t columns;      /* of y as floats: C; 0 for classes */
    ws_samples all;       /* [n + n_test] prepared samples, training first; norm is set */
    const int32_t *label; /* [n + n_test] class, or NULL */
    const float *value;   /* [(n + n_test) x columns] targets, or NULL */
    int has_y, has_y_test;
    ws_preparation prep;
    uint64_t checksum;    /* of x, y, x_test, y_test as stored */
    double rms;           /* root mean square of ||x_i|| over the training samples */
    double max_norm;      /* over all samples */
    int packed;           /* 1 if all.packed is there too */
    int shared;           /* 1 if one copy a node */
    int64_t bytes;        /* of the arrays, a copy */
    int warnings;         /* lines in warning[] */
    char warning[8][200]; /* for the user: constant columns, empty classes, no shared memory, ... */
    struct ws_dataset_store *store; /* private */
} ws_dataset;

typedef struct ws_dataset_options {
    ws_prepare prepare;
    const ws_preparation
        *stored;     /* use this preparation instead of computing one (eval, predict) */
    int64_t samples; /* read only the first so many of x and y; 0: all */
    int need_y;      /* fail without labels */
    int only_shape;  /* --dry-run: read shapes, labels and norms' statistics, keep no x */
    int pack;        /* keep many bytes as they are, too: all.packed, if unit or center-unit */
} ws_dataset_options;

/** Load and prepare a data set.
 *
 *  Collective over comm; every argument must be the same on every rank.
 *  Refused with one sentence: missing, truncated or non-HDF5 files; wrong shapes and types; NaN
 *  or infinite values (first row and column named); n = 0, d = 0; labels that are neither >= 0
 *  nor -1/+1; with unit and the like a sample whose norm is zero after preparation (row named);
 *  stored preparation of another width.
 *
 *  @return agreed: WS_ERR_IO, WS_ERR_DATA, WS_ERR_SHAPE, WS_ERR_NOMEM; *out NULL on error
 *
 *  Cost: one read of the file a node; n x d passes on one rank a node; a copy a node.
 */
ws_err ws_dataset_load(const ws_comm *comm, const char *file, const ws_dataset_options *opt,
                       ws_dataset **out);

/** Collective over the communicator it was loaded on (the window is freed); NULL is fine. */
void ws_dataset_destroy(ws_dataset **ds);

/** Bytes one copy of a data set of this shape takes in memory. */
double ws_dataset_bytes(int64_t n_all, int64_t d, int32_t columns, int packed);

/** "none", "unit", ... and back; -1 for an unknown word. */
const char *ws_prepare_name(ws_prepare p);
int ws_prepare_find(const char *name);

/** A short name for a kind of data: used by `info` and the run record. */
const char *ws_dataset_kind(const ws_dataset *ds); /* "classes", "labels" (0/1), "targets" */

#endif
