/*
 * Databases: connections, statements, transactions.
 *
 * Nothing above this header knows which engine it talks to.  Statements are known by number: those
 * of sql/ by their SQL_ constant (db/sql.h is generated), those that are composed from registered
 * tables by what db_catalog_add returned.  Each connection prepares a statement when it first needs
 * it and keeps it.  Binds are written $1, $2 … in either case.
 *
 * A connection belongs to one thread at a time.  A failing call returns a status and keeps the
 * engine's sentence for db_error():
 *
 *   KU_UNIQUE_VIOLATION  a unique or primary key says no; the transaction goes on
 *   KU_CANCELLED         db_interrupt was called
 *   KU_UNAVAILABLE       busy, disk full, connection lost: worth a retry later
 *   KU_INTERNAL          anything else: a bug or a broken file
 *
 * Instants are stored as int64 microseconds, ids as 16 bytes, decimals as int64 units of the
 * column's scale, booleans as 0 and 1.
 */
#ifndef KU_DB_DB_H
#define KU_DB_DB_H

#include "base/buffer.h"
#include "base/scope.h"
#include "kumiko/shape.h"

typedef struct db db;
typedef struct db_catalog db_catalog;

typedef enum db_kind { DB_NULL, DB_INT, DB_DOUBLE, DB_TEXT, DB_ID } db_kind;

/* A bound value; text is borrowed until the call returns. */
typedef struct db_value {
    db_kind kind;
    union {
        int64_t integer;
        double number;
        ku_str text;
        ku_id id;
    };
} db_value;

static inline db_value db_int(int64_t value)
{
    return (db_value){.kind = DB_INT, .integer = value};
}
static inline db_value db_text(ku_str value)
{
    return (db_value){.kind = DB_TEXT, .text = value};
}
static inline db_value db_id(ku_id value)
{
    return (db_value){.kind = DB_ID, .id = value};
}
static inline db_value db_null(void)
{
    return (db_value){.kind = DB_NULL};
}
/* NULL if the text is empty. */
static inline db_value db_text_or_null(ku_str value)
{
    return value.len == 0 ? db_null() : db_text(value);
}

/* ---- the catalog: statements that are not in sql/ -------------------------------------------- */

/* Made before the first connection is opened, constant afterwards; outlives the connections. */
db_catalog *db_catalog_new(void);
/* Adds a statement (copied), returns its number. */
int db_catalog_add(db_catalog *catalog, ku_str sql);
void db_catalog_free(db_catalog *catalog);

/* ---- connections ----------------------------------------------------------------------------- */

typedef enum db_role {
    DB_WRITER, /* the one connection that writes and does upkeep; takes the owner lock of the file
                */
    DB_READER, /* read-only */
} db_role;

/* Opens `sqlite:PATH` (or `sqlite::memory:`, which all connections with that catalog share). */
ku_status db_open(
    const char *url, db_role role, const db_catalog *catalog, db **ret_db, ku_error *ret_error);
void db_close(db *d);
/* The engine's words about the last failure; valid until the next call. */
const char *db_error(const db *d);
/* Makes the statement that runs on another thread's connection fail with KU_CANCELLED. */
void db_interrupt(db *d);
/* Called now and then while a statement runs; true stops it with KU_CANCELLED.  NULL: none. */
void db_watch(db *d, bool (*stop)(void *context), void *context);
/* The engine's text of a statement, for scripts of sql/ (db_script). */
ku_str db_statement_text(const db *d, int sql);
/*
 * For tests of what happens then: the call with that number from now on (1: the next) fails with
 * the status, once, without reaching the engine.  0: none will.
 */
void db_fail_after(db *d, int64_t calls, ku_status status);

/* ---- transactions ---------------------------------------------------------------------------- */

ku_status db_begin(db *d);  /* a writer's: takes the write lock; a reader's: one snapshot */
ku_status db_commit(db *d); /* on disk when it returns; failed: nothing of it is there */
void db_rollback(db *d);
/* False: the engine has ended the transaction by itself; statements would commit one by one. */
bool db_intact(const db *d);
ku_status db_savepoint(db *d);
ku_status db_release(db *d); /* keeps what was done since the savepoint */
void db_rollback_to(db *d);  /* undoes it and removes the savepoint */

/*
 * Upkeep of the writer's connection between transactions: checkpoints.  Call it after each commit
 * with `idle` false and when nothing is queued with `idle` true; it does what is due, if anything
 * (idle and nothing due: it gives its memory back).
 * (Idle work is due half a second after the last commit: what pauses that briefly will go on.)
 * True: something is left to be done; call again, idle, within a second or so.
 */
bool db_upkeep(db *d, bool idle);

/* ---- statements ------------------------------------------------------------------------------ */

/* Runs a statement; *ret_changes (may be NULL) is the number of rows it touched. */
ku_status db_run(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes);
/*
 * Runs one statement for many rows of binds (`n_rows` × `n_columns` values, row by row); on an
 * engine with set-based statements that is one round trip.
 */
ku_status db_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes);
/* Several statements without binds: DDL. */
ku_status db_script(db *d, ku_str sql);

/* A result that is read row by row.  {0} is done. */
typedef struct db_rows {
    db *d;
    void *statement;
    int slot;
} db_rows;

ku_status db_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
/* A statement that is in no catalog: lists with filters.  Kept prepared for a while by its text. */
ku_status db_query_text(
    db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
/* Moves to the next row; *ret_row false: there is none, or the call failed. */
ku_status db_next(db_rows *rows, bool *ret_row);
/* Ends it, also half-way.  Always call it. */
void db_rows_done(db_rows *rows);

/* Columns of the present row, from 0; text is borrowed until the next db_next. */
bool db_is_null(const db_rows *rows, int column);
int64_t db_column_int(const db_rows *rows, int column);
double db_column_double(const db_rows *rows, int column);
ku_str db_column_text(const db_rows *rows, int column);
ku_id db_column_id(const db_rows *rows, int column);

/* ---- tables of features ---------------------------------------------------------------------- */

typedef struct db_column {
    ku_str name;
    ku_kind kind;
    bool nullable;
    int scale;
} db_column;

typedef struct db_index {
    ku_str name;
    const ku_str *columns;
    size_t n_columns;
    bool unique;
} db_index;

typedef struct db_table {
    ku_str name;
    const db_column *columns;
    size_t n_columns;
    size_t n_key; /* the first so many columns are the primary key */
    const db_index *indexes;
    size_t n_indexes;
} db_table;

/*
 * Creates the table or adds the columns and indexes that it lacks (added columns get the kind's
 * zero where they are not nullable).  KU_CONFLICT, with the place in *ret_error: a column there has
 * another type, or the key differs.
 */
ku_status db_ensure_table(db *d, const db_table *table, ku_error *ret_error);

/* `"name"`, quoted for the engine. */
void db_quote_name(buffer *b, ku_str name);

#endif
