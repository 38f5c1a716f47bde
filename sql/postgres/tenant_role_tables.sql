-- postgres only
-- The tables with a wall between tenants.  $1 role (there has to be one)
-- -> schema, table, whether the role may read it
SELECT schemaname::text, tablename::text,
    has_schema_privilege($1::text, schemaname::text, 'USAGE')
        AND has_table_privilege($1::text, format('%I.%I', schemaname, tablename), 'SELECT')
FROM pg_catalog.pg_policies
WHERE schemaname = current_schema() AND policyname = 'ku_tenant'
ORDER BY tablename;
