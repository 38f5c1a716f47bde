-- Events' idempotency keys, for many.  $1 tenant, $2 key, $3 lane, $4 position
INSERT INTO ku_event_keys(tenant_id, idempotency_key, lane, position)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[]);
