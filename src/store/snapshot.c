/*
 * Snapshots: the folded state of a stream, so that loading need not begin at its first event.
 *
 * A snapshot is a cache.  It counts only for the state version that wrote it, so changing the state
 * struct or the fold means raising that number and nothing else.  One is kept per tenant, stream
 * and entity: the newest.  They are written at the end of a batch (flush.c).
 */
#include "store/log.h"

#include "db/sql.h"

enum { FIND_COLUMNS = 5 };

static void bind_find(const ku_scope *scope, const ku_entity *entity, ku_id stream,
    int64_t to_version, db_value binds[FIND_COLUMNS])
{
    binds[0] = db_id(scope->tenant);
    binds[1] = db_id(stream);
    binds[2] = db_text(ku_str_from(entity->name));
    binds[3] = db_int(entity->state_version);
    binds[4] = db_int(to_version == 0 ? INT64_MAX : to_version);
}

void log_snapshot_prefetch(
    ku_scope *scope, const ku_entity *entity, ku_id stream, int64_t to_version)
{
    db_value binds[FIND_COLUMNS];

    bind_find(scope, entity, stream, to_version, binds);
    db_prefetch(scope->db, SQL_SNAPSHOT_FIND, binds, KU_COUNT(binds));
}

ku_status log_snapshot_find(ku_scope *scope, const ku_entity *entity, ku_id stream,
    int64_t to_version, snapshot *ret_snapshot)
{
    db_value binds[FIND_COLUMNS];
    snapshot found = {0};
    db_rows rows = {0};
    bool row;

    bind_find(scope, entity, stream, to_version, binds);
    ku_status status = db_query(scope->db, SQL_SNAPSHOT_FIND, binds, KU_COUNT(binds), &rows);
    if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        found.version = db_column_int(&rows, 0);
        found.state_version = entity->state_version;
        found.state = ku_copy(scope, db_column_text(&rows, 1));
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "read a snapshot: %s", db_error(scope->db));
    *ret_snapshot = found;
    return KU_OK;
}
