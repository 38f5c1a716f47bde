-- postgres only
-- Gives back what a process has leased, and asks for nothing any more.  $1 owner
UPDATE ku_cursors
SET owner = nullif(owner, $1), wanted_by = nullif(wanted_by, $1),
    lease_until = CASE WHEN owner = $1 THEN '-infinity' ELSE lease_until END
WHERE owner = $1 AND lease_until > now() OR wanted_by = $1;
