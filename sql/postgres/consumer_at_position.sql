-- Starts a new consumer behind a position of every lane, at most at the lane's end.
-- $1 consumer, $2 now, $3 position
INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, retry_at, last_error,
    updated_at)
SELECT tenant_id, $1, lane, least(head, $3), 'idle', 0, 'epoch', '', $2
FROM ku_lanes
ON CONFLICT (tenant_id, consumer, lane) DO NOTHING;
