/*
 * JSON: what is let through and what is not, the tree, exact numbers, writing.
 */
#include "base/json.h"
#include "base/limits.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fixture --------------------------------------------------------------------------------- */

static arena memory;

static int empty_memory(void **state)
{
    (void)state;
    arena_done(&memory);
    return 0;
}

static ku_json *parse(const char *text)
{
    ku_json *json = NULL;
    json_error error = {0};
    if (!json_parse(&memory, ku_str_from(text), LIMIT_JSON_DEPTH, &json, &error))
        fail_msg("%s: %s (%s)", text, error.code, error.what);
    return json;
}

static const char *write_json(const ku_json *json)
{
    buffer out = {.arena = &memory};
    json_put(&out, json);
    return buffer_str(&out).ptr;
}

static json_error refusal(ku_str text, int depth_max)
{
    ku_json *json = (ku_json *)&memory;
    json_error error = {0};
    if (json_parse(&memory, text, depth_max, &json, &error))
        fail_msg("%" KU_PRI " was let through", KU_FMT(text));
    assert_ptr_equal(json, &memory);
    return error;
}

/* ---- conformance ----------------------------------------------------------------------------- */

static void what_rfc_8259_allows_is_read_and_written_back(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* NULL: as it came */
    } cases[] = {
        {"null",                                       NULL                                  },
        {"true",                                       NULL                                  },
        {"false",                                      NULL                                  },
        {"0",                                          NULL                                  },
        {"-0",                                         NULL                                  },
        {"-0.0",                                       NULL                                  },
        {"1e400",                                      NULL                                  },
        {"1E+2",                                       NULL                                  },
        {"1e-7",                                       NULL                                  },
        {"0.10",                                       NULL                                  },
        {"-12.5e10",                                   NULL                                  },
        {"9007199254740993",                           NULL                                  },
        {"123456789012345678901234567890",             NULL                                  },
        {"0.1234567890123456789012345678901234567890", NULL                                  },
        {"\"\"",                                       NULL                                  },
        {"\"a\"",                                      NULL                                  },
        {" \t\r\n1 \t\r\n",                            "1"                                   },
        {"[]",                                         NULL                                  },
        {"{}",                                         NULL                                  },
        {"[ ]",                                        "[]"                                  },
        {"{ }",                                        "{}"                                  },
        {"[1,2,3]",                                    NULL                                  },
        {"[1 , [ ] , { } ]",                           "[1,[],{}]"                           },
        {"{\"a\":1,\"b\":[true,null]}",                NULL                                  },
        {"{\"\":\"\"}",                                NULL                                  },
        {"{\"a\":{\"a\":{\"a\":1}}}",                  NULL                                  },
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",             "\"\\\"\\\\/\\b\\f\\n\\r\\t\""        },
        {"\"\\u0041\\u00e9\\u20AC\"",                  "\"A\xc3\xa9\xe2\x82\xac\""           },
        {"\"\\ud83d\\ude00\"",                         "\"\xf0\x9f\x98\x80\""                },
        {"\"\\uD800\\uDC00\\udbff\\udfff\"",           "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        {"\"\\u0000\\u001f\"",                         "\"\\u0000\\u001f\""                  },
        {"\"\x7f\"",                                   NULL                                  },
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",   NULL                                  },
        {"\"\\uffff\"",                                "\"\xef\xbf\xbf\""                    },
        {"\"[1,2]{}:,\"",                              NULL                                  },
        {"\"a\\\\\"",                                  NULL                                  },
        {"[\"a\" ,\"b\"\n]",                           "[\"a\",\"b\"]"                       },
        {"{\"a\"\n:\t\"b\"}",                          "{\"a\":\"b\"}"                       },
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++)
        assert_string_equal(
            write_json(parse(cases[i].in)), cases[i].out != NULL ? cases[i].out : cases[i].in);
}

static void what_rfc_8259_forbids_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " ", "\n", "nul", "nulll", "True", "truefalse",
        "true false", "NaN", "Infinity", "-Infinity", "undefined", "'a'", "a", "+1", "01", "-01",
        "00", "1.", ".5", "-", "-.5", "1e", "1e+", "1.e5", "0x10", "1_000", "1,000", "- 1", "1 2",
        "1a", "1\"\"", "\"\"1", "\"", "\"a", "\"a\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\u123g\"",
        "\"\\u\"", "\"\\'\"", "\"\\0\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"a\nb\"", "\"\t\"", "\"\x1f\"", "[", "]", "{", "}",
        "[1", "[1,", "[1,]", "[,]", "[,1]", "[1,,2]", "[1 2]", "[1:2]", "[\"a\":1]", "[\"a\"\"b\"]",
        "[\"a\"true]", "[true\"a\"]", "[1]]", "[}", "{]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{,}", "{\"a\":1 \"b\":2}", "{\"a\" 1}", "{\"a\"::1}", "{a:1}", "{1:1}", "{'a':1}",
        "{\"a\":1}}", "{\"a\":1}{}", "{\"a\":1},", "{null:1}", "{[]:1}", "[1]x", "// c\n1",
        "/* c */ 1", "1 // c", "\xef\xbb\xbf{}", "[\xc2\xa0]", "{\"a\":tru}", "[truex]", "[nul]",
        "[1.2.3]", "[1e5e5]", "[--1]", "\"\x80\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"",
        "\"\xf5\x80\x80\x80\"", "\"\xe0\x80\xaf\"", "[\xff]", "\xfe\xff", "\f1", "1\v"};
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        json_error error = refusal(ku_str_from(bad[i]), LIMIT_JSON_DEPTH);
        assert_string_equal(error.code, "invalid_json");
        assert_int_equal(error.path.len, 0);
        assert_true(strlen(error.what) > 0);
    }
}

static void a_nul_outside_and_inside_of_strings_is_refused(void **state)
{
    (void)state;
    assert_string_equal(refusal((ku_str){"1\0", 2}, 64).code, "invalid_json");
    assert_string_equal(refusal((ku_str){"\0", 1}, 64).code, "invalid_json");
    assert_string_equal(refusal((ku_str){"[1,\0]", 5}, 64).code, "invalid_json");
    assert_string_equal(refusal((ku_str){"\"a\0b\"", 5}, 64).code, "invalid_json");
}

static void every_cut_of_a_document_is_refused(void **state)
{
    (void)state;
    static const char text[] = "{\"list\":[1,-2.5e3,\"t\\u00e9xt\\n\",true,false,null,{\"deep\":[[]"
                               "]}],\"z\":\"\xc3\xa9\"}";
    (void)parse(text);
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        char *exact = malloc(len + 1); /* so that reading beyond it is found */
        memcpy(exact, text, len);
        assert_string_equal(refusal((ku_str){exact, len}, 64).code, "invalid_json");
        free(exact);
    }
}

static void documents_of_every_length_around_a_block_are_read(void **state)
{
    (void)state;
    for (int len = 0; len < 300; len++) {
        char text[400];
        (void)snprintf(text, sizeof(text), "[\"%0*d\",{\"k\":%d}]", len, 0, len);
        assert_string_equal(write_json(parse(text)), text);
        (void)snprintf(text, sizeof(text), "%*s", len + 2, "7");
        assert_string_equal(write_json(parse(text)), "7");
    }
}

static void a_large_document_is_read_and_a_small_one_after_it(void **state)
{
    (void)state;
    buffer text = {0};
    buffer_add_char(&text, '[');
    for (int i = 0; i < 100000; i++)
        buffer_format(&text, "%s{\"index\":%d}", i > 0 ? "," : "", i);
    buffer_add_char(&text, ']');
    for (int round = 0; round < 2; round++) {
        ku_json *json;
        json_error error;
        assert_true(json_parse(&memory, buffer_str(&text), 64, &json, &error));
        assert_int_equal(json->count, 100000);
        assert_string_equal(write_json(json), buffer_str(&text).ptr);
        assert_string_equal(write_json(parse("{\"a\":1}")), "{\"a\":1}");
    }
    buffer_done(&text);
}

/* ---- duplicate keys and depth ---------------------------------------------------------------- */

static void duplicate_keys_are_refused_with_their_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"{\"a\":1,\"a\":2}",                     "a"      },
        {"{\"a\":1,\"b\":2,\"\\u0061\":3}",       "a"      },
        {"{\"\":1,\"\":2}",                       ""       },
        {"{\"x\":{\"y\":[0,{\"a\":1,\"a\":1}]}}", "x.y.1.a"},
        {"[[],[{\"k\":{\"e\":0,\"e\":0}}]]",      "1.0.k.e"},
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        json_error error = refusal(ku_str_from(cases[i].text), 64);
        assert_string_equal(error.code, "duplicate_key");
        assert_true(ku_str_is(error.path, cases[i].path));
    }
    (void)parse("{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}],\"A\":1}");
}

static void duplicate_keys_are_found_in_objects_of_any_size(void **state)
{
    (void)state;
    for (int size = 2; size <= 40; size++) {
        for (int twice = 0; twice < size - 1; twice++) {
            buffer text = {.arena = &memory};
            buffer_add_char(&text, '{');
            for (int i = 0; i < size - 1; i++)
                buffer_format(&text, "\"key%d\":%d,", i, i);
            buffer_format(&text, "\"key%d\":0}", twice);
            json_error error = refusal(buffer_str(&text), 64);
            assert_string_equal(error.code, "duplicate_key");
            assert_int_equal(atoi(error.path.ptr + 3), twice);
        }
    }
}

static void an_object_with_very_many_members_is_read(void **state)
{
    (void)state;
    buffer text = {0};
    buffer_add_char(&text, '{');
    for (int i = 0; i < 100000; i++)
        buffer_format(&text, "%s\"%d\":0", i > 0 ? "," : "", i);
    buffer_add_char(&text, '}');
    ku_json *json;
    json_error error;
    assert_true(json_parse(&memory, buffer_str(&text), 64, &json, &error));
    assert_int_equal(json->count, 100000);
    buffer_done(&text);
}

static void nesting_is_let_through_up_to_the_limit(void **state)
{
    (void)state;
    for (int depth = 0; depth <= 100; depth++) {
        char text[256];
        int n = 0;
        for (int i = 0; i < depth; i++)
            text[n++] = '[';
        if (depth == 0)
            text[n++] = '1';
        for (int i = 0; i < depth; i++)
            text[n++] = ']';
        text[n] = '\0';
        if (depth <= LIMIT_JSON_DEPTH)
            assert_int_equal(json_depth(parse(text)), depth);
        else
            assert_string_equal(refusal(ku_str_from(text), LIMIT_JSON_DEPTH).code, "too_deep");
    }
    assert_string_equal(refusal(KU_STR("{\"a\":{}}"), 1).code, "too_deep");
    assert_string_equal(refusal(KU_STR("[]"), 0).code, "too_deep");
    assert_int_equal(json_depth(parse("{\"a\":1,\"b\":[[],1],\"c\":{}}")), 3);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void whole_numbers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        json_whole whole;
        int64_t value;
    } cases[] = {
        {"0",                         JSON_WHOLE,     0                        },
        {"-0",                        JSON_WHOLE,     0                        },
        {"1.0",                       JSON_WHOLE,     1                        },
        {"1e2",                       JSON_WHOLE,     100                      },
        {"1.50e1",                    JSON_WHOLE,     15                       },
        {"1200e-2",                   JSON_WHOLE,     12                       },
        {"0e999999999999999999",      JSON_WHOLE,     0                        },
        {"9007199254740993",          JSON_WHOLE,     INT64_C(9007199254740993)},
        {"9223372036854775807",       JSON_WHOLE,     INT64_MAX                },
        {"-9223372036854775808",      JSON_WHOLE,     INT64_MIN                },
        {"9223372036854775807.00",    JSON_WHOLE,     INT64_MAX                },
        {"922337203685477580700e-2",  JSON_WHOLE,     INT64_MAX                },
        {"9223372036854775808",       JSON_TOO_BIG,   0                        },
        {"-9223372036854775809",      JSON_TOO_SMALL, 0                        },
        {"99999999999999999999",      JSON_TOO_BIG,   0                        },
        {"1e19",                      JSON_TOO_BIG,   0                        },
        {"1e400",                     JSON_TOO_BIG,   0                        },
        {"-1e99999999999999999999",   JSON_TOO_SMALL, 0                        },
        {"0.5",                       JSON_FRACTION,  0                        },
        {"1e-1",                      JSON_FRACTION,  0                        },
        {"12345678901234567890123.5", JSON_FRACTION,  0                        },
        {"0.1234567890123456789012",  JSON_FRACTION,  0                        },
        {"1e-99999999999999999999",   JSON_FRACTION,  0                        },
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        int64_t value = 42;
        assert_int_equal(json_number_int(ku_str_from(cases[i].text), &value), cases[i].whole);
        assert_int_equal(value, cases[i].whole == JSON_WHOLE ? cases[i].value : 42);
    }
}

static void decimals_of_numbers_are_exact(void **state)
{
    (void)state;
    ku_decimal d = {0};
    assert_true(ku_json_decimal(parse("12.10"), &d));
    assert_int_equal(d.units, 1210);
    assert_int_equal(d.scale, 2);
    assert_true(ku_json_decimal(parse("\"-7.5\""), &d));
    assert_int_equal(d.units, -75);
    assert_true(ku_json_decimal(parse("1.5e3"), &d));
    assert_int_equal(ku_decimal_compare(d, (ku_decimal){1500, 0}), 0);
    assert_true(ku_json_decimal(parse("15e-18"), &d));
    assert_int_equal(d.scale, 18);
    assert_true(ku_json_decimal(parse("0.00000000000000000000000"), &d));
    assert_int_equal(d.units, 0);
    d.units = 42;
    assert_false(ku_json_decimal(parse("1e18"), &d));
    assert_false(ku_json_decimal(parse("1e-19"), &d));
    assert_false(ku_json_decimal(parse("1234567890123456789"), &d));
    assert_false(ku_json_decimal(parse("\"x\""), &d));
    assert_false(ku_json_decimal(parse("true"), &d));
    assert_int_equal(d.units, 42);
}

static void doubles_are_the_nearest_and_finite(void **state)
{
    (void)state;
    double value = 42;
    assert_true(ku_json_double(parse("0.1"), &value));
    assert_true(value == 0.1);
    assert_true(ku_json_double(parse("1.7976931348623157e308"), &value));
    assert_true(value == 1.7976931348623157e308);
    assert_true(ku_json_double(parse("1e-400"), &value));
    assert_true(value == 0);
    assert_true(ku_json_double(parse("-0.0"), &value));
    assert_true(value == 0 && signbit(value));
    value = 42;
    assert_false(ku_json_double(parse("1e400"), &value));
    assert_false(ku_json_double(parse("-1e400"), &value));
    assert_false(ku_json_double(parse("1e99999999999999999999"), &value));
    assert_false(ku_json_double(parse("\"1\""), &value));
    assert_true(value == 42);
    assert_true(ku_json_double(parse("1e-99999999999999999999"), &value));
    assert_true(value == 0);
}

static void a_double_written_out_in_full_is_neither_lost_nor_infinite(void **state)
{
    (void)state;
    char text[512] = "0.", *end = text + 2;
    double value = 42;
    memset(end, '0', 400);
    memcpy(end + 400, "1", 2);
    assert_true(ku_json_double(parse(text), &value));
    assert_true(value == 0);
    memset(text, '9', 400);
    text[400] = '\0';
    assert_false(ku_json_double(parse(text), &value));
    (void)memcpy(text + 400, "e-399", 6);
    assert_true(ku_json_double(parse(text), &value));
    assert_true(fabs(value - 10) < 1e-9);
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void values_are_read_only_as_what_they_are(void **state)
{
    (void)state;
    ku_json *json = parse("{\"t\":\"x\",\"b\":true,\"n\":5,\"l\":[1,2],\"z\":null}");
    ku_str text = KU_STR("kept");
    bool flag = false;
    int64_t number = 42;
    assert_int_equal(ku_json_kind_of(json), KU_JSON_OBJECT);
    assert_int_equal(ku_json_count(json), 5);
    assert_true(ku_json_text(ku_json_get(json, "t"), &text));
    assert_true(ku_str_is(text, "x"));
    assert_true(ku_json_bool(ku_json_get(json, "b"), &flag));
    assert_true(flag);
    assert_true(ku_json_int(ku_json_get(json, "n"), &number));
    assert_int_equal(number, 5);
    assert_false(ku_json_text(ku_json_get(json, "n"), &text));
    assert_false(ku_json_bool(ku_json_get(json, "z"), &flag));
    assert_false(ku_json_int(ku_json_get(json, "t"), &number));
    assert_false(ku_json_int(ku_json_get(json, "missing"), &number));
    assert_null(ku_json_get(json, "missing"));
    assert_null(ku_json_get(ku_json_get(json, "t"), "x"));
    assert_null(ku_json_get(NULL, "x"));
    ku_json *list = ku_json_get(json, "l");
    assert_true(ku_json_int(ku_json_at(list, 1), &number));
    assert_int_equal(number, 2);
    assert_null(ku_json_at(list, 2));
    assert_null(ku_json_at(json, 0));
    assert_null(ku_json_at(NULL, 0));
}

static void members_are_set_renamed_and_removed_in_place(void **state)
{
    (void)state;
    ku_scope scope = {0};
    scope_init(&scope);
    ku_json *json = NULL;
    assert_int_equal(ku_json_parse(&scope, KU_STR("{\"a\":1,\"b\":2,\"c\":3}"), &json), KU_OK);
    ku_json_set_text(&scope, json, "b", KU_STR("two"));
    ku_json_set_int(&scope, json, "d", INT64_MIN);
    ku_json_set_bool(&scope, json, "e", true);
    ku_json_set_null(&scope, json, "f");
    assert_string_equal(ku_json_write(&scope, json).ptr,
        "{\"a\":1,\"b\":\"two\",\"c\":3,\"d\":-9223372036854775808,\"e\":true,\"f\":null}");
    ku_json_remove(json, "a");
    ku_json_remove(json, "f");
    ku_json_remove(json, "d");
    ku_json_remove(json, "missing");
    ku_json_rename(&scope, json, "b", "x");
    ku_json_rename(&scope, json, "missing", "y");
    ku_json_rename(&scope, json, "x", "x");
    assert_string_equal(ku_json_write(&scope, json).ptr, "{\"x\":\"two\",\"c\":3,\"e\":true}");
    ku_json_rename(&scope, json, "x", "e");
    assert_string_equal(ku_json_write(&scope, json).ptr, "{\"e\":\"two\",\"c\":3}");
    ku_json_set(&scope, json, "c", ku_json_get(json, "c"));
    ku_json_set_int(&scope, json, "c", 4);
    ku_json_set_int(&scope, json, "g", 5);
    assert_string_equal(ku_json_write(&scope, json).ptr, "{\"e\":\"two\",\"c\":4,\"g\":5}");
    assert_int_equal(ku_json_count(json), 3);
    ku_json_remove(json, "e");
    ku_json_remove(json, "c");
    ku_json_remove(json, "g");
    assert_string_equal(ku_json_write(&scope, json).ptr, "{}");
    ku_json_set_int(&scope, json, "again", 1);
    assert_string_equal(ku_json_write(&scope, json).ptr, "{\"again\":1}");
    scope_done(&scope);
}

static void a_scope_keeps_why_a_text_is_no_json(void **state)
{
    (void)state;
    ku_scope scope = {0};
    scope_init(&scope);
    ku_json *json = NULL;
    assert_int_equal(ku_json_parse(&scope, KU_STR("{\"a\":{\"b\":1,\"b\":1}}"), &json), KU_INVALID);
    assert_null(json);
    assert_true(ku_str_is(scope.error.issues->path, "a.b"));
    assert_true(ku_str_is(scope.error.issues->code, "duplicate_key"));
    ku_clear_error(&scope);
    assert_int_equal(ku_json_parse(&scope, KU_STR("[1"), &json), KU_INVALID);
    assert_true(ku_str_is(scope.error.issues->path, "(root)"));
    assert_true(ku_error_message(&scope).len > 0);
    scope_done(&scope);
}

static void equality_is_of_values(void **state)
{
    (void)state;
    assert_true(json_equal(
        parse("{\"a\":1,\"b\":[1.0,\"x\"]}"), parse("{\"b\":[1,\"\\u0078\"],\"a\":1e0}")));
    assert_false(json_equal(parse("{\"a\":1}"), parse("{\"b\":1}")));
    assert_false(json_equal(parse("{\"a\":1}"), parse("{\"a\":1,\"b\":1}")));
    assert_false(json_equal(parse("[1,2]"), parse("[2,1]")));
    assert_false(json_equal(parse("\"1\""), parse("1")));
    assert_false(json_equal(parse("9007199254740992"), parse("9007199254740993")));
    assert_true(json_equal(parse("0"), parse("-0.0")));
    assert_false(json_equal(parse("5"), parse("-5")));
    assert_true(json_equal(parse("null"), parse("null")));
    assert_false(json_equal(parse("true"), parse("false")));
}

/* ---- writing --------------------------------------------------------------------------------- */

static void every_byte_is_escaped_at_every_place_as_it_must_be(void **state)
{
    (void)state;
    for (int place = 0; place < 24; place++) {
        for (int c = 0; c < 0x80; c++) {
            char text[24];
            memset(text, 'x', sizeof(text));
            text[place] = (char)c;
            buffer out = {.arena = &memory};
            json_put_text(&out, (ku_str){text, sizeof(text)});
            ku_str back;
            assert_true(ku_json_text(parse(buffer_str(&out).ptr), &back));
            assert_true(ku_str_equal(back, (ku_str){text, sizeof(text)}));
            bool escaped = c < 0x20 || c == '"' || c == '\\';
            assert_int_equal(memchr(out.ptr, '\\', out.len) != NULL, escaped);
        }
        arena_reset(&memory);
    }
    buffer out = {.arena = &memory};
    json_put_text(&out, KU_STR("\b\f\n\r\t\x01\"\\/\x7f\xc3\xa9"));
    assert_string_equal(buffer_str(&out).ptr, "\"\\b\\f\\n\\r\\t\\u0001\\\"\\\\/\x7f\xc3\xa9\"");
    out.len = 0;
    json_put_text(&out, (ku_str){0});
    assert_string_equal(buffer_str(&out).ptr, "\"\"");
}

static void whole_numbers_beyond_what_doubles_hold_are_text(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        {0,                          "0"                       },
        {-1,                         "-1"                      },
        {INT64_C(9007199254740991),  "9007199254740991"        },
        {INT64_C(-9007199254740991), "-9007199254740991"       },
        {INT64_C(9007199254740992),  "\"9007199254740992\""    },
        {INT64_C(-9007199254740992), "\"-9007199254740992\""   },
        {INT64_MAX,                  "\"9223372036854775807\"" },
        {INT64_MIN,                  "\"-9223372036854775808\""},
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        buffer out = {.arena = &memory};
        json_put_int(&out, cases[i].value);
        assert_string_equal(buffer_str(&out).ptr, cases[i].text);
    }
}

static void doubles_are_written_as_ecmascript_does(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0,                      "0"                      },
        {-0.0,                   "-0"                     },
        {1,                      "1"                      },
        {-1.5,                   "-1.5"                   },
        {100000,                 "100000"                 },
        {123.456,                "123.456"                },
        {0.1,                    "0.1"                    },
        {0.000001,               "0.000001"               },
        {1e-7,                   "1e-7"                   },
        {1.25e-7,                "1.25e-7"                },
        {1e20,                   "100000000000000000000"  },
        {1e21,                   "1e+21"                  },
        {1.5e300,                "1.5e+300"               },
        {5e-324,                 "5e-324"                 },
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {9007199254740993.0,     "9007199254740992"       },
        {INFINITY,               "null"                   },
        {NAN,                    "null"                   },
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        buffer out = {.arena = &memory};
        json_put_double(&out, cases[i].value);
        assert_string_equal(buffer_str(&out).ptr, cases[i].text);
    }
}

static void doubles_read_back_as_they_were(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    buffer out = {0};
    for (int i = 0; i < 100000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double value, back = 0;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        out.len = 0;
        json_put_double(&out, value);
        assert_true(ku_json_double(parse(buffer_str(&out).ptr), &back));
        assert_memory_equal(&value, &back, sizeof(value));
        arena_reset(&memory);
    }
    buffer_done(&out);
}

static void keys_put_commas_between_members(void **state)
{
    (void)state;
    buffer out = {.arena = &memory};
    buffer_add_char(&out, '{');
    json_put_key(&out, "a\"b");
    json_put_text(&out, KU_STR("{"));
    json_put_key_str(&out, KU_STR("id"));
    json_put_id(&out, (ku_id){{0}});
    json_put_key(&out, "at");
    json_put_time(&out, (ku_time){0});
    json_put_key(&out, "money");
    json_put_decimal(&out, (ku_decimal){1250, 2});
    buffer_add_char(&out, '}');
    assert_string_equal(buffer_str(&out).ptr,
        "{\"a\\\"b\":\"{\",\"id\":\"00000000-0000-0000-0000-000000000000\","
        "\"at\":\"1970-01-01T00:00:00.000Z\",\"money\":\"12.50\"}");
}

int main(void)
{
#define T(test) cmocka_unit_test_teardown(test, empty_memory)
    const struct CMUnitTest tests[] = {
        T(what_rfc_8259_allows_is_read_and_written_back),
        T(what_rfc_8259_forbids_is_refused),
        T(a_nul_outside_and_inside_of_strings_is_refused),
        T(every_cut_of_a_document_is_refused),
        T(documents_of_every_length_around_a_block_are_read),
        T(a_large_document_is_read_and_a_small_one_after_it),
        T(duplicate_keys_are_refused_with_their_path),
        T(duplicate_keys_are_found_in_objects_of_any_size),
        T(an_object_with_very_many_members_is_read),
        T(nesting_is_let_through_up_to_the_limit),
        T(whole_numbers_are_exact),
        T(decimals_of_numbers_are_exact),
        T(doubles_are_the_nearest_and_finite),
        T(a_double_written_out_in_full_is_neither_lost_nor_infinite),
        T(values_are_read_only_as_what_they_are),
        T(members_are_set_renamed_and_removed_in_place),
        T(a_scope_keeps_why_a_text_is_no_json),
        T(equality_is_of_values),
        T(every_byte_is_escaped_at_every_place_as_it_must_be),
        T(whole_numbers_beyond_what_doubles_hold_are_text),
        T(doubles_are_written_as_ecmascript_does),
        T(doubles_read_back_as_they_were),
        T(keys_put_commas_between_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
