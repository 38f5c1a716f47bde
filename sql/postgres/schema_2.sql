-- The tables of the log, version 2: what operators decide about tenants, and a wall between them.
--
-- The owner of the tables is not bound by their policies: the program sees every tenant and says in
-- each statement whose rows it means.  Any other role sees the rows of the tenants that
-- ku_tenant_roles gives it, and none if there are none; it can change nothing, whatever it is
-- granted.  Read models get the same policy (src/db/postgres_policy.c).

CREATE TABLE ku_tenants(
    tenant_id uuid PRIMARY KEY,
    updated_at timestamptz NOT NULL,
    lanes integer NOT NULL -- that new streams are spread over; no row: one
);

CREATE TABLE ku_tenant_roles(
    tenant_id uuid NOT NULL,
    role_name text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, role_name)
);

-- Buckets are refilled as time passes: after a crash they are full again, nothing is lost.
CREATE UNLOGGED TABLE ku_rate_buckets(
    tenant_id uuid NOT NULL,
    tokens double precision NOT NULL,
    at timestamptz NOT NULL, -- when there were so many
    full_at timestamptz NOT NULL, -- when it can be forgotten
    taken boolean NOT NULL, -- by the last who asked
    bucket text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, bucket)
) WITH (fillfactor = 30, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0);

ALTER TABLE ku_tenant_roles ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_tenant_roles FOR SELECT USING (role_name = current_user);

ALTER TABLE ku_tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_tenants FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_lanes ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_lanes FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_streams ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_streams FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_events FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_event_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_event_keys FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_snapshots ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_snapshots FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_cursors ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_cursors FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_requests FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
ALTER TABLE ku_rate_buckets ENABLE ROW LEVEL SECURITY;
CREATE POLICY ku_tenant ON ku_rate_buckets FOR SELECT USING (
    tenant_id = ANY (ARRAY(SELECT tenant_id FROM ku_tenant_roles WHERE role_name = current_user)));
