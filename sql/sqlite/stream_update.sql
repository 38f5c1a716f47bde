-- Moves a stream on, if it is where it was read.  $1 tenant, $2 stream, $3 version it was read at,
-- $4 version, $5 last_at, $6 archived_at, $7 archived_by, $8 archived_reason
UPDATE ku_streams
SET version = $4, last_at = $5, archived_at = $6, archived_by = $7, archived_reason = $8
WHERE tenant_id = $1 AND stream_id = $2 AND version = $3;
