-- postgres only
-- Lets a role of the database see a tenant's rows.  $1 tenant, $2 role
INSERT INTO ku_tenant_roles(tenant_id, role_name) VALUES ($1, $2)
ON CONFLICT (tenant_id, role_name) DO NOTHING;
