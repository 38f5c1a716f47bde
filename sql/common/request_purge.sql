-- Forgets stored replies that have expired, a bounded number.  $1 now, $2 limit
DELETE FROM ku_requests WHERE (tenant_id, user_id, request_id) IN (
    SELECT tenant_id, user_id, request_id FROM ku_requests
    WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
    -- one that was stored anew while we waited for it stays
    AND expires_at <= $1;
