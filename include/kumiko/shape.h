/*
 * Shapes: one field table per struct.
 *
 * The struct is ordinary C.  Beside it stands one table that names every member, and from it come
 * JSON in, JSON out, validation that lists every issue with its path (behaviour §2), JSON Schema
 * and SQL columns.  The member's C type picks the kind; a type that is not supported does not
 * compile. A member that the table forgot is found when the application opens.
 *
 *     typedef struct create_input {
 *         ku_str customer;
 *         ku_optional_time due_at;
 *     } create_input;
 *
 *     static const ku_field create_input_fields[] = {
 *         KU_FIELD(create_input, customer, .length = KU_BETWEEN(1, 200)),
 *         KU_FIELD(create_input, due_at),
 *     };
 *
 * Names: the member is the column; its camelCase form is the name on the wire; `.json` overrides.
 */
#ifndef KUMIKO_SHAPE_H
#define KUMIKO_SHAPE_H

#include "kumiko/value.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ku_kind {
    KU_KIND_NONE,
    KU_KIND_BOOL,
    KU_KIND_INT,    /* int64_t; JSON integers within ±(2^53-1) are numbers, beyond: decimal text */
    KU_KIND_DOUBLE, /* finite */
    KU_KIND_TEXT,   /* ku_str */
    KU_KIND_ID,     /* ku_id; UUID text */
    KU_KIND_TIME,   /* ku_time; ISO 8601 text */
    KU_KIND_DECIMAL, /* ku_decimal; decimal text out, text or number in */
    KU_KIND_RAW,     /* ku_raw; any JSON */
    KU_KIND_ENUM,    /* a C enum with consecutive values from 0; text from `.names` */
    KU_KIND_LIST,    /* ku_list of `.of` (structs) or `.items` (scalars) */
    KU_KIND_NESTED,  /* a struct by value, described by `.of` */
} ku_kind;

typedef struct ku_bounds {
    bool set;
    int64_t min, max;
} ku_bounds;

/* clang-format off */
#define KU_AT_LEAST(low) {true, (low), INT64_MAX}
#define KU_AT_MOST(high) {true, INT64_MIN, (high)}
#define KU_BETWEEN(low, high) {true, (low), (high)}
/* clang-format on */

enum {
    KU_KEY = 1 << 0, /* part of a read table's key; the tenant is always in front of it */
    KU_SUM = 1 << 1, /* ku_row_add adds to this column instead of replacing it */
    /* an optional member is null in JSON when it is not set, in and out; else it is left out */
    KU_NULLABLE = 1 << 2,
};

struct ku_shape;

typedef struct ku_field {
    const char *name; /* member and column name */
    int kind;         /* ku_kind of the member, or of what is inside the optional */
    bool optional;    /* the member is one of the ku_optional_ types */
    size_t offset;
    size_t size;
    unsigned flags;
    ku_bounds value;           /* integers, enums excluded */
    ku_bounds length;          /* text: Unicode code points; list: items */
    const char *const *one_of; /* text: the closed list of values, NULL-terminated */
    const char *const *names;  /* enum: the names, in order from 0, NULL-terminated */
    const struct ku_shape *of; /* nested struct, or list of structs */
    int items;                 /* list of scalars: the ku_kind of an item */
    int scale;                 /* decimal: digits after the point that are kept (0 to 18) */
    const char *json;          /* wire name, if not camelCase of the member */
    const char *about;         /* lands in JSON Schema and OpenAPI */
    const char *const
        *read_roles; /* entity rows: who may read it; NULL: everybody who may read the row */
    const char *const
        *write_roles;    /* entity rows: who may set it in a standard handler; NULL: all */
    const char *initial; /* entity rows: JSON text used when a create leaves the field out */
    char end_;
} ku_field;

typedef struct ku_shape {
    const char *name;
    size_t size;
    const ku_field *fields;
    size_t n_fields;
} ku_shape;

/* C only: these use _Generic, so that the kind cannot be misdeclared. */
#define KU_KIND_OF_(type, member)                                                                  \
    _Generic(((type *)0)->member, bool                                                             \
             : KU_KIND_BOOL, ku_optional_bool                                                      \
             : KU_KIND_BOOL, int64_t                                                               \
             : KU_KIND_INT, ku_optional_int64                                                      \
             : KU_KIND_INT, double                                                                 \
             : KU_KIND_DOUBLE, ku_optional_double                                                  \
             : KU_KIND_DOUBLE, ku_str                                                              \
             : KU_KIND_TEXT, ku_optional_str                                                       \
             : KU_KIND_TEXT, ku_id                                                                 \
             : KU_KIND_ID, ku_optional_id                                                          \
             : KU_KIND_ID, ku_time                                                                 \
             : KU_KIND_TIME, ku_optional_time                                                      \
             : KU_KIND_TIME, ku_decimal                                                            \
             : KU_KIND_DECIMAL, ku_optional_decimal                                                \
             : KU_KIND_DECIMAL, ku_raw                                                             \
             : KU_KIND_RAW, ku_optional_raw                                                        \
             : KU_KIND_RAW, unsigned                                                               \
             : KU_KIND_ENUM, int                                                                   \
             : KU_KIND_ENUM, ku_optional_enum                                                      \
             : KU_KIND_ENUM, ku_list                                                               \
             : KU_KIND_LIST, ku_optional_list                                                      \
             : KU_KIND_LIST)
#define KU_IS_OPTIONAL_(type, member)                                                              \
    _Generic(((type *)0)->member, ku_optional_bool                                                 \
             : true, ku_optional_int64                                                             \
             : true, ku_optional_double                                                            \
             : true, ku_optional_str                                                               \
             : true, ku_optional_id                                                                \
             : true, ku_optional_time                                                              \
             : true, ku_optional_decimal                                                           \
             : true, ku_optional_raw                                                               \
             : true, ku_optional_enum                                                              \
             : true, ku_optional_list                                                              \
             : true, default                                                                       \
             : false)

/* A member; further settings follow as designated initialisers. */
#define KU_FIELD(type, ...) KU_FIELD_(type, __VA_ARGS__, .end_ = 0)
#define KU_FIELD_(type, member, ...)                                                               \
    {                                                                                              \
        .name = #member, .kind = KU_KIND_OF_(type, member),                                        \
        .optional = KU_IS_OPTIONAL_(type, member), .offset = offsetof(type, member),               \
        .size = sizeof(((type *)0)->member), __VA_ARGS__                                           \
    }
/* A struct inside the struct, by value, always present. */
#define KU_NESTED(type, member, ...) KU_NESTED_(type, member, __VA_ARGS__, .end_ = 0)
#define KU_NESTED_(type, member, shape, ...)                                                       \
    {                                                                                              \
        .name = #member, .kind = KU_KIND_NESTED, .offset = offsetof(type, member),                 \
        .size = sizeof(((type *)0)->member), .of = (shape), __VA_ARGS__                            \
    }

/* Every shape `foo` is a struct foo with a table foo_fields. */
#define KU_SHAPE(type)                                                                             \
    {                                                                                              \
#type, sizeof(type), type##_fields, KU_COUNT(type##_fields)                                \
    }

#ifdef __cplusplus
}
#endif
#endif
