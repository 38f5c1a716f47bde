-- Idempotency keys whose event is missing.  -> tenant, key
SELECT k.tenant_id, k.idempotency_key FROM ku_event_keys k
WHERE NOT EXISTS (
    SELECT 1 FROM ku_events e
    WHERE e.tenant_id = k.tenant_id AND e.lane = k.lane AND e.position = k.position)
ORDER BY k.tenant_id, k.idempotency_key;
