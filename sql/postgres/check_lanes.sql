-- Lanes whose events are not 1, 2, 3 … up to the head.
-- -> tenant, lane, head, events, first position, last position
SELECT l.tenant_id, l.lane, l.head, coalesce(e.n, 0), coalesce(e.low, 0), coalesce(e.high, 0)
FROM ku_lanes l
LEFT JOIN (
    SELECT tenant_id, lane, count(*) AS n, min(position) AS low, max(position) AS high
    FROM ku_events GROUP BY tenant_id, lane) e ON e.tenant_id = l.tenant_id AND e.lane = l.lane
WHERE coalesce(e.n, 0) <> l.head OR e.low <> 1 OR e.high <> e.n
ORDER BY l.tenant_id, l.lane;
