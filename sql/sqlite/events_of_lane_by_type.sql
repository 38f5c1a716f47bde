-- A lane's events of some types in order.  $1 tenant, $2 lane, $3 after position,
-- $4 up to position, $5 limit, $6 JSON array of types
-- -> position, stream, version, stream type, type, event_version, created_at, created_by, payload,
-- metadata
SELECT e.id & 1099511627775, s.stream_id, e.version, s.type, e.type, e.event_version, e.created_at,
    e.created_by, e.payload, e.metadata
FROM ku_events e CROSS JOIN ku_streams s ON s.stream_no = e.stream_no
WHERE e.id > ((SELECT lane_no FROM ku_lanes WHERE tenant_id = $1 AND lane = $2) << 40 | $3)
    AND e.id <= ((SELECT lane_no FROM ku_lanes WHERE tenant_id = $1 AND lane = $2) << 40 | $4)
    AND e.type IN (SELECT value FROM json_each($6))
ORDER BY e.id LIMIT $5;
