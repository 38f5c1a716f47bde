-- postgres only
-- The tables with a wall between tenants, and who may look at them: every role that may see a tenant,
-- with every table.  -> role, schema, table, whether the role may read it already
SELECT r.role_name, p.schemaname::text, p.tablename::text,
    has_schema_privilege(r.role_name, p.schemaname, 'USAGE')
        AND has_table_privilege(r.role_name, format('%I.%I', p.schemaname, p.tablename), 'SELECT')
FROM (SELECT DISTINCT role_name FROM ku_tenant_roles) AS r
JOIN pg_catalog.pg_roles AS known ON known.rolname = r.role_name
CROSS JOIN pg_catalog.pg_policies AS p
WHERE p.schemaname = current_schema() AND p.policyname = 'ku_tenant'
ORDER BY r.role_name, p.tablename;
