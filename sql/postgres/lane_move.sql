-- Moves heads of lanes, and keeps them locked until the transaction ends: in the order of the rows,
-- which must be sorted; for many.  $1 tenant, $2 lane, $3 by how many  -> tenant, lane, head
INSERT INTO ku_lanes AS l (tenant_id, lane, head)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[])
ON CONFLICT (tenant_id, lane) DO UPDATE SET head = l.head + excluded.head
RETURNING l.tenant_id, l.lane, l.head;
