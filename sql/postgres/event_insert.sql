-- Events, for many.  $1 tenant, $2 lane, $3 position, $4 stream, $5 version, $6 type,
-- $7 event_version, $8 created_at, $9 created_by, $10 payload, $11 metadata, $12 stream type
INSERT INTO ku_events(tenant_id, lane, position, stream_id, version, type, event_version,
    created_at, created_by, payload, metadata, stream_type)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::uuid[], $5::bigint[], $6::text[],
    $7::integer[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[]);
