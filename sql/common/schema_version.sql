-- The newest migration that was applied.  -> version, program
SELECT version, program FROM ku_schema ORDER BY version DESC LIMIT 1;
