/* One table: command line, ini file, checks, help, and the way back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/options.h"

typedef struct options {
    char kind[WS_OPT_TEXT], config[WS_OPT_TEXT];
    int64_t width;
    double rate;
    int loud;
} options;

#define F(x) offsetof(options, x)

static const ws_opt rows[] = {
    {"kind", WS_OPT_STR, F(kind), "scan", "scan|dtree", "First", "which kind", 0},
    {"width", WS_OPT_INT, F(width), "16", "[1,2^40]", "First", "how wide", 0},
    {"rate", WS_OPT_REAL, F(rate), "auto", "auto|(0,1]", "Second", "how fast", 0},
    {"loud", WS_OPT_FLAG, F(loud), "no", "", "Second", "say more", 0},
    {"config", WS_OPT_STR, F(config), "", "", "Second", "an ini file", 0},
    {NULL, WS_OPT_STR, 0, NULL, NULL, NULL, NULL, 0},
};

static options o;
static ws_opt_given given;
static int n_words, help;

static ws_err parse(const char *line)
{
    static char copy[1000];
    static char *argv[40];
    const char *words[2];
    int argc = 0;
    char *save, *word;

    snprintf(copy, sizeof copy, "%s", line);
    for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    return ws_options_parse(rows, argc, argv, &o, &given, words, 2, &n_words, &help);
}

static void numbers_are_read_in_every_spelling(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } table[] = {{"65536", 65536}, {"2^20", 1048576}, {"1e6", 1000000},
                 {"64k", 64000},   {"64Ki", 65536},   {"1MiB", 1048576}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char line[100];
        snprintf(line, sizeof line, "--width %s", table[i].text);
        assert_int_equal(parse(line), WS_OK);
        assert_true(o.width == table[i].value);
    }
}

static void the_command_line_beats_the_file_which_beats_the_default(void **state)
{
    FILE *f = fopen("o.ini", "w");

    (void)state;
    fputs("[anything]\nwidth = 32\nkind = dtree\n", f);
    fclose(f);
    assert_int_equal(parse("--width 64 --config o.ini"), WS_OK);
    assert_true(o.width == 64 && strcmp(o.kind, "dtree") == 0 && isnan(o.rate));
    assert_true(given.from[0] == 1 && given.from[1] == 2 && given.from[2] == 0);
    assert_int_equal(parse("--config=o.ini --loud"), WS_OK);
    assert_true(o.width == 32 && o.loud == 1);
}

static void every_mistake_is_named_at_once_with_the_nearest_name(void **state)
{
    const char *t;

    (void)state;
    assert_int_equal(parse("--widht 3 --rate 2 --kind scam --width 1.5 a b c --loud"),
                     WS_ERR_USAGE);
    t = ws_err_text();
    assert_non_null(strstr(t, "--widht; did you mean --width?"));
    assert_non_null(strstr(t, "--rate 2 is not valid: it must be auto or a number in (0,1]"));
    assert_non_null(strstr(t, "did you mean scan?"));
    assert_non_null(strstr(t, "--width 1.5"));
    assert_non_null(strstr(t, "c is one word too many"));
    assert_int_equal(parse("--width"), WS_ERR_USAGE);
    assert_string_equal(ws_err_text(), "--width needs a value");
    assert_int_equal(parse("--width --loud"), WS_ERR_USAGE);
    assert_int_equal(parse("--width 0"), WS_ERR_USAGE);
    assert_int_equal(parse("--width nan"), WS_ERR_USAGE);
    assert_int_equal(parse("-x"), WS_ERR_USAGE);
}

static void mistakes_in_the_file_name_the_file(void **state)
{
    FILE *f = fopen("bad.ini", "w");

    (void)state;
    fputs("widht = 32\nrate = -1\n", f);
    fclose(f);
    assert_int_equal(parse("--config bad.ini"), WS_ERR_USAGE);
    assert_non_null(strstr(ws_err_text(), "bad.ini"));
    assert_non_null(strstr(ws_err_text(), "--width"));
    assert_non_null(strstr(ws_err_text(), "--rate -1"));
    assert_int_equal(parse("--config none.ini"), WS_ERR_USAGE);
    assert_non_null(strstr(ws_err_text(), "none.ini"));
}

static void a_value_written_as_text_reads_back_to_the_same_bits(void **state)
{
    options copy;
    char text[WS_OPT_TEXT];

    (void)state;
    assert_int_equal(parse("--rate 0.1 --width 1099511627775 --kind dtree --loud"), WS_OK);
    o.rate = nextafter(0.3, 1);
    memset(&copy, 0, sizeof copy);
    for (const ws_opt *row = rows; row->name; row++) {
        ws_option_text(row, &o, text, sizeof text);
        assert_int_equal(ws_option_set(row, text, &copy), WS_OK);
    }
    assert_true(copy.rate == o.rate && copy.width == o.width && copy.loud == 1);
    assert_string_equal(copy.kind, "dtree");
}

static void words_may_stand_before_the_range_of_a_number(void **state)
{
    static const ws_opt row = {"pace", WS_OPT_REAL, F(rate), "half", "auto|half|whole|(0,inf)",
                               "",     "how fast",  0};
    static const char *const words[] = {"auto", "half", "whole", "0.25"};
    char text[WS_OPT_TEXT];

    (void)state;
    for (int k = 0; k < 4; k++) {
        assert_int_equal(ws_option_set(&row, words[k], &o), WS_OK);
        assert_true(k == 0 ? isnan(o.rate) : k < 3 ? o.rate == -k : o.rate == 0.25);
        assert_int_equal(ws_option_is_word(&row, &o), k < 3);
        ws_option_text(&row, &o, text, sizeof text);
        assert_string_equal(text, words[k]);
    }
    assert_int_equal(ws_option_set(&row, "hal", &o), WS_ERR_USAGE);
    assert_int_equal(ws_option_set(&row, "-1", &o), WS_ERR_USAGE);
    assert_non_null(strstr(ws_err_text(), "it must be auto|half|whole or a number in (0,inf)"));
    o.rate = -3;
    assert_false(ws_option_is_word(&row, &o));
    assert_int_equal(ws_option_set(&rows[2], "half", &o), WS_ERR_USAGE);
}

static void help_is_asked_for_and_fits_the_screen(void **state)
{
    char *text = ws_options_help(rows);

    (void)state;
    assert_int_equal(parse("--width what --help"), WS_OK);
    assert_true(help == 1);
    assert_non_null(text);
    assert_non_null(strstr(text, "--rate auto|N"));
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
        assert_true(strcspn(at, "\n") <= 100);
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_are_read_in_every_spelling),
    cmocka_unit_test(the_command_line_beats_the_file_which_beats_the_default),
    cmocka_unit_test(every_mistake_is_named_at_once_with_the_nearest_name),
    cmocka_unit_test(mistakes_in_the_file_name_the_file),
    cmocka_unit_test(a_value_written_as_text_reads_back_to_the_same_bits),
    cmocka_unit_test(words_may_stand_before_the_range_of_a_number),
    cmocka_unit_test(help_is_asked_for_and_fits_the_screen),
};

WS_TEST_MAIN(tests)
