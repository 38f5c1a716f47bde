/*
 * Events: what happened, on which stream, in which version of its schema.
 *
 * An event type is a constant: a name, a version, the shape of its payload, and the migrations that
 * lift payloads stored by earlier versions.  Migrations run when an event is read, in one place for
 * every reader; what is stored is never rewritten (behaviour §4.7).
 */
#ifndef KUMIKO_EVENT_H
#define KUMIKO_EVENT_H

#include "kumiko/json.h"
#include "kumiko/shape.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ku_entity;

/* ---- migrations ------------------------------------------------------------------------------ */

typedef enum ku_step_kind {
    KU_STEP_END,
    KU_STEP_RENAME,
    KU_STEP_DEFAULT,
    KU_STEP_CONVERT,
    KU_STEP_REMOVE,
} ku_step_kind;

/* One step of a declarative migration; made by the macros below, run in the order written. */
typedef struct ku_step {
    ku_step_kind kind;
    const char *name; /* the member on the wire (camelCase) */
    const char *text; /* rename: the new name; default: the value as JSON text */
    /* convert: replaces object[name]; called only if the member is there */
    ku_status (*convert)(ku_scope *scope, ku_json *object, const char *name);
} ku_step;

/* clang-format off */
/* Moves a member to another name if it is there. */
#define KU_RENAME(from, to) {KU_STEP_RENAME, from, to, NULL}
/* Adds a member, given as JSON text, if it is missing: KU_DEFAULT("currency", "\"EUR\""). */
#define KU_DEFAULT(name, json) {KU_STEP_DEFAULT, name, json, NULL}
/* Replaces a member's value by what the function makes of it. */
#define KU_CONVERT(name, function) {KU_STEP_CONVERT, name, NULL, function}
/* Drops a member. */
#define KU_REMOVE(name) {KU_STEP_REMOVE, name, NULL, NULL}
#define KU_STEPS(...) ((const ku_step[]){__VA_ARGS__, KU_END})
/* clang-format on */

/* From version `from` to `from + 1`: by steps, or by a function with the database in reach. */
typedef struct ku_migration {
    int from;
    const ku_step *steps;
    /*
     * May read rows (ku_row_get) in the event's tenant; must not write.  A failure fails the read.
     */
    ku_status (*apply)(ku_scope *scope, ku_json *payload);
} ku_migration;
/* clang-format off */
#define KU_MIGRATIONS(...) ((const ku_migration[]){__VA_ARGS__, KU_END})
/* clang-format on */

/* ---- types and events ------------------------------------------------------------------------ */

/*
 * Tags of the events that every entity has by itself; an enum of a feature's own tags starts at 1.
 */
enum {
    KU_CREATED = -1,
    KU_UPDATED = -2,
    KU_DELETED = -3,
    KU_RESTORED = -4,
    KU_FORGOTTEN = -5,
};

typedef struct ku_event_type {
    const char *name; /* kebab-case; qualified as `<feature>:event:<name>` */
    int version;      /* of the payload's schema; 0 means 1 */
    int tag;          /* the feature's own enumerator, for `switch`; positive */
    ku_shape payload;
    const ku_migration *migrations; /* one for each version below `version` */
    const char *about;
} ku_event_type;

/* A stored event, lifted to its type's current version.  Borrowed from the scope that read it. */
typedef struct ku_event {
    const ku_event_type *type; /* the registered type */
    ku_str name;               /* its qualified name */
    ku_id tenant;
    ku_id stream;
    ku_str stream_type; /* the entity's name */
    int64_t version;    /* in its stream: 1, 2, 3 … */
    int32_t lane;
    int64_t position;   /* in its lane: 1, 2, 3 …; 0 until the transaction ends */
    int event_version;  /* of the payload as it is here */
    int stored_version; /* of the payload as it is stored */
    ku_time at;
    ku_str user;
    ku_str request_id; /* empty where there was none, as the next three */
    ku_str correlation_id;
    ku_str causation_id; /* id of the event whose projection appended this one */
    ku_str idempotency_key;
    ku_raw headers;      /* a JSON object, or empty */
    ku_raw json;         /* the payload as JSON */
    const void *payload; /* the payload as the type's struct; see KU_PAYLOAD */
} ku_event;

/* The event's id on the wire: the position, or `<lane>-<position>` outside lane 0. */
KU_API ku_str ku_event_id(ku_scope *scope, const ku_event *event);

/* The payload as a struct.  Asserts that the event is of that type: the two share one name. */
#define KU_PAYLOAD(event, type) ((const type *)ku_event_payload((event), &type##_event))
KU_API const void *ku_event_payload(const ku_event *event, const ku_event_type *expected);

/* ---- appending ------------------------------------------------------------------------------- */

/* A header of an event: text unless `kind` says otherwise (behaviour §4.2). */
typedef struct ku_header {
    ku_str name;
    ku_kind kind; /* KU_KIND_NONE or _TEXT: text; KU_KIND_INT; KU_KIND_DOUBLE; KU_KIND_BOOL */
    ku_str text;
    int64_t integer;
    double number;
    bool flag;
} ku_header;

typedef struct ku_append {
    ku_id stream;
    const struct ku_entity *entity; /* whose stream it is; NULL: the one that lists the type */
    const ku_event_type *type;
    const void *payload;
    /* What the stream's version must be; see KU_VERSION and the rule below. */
    ku_optional_int64 expected_version;
    const ku_header *headers;
    size_t n_headers;
    ku_str idempotency_key; /* a second event with the key is refused: KU_IDEMPOTENT_REPLAY */
} ku_append;

#define KU_VERSION(n) ((ku_optional_int64){true, (n)})

/*
 * Appends one event (behaviour §4.3).  The payload is checked against its shape and copied.
 *
 * Expected version: `.expected_version` if set; else the version at which this scope loaded the
 * stream; else any.  A stream that does not exist has version 0.
 *
 * KU_VERSION_CONFLICT: the stream has moved on (409).  KU_CONFLICT, reason `stream_archived`.
 * KU_REFUSED, reason `stream_type_mismatch`: the stream belongs to another entity.  KU_INVALID: the
 * payload breaks its shape.  *ret_event (may be NULL) lives as long as the scope.
 */
KU_API ku_status ku_append_event(
    ku_scope *scope, const ku_append *append, const ku_event **ret_event);

/*
 * Appends with the payload written in place: KU_APPEND(scope, id, invoice_paid, .amount_cents = 5).
 */
#define KU_APPEND(scope, stream_id, type_name, ...)                                                \
    ku_append_event((scope),                                                                       \
        &(const ku_append){.stream = (stream_id),                                                  \
            .type = &type_name##_event,                                                            \
            .payload = &(const type_name){__VA_ARGS__}},                                           \
        NULL)

/* What came of ku_try_append_event. */
typedef struct ku_append_result {
    bool appended;
    const ku_event *event;    /* if appended */
    ku_status conflict;       /* else: KU_VERSION_CONFLICT or KU_IDEMPOTENT_REPLAY */
    int64_t expected_version; /* of a version conflict */
    int64_t current_version;
} ku_append_result;

/* The same, except that a conflict is a result and not the end of the scope. */
KU_API ku_status ku_try_append_event(
    ku_scope *scope, const ku_append *append, ku_append_result *ret_result);

/* A stream that was read in order to be written. */
typedef struct ku_writable {
    const struct ku_entity *entity;
    ku_id stream;
    int64_t version;        /* moves with every ku_append_one */
    const ku_event *events; /* lifted; borrowed from the scope */
    size_t n_events;
} ku_writable;

/*
 * Loads a stream and, if `expected_version` is set, insists on it (409 before anything is written).
 */
KU_API ku_status ku_fetch_for_writing(ku_scope *scope, const struct ku_entity *entity, ku_id stream,
    ku_optional_int64 expected_version, ku_writable *ret_writable);
/* Appends at the version that was fetched, and moves it. */
KU_API ku_status ku_append_one(
    ku_scope *scope, ku_writable *writable, const ku_event_type *type, const void *payload);

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct ku_load_options {
    ku_optional_time as_of;       /* only what had happened by then (inclusive) */
    ku_optional_int64 at_version; /* only up to that version */
    bool include_archived;        /* otherwise an archived stream is as good as absent */
    bool without_snapshot;        /* fold every event */
    bool missing_ok;              /* no such stream: KU_OK, a zero state, version 0 */
    int64_t *ret_version;         /* out, may be NULL: the version that was folded */
    bool *ret_snapshot_hit;       /* out, may be NULL */
} ku_load_options;

/*
 * Folds a stream into `*ret_state`, the entity's state struct (behaviour §4.4, §4.6); text in it
 * lives as long as the scope.  `options` may be NULL.  A snapshot is used if it fits and refreshed
 * when `.snapshot_every` events have been folded on top of it.  KU_NOT_FOUND: no such stream.
 */
KU_API ku_status ku_load_aggregate(ku_scope *scope, const struct ku_entity *entity, ku_id stream,
    const ku_load_options *options, void *ret_state);
/*
 * The events themselves, lifted, in order.  KU_NOT_FOUND: no such stream; none that early: KU_OK
 * and a count of 0.
 */
KU_API ku_status ku_load_events(ku_scope *scope, const struct ku_entity *entity, ku_id stream,
    const ku_load_options *options, const ku_event **ret_events, size_t *ret_count);
/* The stream's version, 0 if there is none; archived or not. */
KU_API ku_status ku_stream_version(ku_scope *scope, ku_id stream, int64_t *ret_version);

typedef struct ku_event_filter {
    const ku_event_type *const *types; /* NULL-terminated; NULL: of any type */
    const char *const *names;          /* qualified names beside them, for automatic events */
    const struct ku_entity *entity;    /* only its streams; NULL: all */
    int64_t after_position;
    ku_optional_time from, to;
    bool all_tenants; /* only for a caller with the role `system` */
    size_t batch;     /* events read at a time; 0: 1000 */
} ku_event_filter;

/*
 * Calls back with every event that passes, in order, in bounded memory; archived streams included
 * (behaviour §4.4).  What a write itself has appended is not among them: it is not in the log yet.
 * The event is gone when the callback returns.  A callback ends the iteration by
 * returning anything but KU_OK, which is then returned; so does a cancelled scope (KU_CANCELLED).
 */
KU_API ku_status ku_each_event(ku_scope *scope, const ku_event_filter *filter,
    ku_status (*callback)(ku_scope *scope, const ku_event *event, void *context), void *context);

/* ---- archive and snapshots ------------------------------------------------------------------- */

/*
 * Hides a stream from loading and closes it for appending; its events stay history and are still
 * projected (behaviour §4.5).  Archiving twice refreshes who, when and why.  KU_NOT_FOUND.
 */
KU_API ku_status ku_archive_stream(
    ku_scope *scope, const struct ku_entity *entity, ku_id stream, ku_str reason);
/* Opens it again.  No effect if it is open. */
KU_API ku_status ku_restore_stream(ku_scope *scope, const struct ku_entity *entity, ku_id stream);
KU_API ku_status ku_stream_archived(ku_scope *scope, ku_id stream, bool *ret_archived);
/* Folds the stream and keeps the state as its snapshot (behaviour §4.6). */
KU_API ku_status ku_snapshot_aggregate(
    ku_scope *scope, const struct ku_entity *entity, ku_id stream, int64_t *ret_version);

#ifdef __cplusplus
}
#endif
#endif
