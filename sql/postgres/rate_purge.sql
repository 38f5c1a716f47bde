-- postgres only
-- Forgets buckets that are full again, a bounded number.  $1 now
DELETE FROM ku_rate_buckets WHERE (tenant_id, bucket) IN (
    SELECT tenant_id, bucket FROM ku_rate_buckets WHERE full_at <= $1
    ORDER BY tenant_id, bucket LIMIT 10000)
    AND full_at <= $1;
