-- A new stream.  $1 tenant, $2 stream, $3 type, $4 lane, $5 version, $6 last_at, $7 archived_at,
-- $8 archived_by, $9 archived_reason
INSERT INTO ku_streams(tenant_id, stream_id, type, lane, version, last_at, archived_at, archived_by,
    archived_reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);
