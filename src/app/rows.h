/*
 * Rows in memory: what a transaction will do to read tables, merged per row.
 *
 * A layer (one per scope, one per batch; see store/work.h) maps (table, tenant, key) to what is to
 * become of the row.  A row that is changed five times is written once; a sum that is added to is
 * read only if somebody asks for it.  A failed scope's layer is dropped.
 *
 * Nothing is locked while handlers run.  An entry remembers the revision at which its row was read,
 * and what is written back is compared with it (db_catalog_add_table): if somebody else was faster
 * the flush fails with KU_VERSION_CONFLICT, and the scopes run again with what is there by then.
 */
#ifndef KU_APP_ROWS_H
#define KU_APP_ROWS_H

#include "app/registry.h"
#include "store/work.h"

typedef enum row_state {
    ROW_CLEAN,   /* as in the database */
    ROW_ABSENT,  /* not in the database */
    ROW_PUT,     /* to be written as a whole */
    ROW_ADD,     /* to be inserted, or its sums added to what is there */
    ROW_REMOVED, /* to be deleted */
    ROW_UNKNOWN, /* was added to and written; whoever wants it reads it */
} row_state;

typedef struct row_entry {
    const row_table *table;
    ku_id tenant;
    uint64_t hash;
    row_state state;
    /* At which it was read from the database.  0: it was not there.  DB_REVISION_ANY: nobody has
     * looked, or this transaction has written it since and holds its lock. */
    int64_t revision;
    void *row; /* the struct; of ROW_REMOVED and ROW_ABSENT only the key counts */
    struct row_entry *same_slot, *next;
} row_entry;

/* A statement that was sent for some rows: how many it must have touched, and how many it has. */
typedef struct row_check {
    int64_t expected, changes;
    struct row_check *next;
} row_check;

/* A hook that waits for the commit. */
typedef struct pending_hook {
    const ku_hook *hook;
    const feature_entry *feature;
    const ku_event *event;
    struct pending_hook *next;
} pending_hook;

/* A request id that a job of this batch is answering. */
typedef struct claimed_request {
    ku_id tenant;
    ku_str user, request_id;
    struct claimed_request *next;
} claimed_request;

typedef struct row_layer row_layer;
struct row_layer {
    row_layer *parent;
    work *work; /* whose memory the rows live in */
    row_entry **slots;
    size_t n_slots, n_entries;
    row_entry *first, *last;
    row_check *checks;               /* of what was sent */
    pending_hook *hooks, *last_hook; /* of a scope */
    claimed_request *claims;         /* of a batch */
    bool in_savepoint; /* the scope's rows were flushed early; see rows_flush_for_query */
    /* Of a scope: a projection could not apply what was appended.  Whatever the handler makes of
     * that, the event must not stand without its projection. */
    ku_status doomed;
    ku_str doomed_reason, doomed_message;
    bool broken;    /* part of it could not be written: its transaction must not commit */
    bool too_large; /* of a batch: a sum does not fit; it is broken, too */
    bool lost;      /* of a batch: somebody else was faster; it is broken, too, and may run again */
};

void row_layer_init(row_layer *layer, row_layer *parent, work *unit);

/* What a layer itself knows of a row; NULL: nothing. */
row_entry *row_layer_find(
    const row_layer *layer, const row_table *t, ku_id tenant, uint64_t hash, const void *row);

/* The five verbs on any table; `row` is the table's whole row. */
ku_status rows_get(ku_scope *scope, const row_table *t, void *row);
ku_status rows_put(ku_scope *scope, const row_table *t, const void *row);
/* The same for a row that lives in scope->work->arena with all it points at. */
ku_status rows_put_kept(ku_scope *scope, const row_table *t, const void *row);
ku_status rows_add(ku_scope *scope, const row_table *t, const void *row);
ku_status rows_remove(ku_scope *scope, const row_table *t, const void *row);

/* Says that the scope's events cannot stand, by the error that is set. */
void rows_doom(ku_scope *scope, ku_status status);
/* KU_OK, or the status that doomed the scope, with its error set again. */
ku_status rows_doomed(ku_scope *scope);

/* Moves a scope's entries into its parent. */
void rows_merge(row_layer *scope_layer);
/* Sends what a layer holds; its entries are clean afterwards. */
ku_status rows_flush(ku_scope *scope, row_layer *layer);
/*
 * Once db_settle has returned: KU_VERSION_CONFLICT if a row was not as it had been read.
 */
ku_status rows_compare(row_layer *layer);
/*
 * Before a query inside a write: the database must show what is pending.  The batch's rows are
 * written; the scope's own in a savepoint, which the end of the scope releases or rolls back.
 */
ku_status rows_flush_for_query(ku_scope *scope);

#endif
