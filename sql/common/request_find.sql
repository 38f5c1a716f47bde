-- A stored reply that has not expired.  $1 tenant, $2 user, $3 request id, $4 now
-- -> fingerprint, http_status, reply
SELECT fingerprint, http_status, reply FROM ku_requests
WHERE tenant_id = $1 AND user_id = $2 AND request_id = $3 AND expires_at > $4;
