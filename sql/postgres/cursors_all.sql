-- Every lane with a consumer's cursor.  $1 consumer
-- -> tenant, lane, position, head, attempts, retry_at, status, last_error, updated_at
SELECT l.tenant_id, l.lane, coalesce(c.position, 0), l.head, coalesce(c.attempts, 0),
    coalesce(c.retry_at, 'epoch'), coalesce(c.status, 'idle'), coalesce(c.last_error, ''),
    coalesce(c.updated_at, 'epoch')
FROM ku_lanes l
LEFT JOIN ku_cursors c ON c.tenant_id = l.tenant_id AND c.consumer = $1 AND c.lane = l.lane
ORDER BY l.tenant_id, l.lane;
