-- postgres only
-- Claims lanes for 2.5 seconds by the database's clock, those that nobody has leased, and raises
-- their epochs; for many.  A lane without a cursor gets one at 0.  $1 tenant, $2 consumer, $3 lane,
-- $4 owner  -> tenant, consumer, lane, position, epoch of those that were got
INSERT INTO ku_cursors AS c (tenant_id, consumer, lane, position, epoch, owner, lease_until, status,
    attempts, retry_at, last_error, updated_at)
SELECT n.tenant_id, n.consumer, n.lane, 0, 1, n.owner, now() + interval '2.5 seconds', 'idle', 0,
    'epoch', '', now()
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[]) AS n(tenant_id, consumer, lane,
    owner)
ON CONFLICT (tenant_id, consumer, lane) DO UPDATE
SET epoch = c.epoch + 1, owner = excluded.owner, wanted_by = NULL,
    lease_until = excluded.lease_until
WHERE c.lease_until <= now()
RETURNING c.tenant_id, c.consumer, c.lane, c.position, c.epoch;
