-- An event's idempotency key.  $1 tenant, $2 key, $3 lane, $4 position
INSERT INTO ku_event_keys(tenant_id, idempotency_key, event_id)
VALUES ($1, $2, (SELECT lane_no FROM ku_lanes WHERE tenant_id = $1 AND lane = $3) << 40 | $4);
