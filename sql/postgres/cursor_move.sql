-- Moves cursors, those that are where they were and were not claimed by anybody since, and renews
-- their leases; for many.  $1 tenant, $2 consumer, $3 lane, $4 from, $5 to, $6 epoch, $7 now
-- -> tenant, consumer, lane of those that moved
UPDATE ku_cursors AS c
SET position = n.to_position, status = 'idle', attempts = 0, retry_at = 'epoch', last_error = '',
    updated_at = n.updated_at, lease_until = now() + interval '2.5 seconds'
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::timestamptz[]) AS n(tenant_id, consumer, lane, from_position, to_position, epoch,
    updated_at)
WHERE c.tenant_id = n.tenant_id AND c.consumer = n.consumer AND c.lane = n.lane
    AND c.position = n.from_position AND c.epoch = n.epoch
RETURNING c.tenant_id, c.consumer, c.lane;
