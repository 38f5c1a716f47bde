/*
 * Snapshots: the folded state of a stream, so that loading need not begin at its first event.
 *
 * A snapshot is a cache.  It counts only for the state version that wrote it, so changing the state
 * struct or the fold means raising that number and nothing else.  One is kept per tenant, stream
 * and entity: the newest.
 */
#include "store/log.h"

#include "db/sql.h"

ku_status log_snapshot_find(ku_scope *scope, const ku_entity *entity, ku_id stream,
    int64_t to_version, snapshot *ret_snapshot)
{
    const db_value binds[] = {
        db_id(scope->tenant),
        db_id(stream),
        db_text(ku_str_from(entity->name)),
        db_int(entity->state_version),
        db_int(to_version == 0 ? INT64_MAX : to_version),
    };
    snapshot found = {0};
    db_rows rows = {0};
    bool row;

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

ku_status log_snapshot_put(
    ku_scope *scope, ku_id tenant, const ku_entity *entity, ku_id stream, const snapshot *put)
{
    const db_value binds[] = {
        db_id(tenant),
        db_id(stream),
        db_text(ku_str_from(entity->name)),
        db_int(put->version),
        db_int(put->state_version),
        db_text(put->state),
        db_int(scope->now.unix_us),
    };

    ku_status status = db_run(scope->db, SQL_SNAPSHOT_PUT, binds, KU_COUNT(binds), NULL);
    if (status != KU_OK)
        return scope_fail(scope, status, "write a snapshot: %s", db_error(scope->db));
    return KU_OK;
}
