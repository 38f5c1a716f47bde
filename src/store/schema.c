/*
 * The tables of the log: created, and brought forward.
 *
 * Each migration is a script sql/<engine>/schema_<n>.sql, applied once, in order, in one
 * transaction together with its row in ku_schema.  A file that has more migrations than the program
 * knows was written by a newer program and is refused.
 */
#include "base/error.h"
#include "store/log.h"

#include "base/clock.h"
#include "db/sql.h"

#include <inttypes.h>
#include <stdio.h>

static const int migrations[] = {SQL_SCHEMA_1};

enum { NEWEST = sizeof(migrations) / sizeof(migrations[0]) };

/* The newest migration that was applied; 0: there are no tables. */
static ku_status read_version(db *d, int64_t *ret_version, char ret_program[64])
{
    int64_t version = 0;
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(d, SQL_SCHEMA_PRESENT, NULL, 0, &rows);
    if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row)
        version = db_column_int(&rows, 0);
    db_rows_done(&rows);
    if (status != KU_OK || version == 0) {
        *ret_version = 0;
        return status;
    }
    status = db_query(d, SQL_SCHEMA_VERSION, NULL, 0, &rows);
    if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        version = db_column_int(&rows, 0);
        snprintf(ret_program, 64, "%" KU_PRI, KU_FMT(db_column_text(&rows, 1)));
    }
    db_rows_done(&rows);
    *ret_version = version;
    return status;
}

static ku_status refuse_newer(ku_error *ret_error, int64_t version, const char *program)
{
    return error_set(ret_error, KU_CONFLICT,
        "the tables are of version %" PRId64 ", made by kumiko %s; this program (kumiko %s) knows "
        "them up to version %d: use a newer program",
        version, program, KUMIKO_VERSION, (int)NEWEST);
}

static ku_status apply_from(db *d, int64_t version)
{
    ku_status status = KU_OK;

    for (int64_t next = version + 1; next <= NEWEST && status == KU_OK; next++) {
        const db_value binds[] = {
            db_int(next), db_int(clock_now(NULL).unix_us), db_text(ku_str_from(KUMIKO_VERSION))};
        status = db_script(d, db_statement_text(d, migrations[next - 1]));
        if (status == KU_OK)
            status = db_run(d, SQL_SCHEMA_APPLIED, binds, KU_COUNT(binds), NULL);
    }
    return status;
}

ku_status log_schema_apply(db *d, ku_error *ret_error)
{
    int64_t version = 0;
    char program[64] = "";

    ku_status status = read_version(d, &version, program);
    if (status == KU_OK && version == NEWEST)
        return KU_OK;
    if (status == KU_OK && version > NEWEST)
        return refuse_newer(ret_error, version, program);
    if (status == KU_OK)
        status = db_begin(d);
    if (status == KU_OK) {
        status = apply_from(d, version);
        if (status == KU_OK)
            status = db_commit(d);
        else
            db_rollback(d);
    }
    if (status != KU_OK)
        return error_set(ret_error, status, "the tables cannot be made: %s", db_error(d));
    return KU_OK;
}

ku_status log_schema_check(db *d, ku_error *ret_error)
{
    int64_t version = 0;
    char program[64] = "";

    ku_status status = read_version(d, &version, program);
    if (status != KU_OK)
        return error_set(ret_error, status, "the tables cannot be read: %s", db_error(d));
    if (version == 0)
        return error_set(ret_error, KU_NOT_FOUND, "the database has no tables of kumiko");
    if (version > NEWEST)
        return refuse_newer(ret_error, version, program);
    return KU_OK;
}
