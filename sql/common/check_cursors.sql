-- Cursors beyond their lane's head.  -> tenant, consumer, lane, position, head
SELECT c.tenant_id, c.consumer, c.lane, c.position, coalesce(l.head, 0)
FROM ku_cursors c LEFT JOIN ku_lanes l ON l.tenant_id = c.tenant_id AND l.lane = c.lane
WHERE c.position > coalesce(l.head, 0)
ORDER BY c.tenant_id, c.consumer, c.lane;
