/*
 * Where an issue is: a chain of names and indexes, made into text only when there is one.
 */
#ifndef KU_SHAPE_PLACE_H
#define KU_SHAPE_PLACE_H

#include "shape/shape.h"

typedef struct place {
    const struct place *parent; /* NULL: `name` is the prefix of the whole path */
    ku_str name;                /* a member's wire name; ptr NULL: an item, by index */
    size_t index;
    bool stored; /* what is read was checked when it was stored: rules may differ now */
} place;

/* Each adds an issue to the scope and returns false. */
bool issue_add(ku_scope *scope, const place *where, const char *code, ku_str params);
bool issue_type(ku_scope *scope, const place *where, const char *expected);
bool issue_format(ku_scope *scope, const place *where, const char *format);
/* invalid_value, with the NULL-terminated list of what is allowed. */
bool issue_value(ku_scope *scope, const place *where, const char *const *allowed);
bool issue_minimum(ku_scope *scope, const place *where, int64_t minimum);
bool issue_maximum(ku_scope *scope, const place *where, int64_t maximum);
/* The same with a maximum that is a decimal: ± it are the bounds. */
bool issue_decimal_range(ku_scope *scope, const place *where, ku_decimal value, int32_t scale);
bool issue_digits(ku_scope *scope, const place *where, int32_t scale);

/*
 * The rules of a value that has the C type of its kind: bounds, length, closed lists, formats.  One
 * set of rules for what came as JSON and for what a program filled.  `kind` is the field's, or that
 * of the items of its list, to which the field's length does not apply.
 */
bool value_check(
    ku_scope *scope, const ku_field *field, int kind, const void *value, const place *where);
/* A list's number of items. */
bool count_check(ku_scope *scope, const ku_field *field, size_t count, const place *where);

#endif
