/* JSON Lines: every number reads back, and a resumed run drops what came after its checkpoint. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ws_test.h"

#include "wingspan/core/metrics.h"

static char text[4000];

static const char *content(void)
{
    FILE *f = fopen("m.jsonl", "r");
    size_t n = fread(text, 1, sizeof text - 1, f);

    fclose(f);
    text[n] = 0;
    return text;
}

static void step(ws_metrics *m, int64_t k)
{
    ws_metrics_begin(m, "step");
    ws_metrics_int(m, "step", k);
    assert_int_equal(ws_metrics_end(m), WS_OK);
}

static void numbers_and_texts_come_back(void **state)
{
    double v = nextafter(0.1, 1);
    ws_metrics *m;
    char *at;

    (void)state;
    assert_int_equal(ws_metrics_open("m.jsonl", -1, &m), WS_OK);
    ws_metrics_begin(m, "run");
    ws_metrics_real(m, "v", v);
    ws_metrics_real(m, "none", NAN);
    ws_metrics_text(m, "t", "a \"b\"\n\\");
    ws_metrics_flag(m, "f", 1);
    assert_int_equal(ws_metrics_end(m), WS_OK);
    ws_metrics_close(&m);
    at = strstr(content(), "\"v\":");
    assert_true(strtod(at + 4, NULL) == v);
    assert_non_null(strstr(text, "\"none\":null,\"t\":\"a \\\"b\\\"\\n\\\\\",\"f\":true}\n"));
}

static void resuming_drops_later_steps_the_end_and_a_torn_line(void **state)
{
    ws_metrics *m;
    FILE *f;

    (void)state;
    assert_int_equal(ws_metrics_open("m.jsonl", -1, &m), WS_OK);
    ws_metrics_begin(m, "run");
    assert_int_equal(ws_metrics_end(m), WS_OK);
    for (int64_t k = 1; k <= 5; k++) step(m, k);
    ws_metrics_begin(m, "end");
    assert_int_equal(ws_metrics_end(m), WS_OK);
    ws_metrics_close(&m);
    f = fopen("m.jsonl", "a");
    fputs("{\"type\":\"step\",\"step\":2", f);
    fclose(f);

    assert_int_equal(ws_metrics_open("m.jsonl", 3, &m), WS_OK);
    step(m, 4);
    ws_metrics_close(&m);
    assert_string_equal(content(), "{\"type\":\"run\"}\n{\"type\":\"step\",\"step\":1}\n"
                                   "{\"type\":\"step\",\"step\":2}\n"
                                   "{\"type\":\"step\",\"step\":3}\n"
                                   "{\"type\":\"step\",\"step\":4}\n");
}

static void a_file_that_cannot_be_is_an_error(void **state)
{
    ws_metrics *m;

    (void)state;
    assert_int_equal(ws_metrics_open("no/such/folder.jsonl", -1, &m), WS_ERR_IO);
    assert_null(m);
    assert_non_null(strstr(ws_err_text(), "no/such/folder.jsonl"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_and_texts_come_back),
    cmocka_unit_test(resuming_drops_later_steps_the_end_and_a_torn_line),
    cmocka_unit_test(a_file_that_cannot_be_is_an_error),
};

WS_TEST_MAIN(tests)
