-- Stores a reply, also over one that has expired.  $1 tenant, $2 user, $3 request id, $4 fingerprint,
-- $5 http_status, $6 reply, $7 expires_at, $8 now
INSERT INTO ku_requests(tenant_id, user_id, request_id, fingerprint, http_status, reply, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, user_id, request_id) DO UPDATE
SET fingerprint = excluded.fingerprint, http_status = excluded.http_status, reply = excluded.reply,
    expires_at = excluded.expires_at
WHERE ku_requests.expires_at <= $8;
