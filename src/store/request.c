/*
 * Idempotent requests: the reply is stored in the transaction of the write it answers.
 *
 * So a client that repeats a request whose answer it has not seen gets that answer, even after a
 * crash between commit and reply, and a request never runs twice.  What has expired counts as
 * absent and is overwritten or purged.  Replies are stored at the end of a batch (flush.c).
 */
#include "store/log.h"

#include "db/sql.h"

void log_request_prefetch(db *d, ku_id tenant, ku_str user, ku_str request_id, ku_time now)
{
    const db_value binds[] = {
        db_id(tenant), db_text(user), db_text(request_id), db_int(now.unix_us)};

    db_prefetch(d, SQL_REQUEST_FIND, binds, KU_COUNT(binds));
}

ku_status log_request_find(ku_scope *scope, ku_str request_id, stored_request *ret_request)
{
    const db_value binds[] = {db_id(scope->tenant), db_text(scope->user), db_text(request_id),
        db_int(scope->now.unix_us)};
    stored_request found = {0};
    db_rows rows = {0};

    ku_status status = db_query(scope->db, SQL_REQUEST_FIND, binds, KU_COUNT(binds), &rows);
    if (status == KU_OK && (status = db_next(&rows, &found.found)) == KU_OK && found.found) {
        found.fingerprint = db_column_id(&rows, 0);
        found.http_status = (int)db_column_int(&rows, 1);
        found.reply = ku_copy(scope, db_column_text(&rows, 2));
    }
    db_rows_done(&rows);
    if (status != KU_OK)
        return scope_fail(scope, status, "look for a request: %s", db_error(scope->db));
    *ret_request = found;
    return KU_OK;
}

ku_status log_request_purge(db *d, ku_time now, int64_t limit, int64_t *ret_purged)
{
    const db_value binds[] = {db_int(now.unix_us), db_int(limit)};

    return db_run(d, SQL_REQUEST_PURGE, binds, KU_COUNT(binds), ret_purged);
}
