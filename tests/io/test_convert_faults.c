/* Importers: files that would give a data set other than the one that was meant. */
#include "io_util.h"
#include "wingspan/io/convert.h"

static void put(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static ws_err convert(const char *input, const char *test, ws_convert_report *report)
{
    ws_convert_options o = {.format = "auto",
                            .input = input,
                            .test = test,
                            .label_column = "last",
                            .header = "auto",
                            .target = "auto",
                            .output = "out.h5"};

    return ws_convert(&o, report);
}

/* One fault, and two things the sentence must say; nothing is left behind. */
static void refuse(const char *train, const char *test, const char *a, const char *b)
{
    ws_convert_report report;

    put("train.txt", train);
    if (test) put("test.txt", test);
    assert_true(convert("train.txt", test ? "test.txt" : NULL, &report) == WS_ERR_DATA);
    if (!says(a) || !says(b)) print_message("%s\n", ws_err_text());
    assert_true(says(a) && says(b));
    assert_true(size_of("out.h5") == -1 && size_of("out.h5.tmp") == -1);
}

static void values_that_are_not_finite_are_named_by_line(void **state)
{
    (void)state;
    refuse("1,2,0\n1,nan,0\n", NULL, "train.txt, line 2", "column 1");
    refuse("1,2,0\n1,1e39,0\n", NULL, "train.txt, line 2", "column 1");
    refuse("1,2,0\n1,2,inf\n", NULL, "train.txt, line 2", "column 2");
    refuse("1 1:2\n1 2:nan\n", NULL, "train.txt, line 2", "finite");
    refuse("1 1:2\nnan 2:1\n", NULL, "train.txt, line 2", "finite");
}

static void the_columns_of_the_test_file_are_those_of_the_training_file(void **state)
{
    ws_convert_report report;

    (void)state;
    refuse("a,b,y\n1,2,0\n", "b,a,y\n1,2,0\n", "test.txt, line 1", "\"b\"");
    refuse("a,b,y\n1,2,0\n", "1,2,0\n1,2,0\n", "test.txt, line 1", "\"1\"");
    refuse("1,2,0\n", "\n", "test.txt", "no rows");
    refuse("1 1:2\n", "\n", "test.txt", "no rows");
    put("train.txt", "a,\"b\",y\n1,2,0\n");
    put("test.txt", "\"a\", b,y\n1,2,0\n");
    assert_int_equal(convert("train.txt", "test.txt", &report), WS_OK);
    unlink("out.h5");
}

static void labels_are_words_or_numbers_but_not_both(void **state)
{
    (void)state;
    refuse("1,2,red\n1,2,0\n", NULL, "train.txt, line 2", "--header yes");
    refuse("1,2,red\n1,2,blue\n", "1,2,red\n1,2,green\n", "test.txt, line 2", "\"green\"");
    refuse("1,2,0\n1,2,1\n", "1,2,red\n", "test.txt, line 1", "red");
}

static void a_byte_order_mark_is_no_part_of_the_first_field(void **state)
{
    ws_convert_report report;

    (void)state;
    put("train.txt", "\xef\xbb\xbf"
                     "1,2,0\n3,4,1\n");
    assert_int_equal(convert("train.txt", NULL, &report), WS_OK);
    assert_true(report.n == 2 && report.d == 2);
    unlink("out.h5");
}

static void put_bytes(const char *file, const char *bytes, size_t n)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    assert_true(fwrite(bytes, 1, n, f) == n);
    fclose(f);
}

/* A crash of the system leaves zeros where text was; lines must not grow together over them. */
static void a_zero_byte_is_found_wherever_it_is(void **state)
{
    static const char *const files[] = {"1,2,0\n3,_4,1\n", "1,2,0\n_3,4,1\n", "1,2,0\n3,4,1_\n",
                                        "1,2,0\n3,4,1\n_"};
    char bytes[40];

    (void)state;
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        ws_convert_report report;
        size_t n = strlen(files[k]);

        strcpy(bytes, files[k]);
        *strchr(bytes, '_') = 0;
        put_bytes("z.csv", bytes, n);
        assert_true(convert("z.csv", NULL, &report) == WS_ERR_DATA);
        assert_true(says("z.csv, line") && says("zero byte") && size_of("out.h5") == -1);
    }
}

static void an_idx_file_ends_where_its_head_says(void **state)
{
    static const char more[] = "\0\0\x08\x02\0\0\0\x02\0\0\0\x01\1\2\3";
    ws_convert_report report;

    (void)state;
    put_bytes("m.idx", more, sizeof more - 1);
    assert_true(convert("m.idx", NULL, &report) == WS_ERR_DATA && says("longer than its head"));
    put_bytes("m.idx", more, sizeof more - 2);
    assert_true(convert("m.idx", NULL, &report) == WS_OK);
    unlink("out.h5");
}

static void labels_at_the_ends_of_what_fits_are_no_classes(void **state)
{
    ws_convert_report report;

    (void)state;
    put("big.csv", "1,2,2147483647\n3,4,0\n");
    assert_true(convert("big.csv", NULL, &report) == WS_OK && report.classes == 0);
    unlink("out.h5");
    refuse("1,2,wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"
           "wwwwwwwwwwwwwwwwwwwwwww\n",
           NULL, "train.txt, line 1", "longer than 99");
}

static void the_input_is_never_written_over(void **state)
{
    ws_convert_report report;

    (void)state;
    put("out.h5", "1,2,0\n");
    assert_int_equal(convert("out.h5", NULL, &report), WS_ERR_USAGE);
    assert_true(says("out.h5") && size_of("out.h5") == 6);
    unlink("out.h5");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(values_that_are_not_finite_are_named_by_line),
    cmocka_unit_test(the_columns_of_the_test_file_are_those_of_the_training_file),
    cmocka_unit_test(labels_are_words_or_numbers_but_not_both),
    cmocka_unit_test(a_byte_order_mark_is_no_part_of_the_first_field),
    cmocka_unit_test(a_zero_byte_is_found_wherever_it_is),
    cmocka_unit_test(an_idx_file_ends_where_its_head_says),
    cmocka_unit_test(labels_at_the_ends_of_what_fits_are_no_classes),
    cmocka_unit_test(the_input_is_never_written_over),
};

WS_TEST_MAIN(tests)
