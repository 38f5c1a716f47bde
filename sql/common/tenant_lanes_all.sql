-- The tenants with more than one lane.  -> tenant, lanes
SELECT tenant_id, lanes FROM ku_tenants WHERE lanes > 1 ORDER BY tenant_id;
