-- A lane's events in order.  $1 tenant, $2 lane, $3 after position, $4 up to position, $5 limit
-- -> position, stream, version, stream type, type, event_version, created_at, created_by, payload,
-- metadata
SELECT position, stream_id, version, stream_type, type, event_version, created_at, created_by,
    payload, metadata
FROM ku_events
WHERE tenant_id = $1 AND lane = $2 AND position > $3 AND position <= $4
ORDER BY position LIMIT $5;
