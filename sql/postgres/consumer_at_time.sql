-- Starts a new consumer behind the last event of every lane that is older than a time.
-- $1 consumer, $2 now, $3 time
INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, retry_at, last_error,
    updated_at)
SELECT l.tenant_id, $1, l.lane,
    coalesce((
        SELECT e.position FROM ku_events e
        WHERE e.tenant_id = l.tenant_id AND e.lane = l.lane AND e.created_at < $3
        ORDER BY e.tenant_id, e.lane, e.position DESC LIMIT 1), 0),
    'idle', 0, 'epoch', '', $2
FROM ku_lanes l
ON CONFLICT (tenant_id, consumer, lane) DO NOTHING;
