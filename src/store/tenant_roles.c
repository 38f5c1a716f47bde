/*
 * Roles of the database that may look at the rows of some tenants: reports, support, a data
 * warehouse.
 *
 * The wall is the tables' own (row-level security): whatever such a role asks, it gets the rows of
 * its tenants and no others.  It holds for roles that neither own the tables nor stand above all
 * policies, so only those are let in.  A role is granted SELECT on every table that has the wall,
 * and on no other; new tables are granted by log_grant_roles, when the schema is applied.
 *
 * SQLite has no users: whoever can open the file sees all of it.
 */
#include "store/log.h"

#include "base/error.h"
#include "db/sql.h"

typedef struct role_facts {
    bool exists, bound; /* by policies */
    int64_t n_tenants;  /* that it may see */
} role_facts;

static ku_status find_role(db *d, ku_str role, role_facts *ret_facts)
{
    const db_value binds[] = {db_text(role)};
    role_facts facts = {0};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(d, SQL_TENANT_ROLE_FIND, binds, KU_COUNT(binds), &rows);
    if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        facts.exists = db_column_int(&rows, 0) != 0;
        facts.bound = db_column_int(&rows, 1) != 0;
        facts.n_tenants = db_column_int(&rows, 2);
    }
    db_rows_done(&rows);
    if (status == KU_OK)
        *ret_facts = facts;
    return status;
}

/* `right` ends with what it is about: `SELECT ON`. */
static void put_right(
    buffer *b, bool grant, const char *right, ku_str schema, ku_str table, ku_str role)
{
    buffer_format(b, "%s %s ", grant ? "GRANT" : "REVOKE", right);
    db_quote_name(b, schema);
    if (table.len > 0) {
        buffer_add_char(b, '.');
        db_quote_name(b, table);
    }
    buffer_add_text(b, grant ? " TO " : " FROM ");
    db_quote_name(b, role);
    buffer_add_text(b, ";\n");
}

/* Grants what the role lacks, or revokes what it has. */
static ku_status change_rights(db *d, ku_str role, bool grant)
{
    const db_value binds[] = {db_text(role)};
    buffer script = {0};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(d, SQL_TENANT_ROLE_TABLES, binds, KU_COUNT(binds), &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        ku_str schema = db_column_text(&rows, 0);
        if ((db_column_int(&rows, 2) != 0) == grant)
            continue;
        if (script.len == 0)
            put_right(&script, grant, "USAGE ON SCHEMA", schema, (ku_str){0}, role);
        put_right(&script, grant, "SELECT ON", schema, db_column_text(&rows, 1), role);
    }
    db_rows_done(&rows);
    if (status == KU_OK && script.len > 0)
        status = db_script(d, buffer_str(&script));
    buffer_done(&script);
    return status;
}

/* ---- one role -------------------------------------------------------------------------------- */

static ku_status refuse_sqlite(ku_scope *scope)
{
    return scope_fail(scope, KU_REFUSED,
        "roles belong to PostgreSQL: whoever can open an SQLite file sees all of it");
}

static ku_status role_failed(ku_scope *scope, ku_status status)
{
    return scope_fail(scope, status, "the role's rights: %s", db_error(scope->db));
}

ku_status log_allow_role(ku_scope *scope, ku_id tenant, ku_str role)
{
    const db_value binds[] = {db_id(tenant), db_text(role)};
    role_facts facts = {0};

    if (!db_is_shared(scope->db))
        return refuse_sqlite(scope);
    ku_status status = find_role(scope->db, role, &facts);
    if (status != KU_OK)
        return role_failed(scope, status);
    if (!facts.exists)
        return scope_fail(scope, KU_NOT_FOUND, "the database has no role %" KU_PRI, KU_FMT(role));
    if (!facts.bound)
        return scope_fail(scope, KU_REFUSED,
            "no policy binds the role %" KU_PRI
            ": it owns the tables, or it is a superuser or has BYPASSRLS",
            KU_FMT(role));
    status = db_run(scope->db, SQL_TENANT_ROLE_ADD, binds, KU_COUNT(binds), NULL);
    if (status == KU_OK)
        status = change_rights(scope->db, role, true);
    return status == KU_OK ? KU_OK : role_failed(scope, status);
}

ku_status log_revoke_role(ku_scope *scope, ku_id tenant, ku_str role)
{
    const db_value binds[] = {db_id(tenant), db_text(role)};
    role_facts facts = {0};
    int64_t changes = 0;

    if (!db_is_shared(scope->db))
        return refuse_sqlite(scope);
    ku_status status = db_run(scope->db, SQL_TENANT_ROLE_REMOVE, binds, KU_COUNT(binds), &changes);
    if (status == KU_OK && changes == 0)
        return scope_fail(scope, KU_NOT_FOUND,
            "the role %" KU_PRI " was not allowed to see that tenant", KU_FMT(role));
    if (status == KU_OK)
        status = find_role(scope->db, role, &facts);
    if (status == KU_OK && facts.exists && facts.n_tenants == 0)
        status = change_rights(scope->db, role, false);
    return status == KU_OK ? KU_OK : role_failed(scope, status);
}

/* ---- all of them ----------------------------------------------------------------------------- */

ku_status log_grant_roles(ku_scope *scope)
{
    buffer names = {.arena = &scope->arena};
    db_rows rows = {0};
    bool row;

    if (!db_is_shared(scope->db))
        return KU_OK;
    ku_status status = db_query(scope->db, SQL_TENANT_ROLE_NAMES, NULL, 0, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        const ku_str name = ku_copy(scope, db_column_text(&rows, 0));
        buffer_add(&names, &name, sizeof(name));
    }
    db_rows_done(&rows);
    const ku_str *name = (const ku_str *)(const void *)names.ptr;
    for (size_t n = names.len / sizeof(*name); n > 0 && status == KU_OK; n--)
        status = change_rights(scope->db, *name++, true);
    return status == KU_OK ? KU_OK : role_failed(scope, status);
}
