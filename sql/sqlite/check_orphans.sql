-- Events without a stream or without a lane, or in another lane or tenant than their stream.
-- -> event number, position, type, 1 if the stream is missing, 1 if the lane is missing
SELECT e.id, e.id & 1099511627775, e.type, s.stream_no IS NULL, l.lane_no IS NULL
FROM ku_events e
LEFT JOIN ku_streams s ON s.stream_no = e.stream_no
LEFT JOIN ku_lanes l ON l.lane_no = e.id >> 40
WHERE s.stream_no IS NULL OR l.lane_no IS NULL OR l.tenant_id <> s.tenant_id OR l.lane <> s.lane
ORDER BY e.id;
