-- New streams, for many; one that is there is left alone and not counted.  $1 tenant, $2 stream,
-- $3 type, $4 lane, $5 version, $6 last_at, $7 archived_at, $8 archived_by, $9 archived_reason
INSERT INTO ku_streams(tenant_id, stream_id, type, lane, version, last_at, archived_at, archived_by,
    archived_reason)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::bigint[],
    $6::timestamptz[], $7::timestamptz[], $8::text[], $9::text[])
ON CONFLICT (tenant_id, stream_id) DO NOTHING;
