/*
 * JSON Schema (2020-12) of a shape: what shape_decode takes.
 *
 * Members that the table does not know are ignored by the decoder, so the schema does not forbid
 * them.
 */
#include "shape/shape.h"

#include <inttypes.h>

/* The shapes that are being written: one that holds a list of itself ends there. */
typedef struct open_shape {
    const struct open_shape *parent;
    const ku_shape *shape;
} open_shape;

static void put_shape(buffer *b, const ku_shape *shape, const open_shape *parent);

static void put_text_member(buffer *b, const char *name, const char *value)
{
    json_put_key(b, name);
    json_put_text(b, ku_str_from(value));
}

static void put_int_member(buffer *b, const char *name, int64_t value)
{
    json_put_key(b, name);
    buffer_format(b, "%" PRId64, value);
}

static void put_type(buffer *b, const char *type, bool nullable)
{
    json_put_key(b, "type");
    if (nullable)
        buffer_format(b, "[\"%s\",\"null\"]", type);
    else
        json_put_text(b, ku_str_from(type));
}

/* A bound that is the type's own end says nothing. */
static void put_bounds(buffer *b, const ku_bounds *bounds, const char *low, const char *high)
{
    if (bounds->set && bounds->min != INT64_MIN)
        put_int_member(b, low, bounds->min);
    if (bounds->set && bounds->max != INT64_MAX)
        put_int_member(b, high, bounds->max);
}

static void put_values(buffer *b, const char *const *values, bool nullable)
{
    json_put_key(b, "enum");
    buffer_add_char(b, '[');
    for (size_t i = 0; values[i] != NULL; i++) {
        if (i > 0)
            buffer_add_char(b, ',');
        json_put_text(b, ku_str_from(values[i]));
    }
    buffer_add_text(b, nullable ? ",null]" : "]");
}

static void put_decimal(buffer *b, const ku_field *field, bool nullable)
{
    json_put_key(b, "type");
    buffer_add_text(b, nullable ? "[\"string\",\"number\",\"null\"]" : "[\"string\",\"number\"]");
    json_put_key(b, "pattern");
    if (field->scale == 0)
        buffer_add_text(b, "\"^-?[0-9]+$\"");
    else
        buffer_format(b, "\"^-?[0-9]+(\\\\.[0-9]{1,%d}0*)?$\"", field->scale);
    put_bounds(b, &field->value, "minimum", "maximum");
}

static void put_text(buffer *b, const ku_field *field, bool nullable)
{
    put_type(b, "string", nullable);
    if (field->one_of != NULL)
        put_values(b, field->one_of, nullable);
    else if (field->kind == KU_KIND_TEXT)
        put_bounds(b, &field->length, "minLength", "maxLength");
}

/* The members of a value's schema, without its braces. */
static void put_value(
    buffer *b, const ku_field *field, int kind, bool nullable, const open_shape *parent)
{
    switch ((ku_kind)kind) {
    case KU_KIND_BOOL:
        put_type(b, "boolean", nullable);
        break;
    case KU_KIND_INT:
    case KU_KIND_DOUBLE:
        put_type(b, kind == KU_KIND_INT ? "integer" : "number", nullable);
        put_bounds(b, &field->value, "minimum", "maximum");
        break;
    case KU_KIND_TEXT:
        put_text(b, field, nullable);
        break;
    case KU_KIND_ID:
        put_type(b, "string", nullable);
        put_text_member(b, "format", "uuid");
        break;
    case KU_KIND_TIME:
        put_type(b, "string", nullable);
        put_text_member(b, "format", "date-time");
        break;
    case KU_KIND_DECIMAL:
        put_decimal(b, field, nullable);
        break;
    case KU_KIND_ENUM:
        put_type(b, "string", nullable);
        put_values(b, field->names, nullable);
        break;
    case KU_KIND_LIST:
        put_type(b, "array", nullable);
        put_bounds(b, &field->length, "minItems", "maxItems");
        json_put_key(b, "items");
        if (field->of != NULL) {
            put_shape(b, field->of, parent);
            break;
        }
        buffer_add_char(b, '{');
        put_value(b, field, field->items, false, parent);
        buffer_add_char(b, '}');
        break;
    case KU_KIND_NONE:
    case KU_KIND_RAW:
    case KU_KIND_NESTED: /* has braces of its own: put_field */
        break;
    }
}

static void put_about(buffer *b, const ku_field *field)
{
    if (field->about != NULL)
        put_text_member(b, "description", field->about);
}

static void put_field(buffer *b, const ku_field *field, const open_shape *parent)
{
    if (field->kind == KU_KIND_NESTED) {
        put_shape(b, field->of, parent);
        if (field->about != NULL) {
            b->len--; /* back into its braces */
            put_about(b, field);
            buffer_add_char(b, '}');
        }
        return;
    }
    buffer_add_char(b, '{');
    put_value(b, field, field->kind, (field->flags & KU_NULLABLE) != 0, parent);
    put_about(b, field);
    buffer_add_char(b, '}');
}

static void put_shape(buffer *b, const ku_shape *shape, const open_shape *parent)
{
    buffer_add_char(b, '{');
    put_type(b, "object", false);
    put_text_member(b, "title", shape->name);
    for (const open_shape *open = parent; open != NULL; open = open->parent) {
        if (open->shape == shape) {
            buffer_add_char(b, '}');
            return;
        }
    }
    const open_shape here = {parent, shape};
    const field_names *names = shape_names(shape);
    json_put_key(b, "properties");
    buffer_add_char(b, '{');
    for (size_t i = 0; i < shape->n_fields; i++) {
        if (i > 0)
            buffer_add_char(b, ',');
        buffer_add_str(b, names[i].key);
        put_field(b, &shape->fields[i], &here);
    }
    buffer_add_text(b, "},\"required\":[");
    bool first = true;
    for (size_t i = 0; i < shape->n_fields; i++) {
        if (shape->fields[i].optional)
            continue;
        if (!first)
            buffer_add_char(b, ',');
        first = false;
        json_put_text(b, names[i].wire);
    }
    buffer_add_text(b, "]}");
}

void shape_json_schema(buffer *b, const ku_shape *shape)
{
    put_shape(b, shape, NULL);
}
