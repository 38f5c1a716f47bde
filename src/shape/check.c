/*
 * The rules of values.
 *
 * `value_check` judges one value of a C type; decoding calls it for what it has read. `shape_check`
 * walks a struct that a program has filled and adds what cannot happen to decoded values: text that
 * is not UTF-8, raw JSON that is none.
 *
 * What these rules let through can be stored and read back by both engines: text without NUL, ids
 * that the UUID rule takes, decimals of at most 18 digits, instants that have a text.
 */
#include "base/limits.h"
#include "shape/place.h"

#include <math.h>
#include <string.h>

#define DECIMAL_UNITS_MAX INT64_C(999999999999999999)

static int64_t count_code_points(ku_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return (int64_t)count;
}

static bool check_bounds(
    ku_scope *scope, const ku_bounds *bounds, int64_t value, const place *where)
{
    if (!bounds->set)
        return true;
    if (value < bounds->min)
        return issue_minimum(scope, where, bounds->min);
    if (value > bounds->max)
        return issue_maximum(scope, where, bounds->max);
    return true;
}

static bool check_double(ku_scope *scope, const ku_field *field, double value, const place *where)
{
    if (!isfinite(value))
        return issue_type(scope, where, "number");
    if (field->value.set && value < (double)field->value.min)
        return issue_minimum(scope, where, field->value.min);
    if (field->value.set && value > (double)field->value.max)
        return issue_maximum(scope, where, field->value.max);
    return true;
}

static bool check_text(
    ku_scope *scope, const ku_field *field, bool is_item, ku_str text, const place *where)
{
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        return issue_format(scope, where, "text");
    if (field->one_of != NULL) {
        for (size_t i = 0; field->one_of[i] != NULL; i++)
            if (ku_str_is(text, field->one_of[i]))
                return true;
        return issue_value(scope, where, field->one_of);
    }
    if (!field->length.set || is_item)
        return true;
    return check_bounds(scope, &field->length, count_code_points(text), where);
}

/* RFC 9562: versions 1 to 8 of the common variant, or nil, or max. */
static bool check_id(ku_scope *scope, ku_id id, const place *where)
{
    static const ku_id max = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff}
    };
    int version = id.bytes[6] >> 4;
    bool common = version >= 1 && version <= 8 && id.bytes[8] >> 6 == 2;
    if (common || ku_id_is_nil(id) || ku_id_equal(id, max))
        return true;
    return issue_format(scope, where, "uuid");
}

static bool check_time(ku_scope *scope, ku_time time, const place *where)
{
    char text[25];
    ku_time again;
    ku_time_format(time, text);
    /* A time beyond the years that have a text comes back as another one. */
    if (ku_time_parse((ku_str){text, 24}, &again) && time.unix_us - again.unix_us >= 0 &&
        time.unix_us - again.unix_us < 1000)
        return true;
    return issue_format(scope, where, "datetime");
}

static bool check_decimal(
    ku_scope *scope, const ku_field *field, ku_decimal value, const place *where)
{
    ku_decimal kept;
    if (value.scale < 0 || value.scale > 18)
        return issue_format(scope, where, "decimal");
    if (!ku_decimal_rescale(value, field->scale, &kept)) {
        if (field->scale < value.scale)
            return issue_digits(scope, where, field->scale);
        return issue_decimal_range(scope, where, value, field->scale);
    }
    if (kept.units > DECIMAL_UNITS_MAX || kept.units < -DECIMAL_UNITS_MAX)
        return issue_decimal_range(scope, where, value, field->scale);
    if (field->value.set && ku_decimal_compare(value, (ku_decimal){field->value.min, 0}) < 0)
        return issue_minimum(scope, where, field->value.min);
    if (field->value.set && ku_decimal_compare(value, (ku_decimal){field->value.max, 0}) > 0)
        return issue_maximum(scope, where, field->value.max);
    return true;
}

static bool check_enum(ku_scope *scope, const ku_field *field, int value, const place *where)
{
    for (int i = 0; field->names[i] != NULL; i++)
        if (i == value)
            return true;
    return issue_value(scope, where, field->names);
}

bool value_check(
    ku_scope *scope, const ku_field *field, int kind, const void *value, const place *where)
{
    switch ((ku_kind)kind) {
    case KU_KIND_INT:
        return check_bounds(scope, &field->value, *(const int64_t *)value, where);
    case KU_KIND_DOUBLE:
        return check_double(scope, field, *(const double *)value, where);
    case KU_KIND_TEXT:
        return check_text(scope, field, field->kind == KU_KIND_LIST, *(const ku_str *)value, where);
    case KU_KIND_ID:
        return check_id(scope, *(const ku_id *)value, where);
    case KU_KIND_TIME:
        return check_time(scope, *(const ku_time *)value, where);
    case KU_KIND_DECIMAL:
        return check_decimal(scope, field, *(const ku_decimal *)value, where);
    case KU_KIND_ENUM:
        return check_enum(scope, field, *(const int *)value, where);
    case KU_KIND_NONE:
    case KU_KIND_BOOL:
    case KU_KIND_RAW:
    case KU_KIND_LIST:
    case KU_KIND_NESTED:
        break;
    }
    return true;
}

bool count_check(ku_scope *scope, const ku_field *field, size_t count, const place *where)
{
    return check_bounds(scope, &field->length, (int64_t)count, where);
}

/* ---- structs that a program filled ----------------------------------------------------------- */

/* The length of the well-formed character here, or 0: no overlong form, no surrogate, nothing above
 * U+10FFFF. */
static size_t character_size(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] > 0x9f;
    bool beyond = at[0] == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : size;
}

static bool is_utf8(ku_str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t size = character_size((const unsigned char *)text.ptr + at, text.len - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

static bool is_json(ku_scope *scope, ku_str text)
{
    ku_json *json;
    json_error error;
    ku_mark mark = arena_mark(&scope->arena);
    bool ok = json_parse(&scope->arena, text, LIMIT_JSON_DEPTH, &json, &error);
    arena_rewind(&scope->arena, mark);
    return ok;
}

static bool check_struct(
    ku_scope *scope, const ku_shape *shape, const void *struct_, const place *where);

/* A value of the struct: a field's, or an item of its list. */
static bool check_value(
    ku_scope *scope, const ku_field *field, int kind, const void *value, const place *where)
{
    if (kind == KU_KIND_NESTED)
        return check_struct(scope, field->of, value, where);
    if (kind == KU_KIND_TEXT && !is_utf8(*(const ku_str *)value))
        return issue_format(scope, where, "utf8");
    if (kind == KU_KIND_RAW && !is_json(scope, ((const ku_raw *)value)->json))
        return issue_format(scope, where, "json");
    if (kind != KU_KIND_LIST)
        return value_check(scope, field, kind, value, where);

    const ku_list *list = value;
    int item_kind = field->of != NULL ? KU_KIND_NESTED : field->items;
    size_t item_size = field->of != NULL ? field->of->size : kind_layout_of(item_kind)->size;
    bool ok = count_check(scope, field, list->count, where);
    for (size_t i = 0; i < list->count; i++) {
        const place item = {.parent = where, .index = i};
        const char *at = (const char *)list->items + i * item_size;
        ok = check_value(scope, field, item_kind, at, &item) && ok;
    }
    return ok;
}

static bool check_struct(
    ku_scope *scope, const ku_shape *shape, const void *struct_, const place *where)
{
    const field_names *names = shape_names(shape);
    bool ok = true;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        if (!field_is_set(field, struct_))
            continue;
        const place here = {.parent = where, .name = names[i].wire};
        ok = check_value(scope, field, field->kind, field_value(field, struct_), &here) && ok;
    }
    return ok;
}

ku_status shape_check(ku_scope *scope, const ku_shape *shape, const void *struct_, ku_str prefix)
{
    const place root = {.name = prefix};
    return check_struct(scope, shape, struct_, &root) ? KU_OK : KU_INVALID;
}
