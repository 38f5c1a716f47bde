-- An event.  $1 tenant, $2 lane, $3 position, $4 stream, $5 version, $6 type, $7 event_version,
-- $8 created_at, $9 created_by, $10 payload, $11 metadata, $12 stream type (the stream has it)
INSERT INTO ku_events(id, stream_no, version, type, event_version, created_at, created_by, payload,
    metadata)
SELECT
    (SELECT lane_no FROM ku_lanes WHERE tenant_id = $1 AND lane = $2) << 40 | $3,
    (SELECT stream_no FROM ku_streams WHERE tenant_id = $1 AND stream_id = $4),
    $5, $6, $7, $8, $9, $10, $11
WHERE $12 IS NOT NULL;
