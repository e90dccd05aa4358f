/* fuzz_convert.c - IDX, LIBSVM and CSV from any bytes. The first byte chooses format and options, the
 * second cuts the rest into a training and a test file. */
#include <math.h>

#include "fuzz.h"
#include "wingspan/io/convert.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    begin(argc, argv);
    return 0;
}

/* Rows of millions of columns are allowed, and slow: not here. */
static int is_large(const uint8_t *data, size_t n)
{
    int digits = 0;

    for (size_t i = 0; i < n; i++) {
        digits = data[i] >= '0' && data[i] <= '9' ? digits + 1 : 0;
        if (digits > 5) return 1;
    }
    if (n > 4 && data[0] == 0 && data[1] == 0)
        for (size_t i = 8; i + 3 < n && i < 20; i += 4)
            if (data[i] || data[i + 1] || data[i + 2]) return 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const format[] = {"auto", "idx", "libsvm", "csv"};
    static const char *const label[] = {"last", "none", "0", "y"}, *const target[] = {
                                                                       "auto", "class", "real"};
    ws_convert_options o = {.input = "in", .output = "out.h5"};
    ws_convert_report report;
    int64_t held = ws_alloc_bytes();
    size_t cut;
    unsigned how;

    if (n < 3) return 0;
    how = data[0];
    cut = (size_t)data[1] * (n - 2) / 256;
    data += 2;
    n -= 2;
    if (is_large(data, n) || is_large(data + cut, n - cut)) return 0;
    o.format = format[how % 4];
    o.label_column = label[how / 4 % 4];
    o.header = how & 16 ? "auto" : how & 32 ? "yes" : "no";
    o.target = target[how / 64 % 3];
    put_file("in", data, how & 128 ? cut : n);
    if (how & 128) {
        put_file("test", data + cut, n - cut);
        if (how % 4 == 1)
            o.labels = "test";
        else
            o.test = "test";
    }
    if (ws_convert(&o, &report) == WS_OK) {
        if (access("out.h5", F_OK) != 0 || report.n < 1 || report.d < 1) abort();
        unlink("out.h5");
    }
    if (access("out.h5", F_OK) == 0 || access("out.h5.tmp", F_OK) == 0) abort();
    check_nothing_is_left(held);
    return 0;
}
