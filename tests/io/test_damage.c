/* Damage to a checkpoint, at random: one flipped bit, or a part that is gone. It is found before use
 * every time, the older one is used, and the user is told. WINGSPAN_TEST_DAMAGE=n: n bits, not 100. */
#include "io_util.h"

enum { ROWS = 4000, COLS = 6 };

static void save(const char *file, int64_t step)
{
    static float w[ROWS][COLS];
    ws_ckpt_writer *k;

    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) w[i][j] = (float)(i * 7 + j + step);
    assert_int_equal(ws_ckpt_create(&world, file, sizeof w, &k), WS_OK);
    assert_int_equal(ws_ckpt_put_int(k, "/progress", "step", step), WS_OK);
    assert_int_equal(ws_ckpt_put_text(k, "/options", "data", "digits.h5"), WS_OK);
    assert_int_equal(ws_ckpt_put_rows(k, "/model/w", WS_FLOAT32, ROWS, 0, ROWS, COLS, w), WS_OK);
    assert_int_equal(ws_ckpt_commit(&k, 2), WS_OK);
}

/* The damaged d.h5 is named, and d.h5.1 with step 1 is what is read. */
static void expect_older(const char *how, long at)
{
    ws_ckpt *c;
    int64_t step = 0;
    ws_err err = ws_ckpt_open(&world, "d.h5", 1, &c);

    if (err) fail_msg("%s %ld: %s", how, at, ws_err_text());
    if (!strstr(ws_ckpt_note(c), "d.h5 is") || !strstr(ws_ckpt_note(c), "d.h5.1 is used"))
        fail_msg("%s %ld is not told: %s", how, at, ws_ckpt_note(c));
    assert_int_equal(ws_ckpt_get_int(c, "/progress", "step", &step), WS_OK);
    assert_int_equal(step, 1);
    ws_ckpt_close(&c);
    assert_int_equal(ws_ckpt_open(&world, "d.h5", 0, &c), WS_ERR_DATA);
}

static void flip(long bit)
{
    FILE *f = fopen("d.h5", "r+b");
    int c;

    fseek(f, bit / 8, SEEK_SET);
    c = fgetc(f);
    fseek(f, bit / 8, SEEK_SET);
    fputc(c ^ 1 << bit % 8, f);
    fclose(f);
}

static void one_flipped_bit_is_found_every_time(void **state)
{
    const char *text = getenv("WINGSPAN_TEST_DAMAGE");
    long n = text ? atol(text) : 100, bits;
    uint64_t x = 88172645463325252u;

    (void)state;
    save("d.h5", 1);
    save("d.h5", 2);
    bits = 8 * size_of("d.h5");
    for (long k = 0; k < n; k++) {
        long bit;
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        /* a quarter of them in the head and its hashes */
        bit = (long)(x % (uint64_t)(k % 4 ? bits : 8 * 80));
        flip(bit);
        expect_older("bit", bit);
        flip(bit);
    }
}

static void a_file_cut_at_every_64th_is_found(void **state)
{
    long size;

    (void)state;
    for (int part = 0; part < 64; part++) {
        unlink("d.h5");
        unlink("d.h5.1");
        save("d.h5", 1);
        save("d.h5", 2);
        size = size_of("d.h5");
        assert_int_equal(truncate("d.h5", size * part / 64), 0);
        expect_older("cut at", size * part / 64);
    }
}

static void zeros_in_place_of_a_page_are_found(void **state)
{
    static const char zeros[4096];
    long size;

    (void)state;
    size = size_of("d.h5");
    save("d.h5", 1);
    save("d.h5", 2);
    size = size_of("d.h5");
    for (long at = 0; at + 4096 <= size; at += 8192) {
        char was[4096];
        FILE *f = fopen("d.h5", "r+b");
        fseek(f, at, SEEK_SET);
        assert_true(fread(was, 1, sizeof was, f) == sizeof was);
        fseek(f, at, SEEK_SET);
        fwrite(zeros, 1, sizeof zeros, f);
        fclose(f);
        if (memcmp(was, zeros, sizeof was) != 0) expect_older("zeros at", at);
        f = fopen("d.h5", "r+b");
        fseek(f, at, SEEK_SET);
        fwrite(was, 1, sizeof was, f);
        fclose(f);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_flipped_bit_is_found_every_time),
    cmocka_unit_test(a_file_cut_at_every_64th_is_found),
    cmocka_unit_test(zeros_in_place_of_a_page_are_found),
};

WS_TEST_MAIN(tests)
