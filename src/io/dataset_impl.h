/* dataset_impl.h - a data set while it is being loaded. */
#ifndef WS_IO_DATASET_IMPL_H
#define WS_IO_DATASET_IMPL_H

#include "reader.h"
#include "store.h"
#include "wingspan/io/dataset.h"

/* Plain numbers that one rank a node finds out and the others are told. */
typedef struct ws_found {
    int64_t n, n_test, d;
    int32_t columns, classes, target_columns; /* target_columns: 0 for classes and 0/1 labels */
    int has_y, has_y_test, packed, warnings;
    ws_y_kind y_kind;
    uint64_t checksum;
    double rms, max_norm;
    char warning[8][200];
} ws_found;

struct ws_dataset_store {
    ws_store memory;
    int32_t *label; /* [n + n_test], or NULL */
    float *value;   /* [(n + n_test) x columns], or NULL */
    float *x;       /* [(n + n_test) x d]; NULL if only the shape was asked for */
    double *norm;   /* [n + n_test] */
    double *level;  /* [d] these three: NULL if not packed (f.packed) or only the shape is wanted */
    float *scale;   /* [n + n_test] */
    uint8_t *byte;  /* [(n + n_test) x d] */
};

typedef struct ws_loading {
    const ws_dataset_options *opt;
    ws_reader reader;
    ws_found f;
    ws_preparation prep;
    struct ws_dataset_store *store;
    const char *file;
} ws_loading;

void ws_loading_warn(ws_loading *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Which kind y is, by type, shape and content of the training part: f.classes, f.columns,
 *  f.target_columns, prep.label.  Local. */
ws_err ws_labels_kind(ws_loading *l);

/** Read y and y_test into store->label or store->value.  Local. */
ws_err ws_labels_read(ws_loading *l);

/** Read x, prepare it, and its norms.  Local. */
ws_err ws_prepare_samples(ws_loading *l);

#endif
