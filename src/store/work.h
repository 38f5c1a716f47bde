/*
 * Units of work: what a transaction is going to write, kept in memory until it is known.
 *
 * A writer's transaction carries a batch of scopes.  Each scope works in a layer of its own above
 * the batch's layer: it sees the database, what earlier scopes of the batch have left, and what it
 * did itself.  When the scope succeeds its layer is merged into the batch's; when it fails the
 * layer is dropped and nothing has to be undone.  At the end of the batch everything is written:
 * streams, read-model rows (by the application), cursors, lane heads, events — the heads late,
 * because on PostgreSQL a lane's row is locked from then on (design: lock order).
 *
 * Events get their positions in work_number, after the last scope and before replies are written.
 *
 * Everything here belongs to the writer's thread.  What is pending lives in the layers' arenas,
 * apart from the scopes' own, so that a handler may rewind its scope in a loop; caller and
 * correlation are borrowed from the scope.  All of it lives until the batch has been committed and
 * answered.
 */
#ifndef KU_STORE_WORK_H
#define KU_STORE_WORK_H

#include "db/db.h"
#include "store/catalog.h"

/* What is known of a stream inside a transaction. */
typedef struct stream_state {
    ku_id tenant, stream;
    ku_str type;            /* the entity's name; empty: the stream does not exist */
    int64_t stored_version; /* in the database; 0: no row */
    int64_t version;        /* with what is pending */
    int32_t lane;
    ku_time last_at; /* of its last event: created_at never runs backwards */
    bool archived;
    ku_time archived_at;
    ku_str archived_by, archived_reason;
    bool changed;                /* the row has to be written */
    int64_t loaded_version;      /* at which this scope loaded it; -1: it did not */
    struct stream_state *next_;  /* same hash slot */
    struct stream_state *order_; /* insertion order in its layer */
} stream_state;

/* An event that is not in the database yet. */
typedef struct pending_event {
    ku_event event;  /* position 0 until work_number */
    ku_str payload;  /* as stored: what event.json was lifted from, if it had to be */
    ku_str metadata; /* as stored: JSON without userId, see store/append.c */
    struct pending_event *next;
} pending_event;

/* A consumer's cursor that moves in the transaction, if it is where it was found. */
typedef struct cursor_move {
    ku_str consumer;
    ku_id tenant;
    int32_t lane;
    int64_t from, to, epoch;
    ku_time now; /* set by work_move_cursor */
    bool *lost;  /* set if it was not there any more; must live until the flush */
    struct cursor_move *next;
} cursor_move;

/* A stored reply of a request that the transaction answers. */
typedef struct pending_request {
    ku_id tenant, fingerprint;
    ku_str user, request_id, reply;
    int http_status;
    ku_time now, expires;
    struct pending_request *next;
} pending_request;

/* A snapshot that a scope made. */
typedef struct pending_snapshot {
    ku_id tenant, stream;
    ku_str entity;
    int64_t version;
    int state_version;
    ku_str state; /* JSON */
    ku_time now;  /* set by work_put_snapshot */
    struct pending_snapshot *next;
} pending_snapshot;

typedef struct work work;
struct work {
    db *d;                /* the writer's connection */
    work *parent;         /* a scope's layer: the batch's; the batch's: NULL */
    arena *arena;         /* what is pending lives here: no rewind of the scope reaches it */
    arena *home;          /* while entered: where `arena` belongs; see work_enter */
    stream_state **slots; /* hash of streams */
    size_t n_slots, n_streams;
    stream_state *first_stream, *last_stream;
    pending_event *first, *last;
    size_t n_events;
    cursor_move *moves;
    pending_snapshot *snapshots;
    pending_request *requests;       /* of a batch */
    const struct lane_counts *lanes; /* of a batch: how many each tenant has; NULL: one */
    int64_t n_inserted, n_updated;   /* of a batch: streams that were sent, … */
    int64_t inserted, updated;       /* … and how many of them were where they were read */
    struct row_layer *rows;          /* the application's part: read-model rows */
};

void work_init(work *w, db *d, work *parent, arena *arena);
/* Moves what a scope has left into the batch's layer (the rows are the caller's). */
void work_merge(work *scope_layer);

/*
 * Between these two, what the scope allocates goes to its layer and outlives a rewind.  True, and
 * to be left again, unless it was entered already or the scope has no work.
 */
bool work_enter(ku_scope *scope);
void work_leave(ku_scope *scope, bool entered);

/* The stream as this layer sees it; copied up from the parent or read from the database. */
ku_status work_stream(ku_scope *scope, ku_id stream, stream_state **ret_state);
/* True if the scope knows, without looking, that the database has no such stream. */
bool work_is_not_stored(const ku_scope *scope, ku_id stream);
/*
 * Says that the stream's row will soon be looked at, where that saves a way to the database; see
 * db_prefetch.
 */
void work_prefetch_stream(ku_scope *scope, ku_id stream);
/* The stream as it is in the database; type empty if there is none. */
ku_status work_read_stream(ku_scope *scope, ku_id stream, stream_state *ret_state);
/* The pending events of a stream, oldest first: the batch's, then the scope's.  Calls back for
 * each. */
ku_status work_each_pending(ku_scope *scope, ku_id tenant, ku_id stream,
    ku_status (*callback)(ku_scope *scope, const pending_event *pending, void *context),
    void *context);

/* Notes what the transaction is to write as well; the struct is copied, text is borrowed. */
void work_move_cursor(ku_scope *scope, const cursor_move *move);
void work_put_snapshot(ku_scope *scope, const pending_snapshot *snapshot);
void work_put_request(work *batch, const pending_request *request);

/*
 * The end of a batch, in the order in which locks are taken: streams, (the application's rows,)
 * cursors, lane heads; each sorted, so that two writers never wait for each other in a circle.
 *
 *   work_flush_streams   sends streams
 *   work_number          moves cursors and heads, waits for all that was sent, and gives every
 *                        pending event its position
 *   work_flush_events    sends events, keys, snapshots and stored replies
 *
 * On an engine with round trips that is one for the first two and one, together with COMMIT, for
 * the third; stored replies cost one more, because their outcome has to be known before.
 *
 * KU_VERSION_CONFLICT from any of them: somebody else has written a stream or a stored reply, or
 * moved a cursor, since it was read; the scopes have to run again.
 */
ku_status work_flush_streams(work *batch);
ku_status work_number(work *batch);
ku_status work_flush_events(work *batch);

#endif
