-- A stream's row.  $1 tenant, $2 stream
-- -> type, version, lane, last_at, archived_at, archived_by, archived_reason
SELECT type, version, lane, last_at, archived_at, archived_by, archived_reason
FROM ku_streams WHERE tenant_id = $1 AND stream_id = $2;
