-- Moves a cursor, if it is where it was; a lane without a cursor is at 0.  $1 tenant, $2 consumer,
-- $3 lane, $4 from, $5 to, $6 epoch (nobody else can have claimed it), $7 now
-- -> tenant, consumer, lane of the one that moved
INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, retry_at, last_error,
    updated_at)
SELECT $1, $2, $3, $5, 'idle', 0, 0, '', $7
WHERE $4 = 0 OR EXISTS (
    SELECT 1 FROM ku_cursors WHERE tenant_id = $1 AND consumer = $2 AND lane = $3)
ON CONFLICT (tenant_id, consumer, lane) DO UPDATE
SET position = excluded.position, status = 'idle', attempts = 0, retry_at = 0, last_error = '',
    updated_at = excluded.updated_at
WHERE ku_cursors.position = $4
RETURNING tenant_id, consumer, lane;
