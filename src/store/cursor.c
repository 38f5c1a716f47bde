/*
 * Cursors: how far each consumer has come in each lane.
 *
 * A cursor moves in the transaction that holds the effects of the events it moves over, and only
 * from where it was read: if somebody else has moved it in the meantime nothing is written and the
 * transaction is given up.  That compare is why each event has its effect exactly once.
 *
 * A lane without a row of its own is at position 0, idle.
 */
#include "store/log.h"

#include "db/sql.h"

#include <string.h>

static ku_status read_cursors(ku_scope *scope, int sql, const db_value *binds, size_t n_binds,
    cursor **ret_cursors, size_t *ret_count)
{
    buffer cursors = {.arena = &scope->arena};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(scope->db, sql, binds, n_binds, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        const cursor found = {
            .tenant = db_column_id(&rows, 0),
            .lane = (int32_t)db_column_int(&rows, 1),
            .position = db_column_int(&rows, 2),
            .head = db_column_int(&rows, 3),
            .attempts = (int)db_column_int(&rows, 4),
            .retry_at = {db_column_int(&rows, 5)},
            .status = ku_copy(scope, db_column_text(&rows, 6)),
            .last_error = ku_copy(scope, db_column_text(&rows, 7)),
            .updated_at = {db_column_int(&rows, 8)},
        };
        buffer_add(&cursors, &found, sizeof(found));
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "read cursors: %s", db_error(scope->db));
    *ret_count = cursors.len / sizeof(cursor);
    *ret_cursors = ku_alloc(scope, cursors.len);
    if (cursors.len > 0)
        memcpy(*ret_cursors, cursors.ptr, cursors.len);
    return KU_OK;
}

ku_status log_cursors_behind(
    ku_scope *scope, ku_str consumer, cursor **ret_cursors, size_t *ret_count)
{
    const db_value binds[] = {db_text(consumer)};

    return read_cursors(scope, SQL_CURSORS_BEHIND, binds, KU_COUNT(binds), ret_cursors, ret_count);
}

ku_status log_cursors(
    ku_scope *scope, ku_str consumer, ku_id tenant, cursor **ret_cursors, size_t *ret_count)
{
    const db_value binds[] = {db_text(consumer), db_id(tenant)};
    bool all = ku_id_is_nil(tenant);

    return read_cursors(scope, all ? SQL_CURSORS_ALL : SQL_CURSORS_OF_TENANT, binds, all ? 1 : 2,
        ret_cursors, ret_count);
}

ku_status log_cursor_move(db *d, ku_str consumer, ku_id tenant, int32_t lane, int64_t from,
    int64_t to, ku_time now, bool *ret_moved)
{
    const db_value binds[] = {db_id(tenant), db_text(consumer), db_int(lane), db_int(from),
        db_int(to), db_int(now.unix_us)};
    int64_t changes = 0;

    ku_status status = db_run(d, SQL_CURSOR_MOVE, binds, KU_COUNT(binds), &changes);
    if (status == KU_OK)
        *ret_moved = changes == 1;
    return status;
}

ku_status log_cursor_fail(
    db *d, ku_str consumer, const cursor *failed, ku_time now, bool *ret_noted)
{
    int64_t changes = 0;
    const db_value binds[] = {db_id(failed->tenant), db_text(consumer), db_int(failed->lane),
        db_int(failed->position), db_text(failed->status), db_int(failed->attempts),
        db_int(failed->retry_at.unix_us), db_text(failed->last_error), db_int(now.unix_us)};

    ku_status status = db_run(d, SQL_CURSOR_FAIL, binds, KU_COUNT(binds), &changes);
    if (status == KU_OK && ret_noted != NULL)
        *ret_noted = changes > 0;
    return status;
}

ku_status log_consumer_register(
    ku_scope *scope, ku_str consumer, const consumer_start *start, ku_time now, bool *ret_new)
{
    const db_value binds[] = {
        db_text(consumer),
        db_int(now.unix_us),
        db_int(start->time.set ? start->time.value.unix_us : start->position),
    };
    int64_t changes = 0;

    ku_status status = db_run(scope->db, SQL_CONSUMER_INSERT, binds, 2, &changes);
    if (status == KU_OK && changes == 1 && start->time.set)
        status = db_run(scope->db, SQL_CONSUMER_AT_TIME, binds, KU_COUNT(binds), NULL);
    else if (status == KU_OK && changes == 1 && start->position > 0)
        status = db_run(scope->db, SQL_CONSUMER_AT_POSITION, binds, KU_COUNT(binds), NULL);
    if (status != KU_OK)
        return scope_fail(scope, status, "register consumer %" KU_PRI ": %s", KU_FMT(consumer),
            db_error(scope->db));
    if (ret_new != NULL)
        *ret_new = changes == 1;
    return KU_OK;
}

ku_status log_consumer_rearm(db *d, ku_str consumer, ku_time now, int64_t *ret_lanes)
{
    const db_value binds[] = {db_text(consumer), db_int(now.unix_us)};

    return db_run(d, SQL_CURSOR_REARM, binds, KU_COUNT(binds), ret_lanes);
}
