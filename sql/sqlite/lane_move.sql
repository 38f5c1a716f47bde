-- Moves a lane's head.  $1 tenant, $2 lane, $3 by how many  -> tenant, lane, head
INSERT INTO ku_lanes(tenant_id, lane, head) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, lane) DO UPDATE SET head = ku_lanes.head + excluded.head
RETURNING tenant_id, lane, head;
