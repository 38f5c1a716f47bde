-- A tenant's lanes with a consumer's cursor.  $1 consumer, $2 tenant
-- -> tenant, lane, position, head, attempts, retry_at, status, last_error, updated_at
SELECT l.tenant_id, l.lane, coalesce(c.position, 0), l.head, coalesce(c.attempts, 0),
    coalesce(c.retry_at, 0), coalesce(c.status, 'idle'), coalesce(c.last_error, ''),
    coalesce(c.updated_at, 0)
FROM ku_lanes l
LEFT JOIN ku_cursors c ON c.tenant_id = l.tenant_id AND c.consumer = $1 AND c.lane = l.lane
WHERE l.tenant_id = $2
ORDER BY l.lane;
