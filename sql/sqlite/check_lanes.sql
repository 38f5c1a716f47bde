-- Lanes whose events are not 1, 2, 3 … up to the head.
-- -> tenant, lane, head, events, first position, last position
SELECT l.tenant_id, l.lane, l.head, coalesce(e.n, 0), coalesce(e.low, 0), coalesce(e.high, 0)
FROM ku_lanes l
LEFT JOIN (
    SELECT id >> 40 AS lane_no, count(*) AS n, min(id & 1099511627775) AS low,
        max(id & 1099511627775) AS high
    FROM ku_events GROUP BY id >> 40) e ON e.lane_no = l.lane_no
WHERE coalesce(e.n, 0) <> l.head OR e.low <> 1 OR e.high <> e.n
ORDER BY l.lane_no;
