/*
 * Databases, whatever the engine.
 *
 * Each function finds the engine in the connection and passes the call on.  This is also where a
 * test makes the n-th call fail (db_fail_after), for every engine alike: a call that is to fail
 * does not reach the engine, except that a failing commit rolls back, as a real one does.
 */
#include "base/error.h"
#include "db/engine.h"

#include "db/sql.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- connections ----------------------------------------------------------------------------- */

ku_status db_open(
    const char *url, db_role role, const db_catalog *catalog, db **ret_db, ku_error *ret_error)
{
    static const char scheme[] = "sqlite:";

    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0 || url[sizeof(scheme) - 1] == '\0')
        return error_set(ret_error, KU_INVALID,
            "'%.200s' is no database URL: write sqlite:PATH or sqlite::memory:", url);

    db *d = NULL;
    ku_status status = sqlite_engine.open(url + sizeof(scheme) - 1, role, catalog, &d, ret_error);
    if (status != KU_OK)
        return status;
    d->engine = &sqlite_engine;
    d->catalog = catalog;
    *ret_db = d;
    return KU_OK;
}

void db_close(db *d)
{
    if (d != NULL)
        d->engine->close(d);
}

const char *db_error(const db *d)
{
    return d->error;
}

void db_interrupt(db *d)
{
    d->engine->interrupt(d);
}

void db_watch(db *d, bool (*stop)(void *context), void *context)
{
    d->engine->watch(d, stop, context);
}

ku_str db_statement_text(const db *d, int sql)
{
    assert(sql >= 0 && (size_t)sql < SQL_COUNT_ + d->catalog->n_texts);
    return sql < SQL_COUNT_ ? ku_str_from(d->engine->texts[sql])
                            : d->catalog->texts[sql - SQL_COUNT_];
}

/* ---- planned faults -------------------------------------------------------------------------- */

void db_fail_after(db *d, int64_t calls, ku_status status)
{
    d->calls_to_fault = calls;
    d->fault = status;
}

/* True if this is the call that is to fail. */
static bool fails(db *d)
{
    if (d->calls_to_fault == 0 || --d->calls_to_fault > 0)
        return false;
    snprintf(d->error, sizeof(d->error), "this call was told to fail");
    return true;
}

/* ---- transactions ---------------------------------------------------------------------------- */

ku_status db_begin(db *d)
{
    return fails(d) ? d->fault : d->engine->begin(d);
}

ku_status db_commit(db *d)
{
    if (fails(d)) {
        d->engine->rollback(d);
        return d->fault;
    }
    return d->engine->commit(d);
}

void db_rollback(db *d)
{
    d->engine->rollback(d);
}

bool db_intact(const db *d)
{
    return d->engine->intact(d);
}

ku_status db_savepoint(db *d)
{
    return fails(d) ? d->fault : d->engine->savepoint(d);
}

ku_status db_release(db *d)
{
    return fails(d) ? d->fault : d->engine->release(d);
}

void db_rollback_to(db *d)
{
    d->engine->rollback_to(d);
}

bool db_upkeep(db *d, bool idle)
{
    return d->engine->upkeep(d, idle);
}

/* ---- statements ------------------------------------------------------------------------------ */

ku_status db_run(db *d, int sql, const db_value *binds, size_t n_binds, int64_t *ret_changes)
{
    return fails(d) ? d->fault : d->engine->run_many(d, sql, binds, n_binds, 1, ret_changes);
}

ku_status db_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes)
{
    return fails(d) ? d->fault
                    : d->engine->run_many(d, sql, values, n_columns, n_rows, ret_changes);
}

ku_status db_script(db *d, ku_str sql)
{
    return fails(d) ? d->fault : d->engine->script(d, sql);
}

ku_status db_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows)
{
    return fails(d) ? d->fault : d->engine->query(d, sql, binds, n_binds, ret_rows);
}

ku_status db_query_text(db *d, ku_str sql, const db_value *binds, size_t n_binds, db_rows *ret_rows)
{
    return fails(d) ? d->fault : d->engine->query_text(d, sql, binds, n_binds, ret_rows);
}

ku_status db_next(db_rows *rows, bool *ret_row)
{
    *ret_row = false;
    if (rows->d == NULL)
        return KU_OK;
    return fails(rows->d) ? rows->d->fault : rows->d->engine->next(rows, ret_row);
}

void db_rows_done(db_rows *rows)
{
    if (rows->d != NULL)
        rows->d->engine->rows_done(rows);
    *rows = (db_rows){0};
}

bool db_is_null(const db_rows *rows, int column)
{
    return rows->d->engine->is_null(rows, column);
}

int64_t db_column_int(const db_rows *rows, int column)
{
    return rows->d->engine->column_int(rows, column);
}

double db_column_double(const db_rows *rows, int column)
{
    return rows->d->engine->column_double(rows, column);
}

ku_str db_column_text(const db_rows *rows, int column)
{
    return rows->d->engine->column_text(rows, column);
}

ku_id db_column_id(const db_rows *rows, int column)
{
    return rows->d->engine->column_id(rows, column);
}

ku_status db_ensure_table(db *d, const db_table *table, ku_error *ret_error)
{
    return d->engine->ensure_table(d, table, ret_error);
}

/* Both engines quote names as the SQL standard does. */
void db_quote_name(buffer *b, ku_str name)
{
    buffer_add_char(b, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            buffer_add_char(b, '"');
        buffer_add_char(b, name.ptr[i]);
    }
    buffer_add_char(b, '"');
}
