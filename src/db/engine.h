/*
 * What an engine has to bring: one table of functions.
 *
 * db.c gives db.h to the layers above and calls the engine through this table; the functions mean
 * what db.h says of those with the same name.  An engine embeds `struct db` as the first member of
 * its own connection.
 */
#ifndef KU_DB_ENGINE_H
#define KU_DB_ENGINE_H

#include "db/db.h"

#include <pthread.h>

typedef struct db_engine {
    const char *const *texts; /* of sql/, SQL_COUNT_ of them */
    db_dialect dialect;
    bool shared; /* other processes may write to the same database */
    ku_status (*open)(const char *place, db_role role, const db_catalog *catalog, db **ret_db,
        ku_error *ret_error);
    void (*close)(db *d);
    void (*interrupt)(db *d);
    void (*watch)(db *d, bool (*stop)(void *context), void *context);
    ku_status (*be_patient)(db *d); /* NULL: it always is */

    ku_status (*begin)(db *d);
    ku_status (*commit)(db *d);
    void (*rollback)(db *d);
    bool (*intact)(const db *d);
    ku_status (*savepoint)(db *d);
    ku_status (*release)(db *d);
    void (*rollback_to)(db *d);
    bool (*upkeep)(db *d, bool idle);

    ku_status (*run)(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes);
    ku_status (*run_many)(db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows,
        int64_t *ret_changes);
    ku_status (*send_many)(
        db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *changes);
    ku_status (*settle)(db *d);
    ku_status (*script)(db *d, ku_str sql);
    ku_status (*query)(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
    ku_status (*query_many)(
        db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, db_rows *ret_rows);
    void (*prefetch)(db *d, int sql, const db_value *binds, size_t n_binds);
    ku_status (*query_text)(
        db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
    ku_status (*next)(db_rows *rows, bool *ret_row);
    void (*rows_done)(db_rows *rows);

    bool (*is_null)(const db_rows *rows, int column);
    int64_t (*column_int)(const db_rows *rows, int column);
    double (*column_double)(const db_rows *rows, int column);
    ku_str (*column_text)(const db_rows *rows, int column);
    ku_id (*column_id)(const db_rows *rows, int column);

    /* Creates or completes the table; with `check_only` says what is missing instead. */
    ku_status (*ensure_table)(db *d, const db_table *table, bool check_only, ku_error *ret_error);

    /* NULL where `shared` is false */
    ku_status (*bell_listen)(db *d);
    ku_status (*bell_ring)(db *d);
    ku_status (*bell_wait)(db *d, int descriptor, int timeout_ms, bool *ret_rung);
} db_engine;

struct db {
    const db_engine *engine;
    const db_catalog *catalog;
    bool may_retry;           /* what the last failure was: see db_may_retry … */
    bool outcome_unknown;     /* … and db_outcome_unknown; the engine sets both */
    db_traffic_count traffic; /* the engine counts, where there is a way to the database */
    int64_t calls_to_fault;   /* 0: none is planned; see db_fail_after */
    ku_status fault;
    char error[512];
};

extern const db_engine sqlite_engine;
extern const db_engine postgres_engine;

/* A database that lives as long as its catalog; guarded by `lock`. */
typedef struct memory_place {
    pthread_mutex_t lock;
    char folder[256]; /* empty: not made yet */
} memory_place;

/* A statement that is not in sql/, in each dialect; NUL-terminated. */
typedef struct catalog_text {
    ku_str text[DB_DIALECTS_];
} catalog_text;

struct db_catalog {
    arena arena;
    catalog_text *texts; /* statement SQL_COUNT_ + i */
    size_t n_texts, capacity;
    memory_place *memory;
};

/* Adds a statement whose text differs between the engines; the texts are copied. */
int db_catalog_add_dialects(db_catalog *catalog, const ku_str texts[DB_DIALECTS_]);

/* table_sql.c: the text of a table's statement.  The engines' columns are in *_table.c. */
typedef enum table_verb {
    TABLE_GET,
    TABLE_INSERT,
    TABLE_UPDATE,
    TABLE_PUT,
    TABLE_ADD,
    TABLE_REMOVE,
    TABLE_REMOVE_AT,
} table_verb;
void table_statement(db_dialect dialect, const db_table *table, table_verb verb, buffer *b);
/* table.c: what an engine's tables are asked and made with. */
enum { TABLE_TYPE_BYTES = 40 };
typedef struct table_words {
    const char *columns_query; /* $1 table → name, type, not null, has a default, place in the
                                  primary key from 1 or 0 */
    const char *index_query;   /* $1 table, $2 index → column, unique; in order */
    /* what the first query is to say of the type of such a column */
    void (*declare_type)(const db_column *column, char ret_type[TABLE_TYPE_BYTES]);
    /* whole statements with their semicolons */
    void (*put_create_table)(buffer *b, const db_table *table);
    void (*put_add_column)(buffer *b, const db_table *table, const db_column *column);
} table_words;
ku_status table_ensure(
    db *d, const table_words *words, const db_table *table, bool check_only, ku_error *ret_error);
void table_ddl(const table_words *words, const db_table *table, buffer *b);

/* The name of a column's type there: `uuid`, `bigint` … */
const char *postgres_type(const db_column *column);
void sqlite_table_ddl(const db_table *table, buffer *b);
void postgres_table_ddl(const db_table *table, buffer *b);
/* The policy that a new table with a tenant_id gets: statements for the end of its
 * postgres_table_ddl.  The tables of the log have to be there. */
void postgres_table_policy(ku_str table, buffer *b);

/* Makes the folder of the catalog's database in memory, if that has not been done; false: errno. */
bool memory_place_make(memory_place *place);
/* Removes it with what is in it. */
void memory_place_remove(memory_place *place);

/*
 * The lock that says who writes a file: `<path>.lock`, held by the kernel for as long as the
 * descriptor is open, so that it goes with its process.  KU_CONFLICT names the process that has it.
 */
ku_status owner_lock_take(const char *path, int *ret_descriptor, ku_error *ret_error);
void owner_lock_drop(int descriptor);

#endif
