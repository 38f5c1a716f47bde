-- The tenants that have events or more than one lane.  -> tenant, lanes, events
SELECT tenant_id, max(lanes), CAST(sum(events) AS bigint)
FROM (
    SELECT tenant_id, lanes, 0 AS events FROM ku_tenants
    UNION ALL
    SELECT tenant_id, 1, head FROM ku_lanes) AS t
GROUP BY tenant_id
HAVING max(lanes) > 1 OR sum(events) > 0
ORDER BY tenant_id;
