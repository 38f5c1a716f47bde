-- The newest migration that was applied.  -> version or NULL, program
SELECT max(version), program FROM ku_schema;
