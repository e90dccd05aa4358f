/* source_impl.h - what the sources of source.h share. */
#ifndef WS_MODEL_SOURCE_IMPL_H
#define WS_MODEL_SOURCE_IMPL_H

#include "wingspan/model/source.h"

/* The signs slot of every start (source.c). */
void ws_source_signs(const ws_probe *p, const int64_t *id, int64_t k, int8_t *a);

/* Rows in blocks (source_blocks.c). */
void ws_source_block_rows(const ws_probe *p, const int64_t *id, int64_t k, float *w);
ws_err ws_source_block_prepare(ws_probe *p);
void ws_source_block_release(ws_probe *p);
int64_t ws_source_block_propose(const ws_probe *p, int64_t first, int64_t n, uint32_t *offset);

#define WS_SOURCE_BLOCKS                                                                           \
    {                                                                                              \
        ws_source_block_rows, ws_source_signs, ws_source_block_prepare, ws_source_block_release,   \
            ws_source_block_propose                                                                \
    }

#endif
