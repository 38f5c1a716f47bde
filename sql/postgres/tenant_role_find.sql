-- postgres only
-- What there is of a role.  $1 role
-- -> whether the database has it, whether policies bind it, how many tenants it may see
SELECT r.oid IS NOT NULL,
    coalesce(NOT r.rolsuper AND NOT r.rolbypassrls
        AND NOT pg_has_role(r.oid, c.relowner, 'USAGE'), true),
    (SELECT count(*) FROM ku_tenant_roles WHERE role_name = $1)
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $1::text
WHERE c.oid = 'ku_tenant_roles'::regclass;
