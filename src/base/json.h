/*
 * JSON: a tree for what comes in, and a writer for what goes out.
 *
 * The public half is kumiko/json.h.  simdjson finds the tokens and checks UTF-8 (json_index.cc);
 * the grammar and the tree (json_parse.c) and the writer (json.c) are ours.  Numbers keep their
 * source text.
 */
#ifndef KU_BASE_JSON_H
#define KU_BASE_JSON_H

#include "base/buffer.h"
#include "kumiko/json.h"

struct ku_json {
    ku_json_kind kind;
    bool boolean;
    uint32_t count;        /* items or members */
    ku_str key;            /* of a member of an object */
    ku_str text;           /* text: unescaped; number: as written */
    ku_json *first, *last; /* items or members, in order */
    ku_json *next;         /* sibling */
};

/* Where and why a text is not JSON. */
typedef struct json_error {
    const char *code; /* invalid_json, duplicate_key, too_deep; static */
    ku_str path;      /* of a duplicate key, in dots; otherwise empty */
    const char *what; /* for people; static */
} json_error;

/*
 * Parses a whole text.  `depth_max`: nesting that is let through (a scalar is 0 deep).  The tree
 * and its text live in the arena.  False: *ret_error says why.  The input need not be padded.
 */
bool json_parse(arena *a, ku_str text, int depth_max, ku_json **ret_json, json_error *ret_error);
/* Deepest nesting of this node: 0 for a scalar, 1 for an object or array that is empty or of
 * scalars. */
int json_depth(const ku_json *json);
/* A member by name; the name is not NUL-terminated. */
ku_json *json_member(const ku_json *object, ku_str name);
/* New nodes, not linked anywhere. */
ku_json *json_new(arena *a, ku_json_kind kind);
ku_json *json_new_text(arena *a, ku_str text);
ku_json *json_new_int(arena *a, int64_t value);
/* Adds a member or an item at the end; no check for duplicates. */
void json_append(ku_json *parent, ku_str key, ku_json *child);
/* The same value: members in any order, numbers by value. */
bool json_equal(const ku_json *a, const ku_json *b);

/* What a number's text is as an int64_t. */
typedef enum json_whole {
    JSON_WHOLE,
    JSON_FRACTION,  /* it has digits behind the point */
    JSON_TOO_SMALL, /* whole, below INT64_MIN */
    JSON_TOO_BIG,   /* whole, above INT64_MAX */
} json_whole;
json_whole json_number_int(ku_str number, int64_t *ret_value);
/* A number's exact value; false beyond 18 digits. */
bool json_number_decimal(ku_str number, ku_decimal *ret_value);
/* By value: 1.0 is 1e0.  Numbers beyond 19 digits are equal only if they are written alike. */
bool json_number_equal(ku_str a, ku_str b);

/* ---- writing --------------------------------------------------------------------------------- */

/* Appends a value's JSON to the buffer.  Members and commas are the caller's. */
void json_put(buffer *b, const ku_json *json);
void json_put_text(buffer *b, ku_str text);         /* quoted, escaped */
void json_put_int(buffer *b, int64_t value);        /* decimal text beyond ±(2^53-1): §1.9 */
void json_put_double(buffer *b, double value);      /* shortest that reads back; not finite: null */
void json_put_id(buffer *b, ku_id id);              /* quoted */
void json_put_time(buffer *b, ku_time time);        /* quoted ISO, milliseconds */
void json_put_decimal(buffer *b, ku_decimal value); /* quoted */
/* `"name":`, preceded by a comma unless the buffer ends with `{`. */
void json_put_key(buffer *b, const char *name);
/* The same for a name that is already known to need no escaping, by length. */
void json_put_key_str(buffer *b, ku_str name);

#endif
