-- The tables of the log, version 2: what operators decide about tenants.

CREATE TABLE ku_tenants(
    tenant_id BLOB PRIMARY KEY,
    lanes INTEGER NOT NULL, -- that new streams are spread over; no row: one
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
