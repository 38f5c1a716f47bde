/*
 * The wall between tenants: the policy of a table whose rows belong to tenants.
 *
 * A role other than the tables' owner sees the rows of the tenants that ku_tenant_roles gives it.
 * The inner query runs once per statement, and what it returns can be looked up in an index.  The
 * tables of the log have the same policy in sql/postgres/schema_2.sql.
 */
#include "db/engine.h"

void postgres_table_policy(ku_str table, buffer *b)
{
    buffer_add_text(b, "ALTER TABLE ");
    db_quote_name(b, table);
    buffer_add_text(b, " ENABLE ROW LEVEL SECURITY;\nCREATE POLICY ku_tenant ON ");
    db_quote_name(b, table);
    buffer_add_text(b, " FOR SELECT USING (\n"
                       "    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles "
                       "WHERE role_name = current_user)));\n");
}
