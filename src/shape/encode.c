/*
 * Struct to JSON.
 *
 * Keys come ready from shape_names, so a member costs its value and one copy of its name.
 *
 * Zero has one sign: -0.0 equals 0, an update from one to the other changes nothing, and SQLite
 * cannot store it.
 */
#include "shape/shape.h"

#include <assert.h>

static void encode_value(buffer *b, const ku_field *field, int kind, const void *value);

static void encode_list(buffer *b, const ku_field *field, const ku_list *list)
{
    int kind = field->of != NULL ? KU_KIND_NESTED : field->items;
    size_t size = field->of != NULL ? field->of->size : kind_layout_of(kind)->size;
    buffer_add_char(b, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buffer_add_char(b, ',');
        encode_value(b, field, kind, (const char *)list->items + i * size);
    }
    buffer_add_char(b, ']');
}

/* With the field's scale, where no digit is lost by that. */
static void encode_decimal(buffer *b, const ku_field *field, ku_decimal value)
{
    (void)ku_decimal_rescale(value, field->scale, &value);
    json_put_decimal(b, value);
}

static void encode_enum(buffer *b, const ku_field *field, int value)
{
    for (int i = 0; i <= value; i++)
        assert(field->names[i] != NULL); /* shape_check has seen it */
    assert(value >= 0);
    json_put_text(b, ku_str_from(field->names[value]));
}

static void encode_raw(buffer *b, ku_str json)
{
    /* A raw member of a zeroed struct. */
    if (json.len == 0)
        buffer_add_text(b, "null");
    else
        buffer_add_str(b, json);
}

static void encode_value(buffer *b, const ku_field *field, int kind, const void *value)
{
    switch ((ku_kind)kind) {
    case KU_KIND_BOOL:
        buffer_add_text(b, *(const bool *)value ? "true" : "false");
        break;
    case KU_KIND_INT:
        json_put_int(b, *(const int64_t *)value);
        break;
    case KU_KIND_DOUBLE:
        json_put_double(b, *(const double *)value == 0 ? 0 : *(const double *)value);
        break;
    case KU_KIND_TEXT:
        json_put_text(b, *(const ku_str *)value);
        break;
    case KU_KIND_ID:
        json_put_id(b, *(const ku_id *)value);
        break;
    case KU_KIND_TIME:
        json_put_time(b, *(const ku_time *)value);
        break;
    case KU_KIND_DECIMAL:
        encode_decimal(b, field, *(const ku_decimal *)value);
        break;
    case KU_KIND_RAW:
        encode_raw(b, ((const ku_raw *)value)->json);
        break;
    case KU_KIND_ENUM:
        encode_enum(b, field, *(const int *)value);
        break;
    case KU_KIND_LIST:
        encode_list(b, field, value);
        break;
    case KU_KIND_NESTED:
        shape_encode(b, field->of, value, false);
        break;
    case KU_KIND_NONE:
        break;
    }
}

void field_encode(buffer *b, const ku_field *field, const void *struct_)
{
    if (field_is_set(field, struct_))
        encode_value(b, field, field->kind, field_value(field, struct_));
    else
        buffer_add_text(b, "null");
}

void shape_encode(buffer *b, const ku_shape *shape, const void *struct_, bool with_nulls)
{
    const field_names *names = shape_names(shape);
    bool first = true;
    buffer_add_char(b, '{');
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        bool shows_null = with_nulls || (field->flags & KU_NULLABLE) != 0;
        if (!shows_null && !field_is_set(field, struct_))
            continue;
        if (!first)
            buffer_add_char(b, ',');
        first = false;
        buffer_add_str(b, names[i].key);
        field_encode(b, field, struct_);
    }
    buffer_add_char(b, '}');
}
