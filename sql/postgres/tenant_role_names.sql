-- postgres only
-- The roles that may see a tenant, those that there are.  -> role
SELECT DISTINCT t.role_name
FROM ku_tenant_roles t JOIN pg_catalog.pg_roles r ON r.rolname = t.role_name
ORDER BY t.role_name;
