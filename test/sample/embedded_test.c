/*
 * The library inside a program, without a server: the sample runs, and what it wrote is there when
 * it runs again.
 */
#include "sample/sample.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_embedded_prints_stock(sample *s, int bolts, int nuts)
{
    static const char *const argv[] = {TEST_BIN_DIR "/embedded", "stock.db", NULL};
    char *output = NULL;
    int exit_code = process_run(argv, NULL, s->dir, &output);
    const char *wanted = sample_format(s,
        "{\"isSuccess\":true,\"data\":null}\n{\"isSuccess\":true,\"data\":null}\n"
        "{\"data\":[{\"tenantId\":\"" TEST_TENANT "\",\"sku\":\"bolt\",\"quantity\":%d},"
        "{\"tenantId\":\"" TEST_TENANT "\",\"sku\":\"nut\",\"quantity\":%d}]}\n",
        bolts, nuts);
    assert_string_equal(output, wanted);
    assert_int_equal(exit_code, 0);
    free(output);
}

static void the_embedded_sample_remembers(void **state)
{
    assert_embedded_prints_stock(*state, 100, 40);
    assert_embedded_prints_stock(*state, 200, 80);
}

static void the_embedded_sample_says_why_it_cannot(void **state)
{
    sample *s = *state;
    static const char *const argv[] = {TEST_BIN_DIR "/embedded", "no/such/folder/stock.db", NULL};
    char *output = NULL;
    int exit_code = process_run(argv, NULL, s->dir, &output);
    assert_int_not_equal(exit_code, 0);
    assert_non_null(strstr(output, "no/such/folder"));
    free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(the_embedded_sample_remembers),
        FOLDER_TEST(the_embedded_sample_says_why_it_cannot),
    };
    return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
