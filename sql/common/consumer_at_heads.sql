-- Starts a new consumer at the present end of every lane.  $1 consumer, $2 now
INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, retry_at, last_error,
    updated_at)
SELECT tenant_id, $1, lane, head, 'idle', 0, 0, '', $2 FROM ku_lanes
WHERE true
ON CONFLICT (tenant_id, consumer, lane) DO NOTHING;
