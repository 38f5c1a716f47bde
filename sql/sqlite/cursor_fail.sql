-- Notes a failure; the position stays, and only the position that the cursor has counts: a lane
-- without a cursor is at 0.  $1 tenant, $2 consumer, $3 lane, $4 position, $5 status, $6 attempts,
-- $7 retry_at, $8 last_error, $9 now, $10 epoch (nobody else can have claimed it)
INSERT INTO ku_cursors(tenant_id, consumer, lane, position, status, attempts, retry_at, last_error,
    updated_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE $10 IS NOT NULL AND ($4 = 0 OR EXISTS (
    SELECT 1 FROM ku_cursors WHERE tenant_id = $1 AND consumer = $2 AND lane = $3))
ON CONFLICT (tenant_id, consumer, lane) DO UPDATE
SET status = excluded.status, attempts = excluded.attempts, retry_at = excluded.retry_at,
    last_error = excluded.last_error, updated_at = excluded.updated_at
WHERE ku_cursors.position = excluded.position;
