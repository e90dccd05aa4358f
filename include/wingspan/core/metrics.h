/* metrics.h - JSON Lines for programs: one object a line, written by rank 0.
 *
 * First line {"type":"run",...}, then {"type":"step",...}, last {"type":"end",...}.  A line is
 * written whole and flushed, so a reader never sees half of one except after a crash in the
 * middle, and resuming drops such a torn line. */
#ifndef WS_CORE_METRICS_H
#define WS_CORE_METRICS_H

#include <stdint.h>

#include "wingspan/core/err.h"

typedef struct ws_metrics ws_metrics;

/** Open FILE for writing (resume_step < 0: start anew) or, on resume, for appending after
 *  dropping every "step" line beyond resume_step and any "end" line or torn line after it.
 *  Not collective: rank 0.  Dropping writes a new file and renames it into place.
 *  @return local: WS_ERR_IO, WS_ERR_NOMEM; *out NULL then */
ws_err ws_metrics_open(const char *file, int64_t resume_step, ws_metrics **out);

/* Build one line.  Numbers are written so that they read back to the same bits; NaN and
 * infinities become null.  Keys are not escaped (they are ours), texts are. */
void ws_metrics_begin(ws_metrics *m, const char *type);
void ws_metrics_int(ws_metrics *m, const char *key, int64_t v);
void ws_metrics_real(ws_metrics *m, const char *key, double v);
void ws_metrics_text(ws_metrics *m, const char *key, const char *v);
void ws_metrics_flag(ws_metrics *m, const char *key, int v);

/** Finish the line and flush it.  @return local: WS_ERR_IO (disk full: named) */
ws_err ws_metrics_end(ws_metrics *m);

void ws_metrics_close(ws_metrics **m);

#endif
