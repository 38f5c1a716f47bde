-- Are the tables of the log there?  -> count
SELECT count(*) FROM pg_catalog.pg_tables
WHERE schemaname = current_schema() AND tablename = 'ku_schema';
