/*
 * Texts, ids, times, decimals and statuses as values.
 */
#include "kumiko/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static void views_compare_by_their_bytes(void **state)
{
    (void)state;
    assert_true(ku_str_equal((ku_str){0}, KU_STR("")));
    assert_true(ku_str_is(ku_str_from(NULL), ""));
    assert_false(ku_str_is(KU_STR("abc"), "ab"));
    assert_false(ku_str_equal(KU_STR("abc"), KU_STR("abd")));
    assert_true(ku_str_is((ku_str){"abcdef", 3}, "abc"));
}

/* ---- ids ------------------------------------------------------------------------------------- */

static void an_id_is_read_in_either_case_and_written_in_lower(void **state)
{
    (void)state;
    ku_id id;
    char text[37];
    assert_true(ku_id_parse(KU_STR("01A20975-37a7-75BA-a4ee-c413be86dc57"), &id));
    ku_id_format(id, text);
    assert_string_equal(text, "01a20975-37a7-75ba-a4ee-c413be86dc57");
    assert_false(ku_id_is_nil(id));
    assert_true(ku_id_is_nil((ku_id){{0}}));
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "01a20975-37a7-75ba-a4ee-c413be86dc5",
        "01a20975-37a7-75ba-a4ee-c413be86dc577", "01a20975037a7-75ba-a4ee-c413be86dc57",
        "01a20975-37a7-75ba-a4ee-c413be86dc5g", "01a20975-37a7-75ba-a4ee c413be86dc57",
        "{1a20975-37a7-75ba-a4ee-c413be86dc5}", "01a2097537a775baa4eec413be86dc57"};
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        ku_id id = {{42}};
        assert_false(ku_id_parse(ku_str_from(bad[i]), &id));
        assert_int_equal(id.bytes[0], 42);
    }
}

/* ---- times ----------------------------------------------------------------------------------- */

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01T00:00:00Z",              0                          },
        {"1970-01-01T00:00:00.000001Z",       1                          },
        {"1969-12-31T23:59:59.999999Z",       -1                         },
        {"2026-11-23T17:30:06.627Z",          INT64_C(1795455006627000)  },
        {"2026-11-23T18:30:06.627+01:00",     INT64_C(1795455006627000)  },
        {"2026-11-23T12:00:06.627-05:30",     INT64_C(1795455006627000)  },
        {"2026-11-23T17:30:06.627000999999Z", INT64_C(1795455006627000)  },
        {"2026-11-23T17:30:06.6Z",            INT64_C(1795455006600000)  },
        {"2024-02-29T00:00:00Z",              INT64_C(1709164800000000)  },
        {"2000-02-29T23:59:59-00:00",         INT64_C(951868799000000)   },
        {"0001-01-01T00:00:00Z",              INT64_C(-62135596800000000)},
        {"9999-12-31T23:59:59.999999Z",       INT64_C(253402300799999999)},
        {"1900-03-01T00:00:00Z",              INT64_C(-2203891200000000) },
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        ku_time time;
        assert_true(ku_time_parse(ku_str_from(cases[i].text), &time));
        assert_int_equal(time.unix_us, cases[i].us);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "2026-11-23", "2026-11-23T17:30:06", "2026-11-23T17:30Z",
        "2026-11-23 17:30:06Z", "2026-11-23t17:30:06Z", "2026-11-23T17:30:06z",
        "2026-11-23T17:30:06.Z", "2026-11-23T17:30:06,5Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+01:60",
        "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00Z ",
        " 2026-01-01T00:00:00Z", "+2026-01-01T00:00:00Z", "2026-01-01T00:00:0-Z",
        "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01", "20260101T000000Z....",
        "2026-01-01T00:00:00.123"};
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        ku_time time = {42};
        assert_false(ku_time_parse(ku_str_from(bad[i]), &time));
        assert_int_equal(time.unix_us, 42);
    }
}

static void every_day_of_the_calendar_is_written_as_the_c_library_has_it(void **state)
{
    (void)state;
    for (int64_t day = -719162; day <= 2932896; day++) {
        char expected[80], text[25];
        time_t seconds = (time_t)(day * 86400 + 86399);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT23:59:59.001Z",
            tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
        ku_time time = {(int64_t)seconds * 1000000 + 1999}, again;
        ku_time_format(time, text);
        if (strcmp(text, expected) != 0)
            fail_msg("%s is not %s", text, expected);
        assert_true(ku_time_parse((ku_str){text, 24}, &again));
        assert_int_equal(again.unix_us, time.unix_us - 999);
    }
}

static void the_milliseconds_before_1970_are_those_of_the_clock(void **state)
{
    (void)state;
    char text[25];
    ku_time_format((ku_time){-1}, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    ku_time_format((ku_time){-1000001}, text);
    assert_string_equal(text, "1969-12-31T23:59:58.999Z");
}

static void a_time_without_a_text_is_written_as_the_nearest(void **state)
{
    (void)state;
    char text[25];
    ku_time_format((ku_time){INT64_MAX}, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    ku_time_format((ku_time){INT64_MIN}, text);
    assert_string_equal(text, "0001-01-01T00:00:00.000Z");
}

/* ---- decimals -------------------------------------------------------------------------------- */

static void decimals_keep_their_digits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t units;
        int32_t scale;
    } cases[] = {
        {"0",                  0,                           0},
        {"12.50",              1250,                        2},
        {"-12.50",             -1250,                       2},
        {"-0.05",              -5,                          2},
        {"999999999999999999", INT64_C(999999999999999999), 0},
        {"1.0",                10,                          1},
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        ku_decimal decimal;
        char text[24];
        assert_true(ku_decimal_parse(ku_str_from(cases[i].text), &decimal));
        assert_int_equal(decimal.units, cases[i].units);
        assert_int_equal(decimal.scale, cases[i].scale);
        ku_decimal_format((ku_decimal){cases[i].units, cases[i].scale}, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void the_longest_decimals_are_written(void **state)
{
    (void)state;
    char text[24];
    ku_decimal_format((ku_decimal){INT64_MIN, 0}, text);
    assert_string_equal(text, "-9223372036854775808");
    ku_decimal_format((ku_decimal){INT64_MIN, 18}, text);
    assert_string_equal(text, "-9.223372036854775808");
    ku_decimal_format((ku_decimal){-1, 18}, text);
    assert_string_equal(text, "-0.000000000000000001");
}

static void what_is_no_decimal_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-", "+1", ".5", "5.", "1.2.3", "1e5", " 1", "1 ", "0x1",
        "1000000000000000000", "0.1234567890123456789", "--1", "1,5", "-.5", "1.-5"};
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        ku_decimal decimal = {42, 7};
        assert_false(ku_decimal_parse(ku_str_from(bad[i]), &decimal));
        assert_int_equal(decimal.units, 42);
    }
}

static void rescaling_never_loses_a_digit(void **state)
{
    (void)state;
    ku_decimal out = {0};
    assert_true(ku_decimal_rescale((ku_decimal){125, 1}, 2, &out));
    assert_int_equal(out.units, 1250);
    assert_int_equal(out.scale, 2);
    assert_true(ku_decimal_rescale((ku_decimal){-1250, 2}, 1, &out));
    assert_int_equal(out.units, -125);
    assert_false(ku_decimal_rescale((ku_decimal){125, 2}, 1, &out));
    assert_false(ku_decimal_rescale((ku_decimal){INT64_MAX, 0}, 1, &out));
    assert_false(ku_decimal_rescale((ku_decimal){1, 0}, 19, &out));
    assert_false(ku_decimal_rescale((ku_decimal){1, 0}, -1, &out));
    assert_false(ku_decimal_rescale((ku_decimal){1, 19}, 2, &out));
    assert_int_equal(out.units, -125);
}

static void decimals_compare_by_value(void **state)
{
    (void)state;
    assert_int_equal(ku_decimal_compare((ku_decimal){125, 1}, (ku_decimal){1250, 2}), 0);
    assert_true(ku_decimal_compare((ku_decimal){125, 1}, (ku_decimal){1251, 2}) < 0);
    assert_true(ku_decimal_compare((ku_decimal){-1, 0}, (ku_decimal){-1001, 3}) > 0);
    assert_true(ku_decimal_compare((ku_decimal){INT64_MAX, 0}, (ku_decimal){INT64_MAX, 18}) > 0);
    assert_true(ku_decimal_compare((ku_decimal){INT64_MIN, 0}, (ku_decimal){INT64_MIN, 18}) < 0);
}

/* ---- statuses -------------------------------------------------------------------------------- */

static void every_status_has_its_facts(void **state)
{
    (void)state;
    assert_string_equal(ku_status_code(KU_OK), "ok");
    assert_int_equal(ku_status_http(KU_OK), 200);
    assert_int_equal(ku_status_exit(KU_OK), 0);
    assert_string_equal(ku_status_code(KU_INVALID), "validation_error");
    assert_string_equal(ku_status_i18n_key(KU_VERSION_CONFLICT), "errors.versionConflict");
    assert_int_equal(ku_status_http(KU_REFUSED), 422);
    assert_string_equal(ku_status_text(KU_INVALID), "Validation failed");
    assert_int_equal(ku_status_exit(KU_UNAVAILABLE), 75);
    for (int status = KU_OK; status <= KU_UNAVAILABLE; status++) {
        assert_true(strlen(ku_status_code((ku_status)status)) > 0);
        assert_in_range(ku_status_http((ku_status)status), 200, 599);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare_by_their_bytes),
        cmocka_unit_test(an_id_is_read_in_either_case_and_written_in_lower),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(every_day_of_the_calendar_is_written_as_the_c_library_has_it),
        cmocka_unit_test(the_milliseconds_before_1970_are_those_of_the_clock),
        cmocka_unit_test(a_time_without_a_text_is_written_as_the_nearest),
        cmocka_unit_test(decimals_keep_their_digits),
        cmocka_unit_test(the_longest_decimals_are_written),
        cmocka_unit_test(what_is_no_decimal_is_refused),
        cmocka_unit_test(rescaling_never_loses_a_digit),
        cmocka_unit_test(decimals_compare_by_value),
        cmocka_unit_test(every_status_has_its_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
