-- Indexes that the engine does not trust, or that do not hold for all rows yet.
-- -> a sentence per problem
SELECT format('index %s of table %s is not valid', i.indexrelid::regclass, i.indrelid::regclass)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = (
        SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())
    AND c.relname LIKE 'ku\_%' AND NOT (i.indisvalid AND i.indisready AND i.indislive)
ORDER BY i.indexrelid;
