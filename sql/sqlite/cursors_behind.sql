-- Lanes with events beyond a consumer's cursor.  $1 JSON array of consumers, $2 owner (nobody else
-- can have leased them)
-- -> consumer, tenant, lane, position, head, attempts, retry_at, status, last_error, updated_at,
-- epoch 0, lease 1: mine
SELECT n.value, l.tenant_id, l.lane, coalesce(c.position, 0), l.head, coalesce(c.attempts, 0),
    coalesce(c.retry_at, 0), coalesce(c.status, 'idle'), coalesce(c.last_error, ''),
    coalesce(c.updated_at, 0), 0, $2 IS NOT NULL
FROM json_each($1) n CROSS JOIN ku_lanes l
LEFT JOIN ku_cursors c ON c.tenant_id = l.tenant_id AND c.consumer = n.value AND c.lane = l.lane
WHERE l.head > coalesce(c.position, 0)
ORDER BY n.value, l.tenant_id, l.lane;
