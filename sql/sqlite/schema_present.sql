-- Are the tables of the log there?  -> count
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'ku_schema';
