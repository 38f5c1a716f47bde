/*
 * JSON documents in memory, for what has no struct: migrations of old payloads, raw fields.
 *
 * A document is a tree whose nodes belong to the scope.  Object members keep their order.  Numbers
 * keep their text, so that 2^53+1 and 12.10 come out as they went in.
 */
#ifndef KUMIKO_JSON_H
#define KUMIKO_JSON_H

#include "kumiko/scope.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ku_json ku_json;

typedef enum ku_json_kind {
    KU_JSON_NULL,
    KU_JSON_BOOL,
    KU_JSON_NUMBER,
    KU_JSON_TEXT,
    KU_JSON_ARRAY,
    KU_JSON_OBJECT,
} ku_json_kind;

/* Strict RFC 8259; duplicate keys and invalid UTF-8 are refused with their place (KU_INVALID). */
KU_API ku_status ku_json_parse(ku_scope *scope, ku_str text, ku_json **ret_json);
/* Compact text; lives as long as the scope. */
KU_API ku_str ku_json_write(ku_scope *scope, const ku_json *json);

KU_API ku_json_kind ku_json_kind_of(const ku_json *json);
/* The member with that name, or NULL (also if `object` is no object). */
KU_API ku_json *ku_json_get(const ku_json *object, const char *name);
/* The item at that index, or NULL.  Number of items or members: ku_json_count. */
KU_API ku_json *ku_json_at(const ku_json *array, size_t index);
KU_API size_t ku_json_count(const ku_json *json);

/* The value, if it is of that kind; false and *ret untouched if not. */
KU_API bool ku_json_text(const ku_json *json, ku_str *ret_text);
KU_API bool ku_json_bool(const ku_json *json, bool *ret_value);
/* Whole numbers within int64; 1.0 and 1e2 are whole, too. */
KU_API bool ku_json_int(const ku_json *json, int64_t *ret_value);
KU_API bool ku_json_double(const ku_json *json, double *ret_value);
/* A number's or a numeric text's exact decimal value. */
KU_API bool ku_json_decimal(const ku_json *json, ku_decimal *ret_value);

/* Sets (adds or replaces) a member of an object.  Text is copied. */
KU_API void ku_json_set_text(ku_scope *scope, ku_json *object, const char *name, ku_str value);
KU_API void ku_json_set_int(ku_scope *scope, ku_json *object, const char *name, int64_t value);
KU_API void ku_json_set_bool(ku_scope *scope, ku_json *object, const char *name, bool value);
KU_API void ku_json_set_null(ku_scope *scope, ku_json *object, const char *name);
/* Sets a member to another node, which then belongs to that object. */
KU_API void ku_json_set(ku_scope *scope, ku_json *object, const char *name, ku_json *value);
/* Moves a member's value to another name, replacing what is there.  No effect if it is missing. */
KU_API void ku_json_rename(ku_scope *scope, ku_json *object, const char *from, const char *to);
/* Drops a member.  No effect if it is missing. */
KU_API void ku_json_remove(ku_json *object, const char *name);

#ifdef __cplusplus
}
#endif
#endif
