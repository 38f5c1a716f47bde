-- A stream's events behind its snapshot, if it has one that will do; else all of them.  $1 tenant,
-- $2 stream, $3 entity, $4 state_version, $5 up to version, $6 up to time,
-- $7 limit
-- -> version, lane, position, stream type, type, event_version, created_at, created_by, payload,
-- metadata
SELECT version, lane, position, stream_type, type, event_version, created_at, created_by, payload,
    metadata
FROM ku_events
WHERE tenant_id = $1 AND stream_id = $2
    AND version > coalesce((
        SELECT version FROM ku_snapshots
        WHERE tenant_id = $1 AND stream_id = $2 AND entity = $3 AND state_version = $4
            AND version <= $5), 0)
    AND version <= $5 AND created_at <= $6
ORDER BY version LIMIT $7;
