-- Starts a new consumer behind the last event of every lane that is older than a time.
-- $1 consumer, $2 now, $3 time
INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, retry_at, last_error,
    updated_at)
SELECT l.tenant_id, $1, l.lane,
    coalesce((SELECT max(e.id) & 1099511627775 FROM ku_events e
        WHERE e.id > l.lane_no << 40 AND e.id < (l.lane_no + 1) << 40 AND e.created_at < $3), 0),
    'idle', 0, 0, '', $2
FROM ku_lanes l
WHERE true
ON CONFLICT (tenant_id, consumer, lane) DO NOTHING;
