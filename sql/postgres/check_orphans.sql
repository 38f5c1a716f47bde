-- Events without a stream or without a lane, or in another lane than their stream.
-- -> position, position, type, whether the stream is missing, whether the lane is missing
SELECT e.position, e.position, e.type, s.stream_id IS NULL, l.lane IS NULL
FROM ku_events e
LEFT JOIN ku_streams s ON s.tenant_id = e.tenant_id AND s.stream_id = e.stream_id
LEFT JOIN ku_lanes l ON l.tenant_id = e.tenant_id AND l.lane = e.lane
WHERE s.stream_id IS NULL OR l.lane IS NULL OR s.lane <> e.lane OR s.type <> e.stream_type
ORDER BY e.tenant_id, e.lane, e.position;
