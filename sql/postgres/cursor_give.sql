-- postgres only
-- Gives lanes to those who have asked for them, as if they had claimed them; for many.  $1 tenant,
-- $2 consumer, $3 lane, $4 owner: who gives
UPDATE ku_cursors AS c
SET epoch = c.epoch + 1, owner = c.wanted_by, wanted_by = NULL,
    lease_until = now() + interval '2.5 seconds'
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::uuid[]) AS n(tenant_id, consumer, lane,
    owner)
WHERE c.tenant_id = n.tenant_id AND c.consumer = n.consumer AND c.lane = n.lane
    AND c.owner = n.owner AND c.wanted_by IS NOT NULL;
