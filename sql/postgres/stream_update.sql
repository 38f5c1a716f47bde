-- Moves streams on, those that are where they were read; for many.  $1 tenant, $2 stream,
-- $3 version it was read at, $4 version, $5 last_at, $6 archived_at, $7 archived_by,
-- $8 archived_reason
UPDATE ku_streams AS s
SET version = n.version, last_at = n.last_at, archived_at = n.archived_at,
    archived_by = n.archived_by, archived_reason = n.archived_reason
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[],
    $6::timestamptz[], $7::text[], $8::text[]) AS n(tenant_id, stream_id, expected, version,
    last_at, archived_at, archived_by, archived_reason)
WHERE s.tenant_id = n.tenant_id AND s.stream_id = n.stream_id AND s.version = n.expected;
