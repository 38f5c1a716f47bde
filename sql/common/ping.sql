-- Does the database answer?  No binds; one row.
SELECT 1
