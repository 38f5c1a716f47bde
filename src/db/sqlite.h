/*
 * The inside of a connection to SQLite, for the files sqlite*.c.
 */
#ifndef KU_DB_SQLITE_H
#define KU_DB_SQLITE_H

#include "db/engine.h"

#include <sqlite3.h>

enum {
    SQLITE_TEXTS_KEPT = 32,          /* statements known by text that stay prepared */
    SQLITE_WAL_BYTES_MAX = 64 << 20, /* a bigger log is checkpointed between two commits */
    SQLITE_IDLE_US = 500000,         /* so long after the last commit the log is checkpointed */
    SQLITE_WRITER_CACHE_KIB = 8192,
    SQLITE_READER_CACHE_KIB = 512,
    /* Readers map the file: a load that jumps over it would copy a page per event otherwise.  The
     * pages are the system's cache, seen as resident while they are in use. */
    SQLITE_READER_MAP_BYTES = 1 << 30,
};

/* A prepared statement; `open` while a db_rows reads from it. */
typedef struct sqlite_statement {
    sqlite3_stmt *handle;
    bool open;
} sqlite_statement;

/* A statement known by its text. */
typedef struct sqlite_text {
    sqlite_statement statement;
    ku_str sql; /* on the heap */
    uint64_t used_at;
} sqlite_text;

typedef enum sqlite_control {
    CONTROL_BEGIN,
    CONTROL_COMMIT,
    CONTROL_ROLLBACK,
    CONTROL_SAVEPOINT,
    CONTROL_RELEASE,
    CONTROL_ROLLBACK_TO,
    CONTROL_COUNT_
} sqlite_control;

typedef struct sqlite_db {
    db base;
    sqlite3 *handle;
    db_role role;
    int owner_lock; /* descriptor, or -1 */
    const db_catalog *catalog;

    sqlite3_stmt *controls[CONTROL_COUNT_];
    sqlite_statement *statements; /* by number: sql/ first, then the catalog's */
    size_t n_statements;
    sqlite_text texts[SQLITE_TEXTS_KEPT];
    uint64_t uses;

    /* the writer's log */
    int64_t wal_frames;       /* in the log now */
    int64_t wal_checkpointed; /* of those, how many are in the file, too */
    int64_t wal_retry_at;     /* frames at which a checkpoint that readers held up is tried again */
    int64_t wal_frames_max;
    int64_t committed_us; /* when, CLOCK_MONOTONIC */

    bool (*stop)(void *context);
    void *stop_context;
} sqlite_db;

/* Notes the engine's words and gives the status for its result code. */
ku_status sqlite_failed(sqlite_db *s, int result);

/* sqlite_statement.c */
ku_status sqlite_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes);
ku_status sqlite_run(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes);
ku_status sqlite_settle(db *d);
ku_status sqlite_script(db *d, ku_str sql);
ku_status sqlite_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
ku_status sqlite_query_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, db_rows *ret_rows);
void sqlite_prefetch(db *d, int sql, const db_value *binds, size_t n_binds);
ku_status sqlite_query_text(
    db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
ku_status sqlite_next(db_rows *rows, bool *ret_row);
void sqlite_rows_done(db_rows *rows);
bool sqlite_is_null(const db_rows *rows, int column);
int64_t sqlite_column_int(const db_rows *rows, int column);
double sqlite_column_real(const db_rows *rows, int column);
ku_str sqlite_column_str(const db_rows *rows, int column);
ku_id sqlite_column_id(const db_rows *rows, int column);
/* Finalizes everything that is prepared. */
void sqlite_finalize_all(sqlite_db *s);

/* sqlite_table.c */
ku_status sqlite_ensure_table(db *d, const db_table *table, bool check_only, ku_error *ret_error);

#endif
