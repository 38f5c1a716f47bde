/*
 * What a field table is good for: JSON to struct, struct to JSON, check, schema, columns.
 *
 * The table itself is public (kumiko/shape.h).
 */
#ifndef KU_SHAPE_SHAPE_H
#define KU_SHAPE_SHAPE_H

#include "base/scope.h"
#include "kumiko/shape.h"

/* The camelCase name of a field on the wire; computed once per field and kept for the process. */
ku_str field_wire_name(const ku_field *field);
/* Index of the field with that member name / wire name, or -1. */
int shape_find_column(const ku_shape *shape, ku_str name);
int shape_find_wire(const ku_shape *shape, ku_str name);

/* What is computed once per field, and kept for the process. */
typedef struct field_names {
    const char *name, *json; /* the settings that it was computed from */
    ku_str wire;
    ku_str key; /* the wire name as JSON with its colon: `"amountCents":` */
} field_names;
/* One for each field of the shape, in order.  No lock once a shape is known.  Thread-safe. */
const field_names *shape_names(const ku_shape *shape);

/* How a kind lies in memory, and how its ku_optional_ does. */
typedef struct kind_layout {
    size_t size, alignment;
    size_t optional_size, optional_at; /* where the value is in the optional */
} kind_layout;
/* Of any kind but NONE and NESTED. */
const kind_layout *kind_layout_of(int kind);
/* The place of a field's value in a struct, inside the optional if it is one. */
const void *field_value(const ku_field *field, const void *struct_);

/*
 * Fills `struct_` (zeroed by this function) from a JSON object.  Every issue is reported in the
 * scope with its path, which starts with `prefix` (empty, or ending in a dot).  Members that the
 * table does not know are ignored.  Text is borrowed from the tree.  KU_INVALID if there was any
 * issue.
 */
ku_status shape_decode(
    ku_scope *scope, const ku_shape *shape, const ku_json *json, ku_str prefix, void *struct_);
/* The same for an object that may lack members; bit i of *ret_given says that field i was there. */
ku_status shape_decode_partial(ku_scope *scope, const ku_shape *shape, const ku_json *json,
    ku_str prefix, void *struct_, uint64_t *ret_given);
/*
 * For what was checked when it was stored, perhaps by rules that were looser than today's: bounds,
 * lengths and closed lists of text are not applied.  `ret_given` NULL: every member must be there.
 */
ku_status shape_decode_stored(ku_scope *scope, const ku_shape *shape, const ku_json *json,
    ku_str prefix, void *struct_, uint64_t *ret_given);
/* Checks a struct that a program filled: bounds, lengths, one_of, valid UTF-8, finite doubles. */
ku_status shape_check(ku_scope *scope, const ku_shape *shape, const void *struct_, ku_str prefix);

/* `{…}`; optional members that are not set are left out, or null if KU_NULLABLE or `with_nulls`. */
void shape_encode(buffer *b, const ku_shape *shape, const void *struct_, bool with_nulls);
/* One field's value; null if it is optional and not set. */
void field_encode(buffer *b, const ku_field *field, const void *struct_);
bool field_is_set(const ku_field *field, const void *struct_);
/* Value equality of one field in two structs of the shape. */
bool field_equal(const ku_field *field, const void *a, const void *b);
/* Copies a field from one struct to another of the same shape (shallow). */
void field_copy(const ku_field *field, void *to, const void *from);
/* Copies a struct into the arena with everything it points at. */
void *shape_copy(arena *a, const ku_shape *shape, const void *struct_);

/* Appends the JSON Schema (2020-12) of the shape. */
void shape_json_schema(buffer *b, const ku_shape *shape);

/*
 * The boot check: fields plus alignment padding cover the struct, no name twice, every field's
 * settings fit its kind.  Each problem is a line appended to `problems`, beginning with `where`.
 */
void shape_verify(buffer *problems, const char *where, const ku_shape *shape);

/* A random valid value's building blocks for fuzzing and benches are in test/. */

#endif
