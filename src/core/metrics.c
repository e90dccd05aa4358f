/* metrics.c - JSON Lines, written whole; on resume the lines after the checkpoint go. */
#include "wingspan/core/metrics.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wingspan/core/alloc.h"

struct ws_metrics {
    FILE *f;
    char name[1024];
};

static ws_err trouble(const char *file, const char *what)
{
    return ws_fail(WS_ERR_IO, "--metrics %s %s: %s", file, what, strerror(errno));
}

/* Keep this line of an earlier run? */
static int kept(const char *line, int64_t resume_step)
{
    cJSON *o = cJSON_Parse(line);
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(o, "type");
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(o, "step");
    int keep = cJSON_IsString(type);

    if (keep && strcmp(type->valuestring, "end") == 0) keep = 0;
    if (keep && strcmp(type->valuestring, "step") == 0)
        keep = cJSON_IsNumber(step) && step->valuedouble <= (double)resume_step;
    cJSON_Delete(o);
    return keep;
}

static int copy_kept(FILE *from, FILE *to, int64_t resume_step)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int ok = 1;

    while ((n = getline(&line, &room, from)) > 0)
        if (line[n - 1] == '\n' && kept(line, resume_step))
            ok = ok && fwrite(line, 1, (size_t)n, to) == (size_t)n;
    free(line);
    return ok && !ferror(from);
}

/* Rewrite the file without what comes after resume_step. */
static ws_err drop_later(const char *file, int64_t resume_step)
{
    char temp[1100];
    FILE *from = fopen(file, "r"), *to;
    int ok;

    if (!from) return errno == ENOENT ? WS_OK : trouble(file, "cannot be read");
    snprintf(temp, sizeof temp, "%s.tmp", file);
    if (!(to = fopen(temp, "w"))) {
        fclose(from);
        return trouble(file, "cannot be rewritten");
    }
    ok = copy_kept(from, to, resume_step);
    fclose(from);
    ok = fclose(to) == 0 && ok;
    if (!ok || rename(temp, file) != 0) {
        ws_err err = trouble(file, "cannot be rewritten");
        unlink(temp);
        return err;
    }
    return WS_OK;
}

ws_err ws_metrics_open(const char *file, int64_t resume_step, ws_metrics **out)
{
    ws_err err;

    *out = NULL;
    if (strlen(file) >= sizeof(*out)->name)
        return ws_fail(WS_ERR_USAGE, "--metrics: the name of the file is too long");
    if (resume_step >= 0 && (err = drop_later(file, resume_step))) return err;
    if ((err = ws_alloc(out, 1, sizeof **out, "metrics"))) return err;
    strcpy((*out)->name, file);
    if (((*out)->f = fopen(file, resume_step >= 0 ? "a" : "w"))) return WS_OK;
    err = trouble(file, "cannot be written");
    ws_free(out);
    return err;
}

void ws_metrics_begin(ws_metrics *m, const char *type)
{
    fprintf(m->f, "{\"type\":\"%s\"", type);
}

void ws_metrics_int(ws_metrics *m, const char *key, int64_t v)
{
    fprintf(m->f, ",\"%s\":%lld", key, (long long)v);
}

void ws_metrics_real(ws_metrics *m, const char *key, double v)
{
    char text[40] = "null";

    for (int digits = 6; isfinite(v) && digits <= 17; digits++) { /* shortest that reads back */
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    fprintf(m->f, ",\"%s\":%s", key, text);
}

void ws_metrics_text(ws_metrics *m, const char *key, const char *v)
{
    cJSON *s = cJSON_CreateString(v);
    char *text = s ? cJSON_PrintUnformatted(s) : NULL;

    fprintf(m->f, ",\"%s\":%s", key, text ? text : "null");
    cJSON_free(text);
    cJSON_Delete(s);
}

void ws_metrics_flag(ws_metrics *m, const char *key, int v)
{
    fprintf(m->f, ",\"%s\":%s", key, v ? "true" : "false");
}

ws_err ws_metrics_end(ws_metrics *m)
{
    fputs("}\n", m->f);
    if (fflush(m->f) != 0 || ferror(m->f)) return trouble(m->name, "cannot be written");
    return WS_OK;
}

void ws_metrics_close(ws_metrics **m)
{
    if (!*m) return;
    fclose((*m)->f);
    ws_free(m);
}
