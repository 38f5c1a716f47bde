/*
 * JSON to struct and back, and every issue that can be found on the way.
 */
#include "base/limits.h"
#include "shape/shape_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* ---- fixture --------------------------------------------------------------------------------- */

static ku_scope scope;

static int open_scope(void **state)
{
    (void)state;
    scope = (ku_scope){0};
    scope_init(&scope);
    return 0;
}

static int close_scope(void **state)
{
    (void)state;
    scope_done(&scope);
    return 0;
}

static ku_json *parse(const char *text)
{
    ku_json *json = NULL;
    if (ku_json_parse(&scope, ku_str_from(text), &json) != KU_OK)
        fail_msg("%s: %" KU_PRI, text, KU_FMT(scope.error.issues->code));
    return json;
}

static const char *encode(const ku_shape *shape, const void *struct_, bool with_nulls)
{
    buffer out = {.arena = &scope.arena};
    shape_encode(&out, shape, struct_, with_nulls);
    return buffer_str(&out).ptr;
}

/* All issues, as `path code params` with commas between. */
static const char *issues(void)
{
    buffer out = {.arena = &scope.arena};
    for (const field_issue *issue = scope.error.issues; issue != NULL; issue = issue->next)
        buffer_format(&out, "%s%" KU_PRI " %" KU_PRI "%s%" KU_PRI, out.len > 0 ? ", " : "",
            KU_FMT(issue->path), KU_FMT(issue->code), issue->params.len > 0 ? " " : "",
            KU_FMT(issue->params));
    return buffer_str(&out).ptr;
}

/* The order with one member replaced by other JSON. */
static ku_status decode_with(const char *member, const char *value, order *ret_order)
{
    ku_clear_error(&scope);
    ku_json *json = parse(ORDER_TEXT);
    if (value == NULL)
        ku_json_remove(json, member);
    else
        ku_json_set(&scope, json, member, parse(value));
    return shape_decode(&scope, &order_shape, json, (ku_str){0}, ret_order);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void every_kind_is_read_and_written_back(void **state)
{
    (void)state;
    order o;
    assert_int_equal(shape_decode(&scope, &order_shape, parse(ORDER_TEXT), (ku_str){0}, &o), KU_OK);
    assert_true(o.express);
    assert_int_equal(o.amount_cents, 2500);
    assert_true(o.weight == 1.5);
    assert_true(ku_str_is(o.customer, "Acme"));
    assert_int_equal(o.due_at.unix_us, INT64_C(1795455006627000));
    assert_int_equal(o.price.units, 1250);
    assert_int_equal(o.price.scale, 2);
    assert_true(ku_str_is(o.extra.json, "{\"a\":[1.10,null]}"));
    assert_int_equal(o.colour, GREEN);
    assert_int_equal(o.lines.count, 2);
    assert_int_equal(((const line *)o.lines.items)[1].quantity, 2);
    assert_true(ku_str_is(((const ku_str *)o.tags.items)[0], "new"));
    assert_true(ku_str_is(o.home.zip_code.value, "1"));
    assert_string_equal(encode(&order_shape, &o, false), ORDER_TEXT);
    assert_int_equal(shape_check(&scope, &order_shape, &o, (ku_str){0}), KU_OK);
}

static void optional_members_may_be_there_null_or_missing(void **state)
{
    (void)state;
    options o;
    assert_int_equal(
        shape_decode(&scope, &options_shape, parse(OPTIONS_TEXT), (ku_str){0}, &o), KU_OK);
    for (size_t i = 0; i < options_shape.n_fields; i++)
        assert_true(field_is_set(&options_fields[i], &o));
    assert_string_equal(encode(&options_shape, &o, false), OPTIONS_TEXT);

    assert_int_equal(shape_decode(&scope, &options_shape, parse("{}"), (ku_str){0}, &o), KU_OK);
    for (size_t i = 0; i < options_shape.n_fields; i++)
        assert_false(field_is_set(&options_fields[i], &o));
    /* All of them are KU_NULLABLE, so what is not set is null whether or not nulls are asked for.
     */
    const char *nulls = encode(&options_shape, &o, false);
    assert_string_equal(encode(&options_shape, &o, true), nulls);
    assert_string_equal(nulls,
        "{\"flag\":null,\"number\":null,\"ratio\":null,\"text\":null,\"id\":null,\"at\":null,"
        "\"money\":null,\"raw\":null,\"colour\":null,\"list\":null}");
    assert_int_equal(shape_decode(&scope, &options_shape, parse(nulls), (ku_str){0}, &o), KU_OK);
    for (size_t i = 0; i < options_shape.n_fields; i++)
        assert_false(field_is_set(&options_fields[i], &o));
}

typedef struct strict {
    ku_optional_str text;
    ku_optional_raw raw;
} strict;
static const ku_field strict_fields[] = {KU_FIELD(strict, text), KU_FIELD(strict, raw)};
static const ku_shape strict_shape = KU_SHAPE(strict);

static void null_is_a_value_where_it_does_not_mean_unset(void **state)
{
    (void)state;
    strict s;
    assert_int_equal(
        shape_decode(&scope, &strict_shape, parse("{\"raw\":null}"), (ku_str){0}, &s), KU_OK);
    assert_true(s.raw.set);
    assert_true(ku_str_is(s.raw.value.json, "null"));
    assert_int_equal(
        shape_decode(&scope, &strict_shape, parse("{\"text\":null}"), (ku_str){0}, &s), KU_INVALID);
    assert_string_equal(issues(), "text invalid_type {\"expected\":\"string\"}");
}

static void members_come_in_any_order_and_unknown_ones_are_ignored(void **state)
{
    (void)state;
    line l;
    assert_int_equal(
        shape_decode(&scope, &line_shape,
            parse("{\"x\":1,\"quantity\":5,\"Sku\":{},\"sku\":\"a\",\"y\":[]}"), (ku_str){0}, &l),
        KU_OK);
    assert_int_equal(l.quantity, 5);
    assert_true(ku_str_is(l.sku, "a"));
}

static void each_missing_member_is_an_issue_in_the_order_of_the_table(void **state)
{
    (void)state;
    order o;
    assert_int_equal(shape_decode(&scope, &order_shape, parse("{}"), (ku_str){0}, &o), KU_INVALID);
    assert_string_equal(issues(), "express invalid_type {\"expected\":\"boolean\"}, "
                                  "amountCents invalid_type {\"expected\":\"number\"}, "
                                  "weight invalid_type {\"expected\":\"number\"}, "
                                  "customer invalid_type {\"expected\":\"string\"}, "
                                  "id invalid_type {\"expected\":\"string\"}, "
                                  "dueAt invalid_type {\"expected\":\"string\"}, "
                                  "price invalid_type {\"expected\":\"string\"}, "
                                  "extra invalid_type {\"expected\":\"nonoptional\"}, "
                                  "colour invalid_value {\"values\":[\"red\",\"green\",\"blue\"]}, "
                                  "lines invalid_type {\"expected\":\"array\"}, "
                                  "tags invalid_type {\"expected\":\"array\"}, "
                                  "home invalid_type {\"expected\":\"object\"}");
}

static void what_is_no_object_is_an_issue_of_the_root(void **state)
{
    (void)state;
    line l;
    assert_int_equal(shape_decode(&scope, &line_shape, parse("[]"), (ku_str){0}, &l), KU_INVALID);
    assert_string_equal(issues(), "(root) invalid_type {\"expected\":\"object\"}");
    ku_clear_error(&scope);
    assert_int_equal(shape_decode(&scope, &line_shape, NULL, KU_STR("lines.0."), &l), KU_INVALID);
    assert_string_equal(issues(), "lines.0 invalid_type {\"expected\":\"object\"}");
    ku_clear_error(&scope);
    assert_int_equal(shape_decode(&scope, &line_shape, parse("{\"sku\":1,\"quantity\":1}"),
                         KU_STR("changes."), &l),
        KU_INVALID);
    assert_string_equal(issues(), "changes.sku invalid_type {\"expected\":\"string\"}");
}

static void every_bad_value_is_the_issue_that_zod_makes_of_it(void **state)
{
    (void)state;
#define UUID_ISSUE                                                                                 \
    "invalid_format {\"format\":\"uuid\",\"pattern\":\"/^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8]"     \
    "[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|"  \
    "ffffffff-ffff-ffff-ffff-ffffffffffff)$/\"}"
    static const struct {
        const char *member, *value, *issue;
    } cases[] = {
        {"express",     "\"true\"",                                                         "express invalid_type {\"expected\":\"boolean\"}"                   },
        {"express",     "null",                                                             "express invalid_type {\"expected\":\"boolean\"}"                   },
        {"amountCents", "\"5\"",                                                            "amountCents invalid_type {\"expected\":\"number\"}"                },
        {"amountCents", "\"9007199254740991\"",
         "amountCents invalid_type {\"expected\":\"number\"}"                                                                                                   },
        {"amountCents", "\"09007199254740993\"",
         "amountCents invalid_type {\"expected\":\"number\"}"                                                                                                   },
        {"amountCents", "\"99999999999999999999\"",
         "amountCents invalid_type {\"expected\":\"number\"}"                                                                                                   },
        {"amountCents", "\"abcdefghijklmnopq\"",
         "amountCents invalid_type {\"expected\":\"number\"}"                                                                                                   },
        {"amountCents", "1.5",
         "amountCents invalid_type {\"expected\":\"int\",\"format\":\"safeint\"}"                                                                               },
        {"amountCents", "0",                                                                "amountCents too_small {\"minimum\":1,\"inclusive\":true}"          },
        {"amountCents", "9223372036854775808",
         "amountCents too_big {\"maximum\":9223372036854775807,\"inclusive\":true}"                                                                             },
        {"amountCents", "-9223372036854775809",
         "amountCents too_small {\"minimum\":1,\"inclusive\":true}"                                                                                             },
        {"weight",      "\"1\"",                                                            "weight invalid_type {\"expected\":\"number\"}"                     },
        {"weight",      "1e400",                                                            "weight invalid_type {\"expected\":\"number\"}"                     },
        {"weight",      "-0.001",                                                           "weight too_small {\"minimum\":0,\"inclusive\":true}"               },
        {"weight",      "1000.5",                                                           "weight too_big {\"maximum\":1000,\"inclusive\":true}"              },
        {"customer",    "5",                                                                "customer invalid_type {\"expected\":\"string\"}"                   },
        {"customer",    "\"\"",                                                             "customer too_small {\"minimum\":1,\"inclusive\":true}"             },
        {"customer",    "\"123456\"",                                                       "customer too_big {\"maximum\":5,\"inclusive\":true}"               },
        {"customer",    "\"a\\u0000\"",                                                     "customer invalid_format {\"format\":\"text\"}"                     },
        {"id",          "5",                                                                "id invalid_type {\"expected\":\"string\"}"                         },
        {"id",          "\"x\"",                                                            "id " UUID_ISSUE                                                    },
        {"id",          "\"01a20975-37a7-05ba-a4ee-c413be86dc57\"",                         "id " UUID_ISSUE                                                    },
        {"id",          "\"01a20975-37a7-95ba-a4ee-c413be86dc57\"",                         "id " UUID_ISSUE                                                    },
        {"id",          "\"01a20975-37a7-75ba-74ee-c413be86dc57\"",                         "id " UUID_ISSUE                                                    },
        {"id",          "\"01a20975-37a7-75ba-c4ee-c413be86dc57\"",                         "id " UUID_ISSUE                                                    },
        {"id",          "\"FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF\"",                         "id " UUID_ISSUE                                                    },
        {"dueAt",       "5",                                                                "dueAt invalid_type {\"expected\":\"string\"}"                      },
        {"dueAt",       "\"2026-11-23\"",                                                   "dueAt invalid_format {\"format\":\"datetime\"}"                    },
        {"price",       "true",                                                             "price invalid_type {\"expected\":\"string\"}"                      },
        {"price",       "\"1e2\"",                                                          "price invalid_format {\"format\":\"decimal\"}"                     },
        {"price",       "\"\"",                                                             "price invalid_format {\"format\":\"decimal\"}"                     },
        {"price",       "\"1.\"",                                                           "price invalid_format {\"format\":\"decimal\"}"                     },
        {"price",       "\".5\"",                                                           "price invalid_format {\"format\":\"decimal\"}"                     },
        {"price",       "\"1.234\"",                                                        "price not_multiple_of {\"divisor\":0.01}"                          },
        {"price",       "1.234",                                                            "price not_multiple_of {\"divisor\":0.01}"                          },
        {"price",       "\"0.00000000000000000000001\"",                                    "price not_multiple_of {\"divisor\":0.01}"                          },
        {"price",       "1000.01",                                                          "price too_big {\"maximum\":1000,\"inclusive\":true}"               },
        {"price",       "1e17",                                                             "price too_big {\"maximum\":9999999999999999.99,\"inclusive\":true}"},
        {"price",       "\"-10000000000000000000000\"",
         "price too_small {\"minimum\":-9999999999999999.99,\"inclusive\":true}"                                                                                },
        {"colour",      "\"pink\"",                                                         "colour invalid_value {\"values\":[\"red\",\"green\",\"blue\"]}"    },
        {"colour",      "1",                                                                "colour invalid_value {\"values\":[\"red\",\"green\",\"blue\"]}"    },
        {"lines",       "{}",                                                               "lines invalid_type {\"expected\":\"array\"}"                       },
        {"lines",       "[]",                                                               "lines too_small {\"minimum\":1,\"inclusive\":true}"                },
        {"lines",       "[5]",                                                              "lines.0 invalid_type {\"expected\":\"object\"}"                    },
        {"lines",       "[{\"sku\":\"a\",\"quantity\":1},{\"sku\":\"\",\"quantity\":100}]",
         "lines.1.sku too_small {\"minimum\":1,\"inclusive\":true}, "
            "lines.1.quantity too_big {\"maximum\":99,\"inclusive\":true}"                                                                                      },
        {"tags",        "[\"a\",\"b\",7]",
         "tags too_big {\"maximum\":2,\"inclusive\":true}, "
            "tags.2 invalid_type {\"expected\":\"string\"}"                                                                                                     },
        {"home",        "[]",                                                               "home invalid_type {\"expected\":\"object\"}"                       },
        {"home",        "{\"ZIP\":1}",
         "home.street invalid_type {\"expected\":\"string\"}, "
            "home.ZIP invalid_type {\"expected\":\"string\"}"                                                                                                   },
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        order o;
        assert_int_equal(decode_with(cases[i].member, cases[i].value, &o), KU_INVALID);
        assert_string_equal(issues(), cases[i].issue);
        assert_int_equal(scope.error.status, KU_INVALID);
    }
}

static void values_at_their_bounds_are_taken(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"amountCents", "1"                                             },
        {"amountCents", "1.0"                                           },
        {"amountCents", "25e2"                                          },
        {"amountCents", "9223372036854775807"                           },
        {"amountCents", "\"9223372036854775807\""                       },
        {"amountCents", "\"9007199254740992\""                          },
        {"weight",      "0"                                             },
        {"weight",      "-0.0"                                          },
        {"weight",      "1e3"                                           },
        {"customer",    "\"x\""                                         },
        {"customer",    "\"\\u00e9\\u00e9\\u20ac\\u20ac\\ud83d\\ude00\""},
        {"id",          "\"00000000-0000-0000-0000-000000000000\""      },
        {"id",          "\"ffffffff-ffff-ffff-ffff-ffffffffffff\""      },
        {"id",          "\"01A20975-37A7-15BA-84EE-C413BE86DC57\""      },
        {"id",          "\"01a20975-37a7-85ba-b4ee-c413be86dc57\""      },
        {"dueAt",       "\"2026-11-23T17:30:06+01:00\""                 },
        {"price",       "12.5"                                          },
        {"price",       "\"12.5\""                                      },
        {"price",       "\"0012.5000000000000000000000\""               },
        {"price",       "1e3"                                           },
        {"price",       "-9999999999999999.99"                          },
        {"extra",       "null"                                          },
        {"extra",       "\"text\""                                      },
        {"lines",       "[{\"sku\":\"a\",\"quantity\":99},{\"sku\":\"b\",\"quantity\":1},"
                  "{\"sku\":\"c\",\"quantity\":1}]"    },
        {"tags",        "[]"                                            },
        {"home",        "{\"street\":\"\",\"ZIP\":null}"                },
    };
    for (size_t i = 0; i < KU_COUNT(good); i++) {
        order o, again;
        if (decode_with(good[i][0], good[i][1], &o) != KU_OK)
            fail_msg("%s %s: %s", good[i][0], good[i][1], issues());
        /* What is written is read again as the same. */
        ku_json *written = parse(encode(&order_shape, &o, false));
        assert_int_equal(shape_decode(&scope, &order_shape, written, (ku_str){0}, &again), KU_OK);
        for (size_t f = 0; f < order_shape.n_fields; f++)
            assert_true(field_equal(&order_fields[f], &o, &again));
    }
}

static void a_list_with_a_closed_list_of_texts_checks_its_items(void **state)
{
    (void)state;
    typedef struct choice {
        ku_list picks;
        ku_str one;
    } choice;
    static const char *const allowed[] = {"a", "b", NULL};
    const ku_field fields[] = {
        KU_FIELD(choice, picks, .items = KU_KIND_TEXT, .one_of = allowed),
        KU_FIELD(choice, one, .one_of = allowed),
    };
    const ku_shape shape = {"choice", sizeof(choice), fields, KU_COUNT(fields)};
    choice c;
    assert_int_equal(
        shape_decode(&scope, &shape, parse("{\"picks\":[\"a\",\"c\"],\"one\":5}"), (ku_str){0}, &c),
        KU_INVALID);
    assert_string_equal(issues(), "picks.1 invalid_value {\"values\":[\"a\",\"b\"]}, "
                                  "one invalid_value {\"values\":[\"a\",\"b\"]}");
}

static void issues_stop_at_the_limit(void **state)
{
    (void)state;
    buffer text = {.arena = &scope.arena};
    buffer_add_text(&text, "{\"lines\":[0");
    for (int i = 0; i < 200; i++)
        buffer_add_text(&text, ",0");
    buffer_add_text(&text, "]}");
    order o;
    assert_int_equal(
        shape_decode(&scope, &order_shape, parse(buffer_str(&text).ptr), (ku_str){0}, &o),
        KU_INVALID);
    assert_int_equal(scope.error.n_issues, LIMIT_ISSUES);
}

static void a_part_says_which_members_were_given(void **state)
{
    (void)state;
    order o;
    uint64_t given = 42;
    assert_int_equal(
        shape_decode_partial(&scope, &order_shape,
            parse("{\"customer\":\"x\",\"home\":{\"street\":\"y\"}}"), (ku_str){0}, &o, &given),
        KU_OK);
    assert_int_equal(given, UINT64_C(1) << 3 | UINT64_C(1) << 11);
    assert_int_equal(
        shape_decode_partial(&scope, &order_shape, parse("{}"), (ku_str){0}, &o, &given), KU_OK);
    assert_int_equal(given, 0);
    options with;
    assert_int_equal(shape_decode_partial(&scope, &options_shape, parse("{\"text\":null}"),
                         (ku_str){0}, &with, &given),
        KU_OK);
    assert_int_equal(given, 1 << 3);
    assert_false(with.text.set);
    given = 42;
    assert_int_equal(shape_decode_partial(&scope, &order_shape,
                         parse("{\"home\":{},\"customer\":7}"), (ku_str){0}, &o, &given),
        KU_INVALID);
    assert_int_equal(given, 42);
    assert_string_equal(issues(), "customer invalid_type {\"expected\":\"string\"}, "
                                  "home.street invalid_type {\"expected\":\"string\"}");
}

static void a_shape_with_as_many_fields_as_possible_is_read(void **state)
{
    (void)state;
    enum { N = LIMIT_FIELDS_PER_SHAPE };
    ku_field fields[N];
    char names[N][16];
    int64_t values[N];
    buffer text = {.arena = &scope.arena};
    buffer_add_char(&text, '{');
    for (int i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%d", i);
        fields[i] = (ku_field){.name = names[i],
            .kind = KU_KIND_INT,
            .size = sizeof(int64_t),
            .offset = (size_t)i * sizeof(int64_t)};
        json_put_key(&text, names[i]);
        buffer_format(&text, "%d", i);
    }
    buffer_add_char(&text, '}');
    const ku_shape shape = {"many", sizeof(values), fields, N};
    uint64_t given;
    assert_int_equal(shape_decode_partial(
                         &scope, &shape, parse(buffer_str(&text).ptr), (ku_str){0}, values, &given),
        KU_OK);
    assert_true(given == UINT64_MAX);
    for (int i = 0; i < N; i++)
        assert_int_equal(values[i], i);
    assert_string_equal(encode(&shape, values, false), buffer_str(&text).ptr);
}

typedef struct label {
    ku_str text;
    int64_t size;
    ku_list tags;
} label;
static const char *const label_texts[] = {"new", NULL};
static const ku_field label_fields[] = {
    KU_FIELD(label, text, .one_of = label_texts, .length = KU_BETWEEN(1, 3)),
    KU_FIELD(label, size, .value = KU_AT_LEAST(1)),
    KU_FIELD(label, tags, .items = KU_KIND_TEXT, .length = KU_BETWEEN(0, 9)),
};
static const ku_shape label_shape = KU_SHAPE(label);

static void what_was_stored_under_looser_rules_is_still_read(void **state)
{
    (void)state;
    label l;
    static const char loose[] = "{\"text\":\"formerly fine\",\"size\":0,\"tags\":[\"\"]}";
    assert_int_equal(shape_decode(&scope, &label_shape, parse(loose), (ku_str){0}, &l), KU_INVALID);
    ku_clear_error(&scope);
    assert_int_equal(
        shape_decode_stored(&scope, &label_shape, parse(loose), (ku_str){0}, &l, NULL), KU_OK);
    assert_true(ku_str_is(l.text, "formerly fine"));
    assert_int_equal(l.size, 0);
    assert_int_equal(l.tags.count, 1);
    /* Another type, or nothing where something must be, is still wrong. */
    assert_int_equal(shape_decode_stored(&scope, &label_shape,
                         parse("{\"text\":1,\"size\":0,\"tags\":[]}"), (ku_str){0}, &l, NULL),
        KU_INVALID);
    ku_clear_error(&scope);
    assert_int_equal(
        shape_decode_stored(&scope, &label_shape, parse("{\"size\":0}"), (ku_str){0}, &l, NULL),
        KU_INVALID);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)
    const struct CMUnitTest tests[] = {
        T(every_kind_is_read_and_written_back),
        T(optional_members_may_be_there_null_or_missing),
        T(null_is_a_value_where_it_does_not_mean_unset),
        T(members_come_in_any_order_and_unknown_ones_are_ignored),
        T(each_missing_member_is_an_issue_in_the_order_of_the_table),
        T(what_is_no_object_is_an_issue_of_the_root),
        T(every_bad_value_is_the_issue_that_zod_makes_of_it),
        T(values_at_their_bounds_are_taken),
        T(a_list_with_a_closed_list_of_texts_checks_its_items),
        T(issues_stop_at_the_limit),
        T(a_part_says_which_members_were_given),
        T(a_shape_with_as_many_fields_as_possible_is_read),
        T(what_was_stored_under_looser_rules_is_still_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
