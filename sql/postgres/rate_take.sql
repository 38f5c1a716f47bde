-- postgres only
-- Takes tokens from a bucket, if it has them; a bucket that is not there is full, and time never
-- runs backwards.  $1 tenant, $2 bucket, $3 limit, $4 tokens refilled per microsecond, $5 cost,
-- $6 now
-- -> tokens left, whether they were taken, when there are so many
INSERT INTO ku_rate_buckets AS b (tenant_id, bucket, tokens, taken, at, full_at)
SELECT $1, $2, n.tokens, n.taken, n.at,
    n.at + floor(($3 - n.tokens) / $4) * interval '1 microsecond'
FROM (SELECT
        CASE WHEN $3 >= $5::float8 - 1e-6::float8 THEN greatest(0, $3::float8 - $5) ELSE $3 END
            AS tokens,
        $3 >= $5 - 1e-6::float8 AS taken, $6::timestamptz AS at) AS n
ON CONFLICT (tenant_id, bucket) DO UPDATE
SET (tokens, taken, at, full_at) = (
    SELECT n.tokens, n.taken, n.at, n.at + floor(($3 - n.tokens) / $4) * interval '1 microsecond'
    FROM (SELECT
            CASE WHEN r.tokens >= $5 - 1e-6::float8 THEN greatest(0, r.tokens - $5)
                ELSE r.tokens END AS tokens,
            r.tokens >= $5 - 1e-6::float8 AS taken, greatest(b.at, $6) AS at
        FROM (SELECT CASE WHEN $6 <= b.at THEN b.tokens ELSE least($3, b.tokens
                + round(date_part('epoch', $6 - b.at) * 1000000) * $4) END AS tokens) AS r) AS n)
RETURNING b.tokens, b.taken, b.at;
