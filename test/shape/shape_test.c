/*
 * The other things a field table is good for: names, comparing, copying, checking, schema, and the
 * check of the table itself.
 */
#include "base/limits.h"
#include "shape/shape_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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

static order read_order(void)
{
    order o;
    ku_json *json = NULL;
    assert_int_equal(ku_json_parse(&scope, KU_STR(ORDER_TEXT), &json), KU_OK);
    assert_int_equal(shape_decode(&scope, &order_shape, json, (ku_str){0}, &o), KU_OK);
    return o;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void wire_names_are_camel_case_or_given(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json, *wire;
    } cases[] = {
        {"id",               NULL,  "id"            },
        {"amount_cents",     NULL,  "amountCents"   },
        {"a_b_c",            NULL,  "aBC"           },
        {"line_2",           NULL,  "line2"         },
        {"_private",         NULL,  "_private"      },
        {"default_",         NULL,  "default"       },
        {"two__underscores", NULL,  "twoUnderscores"},
        {"alreadyCamel",     NULL,  "alreadyCamel"  },
        {"zip_code",         "ZIP", "ZIP"           },
    };
    for (size_t i = 0; i < KU_COUNT(cases); i++) {
        /* The same address again and again: what was kept for it must not be used. */
        const ku_field field = {.name = cases[i].name, .json = cases[i].json, .kind = KU_KIND_INT};
        assert_true(ku_str_is(field_wire_name(&field), cases[i].wire));
        assert_ptr_equal(field_wire_name(&field).ptr, field_wire_name(&field).ptr);
    }
}

static void fields_are_found_by_either_name(void **state)
{
    (void)state;
    assert_int_equal(shape_find_column(&order_shape, KU_STR("amount_cents")), 1);
    assert_int_equal(shape_find_column(&order_shape, KU_STR("amountCents")), -1);
    assert_int_equal(shape_find_wire(&order_shape, KU_STR("amountCents")), 1);
    assert_int_equal(shape_find_wire(&order_shape, KU_STR("amount_cents")), -1);
    assert_int_equal(shape_find_wire(&address_shape, KU_STR("ZIP")), 1);
    assert_int_equal(shape_find_wire(&address_shape, KU_STR("")), -1);
}

static ku_field many[2000];

static void *name_many(void *context)
{
    for (size_t i = 0; i < KU_COUNT(many); i++)
        if (!ku_str_is(field_wire_name(&many[i]), "someName"))
            *(bool *)context = false;
    return NULL;
}

static void names_are_computed_by_many_threads_at_once(void **state)
{
    (void)state;
    pthread_t threads[4];
    bool right[4] = {true, true, true, true};
    for (size_t i = 0; i < KU_COUNT(many); i++)
        many[i] = (ku_field){.name = "some_name", .kind = KU_KIND_INT};
    for (int t = 0; t < 4; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, name_many, &right[t]), 0);
    for (int t = 0; t < 4; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_true(right[t]);
    }
}

/* ---- comparing and copying ------------------------------------------------------------------- */

static void fields_are_equal_by_value(void **state)
{
    (void)state;
    order a = read_order(), b = read_order();
    for (size_t i = 0; i < order_shape.n_fields; i++)
        assert_true(field_equal(&order_fields[i], &a, &b));
    const line other[] = {
        {KU_STR("x"), 1},
        {KU_STR("y"), 3}
    };
    const ku_str tags[] = {KU_STR("old")};
    b.express = false;
    b.amount_cents++;
    b.weight += 0.5;
    b.customer = KU_STR("Acmf");
    b.id.bytes[15]++;
    b.due_at.unix_us++;
    b.price.units++;
    b.extra.json = KU_STR("{}");
    b.colour = RED;
    b.lines.items = other;
    b.tags.items = tags;
    b.home.zip_code.set = false;
    for (size_t i = 0; i < order_shape.n_fields; i++)
        assert_false(field_equal(&order_fields[i], &a, &b));
    b.price = (ku_decimal){12500, 3};
    assert_true(field_equal(&order_fields[6], &a, &b));
    b.lines.count = 1;
    assert_false(field_equal(&order_fields[9], &a, &b));
    field_copy(&order_fields[3], &b, &a);
    assert_true(field_equal(&order_fields[3], &a, &b));
}

static void optional_fields_are_equal_if_both_are_unset(void **state)
{
    (void)state;
    options a =
                {
                    .text = {false, KU_STR("x")}
    },
            b = {.text = {false, KU_STR("y")}};
    assert_true(field_equal(&options_fields[3], &a, &b));
    a.text.set = true;
    assert_false(field_equal(&options_fields[3], &a, &b));
    b.text.set = true;
    assert_false(field_equal(&options_fields[3], &a, &b));
    field_copy(&options_fields[3], &b, &a);
    assert_true(field_equal(&options_fields[3], &a, &b));
    assert_true(ku_str_is(b.text.value, "x"));
}

static void a_copy_does_not_need_the_memory_of_the_original(void **state)
{
    (void)state;
    arena kept = {0};
    order original = read_order();
    const order *copy = shape_copy(&kept, &order_shape, &original);
    scope_done(&scope);
    scope = (ku_scope){0};
    scope_init(&scope);
    buffer out = {.arena = &kept};
    shape_encode(&out, &order_shape, copy, false);
    assert_string_equal(buffer_str(&out).ptr, ORDER_TEXT);
    arena_done(&kept);
}

static void one_field_is_written_alone(void **state)
{
    (void)state;
    order o = read_order();
    options empty = {0};
    buffer out = {.arena = &scope.arena};
    field_encode(&out, &order_fields[6], &o);
    field_encode(&out, &options_fields[0], &empty);
    o.price = (ku_decimal){5, 0};
    field_encode(&out, &order_fields[6], &o);
    o.extra = (ku_raw){{0}};
    field_encode(&out, &order_fields[7], &o);
    assert_string_equal(buffer_str(&out).ptr, "\"12.50\"null\"5.00\"null");
}

/* ---- checking what a program filled --------------------------------------------------------- */

static void expect_issue(const order *o, const char *path, const char *code)
{
    ku_clear_error(&scope);
    assert_int_equal(shape_check(&scope, &order_shape, o, KU_STR("p.")), KU_INVALID);
    assert_int_equal(scope.error.n_issues, 1);
    if (!ku_str_is(scope.error.issues->path, path) || !ku_str_is(scope.error.issues->code, code))
        fail_msg("%" KU_PRI " %" KU_PRI, KU_FMT(scope.error.issues->path),
            KU_FMT(scope.error.issues->code));
}

static void a_struct_that_breaks_a_rule_is_refused(void **state)
{
    (void)state;
    const order good = read_order();
    const line bad_lines[] = {
        {KU_STR("x"),    1},
        {KU_STR("\xff"), 1}
    };
    const ku_str bad_tags[] = {KU_STR("ok"), KU_STR("\xed\xa0\x80")};
    assert_int_equal(shape_check(&scope, &order_shape, &good, (ku_str){0}), KU_OK);
    order o = good;
    o.amount_cents = 0;
    expect_issue(&o, "p.amountCents", "too_small");
    o = good;
    o.weight = NAN;
    expect_issue(&o, "p.weight", "invalid_type");
    o = good;
    o.weight = INFINITY;
    expect_issue(&o, "p.weight", "invalid_type");
    o = good;
    o.customer = KU_STR("123456");
    expect_issue(&o, "p.customer", "too_big");
    o = good;
    o.id.bytes[6] = 0;
    expect_issue(&o, "p.id", "invalid_format");
    o = good;
    o.due_at.unix_us = INT64_MAX;
    expect_issue(&o, "p.dueAt", "invalid_format");
    o = good;
    o.due_at.unix_us = INT64_MIN;
    expect_issue(&o, "p.dueAt", "invalid_format");
    o = good;
    o.price = (ku_decimal){1, 3};
    expect_issue(&o, "p.price", "not_multiple_of");
    o = good;
    o.price = (ku_decimal){1, 19};
    expect_issue(&o, "p.price", "invalid_format");
    o = good;
    o.price = (ku_decimal){INT64_MIN, 2};
    expect_issue(&o, "p.price", "too_small");
    o = good;
    o.price = (ku_decimal){INT64_MAX, 0};
    expect_issue(&o, "p.price", "too_big");
    o = good;
    o.extra.json = KU_STR("{\"a\":}");
    expect_issue(&o, "p.extra", "invalid_format");
    o = good;
    o.colour = 3;
    expect_issue(&o, "p.colour", "invalid_value");
    o = good;
    o.colour = -1;
    expect_issue(&o, "p.colour", "invalid_value");
    o = good;
    o.lines = (ku_list){bad_lines, 2};
    expect_issue(&o, "p.lines.1.sku", "invalid_format");
    o = good;
    o.lines.count = 0;
    expect_issue(&o, "p.lines", "too_small");
    o = good;
    o.tags = (ku_list){bad_tags, 2};
    expect_issue(&o, "p.tags.1", "invalid_format");
    o = good;
    o.home.zip_code.value = KU_STR("\xc3");
    expect_issue(&o, "p.home.ZIP", "invalid_format");
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe2\x82",
        "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3\x28", "\xf0\x28\x8c\xbc"};
    static const char *const good[] = {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
        "a\xc3\xa9z"};
    order o = read_order();
    for (size_t i = 0; i < KU_COUNT(bad); i++) {
        o.customer = ku_str_from(bad[i]);
        expect_issue(&o, "p.customer", "invalid_format");
    }
    ku_clear_error(&scope);
    for (size_t i = 0; i < KU_COUNT(good); i++) {
        o.customer = ku_str_from(good[i]);
        assert_int_equal(shape_check(&scope, &order_shape, &o, (ku_str){0}), KU_OK);
    }
}

static void what_is_not_set_is_not_checked(void **state)
{
    (void)state;
    options o = {
        .text = {false, KU_STR("\xff")},
          .colour = {false, 77            }
    };
    assert_int_equal(shape_check(&scope, &options_shape, &o, (ku_str){0}), KU_OK);
}

/* ---- schema ---------------------------------------------------------------------------------- */

static const char *schema_of(const ku_shape *shape)
{
    buffer out = {.arena = &scope.arena};
    ku_json *json = NULL;
    shape_json_schema(&out, shape);
    ku_str text = buffer_str(&out);
    assert_int_equal(ku_json_parse(&scope, text, &json), KU_OK);
    return text.ptr;
}

static void the_schema_says_what_is_taken(void **state)
{
    (void)state;
#define LINE_SCHEMA                                                                                \
    "{\"type\":\"object\",\"title\":\"line\",\"properties\":{\"sku\":{\"type\":\"string\","        \
    "\"minLength\":1},\"quantity\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":99}},"          \
    "\"required\":[\"sku\",\"quantity\"]}"
    assert_string_equal(schema_of(&order_shape),
        "{\"type\":\"object\",\"title\":\"order\",\"properties\":{"
        "\"express\":{\"type\":\"boolean\"},"
        "\"amountCents\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"Gross, in cents.\"},"
        "\"weight\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1000},"
        "\"customer\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":5},"
        "\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
        "\"dueAt\":{\"type\":\"string\",\"format\":\"date-time\"},"
        "\"price\":{\"type\":[\"string\",\"number\"],\"pattern\":\"^-?[0-9]+(\\\\.[0-9]{1,2}0*)?$"
        "\","
        "\"maximum\":1000},"
        "\"extra\":{},"
        "\"colour\":{\"type\":\"string\",\"enum\":[\"red\",\"green\",\"blue\"]},"
        "\"lines\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":3,\"items\":" LINE_SCHEMA "},"
        "\"tags\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"type\":\"string\"}},"
        "\"home\":{\"type\":\"object\",\"title\":\"address\",\"properties\":{\"street\":"
        "{\"type\":\"string\"},\"ZIP\":{\"type\":[\"string\",\"null\"]}},\"required\":[\"street\"],"
        "\"description\":\"Where it goes.\"}},"
        "\"required\":[\"express\",\"amountCents\",\"weight\",\"customer\",\"id\",\"dueAt\","
        "\"price\",\"extra\",\"colour\",\"lines\",\"tags\",\"home\"]}");
    const char *optional = schema_of(&options_shape);
    assert_non_null(strstr(optional, "\"required\":[]"));
    assert_non_null(strstr(optional,
        "\"colour\":{\"type\":[\"string\",\"null\"],\"enum\":[\"red\",\"green\",\"blue\",null]}"));
    assert_non_null(strstr(optional, "\"money\":{\"type\":[\"string\",\"number\",\"null\"]"));
}

typedef struct comment {
    ku_str text;
    ku_list replies;
} comment;
static const ku_shape comment_shape;
static const ku_field comment_fields[] = {
    KU_FIELD(comment, text),
    KU_FIELD(comment, replies, .of = &comment_shape),
};
static const ku_shape comment_shape = KU_SHAPE(comment);

static void a_shape_that_holds_itself_ends(void **state)
{
    (void)state;
    assert_non_null(strstr(schema_of(&comment_shape),
        "\"items\":{\"type\":\"object\",\"title\":\"comment\"}}},\"required\""));
    buffer problems = {.arena = &scope.arena};
    shape_verify(&problems, "here", &comment_shape);
    assert_int_equal(problems.len, 0);
    ku_json *json = NULL;
    comment c;
    assert_int_equal(
        ku_json_parse(&scope,
            KU_STR("{\"text\":\"a\",\"replies\":[{\"text\":\"b\",\"replies\":[]},{\"text\":1}]}"),
            &json),
        KU_OK);
    assert_int_equal(shape_decode(&scope, &comment_shape, json, (ku_str){0}, &c), KU_INVALID);
    assert_true(ku_str_is(scope.error.issues->path, "replies.1.text"));
}

/* ---- the check of the table ------------------------------------------------------------------ */

static const char *problems_of(const ku_shape *shape)
{
    buffer problems = {.arena = &scope.arena};
    shape_verify(&problems, "here", shape);
    return buffer_str(&problems).ptr;
}

static void a_right_table_has_no_problem(void **state)
{
    (void)state;
    assert_string_equal(problems_of(&order_shape), "");
    assert_string_equal(problems_of(&options_shape), "");
    const ku_shape none = {0};
    assert_string_equal(problems_of(&none), "");
}

typedef struct record {
    int64_t number;
    ku_str text;
    int colour;
    ku_list list;
    address home;
    ku_decimal money;
    ku_optional_str maybe;
} record;

/* Verifies a right table whose field `at` was replaced. */
static void expect_problem(size_t at, ku_field replaced, const char *expected)
{
    ku_field fields[] = {
        KU_FIELD(record, number),
        KU_FIELD(record, text),
        KU_FIELD(record, colour, .names = colour_names),
        KU_FIELD(record, list, .of = &line_shape),
        KU_NESTED(record, home, &address_shape),
        KU_FIELD(record, money),
        KU_FIELD(record, maybe),
    };
    const ku_shape shape = {"record", sizeof(record), fields, KU_COUNT(fields)};
    assert_string_equal(problems_of(&shape), "");
    fields[at] = replaced;
    const char *problems = problems_of(&shape);
    if (strstr(problems, expected) == NULL || strncmp(problems, "here: shape record", 18) != 0)
        fail_msg("expected \"%s\", found \"%s\"", expected, problems);
    /* One mistake is one line. */
    const char *end = strchr(problems, '\n');
    if (end == NULL || end[1] != '\0')
        fail_msg("not one line: %s", problems);
}

static void each_mistake_in_a_field_is_named(void **state)
{
    (void)state;
    static const char *const empty[] = {NULL};
#define F(...) ((ku_field)KU_FIELD(record, __VA_ARGS__))
#define FIELD(name_, kind_, size_, offset_)                                                        \
    ((ku_field){.name = (name_), .kind = (kind_), .size = (size_), .offset = (offset_)})
    expect_problem(
        0, F(number, .value = KU_BETWEEN(2, 1)), "field number: .value has a minimum above");
    expect_problem(0, F(number, .length = KU_AT_LEAST(1)), ".length is for text and lists");
    expect_problem(0, F(number, .one_of = colour_names), ".one_of is for text");
    expect_problem(0, F(number, .names = colour_names), ".names is for enums");
    expect_problem(0, F(number, .of = &line_shape), ".of is for nested structs and lists");
    expect_problem(0, F(number, .items = KU_KIND_INT), ".items is for lists");
    expect_problem(0, F(number, .scale = 2), ".scale is for decimals");
    expect_problem(0, F(number, .flags = KU_NULLABLE), "KU_NULLABLE is for optional members");
    expect_problem(0, F(number, .flags = KU_SUM | KU_KEY), "a key cannot be summed up");
    expect_problem(0, F(number, .initial = "\"x\""), ".initial is not a value of the field");
    expect_problem(0, F(number, .initial = "x"), ".initial is not JSON");
    expect_problem(0, F(number, .json = ""), ".json is empty");
    expect_problem(0, F(number, .json = "text"), "has the wire name \"text\", as has number");
    expect_problem(0, FIELD("number", KU_KIND_NONE, 8, 0), "has no kind");
    expect_problem(0, FIELD("number", 99, 8, 0), "has no kind");
    expect_problem(
        0, FIELD("number", KU_KIND_INT, 4, 0), "the member's size is not that of its kind");
    expect_problem(1, F(text, .value = KU_AT_LEAST(1)), ".value is for numbers");
    expect_problem(1, F(text, .length = KU_BETWEEN(5, 1)), ".length has a minimum above");
    expect_problem(1, F(text, .length = KU_AT_MOST(-1)), ".length has a maximum below zero");
    expect_problem(1, F(text, .one_of = empty), ".one_of is empty");
    expect_problem(1, F(text, .one_of = colour_names, .length = KU_AT_LEAST(1)), ".one_of leaves");
    expect_problem(1, F(text, .flags = KU_SUM), "KU_SUM is for numbers");
    expect_problem(1, FIELD("number", KU_KIND_TEXT, 16, 8), "is in the table twice");
    expect_problem(1, FIELD(NULL, KU_KIND_TEXT, 16, 8), "field (no name): has no name");
    expect_problem(2, F(colour), "an enum needs .names");
    expect_problem(2, F(colour, .names = empty), ".names is empty");
    expect_problem(3, F(list), "a list needs .of or .items");
    expect_problem(3, F(list, .of = &line_shape, .items = KU_KIND_INT), "not both");
    expect_problem(3, F(list, .items = KU_KIND_LIST), ".items is the kind of a scalar");
    expect_problem(3, F(list, .items = KU_KIND_ENUM), "an enum needs .names");
    expect_problem(4, (ku_field)KU_NESTED(record, home, NULL), "a nested struct needs .of");
    expect_problem(4, (ku_field)KU_NESTED(record, home, &line_shape), "its size differs");
    expect_problem(4, (ku_field)KU_NESTED(record, home, &address_shape, .optional = true),
        "a nested struct cannot be optional");
    expect_problem(5, F(money, .scale = 19), ".scale is from 0 to 18");
    expect_problem(5, F(money, .scale = -1), ".scale is from 0 to 18");
}

static void a_mistake_in_an_inner_shape_is_found(void **state)
{
    (void)state;
    const ku_field inner[] = {KU_FIELD(address, street)};
    const ku_shape bad = {"address", sizeof(address), inner, 1};
    typedef struct outer {
        address home;
    } outer;
    const ku_field fields[] = {KU_NESTED(outer, home, &bad)};
    const ku_shape shape = {"outer", sizeof(outer), fields, 1};
    assert_string_equal(problems_of(&shape),
        "here: shape address: the last 24 bytes belong to no field; "
        "a member is missing in the table\n");
}

static void a_member_that_the_table_forgot_is_found(void **state)
{
    (void)state;
    for (size_t forgotten = 0; forgotten < order_shape.n_fields; forgotten++) {
        ku_field fields[KU_COUNT(order_fields)];
        size_t n = 0;
        for (size_t i = 0; i < order_shape.n_fields; i++)
            if (i != forgotten)
                fields[n++] = order_fields[i];
        const ku_shape shape = {"order", sizeof(order), fields, n};
        const char *problems = problems_of(&shape);
        /* A bool before an int64_t is the one thing that looks like padding; here it comes first.
         */
        if (strstr(problems, "belong to no field") == NULL)
            fail_msg("without %s: \"%s\"", order_fields[forgotten].name, problems);
    }
}

static void fields_on_top_of_each_other_or_outside_are_found(void **state)
{
    (void)state;
    ku_field fields[] = {KU_FIELD(line, sku), KU_FIELD(line, quantity)};
    const ku_shape shape = {"line", sizeof(line), fields, 2};
    fields[1].offset = 8;
    assert_non_null(strstr(problems_of(&shape), "lies on top of another field"));
    fields[1].offset = offsetof(line, quantity);
    const ku_shape shorter = {"line", sizeof(line) - 8, fields, 2};
    assert_non_null(strstr(problems_of(&shorter), "reach beyond the struct"));
}

static void too_many_fields_are_refused(void **state)
{
    (void)state;
    enum { N = LIMIT_FIELDS_PER_SHAPE };
    ku_field fields[N + 1];
    char names[N + 1][16];
    for (int i = 0; i <= N; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%d", i);
        fields[i] = (ku_field){.name = names[i],
            .kind = KU_KIND_INT,
            .size = sizeof(int64_t),
            .offset = (size_t)i * sizeof(int64_t)};
    }
    const ku_shape fits = {"many", N * sizeof(int64_t), fields, N};
    assert_string_equal(problems_of(&fits), "");
    const ku_shape beyond = {"many", (N + 1) * sizeof(int64_t), fields, N + 1};
    assert_string_equal(
        problems_of(&beyond), "here: shape many: 65 fields; at most 64 are possible\n");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)
    const struct CMUnitTest tests[] = {
        T(wire_names_are_camel_case_or_given),
        T(fields_are_found_by_either_name),
        T(names_are_computed_by_many_threads_at_once),
        T(fields_are_equal_by_value),
        T(optional_fields_are_equal_if_both_are_unset),
        T(a_copy_does_not_need_the_memory_of_the_original),
        T(one_field_is_written_alone),
        T(a_struct_that_breaks_a_rule_is_refused),
        T(text_that_is_not_utf8_is_refused),
        T(what_is_not_set_is_not_checked),
        T(the_schema_says_what_is_taken),
        T(a_shape_that_holds_itself_ends),
        T(a_right_table_has_no_problem),
        T(each_mistake_in_a_field_is_named),
        T(a_mistake_in_an_inner_shape_is_found),
        T(a_member_that_the_table_forgot_is_found),
        T(fields_on_top_of_each_other_or_outside_are_found),
        T(too_many_fields_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
