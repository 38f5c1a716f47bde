-- postgres only
-- Gives back what a process has leased.  $1 owner
UPDATE ku_cursors SET owner = NULL, lease_until = '-infinity'
WHERE owner = $1 AND lease_until > now();
