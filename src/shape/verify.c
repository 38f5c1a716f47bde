/*
 * The check of a field table when a program starts: a table that contradicts itself or its struct
 * is found here, before the first request.
 *
 * A forgotten member shows as bytes of the struct that neither a field nor alignment accounts for.
 * A small member that fits into what would be padding anyway is the one thing this cannot see.
 */
#include "base/limits.h"
#include "shape/shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct verify {
    buffer *problems;
    const char *where;
    const ku_shape *shape;
} verify;

/* Shapes that are being verified: a list of itself is not followed again. */
typedef struct open_shape {
    const struct open_shape *parent;
    const ku_shape *shape;
} open_shape;

static void begin(const verify *v, const ku_field *field)
{
    buffer_format(v->problems, "%s: shape %s", v->where,
        v->shape->name != NULL ? v->shape->name : "(no name)");
    if (field != NULL)
        buffer_format(v->problems, ", field %s", field->name != NULL ? field->name : "(no name)");
    buffer_add_text(v->problems, ": ");
}

static void problem(const verify *v, const ku_field *field, const char *what)
{
    begin(v, field);
    buffer_add_text(v->problems, what);
    buffer_add_char(v->problems, '\n');
}

static bool is_scalar(int kind)
{
    return kind > KU_KIND_NONE && kind <= KU_KIND_ENUM;
}

/* ---- settings -------------------------------------------------------------------------------- */

static void verify_bounds(const verify *v, const ku_field *field, int kind)
{
    bool is_number = kind == KU_KIND_INT || kind == KU_KIND_DOUBLE || kind == KU_KIND_DECIMAL;
    bool has_length = field->kind == KU_KIND_TEXT || field->kind == KU_KIND_LIST;
    if (field->value.set && !is_number)
        problem(v, field, ".value is for numbers");
    if (field->value.set && field->value.min > field->value.max)
        problem(v, field, ".value has a minimum above its maximum");
    if (field->length.set && !has_length)
        problem(v, field, ".length is for text and lists");
    if (field->length.set && field->length.min > field->length.max)
        problem(v, field, ".length has a minimum above its maximum");
    if (field->length.set && field->length.max < 0)
        problem(v, field, ".length has a maximum below zero");
}

static void verify_names_of_values(const verify *v, const ku_field *field, int kind)
{
    if (field->one_of != NULL && kind != KU_KIND_TEXT)
        problem(v, field, ".one_of is for text");
    if (field->one_of != NULL && field->one_of[0] == NULL)
        problem(v, field, ".one_of is empty");
    if (field->one_of != NULL && field->kind == KU_KIND_TEXT && field->length.set)
        problem(v, field, ".one_of leaves nothing for .length to say");
    if (kind == KU_KIND_ENUM && field->names == NULL)
        problem(v, field, "an enum needs .names");
    if (kind != KU_KIND_ENUM && field->names != NULL)
        problem(v, field, ".names is for enums");
    if (field->names != NULL && field->names[0] == NULL)
        problem(v, field, ".names is empty");
}

static void verify_inside(const verify *v, const ku_field *field)
{
    bool is_list = field->kind == KU_KIND_LIST, is_nested = field->kind == KU_KIND_NESTED;
    if (is_nested && field->of == NULL)
        problem(v, field, "a nested struct needs .of");
    if (is_nested && field->of != NULL && field->of->size != field->size)
        problem(v, field, ".of is the shape of another struct: its size differs");
    if (is_list && field->of == NULL && field->items == KU_KIND_NONE)
        problem(v, field, "a list needs .of or .items");
    if (is_list && field->of != NULL && field->items != KU_KIND_NONE)
        problem(v, field, "a list has .of or .items, not both");
    if (is_list && field->items != KU_KIND_NONE && !is_scalar(field->items))
        problem(v, field, ".items is the kind of a scalar");
    if (!is_list && !is_nested && field->of != NULL)
        problem(v, field, ".of is for nested structs and lists");
    if (!is_list && field->items != KU_KIND_NONE)
        problem(v, field, ".items is for lists");
}

static void verify_flags(const verify *v, const ku_field *field)
{
    bool is_sum = field->kind == KU_KIND_INT || field->kind == KU_KIND_DOUBLE ||
                  field->kind == KU_KIND_DECIMAL;
    if ((field->flags & KU_NULLABLE) != 0 && !field->optional)
        problem(v, field, "KU_NULLABLE is for optional members");
    if ((field->flags & KU_SUM) != 0 && !is_sum)
        problem(v, field, "KU_SUM is for numbers");
    if ((field->flags & KU_SUM) != 0 && (field->flags & KU_KEY) != 0)
        problem(v, field, "a key cannot be summed up");
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t shape_alignment(const ku_shape *shape);

/* 0 if the kind is unknown. */
static size_t field_alignment(const ku_field *field)
{
    if (field->kind == KU_KIND_NESTED)
        return field->of != NULL ? shape_alignment(field->of) : 1;
    if (field->kind <= KU_KIND_NONE || field->kind > KU_KIND_NESTED)
        return 0;
    return kind_layout_of(field->kind)->alignment; /* an optional is aligned as its value is */
}

static size_t shape_alignment(const ku_shape *shape)
{
    size_t largest = 1;
    for (size_t i = 0; i < shape->n_fields; i++) {
        size_t alignment = field_alignment(&shape->fields[i]);
        if (alignment > largest)
            largest = alignment;
    }
    return largest;
}

static size_t align_up(size_t at, size_t alignment)
{
    return (at + alignment - 1) / alignment * alignment;
}

static int compare_offsets(const void *left, const void *right)
{
    const ku_field *a = *(const ku_field *const *)left, *b = *(const ku_field *const *)right;
    return a->offset < b->offset ? -1 : a->offset > b->offset ? 1 : 0;
}

static void verify_coverage(const verify *v)
{
    const ku_shape *shape = v->shape;
    const ku_field *sorted[LIMIT_FIELDS_PER_SHAPE];
    for (size_t i = 0; i < shape->n_fields; i++) {
        sorted[i] = &shape->fields[i];
        if (field_alignment(sorted[i]) == 0)
            return; /* its kind is unknown, which has been said */
    }
    qsort(sorted, shape->n_fields, sizeof(sorted[0]), compare_offsets);

    size_t end = 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        size_t expected = align_up(end, field_alignment(sorted[i]));
        if (sorted[i]->offset < end) {
            problem(v, sorted[i], "lies on top of another field");
        } else if (sorted[i]->offset > expected) {
            begin(v, NULL);
            buffer_format(v->problems,
                "%zu bytes before %s belong to no field; a member is missing in the table\n",
                sorted[i]->offset - end, sorted[i]->name);
        }
        end = sorted[i]->offset + sorted[i]->size;
    }
    size_t expected = align_up(end, shape_alignment(shape));
    if (shape->size > expected) {
        begin(v, NULL);
        buffer_format(v->problems,
            "the last %zu bytes belong to no field; a member is missing in the table\n",
            shape->size - end);
    } else if (shape->size < end) {
        problem(v, NULL, "the fields reach beyond the struct");
    }
}

static void verify_size(const verify *v, const ku_field *field)
{
    if (field->kind == KU_KIND_NESTED)
        return;
    const kind_layout *layout = kind_layout_of(field->kind);
    if (field->size != (field->optional ? layout->optional_size : layout->size))
        problem(v, field, "the member's size is not that of its kind");
}

/* ---- names and initial values ---------------------------------------------------------------- */

static void verify_unique(const verify *v, const field_names *names)
{
    const ku_field *fields = v->shape->fields;
    for (size_t i = 0; i < v->shape->n_fields; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(fields[i].name, fields[j].name) == 0) {
                problem(v, &fields[i], "is in the table twice");
            } else if (ku_str_equal(names[i].wire, names[j].wire)) {
                begin(v, &fields[i]);
                buffer_format(v->problems, "has the wire name \"%" KU_PRI "\", as has %s\n",
                    KU_FMT(names[i].wire), fields[j].name);
            }
        }
    }
}

/* An initial value must be one that a client could have sent. */
static void verify_initial(const verify *v, const ku_field *field)
{
    ku_scope scope = {0};
    scope_init(&scope);
    ku_json *value;
    json_error error;
    if (!json_parse(&scope.arena, ku_str_from(field->initial), LIMIT_JSON_DEPTH, &value, &error)) {
        problem(v, field, ".initial is not JSON (a text needs its quotes)");
    } else {
        const ku_shape alone = {v->shape->name, v->shape->size, field, 1};
        ku_json *object = json_new(&scope.arena, KU_JSON_OBJECT);
        json_append(object, field_wire_name(field), value);
        void *struct_ = arena_alloc(&scope.arena, v->shape->size);
        uint64_t given;
        if (shape_decode_partial(&scope, &alone, object, (ku_str){0}, struct_, &given) != KU_OK)
            problem(v, field, ".initial is not a value of the field");
    }
    scope_done(&scope);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* False if the field cannot be used for anything. */
static bool verify_field(const verify *v, const ku_field *field)
{
    size_t before = v->problems->len;
    if (field->name == NULL || field->name[0] == '\0')
        problem(v, field, "has no name");
    if (field->json != NULL && field->json[0] == '\0')
        problem(v, field, ".json is empty");
    if (field->kind <= KU_KIND_NONE || field->kind > KU_KIND_NESTED) {
        problem(v, field, "has no kind");
        return false;
    }
    if (field->kind == KU_KIND_NESTED && field->optional)
        problem(v, field, "a nested struct cannot be optional");
    int kind = field->kind == KU_KIND_LIST ? field->items : field->kind;
    verify_bounds(v, field, kind);
    verify_names_of_values(v, field, kind);
    verify_inside(v, field);
    verify_flags(v, field);
    if (field->scale < 0 || field->scale > 18)
        problem(v, field, ".scale is from 0 to 18");
    else if (field->scale != 0 && kind != KU_KIND_DECIMAL)
        problem(v, field, ".scale is for decimals");
    verify_size(v, field);
    return v->problems->len == before;
}

static void verify_shape(
    buffer *problems, const char *where, const ku_shape *shape, const open_shape *parent)
{
    const verify v = {problems, where, shape};
    for (const open_shape *open = parent; open != NULL; open = open->parent)
        if (open->shape == shape)
            return;
    if (shape->n_fields > LIMIT_FIELDS_PER_SHAPE) {
        begin(&v, NULL);
        buffer_format(problems, "%zu fields; at most %d are possible\n", shape->n_fields,
            LIMIT_FIELDS_PER_SHAPE);
        return;
    }
    const open_shape here = {parent, shape};
    bool usable = true;
    for (size_t i = 0; i < shape->n_fields; i++) {
        const ku_field *field = &shape->fields[i];
        bool fine = verify_field(&v, field);
        size_t before = problems->len;
        if (field->of != NULL)
            verify_shape(problems, where, field->of, &here);
        /* Only a field without problems can decode a value. */
        if (fine && problems->len == before && field->initial != NULL)
            verify_initial(&v, field);
        usable = usable && field->name != NULL;
    }
    if (!usable)
        return;
    verify_unique(&v, shape_names(shape));
    verify_coverage(&v);
}

void shape_verify(buffer *problems, const char *where, const ku_shape *shape)
{
    verify_shape(problems, where, shape, NULL);
}
