/*
 * The event log: append, read, archive, snapshot.  What the public functions of kumiko/event.h do,
 * given the catalog; the application binds the two together.
 *
 * Reading works in a query scope (database only) and in a write scope (with what is pending).
 */
#ifndef KU_STORE_LOG_H
#define KU_STORE_LOG_H

#include "store/work.h"

/* The last position that a lane can give out; an engine may keep lane and position in one number.
 */
#define POSITION_MAX ((INT64_C(1) << 40) - 1)

/* ---- append.c -------------------------------------------------------------------------------- */

typedef struct log_append {
    const event_def *def;
    const ku_entity *entity; /* whose stream it is; NULL: the definition's */
    ku_id stream;
    const void *payload; /* the type's struct, checked here; or NULL and … */
    ku_str json;         /* … the payload as JSON that is known to be right, with … */
    const void *change;  /* … its ku_change: automatic events */
    ku_optional_int64 expected_version;
    const ku_header *headers;
    size_t n_headers;
    ku_str idempotency_key;
    /* operators and tests: an event as an older program stored it */
    int stored_version;  /* 0: the type's current version */
    ku_optional_time at; /* otherwise the scope's clock, never before the stream's last */
} log_append;

/* See ku_append_event.  The event becomes pending in scope->work. */
ku_status log_append_event(ku_scope *scope, const log_append *append, const ku_event **ret_event);
/* KU_CONFLICT, reason `stream_archived`, with its details. */
ku_status log_is_archived(ku_scope *scope, ku_id stream);
/* The details of the KU_VERSION_CONFLICT that was just returned. */
ku_status log_version_conflict(ku_scope *scope, ku_id stream, int64_t expected, int64_t current);
/* KU_REFUSED, reason `stream_type_mismatch`, with its details. */
ku_status log_type_mismatch(ku_scope *scope, const stream_state *state, const char *entity);

/* ---- upcast.c: the one place where stored payloads become current ---------------------------- */

/* An event as its row has it; text may be borrowed from the row. */
typedef struct stored_event {
    ku_id tenant, stream;
    ku_str stream_type, type, payload, metadata, user, idempotency_key;
    int64_t version, position;
    int32_t lane;
    int event_version;
    ku_time at;
} stored_event;

/*
 * Lifts to the current version and decodes; everything is copied into the scope.  An event of a
 * type that the program does not know comes with type NULL, payload NULL and its JSON as it is.
 */
ku_status log_lift(
    ku_scope *scope, const event_catalog *catalog, const stored_event *stored, ku_event *ret_event);
/* The same with the definition at hand. */
ku_status log_lift_as(
    ku_scope *scope, const event_def *def, const stored_event *stored, ku_event *ret_event);

/* ---- load.c ---------------------------------------------------------------------------------- */

typedef struct log_range {
    int64_t after_version; /* exclusive */
    int64_t to_version;    /* inclusive; 0: no bound */
    ku_optional_time as_of;
    /* What log_prefetch was told; after_version is then the snapshot's version, or 0 without one.
     */
    const ku_entity *behind_snapshot_of;
    int64_t stream_version; /* in the database, if it is known: nothing comes behind it */
} log_range;

/*
 * Says that a stream's row, with range->behind_snapshot_of the snapshot that fits, and the events
 * behind it will be read: one way to the database instead of three, where there is one.
 */
void log_prefetch(ku_scope *scope, ku_id stream, const log_range *range);

/*
 * Calls back with each event of the stream in order, lifted, each in the memory of a mark that is
 * rewound after the callback unless `keep` is set.  In a write scope what is pending comes last.
 */
ku_status log_each_of_stream(ku_scope *scope, const event_catalog *catalog, ku_id stream,
    const log_range *range, bool keep,
    ku_status (*callback)(ku_scope *scope, const ku_event *event, void *context), void *context);
/* The stream's row, in either kind of scope; type empty if there is none. */
ku_status log_stream(ku_scope *scope, ku_id stream, stream_state *ret_state);
/* Remembers the version that was folded, for the next append of this scope. */
void log_remember_version(ku_scope *scope, ku_id stream, int64_t version);

/* Events of a lane after a position, in order, at most `limit`, of the named types (JSON array of
 * qualified names; empty: all), not beyond `to_position`; raw rows, not lifted. */
ku_status log_each_of_lane(ku_scope *scope, ku_id tenant, int32_t lane, int64_t after_position,
    int64_t to_position, ku_str type_names_json, int64_t limit,
    ku_status (*callback)(ku_scope *scope, const stored_event *stored, void *context),
    void *context);

/* What log_each_of_lane is going to be called with. */
typedef struct lane_part {
    ku_id tenant;
    int32_t lane;
    int64_t after_position, to_position;
    ku_str type_names_json;
    int64_t limit;
} lane_part;
/* A hint, in a transaction: see db_prefetch. */
void log_prefetch_lane(ku_scope *scope, const lane_part *part);

typedef struct lane_head {
    ku_id tenant;
    int32_t lane;
    int64_t head;
} lane_head;
/* All lanes (of one tenant, or with a nil id of all), sorted; in the scope's memory. */
ku_status log_lanes(ku_scope *scope, ku_id tenant, lane_head **ret_lanes, size_t *ret_count);

/* ---- archive.c ------------------------------------------------------------------------------- */

ku_status log_archive(ku_scope *scope, const ku_entity *entity, ku_id stream, ku_str reason);
ku_status log_restore(ku_scope *scope, const ku_entity *entity, ku_id stream);

/* ---- snapshot.c ------------------------------------------------------------------------------ */

typedef struct snapshot {
    int64_t version;
    int state_version;
    ku_str state; /* JSON */
} snapshot;
/* The latest snapshot of that state version not beyond `to_version` (0: any); version 0: none.
 * They are written by work_put_snapshot; older ones of the stream are replaced. */
void log_snapshot_prefetch(
    ku_scope *scope, const ku_entity *entity, ku_id stream, int64_t to_version);
ku_status log_snapshot_find(ku_scope *scope, const ku_entity *entity, ku_id stream,
    int64_t to_version, snapshot *ret_snapshot);

/* ---- lanes.c: how many lanes tenants have ---------------------------------------------------- */

/* What is known of the tenants with more than one; owned by one thread. */
typedef struct lane_counts lane_counts;

lane_counts *lane_counts_new(void);
void lane_counts_free(lane_counts *counts);
/* Reads them again if that was more than a few seconds ago (by CLOCK_MONOTONIC). */
ku_status lane_counts_refresh(lane_counts *counts, db *d);
/* The lane of a new stream: by the hash of its id.  An old count is as good: lanes never go away.
 */
int32_t lane_counts_choose(const lane_counts *counts, ku_id tenant, ku_id stream);
/*
 * Gives a tenant so many lanes (1 to LIMIT_LANES), for streams that begin from now on; those that
 * are there stay where they are.  In a transaction.  KU_INVALID: fewer than it has, or too many.
 */
ku_status log_set_lanes(ku_scope *scope, ku_id tenant, int32_t lanes);
typedef struct tenant_lanes {
    ku_id tenant;
    int32_t lanes;
    int64_t events; /* in all of them */
} tenant_lanes;
/* All tenants that have events or more than one lane; in the scope's memory. */
ku_status log_tenants(ku_scope *scope, tenant_lanes **ret_tenants, size_t *ret_count);

/* ---- tenant_roles.c: who else may look at a tenant's rows (PostgreSQL) ----------------------- */

/*
 * Lets a role of the database see the tenant's rows, and no others of those that it could not see
 * before.  In a transaction that log_schema_begin has opened.  KU_NOT_FOUND: there is no such role;
 * KU_REFUSED: no policy binds it; or the engine has no roles.
 */
ku_status log_allow_role(ku_scope *scope, ku_id tenant, ku_str role);
/* Takes that back.  KU_NOT_FOUND: it was not allowed. */
ku_status log_revoke_role(ku_scope *scope, ku_id tenant, ku_str role);
/* Lets all those roles read the tables that have come since; likewise. */
ku_status log_grant_roles(ku_scope *scope);

/* ---- schema.c: the tables of the log, created and migrated ----------------------------------- */

/*
 * Brings the tables of the log to the program's version, in the transaction that log_schema_begin
 * has opened; it also keeps other processes from doing the same (the lock goes with the
 * transaction).  KU_CONFLICT: the tables are newer than the program.
 */
ku_status log_schema_begin(db *d, ku_error *ret_error);
ku_status log_schema_apply(db *d, ku_error *ret_error);
/* KU_CONFLICT: the tables are newer than the program; KU_NOT_FOUND: there are none, or older ones.
 */
ku_status log_schema_check(db *d, ku_error *ret_error);
/* The version that they have then. */
int log_schema_newest(void);
/* The script that would be run where nothing is there yet. */
void log_schema_print(db_dialect dialect, buffer *b);

/* ---- check.c: integrity ---------------------------------------------------------------------- */

typedef struct check_report {
    int64_t events, streams, lanes, problems;
} check_report;
/*
 * Versions dense per stream, positions dense per lane, heads and stream versions right, no orphan.
 * Calls back with a sentence per problem.
 */
ku_status log_check(ku_scope *scope, void (*problem)(void *context, ku_str sentence), void *context,
    check_report *ret_report);

/* ---- request.c: idempotent requests ---------------------------------------------------------- */

typedef struct stored_request {
    bool found;
    ku_id fingerprint; /* 16 bytes of SHA-256 over type and payload */
    int http_status;
    ku_str reply;
} stored_request;
ku_status log_request_find(ku_scope *scope, ku_str request_id, stored_request *ret_request);
/* Says that a scope of that caller and clock will look for it; see db_prefetch. */
void log_request_prefetch(db *d, ku_id tenant, ku_str user, ku_str request_id, ku_time now);
/* Replies are stored by work_put_request. */
/* Forgets at most `limit` that have expired. */
ku_status log_request_purge(db *d, ku_time now, int64_t limit, int64_t *ret_purged);

/* ---- cursor.c: where consumers are ----------------------------------------------------------- */

/* Whose a lane is for a consumer, where several processes share the database. */
typedef enum cursor_lease {
    LEASE_FREE,
    LEASE_MINE,
    LEASE_ANOTHERS,
    LEASE_WANTED, /* mine, and another has asked for it */
} cursor_lease;

typedef struct cursor {
    ku_str consumer;
    ku_id tenant;
    int32_t lane;
    int64_t position;
    int64_t head; /* of the lane */
    int attempts;
    ku_time retry_at; /* of a lane that backs off */
    ku_str status;    /* idle, backoff, halted */
    ku_str last_error;
    ku_time updated_at;
    int64_t epoch; /* raised by every claim: what was claimed since cannot be moved */
    cursor_lease lease;
} cursor;
/*
 * Lanes whose head is beyond a consumer's cursor (also those that have no cursor yet: position 0),
 * for all the named consumers (a JSON array) in one query, sorted by consumer, tenant and lane.
 * `owner` is who asks.  Where the database is not shared every lane is LEASE_MINE, epoch 0.
 */
ku_status log_cursors_behind(
    ku_scope *scope, ku_str consumers_json, ku_id owner, cursor **ret_cursors, size_t *ret_count);
/* All lanes with the consumer's cursors. */
ku_status log_cursors(
    ku_scope *scope, ku_str consumer, ku_id tenant, cursor **ret_cursors, size_t *ret_count);
/*
 * Claims what is LEASE_FREE among the cursors, by compare-and-set, for LEASE_MS from now by the
 * database's clock; position and epoch of those it got are what they are now, the others become
 * LEASE_ANOTHERS.  Moving a cursor renews its lease.
 */
ku_status log_cursors_claim(ku_scope *scope, ku_id owner, cursor *cursors, size_t count);
/*
 * Asks those who have leased more than their share of these consumers' lanes (a JSON array) for
 * half of what the owner lacks, at most `limit`; nothing if it has three quarters of its share. The
 * share: what all have leased, divided by the number of those who have, and the owner.
 */
ku_status log_cursors_ask(
    ku_scope *scope, ku_id owner, ku_str consumers_json, int64_t limit, int64_t *ret_asked);
/* Gives those that are LEASE_WANTED to who has asked for them: they become LEASE_ANOTHERS. */
ku_status log_cursors_give(ku_scope *scope, ku_id owner, cursor *cursors, size_t count);
/* Gives back whatever the owner has leased, and asks for nothing any more. */
ku_status log_cursors_release(db *d, ku_id owner);
/*
 * Notes a failure; the position stays.  False in *ret_noted (may be NULL): the cursor is elsewhere,
 * or was claimed by somebody else.
 */
ku_status log_cursor_fail(
    db *d, ku_str consumer, const cursor *cursor, ku_time now, bool *ret_noted);
/* Where a new consumer begins in the lanes that are there; later ones begin at their beginning. */
typedef struct consumer_start {
    int64_t position;      /* behind it; INT64_MAX: at the end */
    ku_optional_time time; /* instead: behind the last event before it */
} consumer_start;

/* Registers a consumer if it is new, which *ret_new (may be NULL) says. */
ku_status log_consumer_register(
    ku_scope *scope, ku_str consumer, const consumer_start *start, ku_time now, bool *ret_new);
/* The names of all that were ever registered (consumers.c), sorted; in the scope's memory. */
ku_status log_consumers(ku_scope *scope, ku_str **ret_names, size_t *ret_count);
/* Makes halted lanes of a consumer runnable again; empty name: of all. */
ku_status log_consumer_rearm(db *d, ku_str consumer, ku_time now, int64_t *ret_lanes);

#endif
