-- Starts a new consumer behind a position of every lane, at most at the lane's end.
-- $1 consumer, $2 now, $3 position
INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, retry_at, last_error,
    updated_at)
SELECT tenant_id, $1, lane, CASE WHEN head < $3 THEN head ELSE $3 END, 'idle', 0, 0, '', $2
FROM ku_lanes
WHERE true
ON CONFLICT (tenant_id, consumer, lane) DO NOTHING;
