-- Snapshots of a version that their stream does not have.  -> tenant, stream, entity, version, version
-- of the stream
SELECT p.tenant_id, p.stream_id, p.entity, p.version, coalesce(s.version, 0)
FROM ku_snapshots p
LEFT JOIN ku_streams s ON s.tenant_id = p.tenant_id AND s.stream_id = p.stream_id
WHERE p.version > coalesce(s.version, 0)
ORDER BY p.tenant_id, p.stream_id, p.entity;
