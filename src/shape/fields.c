/*
 * Fields in memory: where a value lies, comparing, copying.
 */
#include "shape/shape.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

#define LAYOUT(type, optional)                                                                     \
    {                                                                                              \
        sizeof(type), alignof(type), sizeof(optional), offsetof(optional, value)                   \
    }

static const kind_layout layouts[] = {
    [KU_KIND_BOOL] = LAYOUT(bool, ku_optional_bool),
    [KU_KIND_INT] = LAYOUT(int64_t, ku_optional_int64),
    [KU_KIND_DOUBLE] = LAYOUT(double, ku_optional_double),
    [KU_KIND_TEXT] = LAYOUT(ku_str, ku_optional_str),
    [KU_KIND_ID] = LAYOUT(ku_id, ku_optional_id),
    [KU_KIND_TIME] = LAYOUT(ku_time, ku_optional_time),
    [KU_KIND_DECIMAL] = LAYOUT(ku_decimal, ku_optional_decimal),
    [KU_KIND_RAW] = LAYOUT(ku_raw, ku_optional_raw),
    [KU_KIND_ENUM] = LAYOUT(int, ku_optional_enum),
    [KU_KIND_LIST] = LAYOUT(ku_list, ku_optional_list),
};

const kind_layout *kind_layout_of(int kind)
{
    assert(kind > KU_KIND_NONE && kind < KU_KIND_NESTED);
    return &layouts[kind];
}

static const void *member(const ku_field *field, const void *struct_)
{
    return (const char *)struct_ + field->offset;
}

const void *field_value(const ku_field *field, const void *struct_)
{
    size_t inside = field->optional ? kind_layout_of(field->kind)->optional_at : 0;
    return (const char *)member(field, struct_) + inside;
}

bool field_is_set(const ku_field *field, const void *struct_)
{
    /* Every ku_optional_ type begins with its flag. */
    return !field->optional || *(const bool *)member(field, struct_);
}

void field_copy(const ku_field *field, void *to, const void *from)
{
    memcpy((char *)to + field->offset, member(field, from), field->size);
}

/* ---- equality -------------------------------------------------------------------------------- */

static bool values_equal(const ku_field *field, int kind, const void *a, const void *b);

static bool structs_equal(const ku_shape *shape, const void *a, const void *b)
{
    for (size_t i = 0; i < shape->n_fields; i++)
        if (!field_equal(&shape->fields[i], a, b))
            return false;
    return true;
}

static int item_kind(const ku_field *field)
{
    return field->of != NULL ? KU_KIND_NESTED : field->items;
}

static size_t item_size(const ku_field *field)
{
    return field->of != NULL ? field->of->size : kind_layout_of(field->items)->size;
}

static bool lists_equal(const ku_field *field, const ku_list *a, const ku_list *b)
{
    if (a->count != b->count)
        return false;
    size_t size = item_size(field);
    for (size_t i = 0; i < a->count; i++)
        if (!values_equal(field, item_kind(field), (const char *)a->items + i * size,
                (const char *)b->items + i * size))
            return false;
    return true;
}

static bool values_equal(const ku_field *field, int kind, const void *a, const void *b)
{
    switch ((ku_kind)kind) {
    case KU_KIND_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case KU_KIND_INT:
        return *(const int64_t *)a == *(const int64_t *)b;
    case KU_KIND_DOUBLE:
        return *(const double *)a == *(const double *)b;
    case KU_KIND_TEXT:
        return ku_str_equal(*(const ku_str *)a, *(const ku_str *)b);
    case KU_KIND_ID:
        return ku_id_equal(*(const ku_id *)a, *(const ku_id *)b);
    case KU_KIND_TIME:
        return ((const ku_time *)a)->unix_us == ((const ku_time *)b)->unix_us;
    case KU_KIND_DECIMAL:
        return ku_decimal_compare(*(const ku_decimal *)a, *(const ku_decimal *)b) == 0;
    case KU_KIND_RAW:
        return ku_str_equal(((const ku_raw *)a)->json, ((const ku_raw *)b)->json);
    case KU_KIND_ENUM:
        return *(const int *)a == *(const int *)b;
    case KU_KIND_LIST:
        return lists_equal(field, a, b);
    case KU_KIND_NESTED:
        return structs_equal(field->of, a, b);
    case KU_KIND_NONE:
        break;
    }
    return false;
}

bool field_equal(const ku_field *field, const void *a, const void *b)
{
    bool set = field_is_set(field, a);
    if (set != field_is_set(field, b))
        return false;
    return !set || values_equal(field, field->kind, field_value(field, a), field_value(field, b));
}

/* ---- deep copies ----------------------------------------------------------------------------- */

static void copy_inside(arena *a, const ku_shape *shape, void *struct_);

/* The value has been copied as it is; now what it points at. */
static void copy_value(arena *a, const ku_field *field, int kind, void *value)
{
    if (kind == KU_KIND_TEXT) {
        ku_str *text = value;
        *text = arena_copy(a, *text);
    } else if (kind == KU_KIND_RAW) {
        ku_raw *raw = value;
        raw->json = arena_copy(a, raw->json);
    } else if (kind == KU_KIND_NESTED) {
        copy_inside(a, field->of, value);
    } else if (kind == KU_KIND_LIST) {
        ku_list *list = value;
        size_t size = item_size(field);
        char *items = arena_alloc(a, list->count * size);
        if (list->count > 0)
            memcpy(items, list->items, list->count * size);
        list->items = items;
        for (size_t i = 0; i < list->count; i++)
            copy_value(a, field, item_kind(field), items + i * size);
    }
}

static void copy_inside(arena *a, const ku_shape *shape, void *struct_)
{
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        if (field_is_set(field, struct_))
            copy_value(a, field, field->kind,
                (char *)struct_ +
                    ((const char *)field_value(field, struct_) - (const char *)struct_));
    }
}

void *shape_copy(arena *a, const ku_shape *shape, const void *struct_)
{
    void *copy = arena_alloc(a, shape->size);
    memcpy(copy, struct_, shape->size);
    copy_inside(a, shape, copy);
    return copy;
}
