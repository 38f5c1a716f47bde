-- What the engine finds wrong with its own structures.  -> a sentence per problem, or 'ok'
PRAGMA integrity_check(20);
