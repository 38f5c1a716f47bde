-- Keeps a snapshot instead of an older one or one of another state version.  $1 tenant, $2 stream,
-- $3 entity, $4 version, $5 state_version, $6 state, $7 created_at
INSERT INTO ku_snapshots(tenant_id, stream_id, entity, version, state_version, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, stream_id, entity) DO UPDATE
SET version = excluded.version, state_version = excluded.state_version, state = excluded.state,
    created_at = excluded.created_at
WHERE excluded.version >= ku_snapshots.version
    OR excluded.state_version <> ku_snapshots.state_version;
