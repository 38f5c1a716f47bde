/*
 * Issues, worded as zod words them (behaviour §2): a code and what was expected.
 */
#include "shape/place.h"

#include <inttypes.h>

/* As zod 4 prints it; value_check has the same rule in C. */
#define UUID_PATTERN                                                                               \
    "/^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-"                 \
    "[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|"                                        \
    "ffffffff-ffff-ffff-ffff-ffffffffffff)$/"

static void put_place(buffer *path, const place *where)
{
    if (where->parent != NULL) {
        put_place(path, where->parent);
        if (path->len > 0 && path->ptr[path->len - 1] != '.')
            buffer_add_char(path, '.');
        if (where->name.ptr == NULL) {
            buffer_format(path, "%zu", where->index);
            return;
        }
    }
    buffer_add_str(path, where->name);
}

bool issue_add(ku_scope *scope, const place *where, const char *code, ku_str params)
{
    ku_mark mark = arena_mark(&scope->arena);
    buffer path = {.arena = &scope->arena};
    put_place(&path, where);
    if (path.len > 0 && path.ptr[path.len - 1] == '.')
        path.len--;
    (void)scope_issue(scope, path.len > 0 ? buffer_str(&path) : KU_STR("(root)"), code, params);
    arena_rewind(&scope->arena, mark);
    return false;
}

bool issue_type(ku_scope *scope, const place *where, const char *expected)
{
    return issue_add(scope, where, "invalid_type",
        arena_format(&scope->arena, "{\"expected\":\"%s\"}", expected));
}

bool issue_format(ku_scope *scope, const place *where, const char *format)
{
    if (ku_str_is(KU_STR("uuid"), format))
        return issue_add(scope, where, "invalid_format",
            KU_STR("{\"format\":\"uuid\",\"pattern\":\"" UUID_PATTERN "\"}"));
    return issue_add(
        scope, where, "invalid_format", arena_format(&scope->arena, "{\"format\":\"%s\"}", format));
}

bool issue_value(ku_scope *scope, const place *where, const char *const *allowed)
{
    buffer params = {.arena = &scope->arena};
    buffer_add_text(&params, "{\"values\":[");
    for (size_t i = 0; allowed[i] != NULL; i++) {
        if (i > 0)
            buffer_add_char(&params, ',');
        json_put_text(&params, ku_str_from(allowed[i]));
    }
    buffer_add_text(&params, "]}");
    return issue_add(scope, where, "invalid_value", buffer_str(&params));
}

bool issue_minimum(ku_scope *scope, const place *where, int64_t minimum)
{
    return issue_add(scope, where, "too_small",
        arena_format(&scope->arena, "{\"minimum\":%" PRId64 ",\"inclusive\":true}", minimum));
}

bool issue_maximum(ku_scope *scope, const place *where, int64_t maximum)
{
    return issue_add(scope, where, "too_big",
        arena_format(&scope->arena, "{\"maximum\":%" PRId64 ",\"inclusive\":true}", maximum));
}

bool issue_decimal_range(ku_scope *scope, const place *where, ku_decimal value, int32_t scale)
{
    bool negative = value.units < 0;
    ku_decimal bound = {
        negative ? -INT64_C(999999999999999999) : INT64_C(999999999999999999), scale};
    char text[24];
    ku_decimal_format(bound, text);
    return issue_add(scope, where, negative ? "too_small" : "too_big",
        arena_format(&scope->arena, "{\"%s\":%s,\"inclusive\":true}",
            negative ? "minimum" : "maximum", text));
}

bool issue_digits(ku_scope *scope, const place *where, int32_t scale)
{
    char text[24];
    ku_decimal_format((ku_decimal){1, scale}, text);
    return issue_add(
        scope, where, "not_multiple_of", arena_format(&scope->arena, "{\"divisor\":%s}", text));
}
