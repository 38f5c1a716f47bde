-- The tables of the log, version 1.
--
-- How rows are laid out matters for speed, and only sql/sqlite knows it.  An event's row id is its
-- lane's number shifted by 40 bits, plus its position: the log of a lane is one range of the table in
-- order, an append goes to the end of that range, and no further index is needed for lane order.
-- Streams have small numbers, which keeps the one index on events small.

CREATE TABLE ku_schema(
    version INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL, -- microseconds since 1970, as all times
    program TEXT NOT NULL
);

CREATE TABLE ku_lanes(
    lane_no INTEGER PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    lane INTEGER NOT NULL,
    head INTEGER NOT NULL, -- the last position given out
    UNIQUE(tenant_id, lane)
);

CREATE TABLE ku_streams(
    stream_no INTEGER PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    stream_id BLOB NOT NULL,
    type TEXT NOT NULL, -- the entity's name
    lane INTEGER NOT NULL,
    version INTEGER NOT NULL, -- of its last event
    last_at INTEGER NOT NULL, -- of its last event
    archived_at INTEGER,
    archived_by TEXT,
    archived_reason TEXT,
    UNIQUE(tenant_id, stream_id)
);

CREATE TABLE ku_events(
    id INTEGER PRIMARY KEY, -- lane_no << 40 | position
    stream_no INTEGER NOT NULL,
    version INTEGER NOT NULL, -- in its stream: 1, 2, 3
    type TEXT NOT NULL, -- the qualified name
    event_version INTEGER NOT NULL, -- of the payload's schema
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    payload TEXT NOT NULL, -- JSON, as it was validated
    metadata TEXT NOT NULL -- JSON: requestId, correlationId, causationId, idempotencyKey, headers
);
CREATE UNIQUE INDEX ku_events_stream ON ku_events(stream_no, version);

CREATE TABLE ku_event_keys(
    tenant_id BLOB NOT NULL,
    idempotency_key TEXT NOT NULL,
    event_id INTEGER NOT NULL, -- ku_events.id
    PRIMARY KEY(tenant_id, idempotency_key)
) WITHOUT ROWID;

CREATE TABLE ku_snapshots(
    tenant_id BLOB NOT NULL,
    stream_id BLOB NOT NULL,
    entity TEXT NOT NULL,
    version INTEGER NOT NULL, -- of the stream
    state_version INTEGER NOT NULL,
    state TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    PRIMARY KEY(tenant_id, stream_id, entity)
) WITHOUT ROWID;

CREATE TABLE ku_consumers(
    consumer TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE ku_cursors(
    tenant_id BLOB NOT NULL,
    consumer TEXT NOT NULL,
    lane INTEGER NOT NULL,
    position INTEGER NOT NULL, -- the last event that was applied
    status TEXT NOT NULL, -- idle, backoff, halted
    attempts INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    last_error TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY(tenant_id, consumer, lane)
) WITHOUT ROWID;

CREATE TABLE ku_requests(
    tenant_id BLOB NOT NULL,
    user_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL, -- 16 bytes of SHA-256 over type and payload
    http_status INTEGER NOT NULL,
    reply TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY(tenant_id, user_id, request_id)
) WITHOUT ROWID;
CREATE INDEX ku_requests_expiry ON ku_requests(expires_at);

-- Views for people: ids as text, times as text.  No program reads them.

CREATE VIEW kumiko_streams AS
SELECT
    lower(format('%s-%s-%s-%s-%s', substr(t, 1, 8), substr(t, 9, 4), substr(t, 13, 4),
        substr(t, 17, 4), substr(t, 21))) AS tenant_id,
    lower(format('%s-%s-%s-%s-%s', substr(s, 1, 8), substr(s, 9, 4), substr(s, 13, 4),
        substr(s, 17, 4), substr(s, 21))) AS stream_id,
    type, lane, version,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000000.0, 'unixepoch') AS last_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', archived_at / 1000000.0, 'unixepoch') AS archived_at,
    archived_by, archived_reason, stream_no
FROM (SELECT hex(tenant_id) AS t, hex(stream_id) AS s, * FROM ku_streams);

CREATE VIEW kumiko_events AS
SELECT
    s.tenant_id, s.lane, e.id & 1099511627775 AS position, s.stream_id, s.type AS stream_type,
    e.version, e.type, e.event_version,
    strftime('%Y-%m-%dT%H:%M:%fZ', e.created_at / 1000000.0, 'unixepoch') AS created_at,
    e.created_by, e.payload, e.metadata
FROM ku_events e JOIN kumiko_streams s ON s.stream_no = e.stream_no;
