/* Importers: the same small set from three formats, and the place of every fault. */
#include <zlib.h>

#include "io_util.h"
#include "wingspan/io/convert.h"
#include "wingspan/io/dataset.h"

static void put(const char *file, const char *text, size_t n, int zipped)
{
    gzFile f = gzopen(file, zipped ? "wb" : "wbT");

    assert_true(gzwrite(f, text, (unsigned)n) == (int)n);
    gzclose(f);
}

static ws_convert_options options(const char *input)
{
    return (ws_convert_options){.format = "auto",
                                .input = input,
                                .label_column = "last",
                                .header = "auto",
                                .target = "auto",
                                .output = "out.h5"};
}

static ws_dataset *load(void)
{
    ws_dataset_options o = {.prepare = WS_PREPARE_NONE};
    ws_dataset *ds;

    assert_int_equal(ws_dataset_load(&world, "out.h5", &o, &ds), WS_OK);
    return ds;
}

static void expect(const float *x, const int32_t *label, int64_t n, int64_t d)
{
    ws_dataset *ds = load();

    assert_true(ds->n + ds->n_test == n && ds->d == d);
    for (int64_t i = 0; i < n * d; i++) assert_true(ds->all.x[i] == x[i]);
    for (int64_t i = 0; i < n; i++) assert_true(ds->label[i] == label[i]);
    ws_dataset_destroy(&ds);
}

static void csv_is_read_with_and_without_header(void **state)
{
    static const float x[] = {1, 2.5f, -3, 4e2f};
    static const int32_t label[] = {1, 0}, words[] = {0, 1};
    static const char *const files[] = {"1,2.5,1\n-3,4e2,0\n", "a,b,c\n1,2.5,1\n-3,4e2,0\n",
                                        "a;b;c\r\n1;2.5;1\r\n-3;4e2;0\r\n", "1\t2.5\t1\n-3\t4e2\t0",
                                        "\"a\",\"b\",\"c\"\n1, 2.5 ,1\n\n-3,\"4e2\",0\n"};
    ws_convert_report report;
    ws_convert_options o = options("t.csv");

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int zipped = 0; zipped < 2; zipped++) {
            put("t.csv", files[i], strlen(files[i]), zipped);
            assert_int_equal(ws_convert(&o, &report), WS_OK);
            assert_string_equal(report.kind, "csv");
            expect(x, label, 2, 2);
        }
    put("t.csv", "kind,a,b\nred,1,2.5\nblue,-3,4e2\n", 31, 0);
    o.label_column = "kind";
    assert_int_equal(ws_convert(&o, &report), WS_OK);
    expect(x, words, 2, 2);
    o.label_column = "0";
    assert_int_equal(ws_convert(&o, &report), WS_OK);
    expect(x, words, 2, 2);
    assert_int_equal(report.classes, 2);
}

static void libsvm_is_read(void **state)
{
    static const float x[] = {1, 0, 2, 0, 3, 0, 0, 0, 4};
    static const int32_t label[] = {1, 0, 1};
    ws_convert_options o = options("t.svm");
    ws_convert_report report;

    (void)state;
    put("t.svm", "+1 1:1 3:2\n-1 2:3\n", 18, 0);
    put("u.svm", "+1 3:4\n", 7, 1);
    o.test = "u.svm";
    assert_int_equal(ws_convert(&o, &report), WS_OK);
    assert_string_equal(report.kind, "libsvm");
    assert_true(report.n == 2 && report.n_test == 1 && report.d == 3);
    expect(x, label, 3, 3);
}

static void idx_is_read(void **state)
{
    static const char images[] = "\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02\x00\xff\x33\x66";
    static const char labels[] = "\0\0\x08\x01\0\0\0\x02\x07\x03";
    static const float x[] = {0, 1, 51 / 255.0f, 102 / 255.0f};
    static const int32_t label[] = {7, 3};
    ws_convert_options o = options("i.idx");
    ws_convert_report report;

    (void)state;
    put("i.idx", images, 20, 1);
    put("l.idx", labels, 10, 0);
    o.labels = "l.idx";
    assert_int_equal(ws_convert(&o, &report), WS_OK);
    expect(x, label, 2, 2);
    put("i.idx", images, 19, 0);
    assert_int_equal(ws_convert(&o, &report), WS_ERR_DATA);
    assert_true(says("i.idx is cut short"));
    put("l.idx", labels, 9, 0);
    put("i.idx", images, 20, 0);
    assert_int_equal(ws_convert(&o, &report), WS_ERR_DATA);
    assert_true(says("l.idx is cut short"));
}

static void faults_are_named_by_line_and_nothing_is_left(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {{"1,2,0\n1,x,0\n", "line 2, column 1"},
               {"1,2,0\n1,2\n", "line 2"},
               {"1,2,0\n1,2,3,4\n", "line 2"},
               {"1,2,0\n1,,0\n", "missing"},
               {"1,2,0\n1,2,red\n", "red"},
               {"1 1:2\n1 0:3\n", "line 2"},
               {"1 1:2\n1 2:3 1:1\n", "ascend"},
               {"1 1:2\n1 2:x\n", "line 2"},
               {"a,b,c\n", "no rows"}};
    ws_convert_options o = options("bad.txt");
    ws_convert_report report;

    (void)state;
    unlink("out.h5");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("bad.txt", bad[i].text, strlen(bad[i].text), 0);
        assert_true(ws_convert(&o, &report) != WS_OK);
        assert_true(says("bad.txt") && says(bad[i].says));
        assert_true(size_of("out.h5") == -1 && size_of("out.h5.tmp") == -1);
    }
    o.input = "none.txt";
    assert_int_equal(ws_convert(&o, &report), WS_ERR_IO);
    o.input = "bad.txt";
    o.output = "no/such/out.h5";
    put("bad.txt", "1,2,0\n", 6, 0);
    assert_int_equal(ws_convert(&o, &report), WS_ERR_IO);
    assert_true(says("no/such/out.h5"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(csv_is_read_with_and_without_header),
    cmocka_unit_test(libsvm_is_read),
    cmocka_unit_test(idx_is_read),
    cmocka_unit_test(faults_are_named_by_line_and_nothing_is_left),
};

WS_TEST_MAIN(tests)
