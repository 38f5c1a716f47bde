-- Notes a failure; the position stays, and the cursor has to be there and not to be claimed by
-- anybody since.  $1 tenant, $2 consumer, $3 lane, $4 position, $5 status, $6 attempts,
-- $7 retry_at, $8 last_error, $9 now, $10 epoch
UPDATE ku_cursors
SET status = $5, attempts = $6, retry_at = $7, last_error = $8, updated_at = $9
WHERE tenant_id = $1 AND consumer = $2 AND lane = $3 AND position = $4 AND epoch = $10;
