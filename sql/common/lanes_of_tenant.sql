-- A tenant's lanes.  $1 tenant  -> tenant, lane, head
SELECT tenant_id, lane, head FROM ku_lanes WHERE tenant_id = $1 ORDER BY lane;
