-- postgres only
-- Asks for lanes on behalf of a process that has less than three quarters of its share: for half of
-- what it lacks, those who have more than theirs.  A lane that was asked for counts as the asker's.
-- Each asker has an order of its own, so that several ask for different ones.  What somebody is just
-- writing is passed over, so that nobody waits here.  $1 who asks, $2 JSON
-- array of consumers, $3 at most so many
WITH held AS MATERIALIZED (
    SELECT coalesce(wanted_by, owner) AS holder, count(*) AS lanes
    FROM ku_cursors
    WHERE lease_until > now()
        AND consumer = ANY (ARRAY(SELECT json_array_elements_text($2::text::json)))
    GROUP BY coalesce(wanted_by, owner)
), share AS MATERIALIZED (
    SELECT coalesce(sum(lanes), 0)::bigint / (1 + count(*) FILTER (WHERE holder <> $1)) AS fair,
        coalesce(sum(lanes) FILTER (WHERE holder = $1), 0)::bigint AS mine
    FROM held
), asked AS MATERIALIZED (
    SELECT c.tenant_id, c.consumer, c.lane
    FROM share s
    JOIN held h ON h.holder <> $1 AND h.lanes > s.fair
    JOIN ku_cursors c ON c.owner = h.holder
    WHERE c.lease_until > now() AND c.wanted_by IS NULL
        AND c.consumer = ANY (ARRAY(SELECT json_array_elements_text($2::text::json)))
    ORDER BY md5(c.tenant_id::text || c.consumer || c.lane || $1::text)
    LIMIT (SELECT CASE WHEN 4 * mine < 3 * fair THEN least((fair - mine + 1) / 2, $3) ELSE 0 END
        FROM share)
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE ku_cursors AS c
SET wanted_by = $1
FROM asked a
WHERE c.tenant_id = a.tenant_id AND c.consumer = a.consumer AND c.lane = a.lane;
