/*
 * JSON for people: indented, and as the difference of two documents.
 */
#ifndef KU_CLI_JSON_TEXT_H
#define KU_CLI_JSON_TEXT_H

#include "base/json.h"
#include "cli/cli.h"

/* Parses text that the log or a field table made; a bug if it is not JSON. */
ku_json *cli_json(arena *a, ku_str text);

/* Appends the document, indented; every line but the first begins with `indent` blanks. */
void cli_json_pretty(buffer *b, const ku_json *json, int indent);

/* One member that differs. */
typedef struct json_change {
    ku_str path;         /* in dots */
    const ku_json *from; /* NULL: it was not there */
    const ku_json *to;   /* NULL: it is gone */
    struct json_change *next;
} json_change;

/*
 * What makes `after` of `before`, in the order of the members; arrays are compared as a whole.  In
 * the arena, as the paths.
 */
json_change *cli_json_changes(arena *a, const ku_json *before, const ku_json *after);

#endif
