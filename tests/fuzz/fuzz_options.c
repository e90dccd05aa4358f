/* fuzz_options.c - the command line and the ini file: words up to a zero byte, then the file. What is
 * accepted must survive its own dump. */
#include "fuzz.h"
#include "wingspan/train/train.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    begin(argc, argv);
    return 0;
}

static int split(char *text, char **argv, int most)
{
    int n = 0;
    char *save;

    for (char *w = strtok_r(text, " \n", &save); w && n < most; w = strtok_r(NULL, " \n", &save))
        argv[n++] = w;
    return n;
}

static void check_round_trip(const ws_train_options *o)
{
    static ws_train_options back;
    char text[WS_OPT_TEXT], again[WS_OPT_TEXT];

    for (const ws_opt *row = ws_train_table; row->name; row++) {
        ws_option_text(row, o, text, sizeof text);
        if (ws_option_set(row, text, &back) != WS_OK) abort();
        ws_option_text(row, &back, again, sizeof again);
        if (strcmp(text, again) != 0) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static ws_train_options o;
    const uint8_t *zero = memchr(data, 0, n);
    size_t k = zero ? (size_t)(zero - data) : n;
    char *argv[64], *text = malloc(k + 1), with[] = "--config", name[] = "in.ini";
    const char *words[4];
    ws_opt_given given;
    int argc, n_words, help;

    memcpy(text, data, k);
    text[k] = 0;
    argc = split(text, argv, 60);
    if (zero) {
        put_file(name, zero + 1, n - k - 1);
        argv[argc++] = with;
        argv[argc++] = name;
    }
    if (ws_options_parse(ws_train_table, argc, argv, &o, &given, words, 4, &n_words, &help) ==
            WS_OK &&
        !help)
        check_round_trip(&o);
    free(text);
    return 0;
}
