/*
 * The inside of a scope; what it is for stands in kumiko/scope.h.
 *
 * The lower part of the struct belongs to higher layers, which are known here by name only.
 */
#ifndef KU_BASE_SCOPE_H
#define KU_BASE_SCOPE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "kumiko/scope.h"

typedef struct field_issue {
    ku_str path;     /* dots; "(root)" for the whole */
    ku_str code;     /* zod's issue codes (behaviour §2) */
    ku_str i18n_key; /* empty: errors.validation.<code> */
    ku_str params;   /* a JSON object, or empty */
    struct field_issue *next;
} field_issue;

typedef struct scope_error {
    ku_status status; /* KU_OK: none */
    ku_str reason;    /* details.reason, or empty */
    ku_str message;
    ku_str i18n_key;      /* empty: the status' own */
    ku_json *i18n_params; /* object, or NULL */
    ku_json *details;     /* object, or NULL; without `fields` */
    field_issue *issues, *last_issue;
    size_t n_issues;
} scope_error;

/* How many of the ids that it made a scope remembers. */
enum { SCOPE_IDS_REMEMBERED = 8 };

struct ku_scope {
    arena arena;
    arena error_memory; /* of the error: it outlasts a rewind */
    scope_error error;

    ku_id tenant;
    ku_str user;
    const ku_str *roles;
    size_t n_roles;
    ku_str address; /* of the client, or empty */

    ku_time now;
    int64_t deadline_us; /* CLOCK_MONOTONIC; 0: none */
    bool (*cancelled)(void *context);
    void *cancelled_context;

    ku_str trace_id; /* metadata.requestId and the requestId of errors */
    ku_str correlation_id;
    ku_str causation_id; /* empty but in a projection's apply */

    ku_id made[SCOPE_IDS_REMEMBERED]; /* by ku_new_id, the last ones */
    unsigned n_made;

    /* set by the store and the application */
    struct db *db;     /* the connection that it reads with */
    struct work *work; /* what it is going to write; NULL in a query */
    struct ku_app *app;
    const struct feature_entry *feature; /* whose code runs */
    const struct handler_entry *handler; /* which one; NULL in projections and hooks */
};

/* Makes a zeroed scope usable / frees its memory.  scope_reset empties it but keeps its memory. */
void scope_init(ku_scope *scope);
void scope_reset(ku_scope *scope);
void scope_done(ku_scope *scope);

/* Has ku_new_id made it in this scope?  False also of those that it has forgotten. */
bool scope_made(const ku_scope *scope, ku_id id);

/* Sets the error without a reason and returns the status. */
ku_status scope_fail(ku_scope *scope, ku_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds an issue with params (JSON object or empty); sets KU_INVALID if no error is set; returns it.
 */
ku_status scope_issue(ku_scope *scope, ku_str path, const char *code, ku_str params);

#endif
