-- Is there an event with this idempotency key?  $1 tenant, $2 key  -> 1
SELECT 1 FROM ku_event_keys WHERE tenant_id = $1 AND idempotency_key = $2;
