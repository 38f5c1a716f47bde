-- Lanes whose events are not 1, 2, 3 … up to the head.
-- -> tenant, lane, head, events, first position, last position
SELECT tenant_id, lane, head, n, low, high
FROM (
    SELECT l.tenant_id, l.lane, l.lane_no, l.head,
        (SELECT count(*) FROM ku_events e
            WHERE e.id >= l.lane_no << 40 AND e.id < (l.lane_no + 1) << 40) AS n,
        (SELECT coalesce(min(e.id) & 1099511627775, 0) FROM ku_events e
            WHERE e.id >= l.lane_no << 40 AND e.id < (l.lane_no + 1) << 40) AS low,
        (SELECT coalesce(max(e.id) & 1099511627775, 0) FROM ku_events e
            WHERE e.id >= l.lane_no << 40 AND e.id < (l.lane_no + 1) << 40) AS high
    FROM ku_lanes l)
WHERE n <> head OR (n > 0 AND low <> 1) OR high <> n
ORDER BY lane_no;
