/*
 * Replies: what a handler answered, kept as values until the events have their positions, and then
 * written as JSON (behaviour §1.9, §1.10).
 */
#ifndef KU_APP_REPLY_H
#define KU_APP_REPLY_H

#include "app/registry.h"

typedef enum reply_kind {
    REPLY_NONE,
    REPLY_VALUE,  /* one struct */
    REPLY_LIST,   /* an array of structs */
    REPLY_JSON,   /* text as it is */
    REPLY_TABLE,  /* rows of a read table, with their tenant */
    REPLY_SAVE,   /* the save context of an entity */
    REPLY_DELETE, /* the delete context */
    REPLY_DETAIL, /* one entity row, or null */
    REPLY_PAGE,   /* {rows, nextCursor, total?} of entity rows */
} reply_kind;

struct ku_reply {
    reply_kind kind;
    const ku_shape *shape;
    const void *value; /* structs; for entities: whole rows */
    size_t count;
    ku_str json;

    const entity_entry *entity;
    ku_id id;
    ku_str changes;       /* JSON object: what was sent */
    const void *previous; /* whole row, or NULL */
    bool is_new;
    const ku_event *event; /* NULL: nothing was written */

    ku_str next_cursor;
    bool with_total;
    int64_t total;
};

/* Appends the reply's JSON. */
void reply_write(buffer *b, const ku_scope *scope, const ku_reply *reply);
/* A stored event as clients see it (behaviour §4.2). */
void event_write(buffer *b, const ku_event *event);
/* An entity's row without the fields that the caller may not read. */
void entity_row_write(
    buffer *b, const ku_scope *scope, const entity_entry *entity, const void *row);
/* May the scope's caller read (or, with `write`, set) the field? */
bool field_allowed(const ku_scope *scope, const ku_field *field, bool write);

#endif
