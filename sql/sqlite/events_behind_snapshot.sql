-- A stream's events behind its snapshot, if it has one that will do; else all of them.  $1 tenant,
-- $2 stream, $3 entity, $4 state_version, $5 up to version, $6 up to time,
-- $7 limit
-- -> version, lane, position, stream type, type, event_version, created_at, created_by, payload,
-- metadata
SELECT e.version, s.lane, e.id & 1099511627775, s.type, e.type, e.event_version, e.created_at,
    e.created_by, e.payload, e.metadata
FROM ku_streams s CROSS JOIN ku_events e ON e.stream_no = s.stream_no
WHERE s.tenant_id = $1 AND s.stream_id = $2
    AND e.version > coalesce((
        SELECT version FROM ku_snapshots
        WHERE tenant_id = $1 AND stream_id = $2 AND entity = $3 AND state_version = $4
            AND version <= $5), 0)
    AND e.version <= $5 AND e.created_at <= $6
ORDER BY e.version LIMIT $7;
