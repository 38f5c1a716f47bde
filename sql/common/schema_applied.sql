-- Notes a migration.  $1 version, $2 applied_at, $3 program
INSERT INTO ku_schema(version, applied_at, program) VALUES ($1, $2, $3);
