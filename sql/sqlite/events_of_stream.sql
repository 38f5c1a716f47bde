-- A stream's events in order.  $1 tenant, $2 stream, $3 after version, $4 up to version,
-- $5 up to time, $6 limit
-- -> version, lane, position, stream type, type, event_version, created_at, created_by, payload,
-- metadata
SELECT e.version, s.lane, e.id & 1099511627775, s.type, e.type, e.event_version, e.created_at,
    e.created_by, e.payload, e.metadata
FROM ku_streams s CROSS JOIN ku_events e ON e.stream_no = s.stream_no
WHERE s.tenant_id = $1 AND s.stream_id = $2 AND e.version > $3 AND e.version <= $4
    AND e.created_at <= $5
ORDER BY e.version LIMIT $6;
