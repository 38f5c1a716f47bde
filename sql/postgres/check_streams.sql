-- Streams whose events are not 1, 2, 3 … up to the stream's version.
-- -> tenant, stream, version of the stream, events, first version, last version
SELECT s.tenant_id, s.stream_id, s.version, coalesce(e.n, 0), coalesce(e.low, 0),
    coalesce(e.high, 0)
FROM ku_streams s
LEFT JOIN (
    SELECT tenant_id, stream_id, count(*) AS n, min(version) AS low, max(version) AS high
    FROM ku_events GROUP BY tenant_id, stream_id) e
    ON e.tenant_id = s.tenant_id AND e.stream_id = s.stream_id
WHERE e.n IS NULL OR e.low <> 1 OR e.high <> e.n OR s.version <> e.n
ORDER BY s.tenant_id, s.stream_id;
