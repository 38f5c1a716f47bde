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
 *   KU_UNIQUE_VIOLATION  a unique or primary key says no
 *   KU_CANCELLED         db_interrupt was called
 *   KU_UNAVAILABLE       busy, disk full, connection lost: worth a retry later
 *   KU_INTERNAL          anything else: a bug or a broken file
 *
 * On SQLite a transaction goes on after a failing statement; on PostgreSQL it is over (db_intact).
 *
 * Values go in and come out as int64 microseconds for instants, 16 bytes for ids, int64 units of
 * the column's scale for decimals, 0 and 1 for booleans, whatever the engine stores.
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
    DB_WRITER, /* on SQLite the one connection that writes, which takes the file's owner lock */
    DB_READER, /* read-only */
} db_role;

typedef enum db_dialect { DB_SQLITE, DB_POSTGRES, DB_DIALECTS_ } db_dialect;

/* Which engine a URL names.  KU_INVALID: none. */
ku_status db_dialect_of(const char *url, db_dialect *ret_dialect, ku_error *ret_error);

/*
 * Opens `sqlite:PATH` (or `sqlite::memory:`, which all connections with that catalog share) or
 * `postgresql://…` (libpq's URIs: several hosts, target_session_attrs, options).
 */
ku_status db_open(
    const char *url, db_role role, const db_catalog *catalog, db **ret_db, ku_error *ret_error);
void db_close(db *d);
/* The engine's words about the last failure; valid until the next call. */
const char *db_error(const db *d);
/* Makes the statement that runs on another thread's connection fail with KU_CANCELLED. */
void db_interrupt(db *d);
/* Called now and then while a statement runs; true stops it with KU_CANCELLED.  NULL: none. */
void db_watch(db *d, bool (*stop)(void *context), void *context);
/*
 * For operators, between transactions: statements of this connection may take ten minutes instead
 * of ten seconds, after which a server gives them up.
 */
ku_status db_be_patient(db *d);
/* The engine's text of a statement, for scripts of sql/ (db_script). */
ku_str db_statement_text(const db *d, int sql);
ku_str db_dialect_text(db_dialect dialect, int sql);
/* Other processes may write to the same database (PostgreSQL); false: this one owns it. */
bool db_is_shared(const db *d);
/*
 * Was the last failure one that nothing but time or another connection was to blame for: a lost
 * connection, a deadlock, a lock that was not given, a primary that is one no more?  The same
 * transaction may succeed when it is run again (design: the retry table of ordering.md).  False
 * after a commit whose outcome is unknown: that has to be looked up.
 */
bool db_may_retry(const db *d);
/* What a connection has cost so far; on SQLite, where there is no way to the database, nothing. */
typedef struct db_traffic_count {
    int64_t round_trips; /* how often a call waited for the server */
    int64_t statements;  /* that were run, without BEGIN, COMMIT and their like */
} db_traffic_count;
void db_traffic(const db *d, db_traffic_count *ret_count);
/*
 * For tests of what happens then: the call with that number from now on (1: the next) fails with
 * the status, once, without reaching the engine.  0: none will.
 */
void db_fail_after(db *d, int64_t calls, ku_status status);

/* ---- transactions ---------------------------------------------------------------------------- */

ku_status db_begin(db *d);  /* a writer's: takes the write lock; a reader's: one snapshot */
ku_status db_commit(db *d); /* on disk when it returns; failed: nothing of it is there, unless … */
/* … the connection was lost after COMMIT had left: whether it is there cannot be known from here.
 */
bool db_outcome_unknown(const db *d);
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

/*
 * A statement is written either for one row of binds (db_run, db_query) or for many (db_run_many,
 * db_send_many, db_query_many), and is called in that way only: on PostgreSQL each bind of the
 * second kind is an array with a value per row, and the statement takes them apart with unnest.
 */

/* Runs a statement; *ret_changes (may be NULL) is the number of rows it touched. */
ku_status db_run(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes);
/* Runs one statement for many rows of binds (`n_rows` × `n_columns` values, row by row). */
ku_status db_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes);
/*
 * The same without waiting: what becomes of it is known after db_settle (at the latest), which
 * fills `*changes` (may be NULL; must live until then).  A statement that was sent and failed makes
 * db_settle or db_commit fail, whichever comes first.  The values are not needed any more when this
 * returns.  On SQLite it is run at once.
 */
ku_status db_send_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *changes);
/* Waits for everything that was sent.  The first failure among it is returned. */
ku_status db_settle(db *d);
/* Several statements without binds: DDL. */
ku_status db_script(db *d, ku_str sql);

/* A result that is read row by row.  {0} is done. */
typedef struct db_rows {
    db *d;
    void *statement;
    int slot;
    const db_value *values; /* of db_query_many: what is still to be bound */
    size_t n_columns, n_left;
} db_rows;

ku_status db_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
/* A query for many rows of binds (at least one); the values must live until db_rows_done. */
ku_status db_query_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, db_rows *ret_rows);
/*
 * Says that db_query will soon be called with just this: an engine with round trips sends it along
 * with what comes before, and the call finds its answer there.  A hint: it cannot fail.  Forgotten
 * when the transaction ends, and when something is written.
 */
void db_prefetch(db *d, int sql, const db_value *binds, size_t n_binds);
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

/* ---- wake-ups between processes -------------------------------------------------------------- */

/*
 * A bell that every process with the same database hears; a hint, never needed for correctness.
 * Only where db_is_shared; on a connection of its own, outside transactions.
 */
ku_status db_bell_listen(db *d);
ku_status db_bell_ring(db *d);
/*
 * Waits until another process has rung, the descriptor is readable (-1: none) or the time is up
 * (-1: never).  KU_UNAVAILABLE: the connection is lost; listen again.
 */
ku_status db_bell_wait(db *d, int descriptor, int timeout_ms, bool *ret_rung);

/* ---- tables of features ---------------------------------------------------------------------- */

typedef struct db_column {
    ku_str name;
    ku_kind kind;
    bool nullable;
    bool sum; /* db_table_statements.add adds to it */
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

/* Like db_ensure_table, but changes nothing: KU_NOT_FOUND, with the place, if something is missing.
 */
ku_status db_check_table(db *d, const db_table *table, ku_error *ret_error);
/* The script that db_ensure_table would run where nothing is there yet. */
void db_table_ddl(db_dialect dialect, const db_table *table, buffer *b);

/*
 * The statements on a table's rows.  Where several processes write, a row carries a revision: how
 * often it was written.  Whoever changes a row that was read writes with the revision it had, and
 * finds by the number of changes that somebody else was there first.  Where one process owns the
 * database a row that is there has the revision DB_REVISION_ANY and nothing is compared.
 *
 *   get        binds: the key's columns → all columns but the first (tenant), then the revision
 *   insert     for many; binds: all columns.
 *              A row that is there already is left alone and not counted.
 *   update     for many; binds: all columns, revision.
 *              Counts only rows that were at their revision.
 *   put        for many; binds: all columns.  Inserts or replaces.
 *   add        for many; binds: all columns.  Inserts, or adds the sums and replaces the rest.
 *   remove     for many; binds: the key's columns.
 *   remove_at  for many; binds: the key's columns, revision.  Counts as update does.
 *
 * A row's revision is 1 after insert.  The rows of one call must differ in their keys, and should
 * come sorted by them: that is the order in which they are locked.
 */
#define DB_REVISION_ANY INT64_C(-1)

typedef struct db_table_statements {
    int get, insert, update, put, add, remove, remove_at;
} db_table_statements;

/* Composes them; all of `table` is copied.  Before the first connection is opened. */
db_table_statements db_catalog_add_table(db_catalog *catalog, const db_table *table);

/* `"name"`, quoted for the engine. */
void db_quote_name(buffer *b, ku_str name);

#endif
