-- A stream's snapshot, unless it is beyond a version.  $1 tenant, $2 stream, $3 entity,
-- $4 state_version, $5 the newest version that will do  -> version, state
SELECT version, state FROM ku_snapshots
WHERE tenant_id = $1 AND stream_id = $2 AND entity = $3 AND state_version = $4 AND version <= $5;
