-- Keeps snapshots instead of older ones or ones of another state version, for many.  $1 tenant,
-- $2 stream, $3 entity, $4 version, $5 state_version, $6 state, $7 created_at
INSERT INTO ku_snapshots AS s (tenant_id, stream_id, entity, version, state_version, state,
    created_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::integer[], $6::text[],
    $7::timestamptz[])
ON CONFLICT (tenant_id, stream_id, entity) DO UPDATE
SET version = excluded.version, state_version = excluded.state_version, state = excluded.state,
    created_at = excluded.created_at
WHERE excluded.version >= s.version OR excluded.state_version <> s.state_version;
