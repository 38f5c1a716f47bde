/*
 * Integrity: is the log what it promises to be?
 *
 * Each check is a statement that finds what is wrong and nothing else, and a function that makes a
 * sentence of a row.  The engine's own check comes first, because the others trust its indexes.
 */
#include "store/log.h"

#include "db/sql.h"

#include <inttypes.h>

typedef struct checking {
    ku_scope *scope;
    void (*problem)(void *context, ku_str sentence);
    void *context;
    int64_t problems;
} checking;

/* The sentence about a row; empty: nothing is wrong. */
typedef ku_str describe(ku_scope *scope, const db_rows *row);

static ku_str describe_engine(ku_scope *scope, const db_rows *row)
{
    ku_str finding = db_column_text(row, 0);

    if (ku_str_is(finding, "ok"))
        return (ku_str){0};
    return ku_format(scope, "the database is damaged: %" KU_PRI, KU_FMT(finding));
}

static ku_str describe_stream(ku_scope *scope, const db_rows *row)
{
    char tenant[37], stream[37];
    int64_t version = db_column_int(row, 2), events = db_column_int(row, 3);

    ku_id_format(db_column_id(row, 0), tenant);
    ku_id_format(db_column_id(row, 1), stream);
    if (events == 0)
        return ku_format(scope,
            "stream %s of tenant %s: it is at version %" PRId64 " and has no events", stream,
            tenant, version);
    return ku_format(scope,
        "stream %s of tenant %s: it is at version %" PRId64 " and has %" PRId64
        " events, version %" PRId64 " to %" PRId64,
        stream, tenant, version, events, db_column_int(row, 4), db_column_int(row, 5));
}

static ku_str describe_lane(ku_scope *scope, const db_rows *row)
{
    char tenant[37];

    ku_id_format(db_column_id(row, 0), tenant);
    return ku_format(scope,
        "lane %" PRId64 " of tenant %s: its head is %" PRId64 " and it has %" PRId64
        " events, position %" PRId64 " to %" PRId64,
        db_column_int(row, 1), tenant, db_column_int(row, 2), db_column_int(row, 3),
        db_column_int(row, 4), db_column_int(row, 5));
}

static ku_str describe_orphan(ku_scope *scope, const db_rows *row)
{
    const char *what = "it is not in the lane of its stream";

    if (db_column_int(row, 3) != 0)
        what = "its stream is missing";
    else if (db_column_int(row, 4) != 0)
        what = "its lane is missing";
    return ku_format(scope, "event %" PRId64 " (%" KU_PRI ", position %" PRId64 "): %s",
        db_column_int(row, 0), KU_FMT(db_column_text(row, 2)), db_column_int(row, 1), what);
}

static ku_str describe_key(ku_scope *scope, const db_rows *row)
{
    char tenant[37];

    ku_id_format(db_column_id(row, 0), tenant);
    return ku_format(scope, "idempotency key %" KU_PRI " of tenant %s: its event is missing",
        KU_FMT(db_column_text(row, 1)), tenant);
}

static ku_str describe_cursor(ku_scope *scope, const db_rows *row)
{
    char tenant[37];

    ku_id_format(db_column_id(row, 0), tenant);
    return ku_format(scope,
        "consumer %" KU_PRI ", lane %" PRId64 " of tenant %s: its cursor is at %" PRId64
        ", beyond the head %" PRId64,
        KU_FMT(db_column_text(row, 1)), db_column_int(row, 2), tenant, db_column_int(row, 3),
        db_column_int(row, 4));
}

static ku_str describe_snapshot(ku_scope *scope, const db_rows *row)
{
    char tenant[37], stream[37];

    ku_id_format(db_column_id(row, 0), tenant);
    ku_id_format(db_column_id(row, 1), stream);
    return ku_format(scope,
        "snapshot %" KU_PRI " of stream %s of tenant %s: it is of version %" PRId64
        ", the stream is at %" PRId64,
        KU_FMT(db_column_text(row, 2)), stream, tenant, db_column_int(row, 3),
        db_column_int(row, 4));
}

static const struct {
    int sql;
    describe *sentence;
} checks[] = {
    {SQL_CHECK_ENGINE,    describe_engine  },
    {SQL_CHECK_STREAMS,   describe_stream  },
    {SQL_CHECK_LANES,     describe_lane    },
    {SQL_CHECK_ORPHANS,   describe_orphan  },
    {SQL_CHECK_KEYS,      describe_key     },
    {SQL_CHECK_CURSORS,   describe_cursor  },
    {SQL_CHECK_SNAPSHOTS, describe_snapshot},
};

static ku_status run_check(checking *c, int sql, describe *sentence)
{
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(c->scope->db, sql, NULL, 0, &rows);
    while (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        ku_mark mark = ku_scope_mark(c->scope);
        ku_str text = sentence(c->scope, &rows);
        if (text.len > 0) {
            c->problems++;
            c->problem(c->context, text);
        }
        ku_scope_rewind(c->scope, mark);
    }
    db_rows_done(&rows);
    return status;
}

ku_status log_check(ku_scope *scope, void (*problem)(void *context, ku_str sentence), void *context,
    check_report *ret_report)
{
    checking c = {.scope = scope, .problem = problem, .context = context};
    check_report report = {0};
    db_rows rows = {0};
    bool row;

    ku_status status = db_query(scope->db, SQL_CHECK_COUNTS, NULL, 0, &rows);
    if (status == KU_OK && (status = db_next(&rows, &row)) == KU_OK && row) {
        report.events = db_column_int(&rows, 0);
        report.streams = db_column_int(&rows, 1);
        report.lanes = db_column_int(&rows, 2);
    }
    db_rows_done(&rows);
    for (size_t i = 0; i < KU_COUNT(checks) && status == KU_OK; i++)
        status = run_check(&c, checks[i].sql, checks[i].sentence);
    if (status != KU_OK)
        return scope_fail(scope, status, "check: %s", db_error(scope->db));
    report.problems = c.problems;
    *ret_report = report;
    return KU_OK;
}
