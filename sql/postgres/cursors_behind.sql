-- Lanes with events beyond a consumer's cursor.  $1 JSON array of consumers, $2 owner: who asks
-- -> consumer, tenant, lane, position, head, attempts, retry_at, status, last_error, updated_at,
-- epoch, lease 0: free, 1: mine, 2: another's, 3: mine, and another has asked for it
SELECT n.consumer, l.tenant_id, l.lane, coalesce(c.position, 0), l.head, coalesce(c.attempts, 0),
    coalesce(c.retry_at, 'epoch'), coalesce(c.status, 'idle'), coalesce(c.last_error, ''),
    coalesce(c.updated_at, 'epoch'), coalesce(c.epoch, 0),
    CASE WHEN c.lease_until > now() THEN
        CASE WHEN c.owner <> $2 THEN 2 WHEN c.wanted_by IS NULL THEN 1 ELSE 3 END
    ELSE 0 END
FROM json_array_elements_text($1::text::json) AS n(consumer)
CROSS JOIN ku_lanes l
LEFT JOIN ku_cursors c ON c.tenant_id = l.tenant_id AND c.consumer = n.consumer AND c.lane = l.lane
WHERE l.head > coalesce(c.position, 0)
ORDER BY n.consumer COLLATE "C", l.tenant_id, l.lane;
