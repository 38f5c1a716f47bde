-- Every lane.  -> tenant, lane, head
SELECT tenant_id, lane, head FROM ku_lanes ORDER BY tenant_id, lane;
