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
    ku_status (*open)(const char *place, db_role role, const db_catalog *catalog, db **ret_db,
        ku_error *ret_error);
    void (*close)(db *d);
    void (*interrupt)(db *d);
    void (*watch)(db *d, bool (*stop)(void *context), void *context);

    ku_status (*begin)(db *d);
    ku_status (*commit)(db *d);
    void (*rollback)(db *d);
    bool (*intact)(const db *d);
    ku_status (*savepoint)(db *d);
    ku_status (*release)(db *d);
    void (*rollback_to)(db *d);
    bool (*upkeep)(db *d, bool idle);

    ku_status (*run_many)(db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows,
        int64_t *ret_changes);
    ku_status (*script)(db *d, ku_str sql);
    ku_status (*query)(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
    ku_status (*query_text)(
        db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows);
    ku_status (*next)(db_rows *rows, bool *ret_row);
    void (*rows_done)(db_rows *rows);

    bool (*is_null)(const db_rows *rows, int column);
    int64_t (*column_int)(const db_rows *rows, int column);
    double (*column_double)(const db_rows *rows, int column);
    ku_str (*column_text)(const db_rows *rows, int column);
    ku_id (*column_id)(const db_rows *rows, int column);

    ku_status (*ensure_table)(db *d, const db_table *table, ku_error *ret_error);
} db_engine;

struct db {
    const db_engine *engine;
    const db_catalog *catalog;
    int64_t calls_to_fault; /* 0: none is planned; see db_fail_after */
    ku_status fault;
    char error[512];
};

extern const db_engine sqlite_engine;

/* A database that lives as long as its catalog; guarded by `lock`. */
typedef struct memory_place {
    pthread_mutex_t lock;
    char folder[256]; /* empty: not made yet */
} memory_place;

struct db_catalog {
    arena arena;
    ku_str *texts; /* NUL-terminated; statement SQL_COUNT_ + i */
    size_t n_texts, capacity;
    memory_place *memory;
};

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
