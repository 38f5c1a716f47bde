-- A lane's events of some types in order.  $1 tenant, $2 lane, $3 after position,
-- $4 up to position, $5 limit, $6 JSON array of types
-- -> position, stream, version, stream type, type, event_version, created_at, created_by, payload,
-- metadata
SELECT position, stream_id, version, stream_type, type, event_version, created_at, created_by,
    payload, metadata
FROM ku_events
WHERE tenant_id = $1 AND lane = $2 AND position > $3 AND position <= $4
    AND type = ANY (ARRAY(SELECT json_array_elements_text($6::text::json)))
ORDER BY position LIMIT $5;
