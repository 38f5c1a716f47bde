-- The tables of the log, version 1.
--
-- Ids, keys and meanings are those of sql/sqlite; the layout is not.  Everything that belongs to a
-- tenant has tenant_id first in its key, so that the tables can be distributed by it, and nothing
-- counts by itself: no sequence, no identity, no trigger.  Texts sort by their bytes, whatever the
-- database's locale is.
--
-- Rows that change all the time (heads, cursors) lie apart from each other, so that a new version
-- of a row finds room beside the old one, and are vacuumed early.

CREATE TABLE ku_schema(
    version bigint PRIMARY KEY,
    applied_at timestamptz NOT NULL,
    program text COLLATE "C" NOT NULL
);

CREATE TABLE ku_lanes(
    tenant_id uuid NOT NULL,
    head bigint NOT NULL, -- the last position given out
    lane integer NOT NULL,
    PRIMARY KEY (tenant_id, lane)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0);

CREATE TABLE ku_streams(
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    version bigint NOT NULL, -- of its last event
    last_at timestamptz NOT NULL, -- of its last event
    archived_at timestamptz,
    lane integer NOT NULL,
    type text COLLATE "C" NOT NULL, -- the entity's name
    archived_by text COLLATE "C",
    archived_reason text COLLATE "C",
    PRIMARY KEY (tenant_id, stream_id)
) WITH (fillfactor = 70);

CREATE TABLE ku_events(
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    position bigint NOT NULL, -- in its lane: 1, 2, 3
    version bigint NOT NULL, -- in its stream: 1, 2, 3
    created_at timestamptz NOT NULL,
    lane integer NOT NULL,
    event_version integer NOT NULL, -- of the payload's schema
    stream_type text COLLATE "C" NOT NULL, -- the entity's name, so that reading needs no join
    type text COLLATE "C" NOT NULL, -- the qualified name
    created_by text COLLATE "C" NOT NULL,
    payload text COLLATE "C" NOT NULL, -- JSON, as it was validated
    -- JSON: requestId, correlationId, causationId, idempotencyKey, headers
    metadata text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, lane, position),
    CONSTRAINT ku_events_stream UNIQUE (tenant_id, stream_id, version)
);

CREATE TABLE ku_event_keys(
    tenant_id uuid NOT NULL,
    position bigint NOT NULL,
    lane integer NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, idempotency_key)
);

CREATE TABLE ku_snapshots(
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    version bigint NOT NULL, -- of the stream
    created_at timestamptz NOT NULL,
    state_version integer NOT NULL,
    entity text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL, -- JSON
    PRIMARY KEY (tenant_id, stream_id, entity)
) WITH (fillfactor = 70);

CREATE TABLE ku_consumers(
    consumer text COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL
);

CREATE TABLE ku_cursors(
    tenant_id uuid NOT NULL,
    position bigint NOT NULL, -- the last event that was applied
    epoch bigint NOT NULL DEFAULT 0, -- raised by every claim
    owner uuid, -- who claimed it last
    wanted_by uuid, -- who has asked the owner for it; nobody: NULL
    lease_until timestamptz NOT NULL DEFAULT '-infinity', -- from then on anybody may claim it
    retry_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    lane integer NOT NULL,
    attempts integer NOT NULL,
    consumer text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL, -- idle, backoff, halted
    last_error text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, consumer, lane)
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0);

CREATE TABLE ku_requests(
    tenant_id uuid NOT NULL,
    fingerprint uuid NOT NULL, -- 16 bytes of SHA-256 over type and payload
    expires_at timestamptz NOT NULL,
    http_status integer NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    reply text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, user_id, request_id)
);
CREATE INDEX ku_requests_expiry ON ku_requests(expires_at);
