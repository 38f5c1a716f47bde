/*
 * The tables of an application.
 *
 * One process makes them and the others wait for it: log_schema_begin takes the lock, the commit
 * gives it back.  In production a database that several processes share is only looked at, because
 * a change of tables is something to decide, and not what a restart of one of them does by the way.
 */
#include "app/schema.h"

#include "base/error.h"
#include "store/log.h"

static ku_status apply_inside(const registry *r, db *d, ku_error *ret_error)
{
    ku_status status = log_schema_apply(d, ret_error);

    for (const row_table *t = r->tables; t != NULL && status == KU_OK; t = t->next)
        status = row_table_ensure(t, d, ret_error);
    return status;
}

ku_status schema_apply(const registry *r, db *d, ku_error *ret_error)
{
    ku_status status = log_schema_begin(d, ret_error);

    if (status != KU_OK)
        return status;
    status = apply_inside(r, d, ret_error);
    if (status == KU_OK && (status = db_commit(d)) != KU_OK)
        (void)error_set(ret_error, status, "the tables cannot be made: %s", db_error(d));
    if (status != KU_OK)
        db_rollback(d);
    return status;
}

/* What is missing can be made; the message says how. */
static ku_status say_what_to_run(ku_status status, ku_error *ret_error)
{
    if (status != KU_NOT_FOUND)
        return status;
    const ku_error missing = *ret_error;
    return error_set(ret_error, KU_NOT_FOUND, "%s: run `kumiko schema apply`", missing.message);
}

ku_status schema_check_log(db *d, ku_error *ret_error)
{
    return say_what_to_run(log_schema_check(d, ret_error), ret_error);
}

ku_status schema_check(const registry *r, db *d, ku_error *ret_error)
{
    ku_status status = log_schema_check(d, ret_error);

    for (const row_table *t = r->tables; t != NULL && status == KU_OK; t = t->next)
        status = row_table_check(t, d, ret_error);
    return say_what_to_run(status, ret_error);
}

void schema_print(const registry *r, db_dialect dialect, buffer *b)
{
    log_schema_print(dialect, b);
    for (const row_table *t = r->tables; t != NULL; t = t->next)
        db_table_ddl(dialect, &t->table_there, b);
}
