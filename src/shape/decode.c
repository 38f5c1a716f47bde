/*
 * JSON to struct.
 *
 * Members are matched to fields first, then fields are read in the order of the table, so that
 * issues come in that order whatever the input's is.  Members mostly come in the table's order,
 * too: the field behind the last match is tried first.
 *
 * A value is read into its C type here; whether it is allowed is for value_check to say.
 */
#include "base/limits.h"
#include "shape/place.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool decode_object(ku_scope *scope, const ku_shape *shape, const ku_json *json,
    const place *where, void *struct_, uint64_t *ret_given);

/* What a field of this kind expects to find, as zod calls it. */
static bool refuse_type(ku_scope *scope, const ku_field *field, int kind, const place *where)
{
    switch ((ku_kind)kind) {
    case KU_KIND_BOOL:
        return issue_type(scope, where, "boolean");
    case KU_KIND_INT:
    case KU_KIND_DOUBLE:
        return issue_type(scope, where, "number");
    case KU_KIND_TEXT:
        /* A closed list of values is one thing to zod, whatever it is given. */
        return field->one_of != NULL ? issue_value(scope, where, field->one_of)
                                     : issue_type(scope, where, "string");
    case KU_KIND_ENUM:
        return issue_value(scope, where, field->names);
    case KU_KIND_ID:
    case KU_KIND_TIME:
    case KU_KIND_DECIMAL:
        return issue_type(scope, where, "string");
    case KU_KIND_LIST:
        return issue_type(scope, where, "array");
    case KU_KIND_NESTED:
        return issue_type(scope, where, "object");
    case KU_KIND_NONE:
    case KU_KIND_RAW:
        break;
    }
    return issue_type(scope, where, "nonoptional");
}

/* Numbers beyond ±(2^53-1) are written as text (§1.9) and read back so; other text is no number. */
static bool read_large_int(ku_str text, int64_t *ret_value)
{
    const int64_t safe_max = INT64_C(9007199254740991);
    char again[24];
    int64_t value;
    if (text.len < 16 || text.len > 20 || json_number_int(text, &value) != JSON_WHOLE)
        return false;
    (void)snprintf(again, sizeof(again), "%" PRId64, value);
    if (!ku_str_is(text, again) || (value >= -safe_max && value <= safe_max))
        return false;
    *ret_value = value;
    return true;
}

static bool decode_int(
    ku_scope *scope, const ku_field *field, const ku_json *json, const place *where, int64_t *ret)
{
    if (json->kind != KU_JSON_NUMBER)
        return (json->kind == KU_JSON_TEXT && read_large_int(json->text, ret)) ||
               refuse_type(scope, field, KU_KIND_INT, where);
    switch (json_number_int(json->text, ret)) {
    case JSON_WHOLE:
        return true;
    case JSON_FRACTION:
        return issue_add(
            scope, where, "invalid_type", KU_STR("{\"expected\":\"int\",\"format\":\"safeint\"}"));
    case JSON_TOO_SMALL:
        return issue_minimum(scope, where, field->value.set ? field->value.min : INT64_MIN);
    case JSON_TOO_BIG:
        break;
    }
    return issue_maximum(scope, where, field->value.set ? field->value.max : INT64_MAX);
}

/* `[-]digits[.digits]`, of any length. */
static bool is_decimal_text(ku_str text)
{
    size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    bool digit = false, pointed = false;
    for (; at < text.len; at++) {
        bool point = text.ptr[at] == '.' && digit && !pointed;
        if (!point && (text.ptr[at] < '0' || text.ptr[at] > '9'))
            return false;
        digit = !point;
        pointed = pointed || point;
    }
    return digit;
}

static bool decode_decimal(ku_scope *scope, const ku_field *field, const ku_json *json,
    const place *where, ku_decimal *ret)
{
    if (json->kind == KU_JSON_TEXT ? !is_decimal_text(json->text) : json->kind != KU_JSON_NUMBER)
        return json->kind == KU_JSON_TEXT ? issue_format(scope, where, "decimal")
                                          : refuse_type(scope, field, KU_KIND_DECIMAL, where);
    if (!json_number_decimal(json->text, ret)) {
        int64_t ignored;
        if (json_number_int(json->text, &ignored) == JSON_FRACTION)
            return issue_digits(scope, where, field->scale);
        return issue_decimal_range(
            scope, where, (ku_decimal){json->text.ptr[0] == '-' ? -1 : 1, 0}, field->scale);
    }
    /* Kept with the field's scale; if that does not go, value_check says why. */
    (void)ku_decimal_rescale(*ret, field->scale, ret);
    return true;
}

static bool decode_enum(
    ku_scope *scope, const ku_field *field, const ku_json *json, const place *where, int *ret)
{
    for (int i = 0; json->kind == KU_JSON_TEXT && field->names[i] != NULL; i++) {
        if (ku_str_is(json->text, field->names[i])) {
            *ret = i;
            return true;
        }
    }
    return refuse_type(scope, field, KU_KIND_ENUM, where);
}

static bool decode_text(ku_scope *scope, const ku_field *field, int kind, const ku_json *json,
    const place *where, void *out)
{
    if (json->kind != KU_JSON_TEXT)
        return refuse_type(scope, field, kind, where);
    if (kind == KU_KIND_ID) {
        /* The pattern's max is in lower case only, unlike all others. */
        static const ku_str max = KU_STR_INIT("ffffffff-ffff-ffff-ffff-ffffffffffff");
        bool is_max_shouted = json->text.len == max.len &&
                              strncasecmp(json->text.ptr, max.ptr, max.len) == 0 &&
                              !ku_str_equal(json->text, max);
        return (!is_max_shouted && ku_id_parse(json->text, out)) ||
               issue_format(scope, where, "uuid");
    }
    if (kind == KU_KIND_TIME)
        return ku_time_parse(json->text, out) || issue_format(scope, where, "datetime");
    *(ku_str *)out = json->text;
    return true;
}

/* Reads a scalar into its C type. */
static bool decode_scalar(ku_scope *scope, const ku_field *field, int kind, const ku_json *json,
    const place *where, void *out)
{
    switch ((ku_kind)kind) {
    case KU_KIND_BOOL:
        return ku_json_bool(json, out) || refuse_type(scope, field, kind, where);
    case KU_KIND_INT:
        return decode_int(scope, field, json, where, out);
    case KU_KIND_DOUBLE:
        return ku_json_double(json, out) || refuse_type(scope, field, kind, where);
    case KU_KIND_TEXT:
    case KU_KIND_ID:
    case KU_KIND_TIME:
        return decode_text(scope, field, kind, json, where, out);
    case KU_KIND_DECIMAL:
        return decode_decimal(scope, field, json, where, out);
    case KU_KIND_RAW:
        ((ku_raw *)out)->json = ku_json_write(scope, json);
        return true;
    case KU_KIND_ENUM:
        return decode_enum(scope, field, json, where, out);
    case KU_KIND_NONE:
    case KU_KIND_LIST:
    case KU_KIND_NESTED:
        break;
    }
    return false;
}

static bool decode_value(ku_scope *scope, const ku_field *field, int kind, const ku_json *json,
    const place *where, void *out);

static bool decode_list(
    ku_scope *scope, const ku_field *field, const ku_json *json, const place *where, ku_list *ret)
{
    if (json->kind != KU_JSON_ARRAY)
        return refuse_type(scope, field, KU_KIND_LIST, where);
    int kind = field->of != NULL ? KU_KIND_NESTED : field->items;
    size_t size = field->of != NULL ? field->of->size : kind_layout_of(kind)->size;
    bool ok = count_check(scope, field, json->count, where);
    char *items = arena_alloc(&scope->arena, json->count * size);
    *ret = (ku_list){items, json->count};
    size_t index = 0;
    for (const ku_json *item = json->first; item != NULL; item = item->next, index++) {
        const place here = {.parent = where, .index = index, .stored = where->stored};
        ok = decode_value(scope, field, kind, item, &here, items + index * size) && ok;
    }
    return ok;
}

static bool decode_value(ku_scope *scope, const ku_field *field, int kind, const ku_json *json,
    const place *where, void *out)
{
    if (kind == KU_KIND_NESTED) {
        if (json->kind != KU_JSON_OBJECT)
            return refuse_type(scope, field, kind, where);
        return decode_object(scope, field->of, json, where, out, NULL);
    }
    if (kind == KU_KIND_LIST)
        return decode_list(scope, field, json, where, out);
    return decode_scalar(scope, field, kind, json, where, out) &&
           (where->stored || value_check(scope, field, kind, out, where));
}

static bool decode_field(
    ku_scope *scope, const ku_field *field, const ku_json *json, const place *where, void *struct_)
{
    char *member = (char *)struct_ + field->offset;
    if (!field->optional)
        return decode_value(scope, field, field->kind, json, where, member);
    if (json->kind == KU_JSON_NULL && (field->flags & KU_NULLABLE) != 0)
        return true;
    char *value = member + kind_layout_of(field->kind)->optional_at;
    *(bool *)member = true;
    return decode_value(scope, field, field->kind, json, where, value);
}

/* Finds each field's member; those that are not there stay NULL. */
static void match_members(const ku_shape *shape, const field_names *names, const ku_json *json,
    const ku_json *ret_members[LIMIT_FIELDS_PER_SHAPE])
{
    memset(ret_members, 0, shape->n_fields * sizeof(ret_members[0]));
    size_t expected = 0;
    for (const ku_json *member = json->first; member != NULL; member = member->next) {
        size_t found = expected;
        if (found == shape->n_fields || !ku_str_equal(names[found].wire, member->key))
            for (found = 0; found < shape->n_fields; found++)
                if (ku_str_equal(names[found].wire, member->key))
                    break;
        if (found == shape->n_fields)
            continue;
        ret_members[found] = member;
        expected = found + 1;
    }
}

/* `ret_given`: NULL if members that are not optional must be there. */
static bool decode_object(ku_scope *scope, const ku_shape *shape, const ku_json *json,
    const place *where, void *struct_, uint64_t *ret_given)
{
    assert(shape->n_fields <= LIMIT_FIELDS_PER_SHAPE);
    const ku_json *members[LIMIT_FIELDS_PER_SHAPE];
    const field_names *names = shape_names(shape);
    match_members(shape, names, json, members);

    bool ok = true;
    uint64_t given = 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        const place here = {.parent = where, .name = names[i].wire, .stored = where->stored};
        if (members[i] != NULL) {
            given |= UINT64_C(1) << i;
            ok = decode_field(scope, field, members[i], &here, struct_) && ok;
        } else if (ret_given == NULL && !field->optional) {
            ok = refuse_type(scope, field, field->kind, &here);
        }
    }
    if (ret_given != NULL)
        *ret_given = given;
    return ok;
}

static ku_status decode(ku_scope *scope, const ku_shape *shape, const ku_json *json,
    const place *where, void *struct_, uint64_t *ret_given)
{
    if (shape->size > 0) /* a handler without input has no struct */
        memset(struct_, 0, shape->size);
    if (json == NULL || json->kind != KU_JSON_OBJECT) {
        (void)issue_type(scope, where, "object");
        return KU_INVALID;
    }
    return decode_object(scope, shape, json, where, struct_, ret_given) ? KU_OK : KU_INVALID;
}

ku_status shape_decode(
    ku_scope *scope, const ku_shape *shape, const ku_json *json, ku_str prefix, void *struct_)
{
    const place root = {.name = prefix};
    return decode(scope, shape, json, &root, struct_, NULL);
}

ku_status shape_decode_partial(ku_scope *scope, const ku_shape *shape, const ku_json *json,
    ku_str prefix, void *struct_, uint64_t *ret_given)
{
    const place root = {.name = prefix};
    uint64_t given = 0;
    ku_status status = decode(scope, shape, json, &root, struct_, &given);
    if (status == KU_OK)
        *ret_given = given;
    return status;
}

ku_status shape_decode_stored(ku_scope *scope, const ku_shape *shape, const ku_json *json,
    ku_str prefix, void *struct_, uint64_t *ret_given)
{
    const place root = {.name = prefix, .stored = true};
    return decode(scope, shape, json, &root, struct_, ret_given);
}
