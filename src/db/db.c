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

typedef struct scheme {
    const char *prefix;
    db_dialect dialect;
    bool keep_prefix; /* libpq reads the whole URI */
} scheme;

static const scheme schemes[] = {
    {"sqlite:",       DB_SQLITE,   false},
    {"postgresql://", DB_POSTGRES, true },
    {"postgres://",   DB_POSTGRES, true },
};

static const db_engine *const engines[DB_DIALECTS_] = {&sqlite_engine, &postgres_engine};

static const scheme *find_scheme(const char *url, ku_error *ret_error)
{
    for (size_t i = 0; i < KU_COUNT(schemes); i++) {
        size_t length = strlen(schemes[i].prefix);
        if (strncmp(url, schemes[i].prefix, length) == 0 &&
            (url[length] != '\0' || schemes[i].keep_prefix))
            return &schemes[i];
    }
    /* What stands before an `@` may be a password. */
    int shown = strchr(url, '@') != NULL ? (int)strcspn(url, ":") : 200;
    (void)error_set(ret_error, KU_INVALID,
        "'%.*s' is no database URL: write sqlite:PATH, sqlite::memory: or "
        "postgresql://HOST/DATABASE",
        shown, url);
    return NULL;
}

ku_status db_dialect_of(const char *url, db_dialect *ret_dialect, ku_error *ret_error)
{
    const scheme *found = find_scheme(url, ret_error);

    if (found == NULL)
        return KU_INVALID;
    *ret_dialect = found->dialect;
    return KU_OK;
}

ku_status db_open(
    const char *url, db_role role, const db_catalog *catalog, db **ret_db, ku_error *ret_error)
{
    const scheme *found = find_scheme(url, ret_error);
    db *d = NULL;

    if (found == NULL)
        return KU_INVALID;
    const db_engine *engine = engines[found->dialect];
    const char *place = found->keep_prefix ? url : url + strlen(found->prefix);
    ku_status status = engine->open(place, role, catalog, &d, ret_error);
    if (status != KU_OK)
        return status;
    d->engine = engine;
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

ku_status db_be_patient(db *d)
{
    return d->engine->be_patient == NULL ? KU_OK : d->engine->be_patient(d);
}

ku_str db_statement_text(const db *d, int sql)
{
    assert(sql >= 0 && (size_t)sql < SQL_COUNT_ + d->catalog->n_texts);
    return sql < SQL_COUNT_ ? ku_str_from(d->engine->texts[sql])
                            : d->catalog->texts[sql - SQL_COUNT_].text[d->engine->dialect];
}

ku_str db_dialect_text(db_dialect dialect, int sql)
{
    assert(sql >= 0 && sql < SQL_COUNT_);
    return ku_str_from(engines[dialect]->texts[sql]);
}

bool db_is_shared(const db *d)
{
    return d->engine->shared;
}

bool db_may_retry(const db *d)
{
    return d->may_retry;
}

bool db_outcome_unknown(const db *d)
{
    return d->outcome_unknown;
}

void db_traffic(const db *d, db_traffic_count *ret_count)
{
    *ret_count = d->traffic;
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
    d->may_retry = d->outcome_unknown = false;
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
    return fails(d) ? d->fault : d->engine->run(d, sql, binds, n_binds, ret_changes);
}

ku_status db_run_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *ret_changes)
{
    return fails(d) ? d->fault
                    : d->engine->run_many(d, sql, values, n_columns, n_rows, ret_changes);
}

ku_status db_send_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, int64_t *changes)
{
    return fails(d) ? d->fault : d->engine->send_many(d, sql, values, n_columns, n_rows, changes);
}

ku_status db_settle(db *d)
{
    return fails(d) ? d->fault : d->engine->settle(d);
}

ku_status db_script(db *d, ku_str sql)
{
    return fails(d) ? d->fault : d->engine->script(d, sql);
}

ku_status db_query(db *d, int sql, const db_value *binds, size_t n_binds, db_rows *ret_rows)
{
    return fails(d) ? d->fault : d->engine->query(d, sql, binds, n_binds, ret_rows);
}

ku_status db_query_many(
    db *d, int sql, const db_value *values, size_t n_columns, size_t n_rows, db_rows *ret_rows)
{
    assert(n_rows > 0);
    return fails(d) ? d->fault : d->engine->query_many(d, sql, values, n_columns, n_rows, ret_rows);
}

void db_prefetch(db *d, int sql, const db_value *binds, size_t n_binds)
{
    d->engine->prefetch(d, sql, binds, n_binds);
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
    return d->engine->ensure_table(d, table, false, ret_error);
}

ku_status db_check_table(db *d, const db_table *table, ku_error *ret_error)
{
    return d->engine->ensure_table(d, table, true, ret_error);
}

void db_table_ddl(db_dialect dialect, const db_table *table, buffer *b)
{
    if (dialect == DB_SQLITE)
        sqlite_table_ddl(table, b);
    else
        postgres_table_ddl(table, b);
}

/* ---- wake-ups -------------------------------------------------------------------------------- */

ku_status db_bell_listen(db *d)
{
    return d->engine->bell_listen(d);
}

ku_status db_bell_ring(db *d)
{
    return d->engine->bell_ring(d);
}

ku_status db_bell_wait(db *d, int descriptor, int timeout_ms, bool *ret_rung)
{
    return d->engine->bell_wait(d, descriptor, timeout_ms, ret_rung);
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
