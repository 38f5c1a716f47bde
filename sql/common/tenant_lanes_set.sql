-- Gives a tenant more lanes; never fewer, streams are in them.  $1 tenant, $2 lanes, $3 now
INSERT INTO ku_tenants(tenant_id, lanes, updated_at) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET lanes = excluded.lanes, updated_at = excluded.updated_at
WHERE ku_tenants.lanes <= excluded.lanes;
