/* cmd_info.c - wingspan info: what a checkpoint holds. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "wingspan/io/checkpoint.h"
#include "wingspan/train/train.h"

typedef struct options {
    int json;
} options;

static const ws_opt rows[] = {
    {"json", WS_OPT_FLAG, offsetof(options, json), "no", "", "Options", "print one JSON object", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

/* What is read besides the options: group, name, 't'ext, 'i'nteger or 'r'eal. */
static const struct {
    const char *group, *name;
    char type;
} facts[] = {
    {"/format", "program", 't'},
    {"/data", "name", 't'},
    {"/data", "kind", 't'},
    {"/data", "n", 'i'},
    {"/data", "n_test", 'i'},
    {"/data", "d", 'i'},
    {"/model", "width", 'i'},
    {"/model", "outputs", 'i'},
    {"/model", "form", 't'},
    {"/model", "threshold", 'r'},
    {"/progress", "step", 'i'},
    {"/progress", "epoch", 'i'},
    {"/progress", "position", 'i'},
    {"/progress", "ranks", 'i'},
    {"/progress", "loss", 'r'},
    {"/progress", "rate", 'r'},
    {"/progress", "test_accuracy", 'r'},
    {"/progress", "seconds", 'r'},
};

/* One value as JSON.  Collective. */
static ws_err get(ws_ckpt *c, const char *group, const char *name, char type, cJSON **v)
{
    char text[WS_OPT_TEXT];
    int64_t i = 0;
    double r = 0;
    ws_err err = type == 't'   ? ws_ckpt_get_text(c, group, name, text, sizeof text)
                 : type == 'i' ? ws_ckpt_get_int(c, group, name, &i)
                               : ws_ckpt_get_real(c, group, name, &r);

    if (err) return err;
    *v = type == 't'   ? cJSON_CreateString(text)
         : type == 'i' ? cJSON_CreateNumber((double)i)
         : isfinite(r) ? cJSON_CreateNumber(r)
                       : cJSON_CreateNull();
    return WS_OK;
}

/* Of implicit weights: how much is held.  Collective. */
static ws_err read_implicit(ws_ckpt *c, cJSON *model)
{
    static const char *const names[] = {"listed", "held", "displacements"};
    const cJSON *form = cJSON_GetObjectItem(model, "form");
    ws_err err = WS_OK;

    if (!cJSON_IsString(form) || strcmp(form->valuestring, "implicit") != 0) return WS_OK;
    for (int k = 0; k < 3 && !err; k++) {
        cJSON *v = NULL;

        if (!(err = get(c, "/model", names[k], 'i', &v))) cJSON_AddItemToObject(model, names[k], v);
    }
    return err;
}

static ws_err read_facts(ws_ckpt *c, cJSON *all)
{
    cJSON *v = NULL, *all_options = cJSON_AddObjectToObject(all, "options");
    ws_err err = WS_OK;

    for (size_t k = 0; k < sizeof facts / sizeof *facts && !err; k++) {
        cJSON *group = cJSON_GetObjectItem(all, facts[k].group + 1);
        if (!group) group = cJSON_AddObjectToObject(all, facts[k].group + 1);
        if ((err = get(c, facts[k].group, facts[k].name, facts[k].type, &v))) return err;
        cJSON_AddItemToObject(group, facts[k].name, v);
    }
    err = read_implicit(c, cJSON_GetObjectItem(all, "model"));
    for (const ws_opt *row = ws_train_table; row->name && !err; row++) {
        char type = row->type == WS_OPT_STR ? 't' : row->type == WS_OPT_REAL ? 'r' : 'i';
        if ((err = get(c, "/options", row->name, type, &v))) return err;
        cJSON_AddItemToObject(all_options, row->name, v);
    }
    return err;
}

static void print_group(const cJSON *group)
{
    const cJSON *v;

    printf("%s\n", group->string);
    cJSON_ArrayForEach(v, group)
    {
        char *text = cJSON_IsString(v) ? NULL : cJSON_PrintUnformatted(v);
        if (!cJSON_IsString(v) || v->valuestring[0])
            printf("  %-18s %s\n", v->string, text ? text : v->valuestring);
        cJSON_free(text);
    }
}

static void print_all(const cJSON *all, int json)
{
    const cJSON *v;
    char *text;

    if (json) {
        text = cJSON_Print(all);
        printf("%s\n", text ? text : "{}");
        cJSON_free(text);
        return;
    }
    cJSON_ArrayForEach(v, all)
    {
        if (cJSON_IsObject(v))
            print_group(v);
        else if (cJSON_IsString(v))
            printf("%s %s\n", v->string, v->valuestring);
        else
            printf("%s %.0f\n", v->string, v->valuedouble);
    }
}

static ws_err run(const ws_comm *comm, const ws_command *c, int argc, char **argv)
{
    static options o;
    static ws_said said;
    ws_ckpt *file = NULL;
    cJSON *all;
    int help;
    ws_err err = ws_parse(comm, c, argc, argv, &o, sizeof o, 1, 1, "a checkpoint", &said, &help);

    if (err || help) return err;
    if ((err = ws_ckpt_open(comm, said.word[0], 0, &file))) return err;
    all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "file", ws_ckpt_file(file));
    cJSON_AddNumberToObject(all, "bytes", (double)ws_ckpt_length(file));
    err = read_facts(file, all);
    if (!err && comm->rank == 0) print_all(all, o.json);
    cJSON_Delete(all);
    ws_ckpt_close(&file);
    return err;
}

const ws_command ws_cmd_info = {
    "info", "CHECKPOINT [--json]", "what a checkpoint holds: options, data, progress", rows, NULL,
    run};
