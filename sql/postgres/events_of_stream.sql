-- A stream's events in order.  $1 tenant, $2 stream, $3 after version, $4 up to version,
-- $5 up to time, $6 limit
-- -> version, lane, position, stream type, type, event_version, created_at, created_by, payload,
-- metadata
SELECT version, lane, position, stream_type, type, event_version, created_at, created_by, payload,
    metadata
FROM ku_events
WHERE tenant_id = $1 AND stream_id = $2 AND version > $3 AND version <= $4 AND created_at <= $5
ORDER BY version LIMIT $6;
