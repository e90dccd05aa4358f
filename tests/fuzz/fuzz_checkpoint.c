/* fuzz_checkpoint.c - checkpoints whose hashes are right and whose content is not: the input is a
 * program that changes a good one and hashes it again. Resuming, exporting and predicting must end
 * in a sentence, or work. */
#include <math.h>

#include "ckpt.h"
#include "fuzz.h"
#include "wingspan/io/table.h"
#include "wingspan/train/restore.h"
#include "wingspan/train/train.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { N = 60, D = 6, FORMS = 4, MOST = 4 << 20, PATHS = 160 };
static char *good[FORMS];
static size_t size[FORMS];
static int64_t block[FORMS]; /* bytes in front of the HDF5 part */
/* Arrays ("/group/name"), attributes ("/group:name") and groups ("@/group") of each good file. */
static char path[FORMS][PATHS][64];
static int paths[FORMS];

static void put_data(void)
{
    static float x[N][D];
    static int32_t y[N];
    ws_table_column cols[2] = {{"/x", WS_FLOAT32, N, 0, N, D, x}, {"/y", WS_INT32, N, 0, N, 0, y}};

    for (int i = 0; i < N; i++) {
        y[i] = i % 3;
        for (int j = 0; j < D; j++) x[i][j] = (float)((i * 31 + j * 17) % 23) - 11;
        x[i][y[i]] += 20;
    }
    if (ws_table_write(&self, "data.h5", cols, 2)) abort();
}

static void set(ws_train_options *o, ws_opt_given *given, const char *name, const char *value)
{
    if (ws_option_set(ws_option_find(ws_train_table, name), value, o)) abort();
    for (int i = 0; ws_train_table[i].name; i++)
        if (strcmp(ws_train_table[i].name, name) == 0) given->from[i] = 2;
}

static void train_good(int form)
{
    static ws_train_options o;
    ws_opt_given given = {{0}};
    ws_train_result result;

    ws_train_defaults(&o);
    set(&o, &given, "data", "data.h5");
    set(&o, &given, "width", "40");
    set(&o, &given, "shift", "0.5");
    set(&o, &given, "batch", "16");
    set(&o, &given, "steps", "5");
    set(&o, &given, "checkpoint", "run.h5");
    set(&o, &given, "quiet", "yes");
    set(&o, &given, "optimizer", form & 1 ? "adam" : "sgd");
    if (form & 1) set(&o, &given, "bias", "trained");
    set(&o, &given, "checkpoint-dense", form & 2 ? "0" : "64GiB");
    set(&o, &given, "prepare", form & 2 ? "standard-unit" : "unit");
    if (ws_train(&self, &o, &given, &result)) abort();
}

static herr_t note_attribute(hid_t object, const char *name, const H5A_info_t *info, void *user)
{
    int form = *(int *)user;
    char where[40];

    (void)info;
    H5Iget_name(object, where, sizeof where);
    if (paths[form] < PATHS) snprintf(path[form][paths[form]++], 64, "%.30s:%.30s", where, name);
    return 0;
}

static herr_t note(hid_t f, const char *name, const H5O_info_t *info, void *user)
{
    int form = *(int *)user;
    hid_t g;

    if (info->type == H5O_TYPE_DATASET && paths[form] < PATHS)
        snprintf(path[form][paths[form]++], 64, "/%.60s", name);
    if (info->type == H5O_TYPE_GROUP && (g = H5Oopen(f, name, H5P_DEFAULT)) >= 0) {
        if (name[0] != '.' && paths[form] < PATHS)
            snprintf(path[form][paths[form]++], 64, "@/%.60s", name);
        H5Aiterate2(g, H5_INDEX_NAME, H5_ITER_INC, NULL, note_attribute, user);
        H5Oclose(g);
    }
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    begin(argc, argv);
    put_data();
    for (int form = 0; form < FORMS; form++) {
        FILE *f;
        hid_t h5;

        train_good(form);
        f = fopen("run.h5", "rb");
        good[form] = malloc(MOST);
        size[form] = fread(good[form], 1, MOST, f);
        memcpy(&block[form], good[form] + 16, sizeof block[form]);
        fclose(f);
        h5 = H5Fopen("run.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
        H5Ovisit(h5, H5_INDEX_NAME, H5_ITER_INC, note, &form);
        H5Fclose(h5);
    }
    return 0;
}

static void odd_attribute(bytes *b, hid_t f, const char *group, const char *name)
{
    unsigned kind = next(b) % 6;
    hsize_t two = 2;
    int64_t i = odd_number(b);
    double r = odd_real(b);
    hid_t space = kind == 4 ? H5Screate_simple(1, &two, NULL) : H5Screate(H5S_SCALAR);
    hid_t type = kind == 0   ? H5Tcopy(H5T_NATIVE_INT64)
                 : kind == 1 ? H5Tcopy(H5T_NATIVE_DOUBLE)
                             : odd_type(b);
    hid_t g = H5Gopen2(f, group, H5P_DEFAULT), a;
    static const char *const words[] = {"",        "none",    "adam",    "relu",
                                        "cosine",  "targets", "classes", "labels",
                                        "softmax", "squared", "0s",      "center-unit"};
    char text[64] = "";

    if (kind == 5) {
        H5Tclose(type);
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, 64);
        snprintf(text, sizeof text, "%s", words[next(b) % 12]);
    }
    H5Adelete(g, name);
    if (kind != 3 && (a = H5Acreate2(g, name, type, space, H5P_DEFAULT, H5P_DEFAULT)) >= 0) {
        if (kind < 2) H5Awrite(a, type, kind ? (void *)&r : (void *)&i);
        if (kind == 5) H5Awrite(a, type, text);
        H5Aclose(a);
    }
    if (g >= 0) H5Gclose(g);
    H5Tclose(type);
    H5Sclose(space);
}

/* Other values in an array, or another array, or none. */
static void odd_values(bytes *b, hid_t f, const char *name)
{
    unsigned kind = next(b) % 6;
    hid_t s = H5Dopen2(f, name, H5P_DEFAULT), space = s >= 0 ? H5Dget_space(s) : -1;
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : 0;
    static double v[8192];

    if (kind <= 1 && n > 0 && n <= 8192) {
        H5Dread(s, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
        v[(next(b) << 8 | next(b)) % (unsigned)n] = kind ? odd_real(b) : (double)odd_number(b);
        H5Dwrite(s, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    }
    if (space >= 0) H5Sclose(space);
    if (s >= 0) H5Dclose(s);
    if (kind < 2) return;
    H5Ldelete(f, name, H5P_DEFAULT);
    if (kind == 3) H5Lcreate_soft("/model/w", f, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 4) H5Lcreate_external("data.h5", "/x", f, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 5) {
        hsize_t dims[3];
        int ndims = 1 + (int)(next(b) % 3);
        hid_t create = H5Pcreate(H5P_DATASET_CREATE), type = odd_type(b);
        hsize_t chunk[3] = {1, 1, 1};
        for (int k = 0; k < ndims; k++) dims[k] = (hsize_t)odd_number(b);
        space = H5Screate_simple(ndims, dims, NULL);
        if (next(b) % 2) H5Pset_chunk(create, ndims, chunk);
        s = H5Dcreate2(f, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
        if (s >= 0) H5Dclose(s);
        if (space >= 0) H5Sclose(space);
        H5Pclose(create);
        H5Tclose(type);
    }
}

/* A group that is gone, a link to itself or to another file, the root once more, or an array. */
static void odd_group(bytes *b, hid_t f, const char *name)
{
    unsigned kind = next(b) % 5;
    hsize_t dims[2] = {40, D};
    hid_t space, s;

    H5Ldelete(f, name, H5P_DEFAULT);
    if (kind == 1) H5Lcreate_soft(name, f, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 2) H5Lcreate_hard(f, "/", f, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 3) H5Lcreate_external("data.h5", "/", f, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind != 4) return;
    space = H5Screate_simple(2, dims, NULL);
    s = H5Dcreate2(f, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (s >= 0) H5Dclose(s);
    H5Sclose(space);
}

static void use(const char *file)
{
    static ws_train_options o;
    ws_opt_given given = {{0}};
    ws_train_result result;
    ws_ckpt *c = NULL;
    ws_net *net = NULL;
    ws_predictor *p = NULL;
    ws_score score;

    ws_train_defaults(&o);
    set(&o, &given, "data", "data.h5");
    set(&o, &given, "resume", file);
    set(&o, &given, "steps", "6");
    set(&o, &given, "index", "scan");
    set(&o, &given, "metrics", "");
    set(&o, &given, "checkpoint", "next.h5");
    set(&o, &given, "quiet", "yes");
    ws_train(&self, &o, &given, &result);
    if (ws_ckpt_open(&self, file, 0, &c) == WS_OK) ws_checkpoint_rows(c, &self, &net);
    ws_ckpt_close(&c);
    ws_net_destroy(&net);
    if (ws_predictor_open(&self, file, &p) == WS_OK)
        ws_predictor_run(p, "data.h5", "all", "pred.h5", &score);
    ws_predictor_close(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    bytes b = {data, data + n};
    int form = (int)(next(&b) % FORMS), changes = 1 + (int)(next(&b) % 3);
    int64_t held = ws_alloc_bytes();
    hid_t f;

    put_file("odd.h5", good[form], size[form]);
    if ((f = H5Fopen("odd.h5", H5F_ACC_RDWR, H5P_DEFAULT)) < 0) {
        fprintf(stderr, "the good file does not open\n");
        abort();
    }
    for (int k = 0; k < changes; k++) {
        char name[64], *colon;
        snprintf(name, sizeof name, "%s", path[form][next(&b) % (unsigned)paths[form]]);
        if (name[0] == '@') {
            odd_group(&b, f, name + 1);
        } else if ((colon = strchr(name, ':'))) {
            *colon = 0;
            odd_attribute(&b, f, name, colon + 1);
        } else {
            odd_values(&b, f, name);
        }
    }
    H5Fclose(f);
    if (ws_block_write(&self, "odd.h5", "odd.h5", block[form])) {
        fprintf(stderr, "%s\n", ws_err_text());
        abort();
    }
    use("odd.h5");
    check_nothing_is_left(held);
    return 0;
}
