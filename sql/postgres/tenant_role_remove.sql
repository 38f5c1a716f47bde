-- postgres only
-- Lets a role of the database not see a tenant's rows any more.  $1 tenant, $2 role
DELETE FROM ku_tenant_roles WHERE tenant_id = $1 AND role_name = $2;
