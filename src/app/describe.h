/*
 * Describing features: what the three forms of ku_describe share.
 */
#ifndef KU_APP_DESCRIBE_H
#define KU_APP_DESCRIBE_H

#include "app/registry.h"

/* Each appends a whole document. */
void describe_text(buffer *b, const registry *r);
void describe_json(buffer *b, const registry *r);
void describe_openapi(buffer *b, const registry *r);

/* The qualified name of the event that a row of a subscription stands for. */
ku_str describe_on_name(const registry *r, const ku_on *on);
/* True for KU_END. */
bool describe_on_is_end(const ku_on *on);
/* `user`, `tenant+handler` … */
const char *describe_rate_per(ku_rate_per per);
/* `create`, `list` …; NULL: no standard handler. */
const char *describe_verb(ku_verb verb);

/* The JSON Schema of a shape; `{"type":"object"}` if it has no fields. */
void describe_schema(buffer *b, const ku_shape *shape);
/* The JSON Schema of what a handler takes, standard handlers included. */
void describe_input_schema(buffer *b, const handler_entry *handler);
/* The wire name of a column; the name itself if the shape has no such column. */
ku_str describe_wire_name(const ku_shape *shape, const char *column);
/* `[…]`; names NULL-terminated, NULL: empty. */
void describe_names(buffer *b, const char *const *names);
/* A member with a text, left out if `text` is NULL. */
void describe_member(buffer *b, const char *name, const char *text);

#endif
