-- Stores replies, also over ones that have expired, for many; one that is there is left alone and
-- not counted.  $1 tenant, $2 user, $3 request id, $4 fingerprint, $5 http_status, $6 reply,
-- $7 expires_at, $8 now
INSERT INTO ku_requests AS r (tenant_id, user_id, request_id, fingerprint, http_status, reply,
    expires_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::integer[], $6::text[],
    $7::timestamptz[])
ON CONFLICT (tenant_id, user_id, request_id) DO UPDATE
SET fingerprint = excluded.fingerprint, http_status = excluded.http_status, reply = excluded.reply,
    expires_at = excluded.expires_at
WHERE r.expires_at <= (SELECT min(n.now) FROM unnest($8::timestamptz[]) AS n(now));
