/*
 * The tables of the log: created, and brought forward.
 *
 * Each migration is a script sql/<engine>/schema_<n>.sql; the same number means the same tables on
 * both engines.  It is applied once, in order, together with its row in ku_schema, in a transaction
 * of the caller's, who adds the tables of features to it: after a crash there is everything or
 * nothing of it.  Two processes that start at once do it one after the other, and the second finds
 * nothing left to do.  Tables with more migrations than the program knows were made by a newer
 * program and are refused.
 */
#include "base/error.h"
#include "store/log.h"

#include "base/clock.h"
#include "db/sql.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static const int migrations[] = {SQL_SCHEMA_1, SQL_SCHEMA_2};

enum { NEWEST = sizeof(migrations) / sizeof(migrations[0]) };

/* The newest migration that was applied; 0: there are no tables. */
static ku_status read_version(db *d, int64_t *ret_version, char ret_program[64])
{
    int64_t version = 0;
    db_rows rows = {0};
    bool row, present = false;

    ku_status status = db_query(d, SQL_SCHEMA_PRESENT, NULL, 0, &rows);
    if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row)
        present = db_column_int(&rows, 0) > 0;
    db_rows_done(&rows);
    if (status == KU_OK && present) {
        status = db_query(d, SQL_SCHEMA_VERSION, NULL, 0, &rows);
        if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
            version = db_column_int(&rows, 0);
            snprintf(ret_program, 64, "%" KU_PRI, KU_FMT(db_column_text(&rows, 1)));
        }
        db_rows_done(&rows);
    }
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

/* ---- applying -------------------------------------------------------------------------------- */

/* SQLite's write lock has the same effect. */
static ku_status lock_out_others(db *d)
{
    return db_is_shared(d) ? db_run(d, SQL_SCHEMA_LOCK, NULL, 0, NULL) : KU_OK;
}

ku_status log_schema_begin(db *d, ku_error *ret_error)
{
    ku_status status = db_begin(d);

    if (status == KU_OK) {
        status = lock_out_others(d);
        if (status == KU_OK)
            return KU_OK;
        (void)error_set(ret_error, status, "the tables cannot be locked: %s", db_error(d));
        db_rollback(d);
        return status;
    }
    return error_set(ret_error, status, "the tables cannot be locked: %s", db_error(d));
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
    if (status == KU_OK && version > NEWEST)
        return refuse_newer(ret_error, version, program);
    if (status == KU_OK)
        status = apply_from(d, version);
    if (status != KU_OK)
        return error_set(ret_error, status, "the tables cannot be made: %s", db_error(d));
    return KU_OK;
}

/* ---- looking --------------------------------------------------------------------------------- */

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
    if (version < NEWEST)
        return error_set(ret_error, KU_NOT_FOUND,
            "the tables are of version %" PRId64 ", made by kumiko %s; this program (kumiko %s) "
            "needs version %d",
            version, program, KUMIKO_VERSION, (int)NEWEST);
    return KU_OK;
}

int log_schema_newest(void)
{
    return NEWEST;
}

void log_schema_print(db_dialect dialect, buffer *b)
{
    static const char *const now[DB_DIALECTS_] = {
        [DB_SQLITE] = "unixepoch() * 1000000",
        [DB_POSTGRES] = "now()",
    };

    for (int version = 1; version <= NEWEST; version++) {
        ku_str script = db_dialect_text(dialect, migrations[version - 1]);
        buffer_format(b,
            "%" KU_PRI
            "\nINSERT INTO ku_schema(version, applied_at, program) VALUES (%d, %s, '%s');\n\n",
            KU_FMT(script), version, now[dialect], KUMIKO_VERSION);
    }
}
