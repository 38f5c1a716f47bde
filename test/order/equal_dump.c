/*
 * The log's tables are laid out differently, so each has its own query; read tables are the same on
 * both engines and found in the catalog.  PostgreSQL answers in binary form: its text of a time or
 * a double would depend on settings.
 */
#include "order/equal_dump.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct log_table {
    const char *name;
    const char *sqlite;
    const char *postgres; /* NULL: as on SQLite */
} log_table;

/* $1 is the present, in microseconds.  What shows new ids is in an order. */
static const log_table log_tables[] = {
    {"ku_events",
     "SELECT l.tenant_id, l.lane, e.id & 1099511627775 AS position, s.stream_id,"
        " s.type AS stream_type, e.version, e.type, e.event_version, e.created_at, e.created_by,"
        " e.payload, e.metadata FROM ku_events e JOIN ku_streams s USING (stream_no)"
        " JOIN ku_lanes l ON l.lane_no = e.id >> 40 ORDER BY 1, 2, 3",         "SELECT tenant_id, lane, position, stream_id, stream_type, version, type, event_version,"
        " created_at, created_by, payload, metadata FROM ku_events ORDER BY 1, 2, 3"},
    {"ku_streams",
     "SELECT tenant_id, stream_id, type, lane, version, last_at, archived_at, archived_by,"
        " archived_reason FROM ku_streams",                                    NULL                                                                       },
    {"ku_lanes",      "SELECT tenant_id, lane, head FROM ku_lanes",            NULL                                                                       },
    {"ku_event_keys",
     "SELECT k.tenant_id, idempotency_key, lane, event_id & 1099511627775 AS position"
        " FROM ku_event_keys k JOIN ku_lanes l ON l.lane_no = event_id >> 40", "SELECT tenant_id, idempotency_key, lane, position FROM ku_event_keys"     },
    {"ku_snapshots",
     "SELECT tenant_id, stream_id, entity, version, state_version, state, created_at"
        " FROM ku_snapshots",                                                  NULL                                                                       },
    {"ku_consumers",  "SELECT consumer, created_at FROM ku_consumers",         NULL                                                                       },
    {"ku_cursors",
     "SELECT tenant_id, consumer, lane, position, status, attempts, last_error, updated_at"
        " FROM ku_cursors",                                                    NULL                                                                       },
    {"ku_requests",
     "SELECT tenant_id, user_id, request_id, fingerprint, http_status, reply, expires_at"
        " FROM ku_requests WHERE expires_at > $1 ORDER BY 1, 2, 3",            "SELECT tenant_id, user_id, request_id, fingerprint, http_status, reply, expires_at"
        " FROM ku_requests"
        " WHERE expires_at > timestamptz 'epoch' + $1::bigint * interval '1 microsecond'"
        " ORDER BY 1, 2, 3"                                                            },
    {"ku_tenants",    "SELECT tenant_id, lanes, updated_at FROM ku_tenants",   NULL                                                                       },
};

/* ---- values ---------------------------------------------------------------------------------- */

static void add_name(buffer *lines, const char *name)
{
    buffer_format(lines, "|%s=", name);
}

static void add_id(buffer *lines, const void *bytes)
{
    ku_id id;
    char text[37];
    memcpy(id.bytes, bytes, sizeof id.bytes);
    ku_id_format(id, text);
    buffer_add_text(lines, text);
}

/* A line stays a line. */
static void add_text(buffer *lines, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            buffer_add_text(lines, "\\n");
        else
            buffer_add_char(lines, text[i]);
    }
}

/* ---- SQLite ---------------------------------------------------------------------------------- */

static void add_sqlite_value(buffer *lines, sqlite3_stmt *statement, int column)
{
    const char *declared = sqlite3_column_decltype(statement, column);
    const int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_NULL) {
        buffer_add_text(lines, "NULL");
    } else if (declared != NULL && strcmp(declared, "REAL") == 0) {
        buffer_format(lines, "%.17g", sqlite3_column_double(statement, column));
    } else if (type == SQLITE_INTEGER) {
        buffer_format(lines, "%" PRId64, (int64_t)sqlite3_column_int64(statement, column));
    } else if (type == SQLITE_BLOB) {
        assert_int_equal(sqlite3_column_bytes(statement, column), 16);
        add_id(lines, sqlite3_column_blob(statement, column));
    } else {
        assert_int_equal(type, SQLITE_TEXT);
        const char *text = (const char *)sqlite3_column_text(statement, column);
        add_text(lines, text, (size_t)sqlite3_column_bytes(statement, column));
    }
}

static void dump_sqlite_query(
    sqlite3 *file, const char *table, const char *sql, ku_time now, buffer *lines)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(file, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(file));
    if (sqlite3_bind_parameter_count(statement) == 1)
        (void)sqlite3_bind_int64(statement, 1, now.unix_us);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        buffer_add_text(lines, table);
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            add_name(lines, sqlite3_column_name(statement, i));
            add_sqlite_value(lines, statement, i);
        }
        buffer_add_char(lines, '\n');
    }
    if (sqlite3_finalize(statement) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(file));
}

static void dump_sqlite(const test_database *database, ku_time now, buffer *lines)
{
    sqlite3 *file = NULL;
    sqlite3_stmt *tables = NULL;
    char sql[1024];
    if (sqlite3_open_v2(database->path, &file, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        fail_msg("%s: %s", database->path, sqlite3_errmsg(file));
    for (size_t i = 0; i < KU_COUNT(log_tables); i++) {
        dump_sqlite_query(file, log_tables[i].name, log_tables[i].sqlite, now, lines);
    }
    const char *names = "SELECT name FROM sqlite_schema WHERE type = 'table' "
                        "AND name NOT LIKE 'ku!_%' ESCAPE '!' AND name NOT LIKE 'sqlite!_%' "
                        "ESCAPE '!'";
    if (sqlite3_prepare_v2(file, names, -1, &tables, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(file));
    while (sqlite3_step(tables) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(tables, 0);
        (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", name);
        dump_sqlite_query(file, name, sql, now, lines);
    }
    (void)sqlite3_finalize(tables);
    (void)sqlite3_close(file);
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

/* Of pg_type. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_FLOAT8 = 701,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950
};

/* From 1970 to 2000. */
#define EPOCH_US INT64_C(946684800000000)

static uint64_t big_endian(const char *bytes, int len)
{
    uint64_t value = 0;
    for (int i = 0; i < len; i++)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

static void add_postgres_value(buffer *lines, const PGresult *result, int row, int column)
{
    const char *bytes = PQgetvalue(result, row, column);
    const int len = PQgetlength(result, row, column);
    const uint64_t word = len <= 8 ? big_endian(bytes, len) : 0;
    double number;
    if (PQgetisnull(result, row, column)) {
        buffer_add_text(lines, "NULL");
        return;
    }
    switch (PQftype(result, column)) {
    case OID_BOOL:
    case OID_INT8:
        buffer_format(lines, "%" PRId64, (int64_t)word);
        return;
    case OID_INT4:
        buffer_format(lines, "%" PRId32, (int32_t)(uint32_t)word);
        return;
    case OID_TIMESTAMPTZ:
        buffer_format(lines, "%" PRId64, (int64_t)word + EPOCH_US);
        return;
    case OID_FLOAT8:
        memcpy(&number, &word, sizeof number);
        buffer_format(lines, "%.17g", number);
        return;
    case OID_UUID:
        add_id(lines, bytes);
        return;
    case OID_TEXT:
        add_text(lines, bytes, (size_t)len);
        return;
    default:
        fail_msg("column %s is of a type that nobody knows", PQfname(result, column));
    }
}

static PGresult *execute(PGconn *connection, const char *sql, ku_time now)
{
    char present[32];
    const char *const binds[] = {present};
    (void)snprintf(present, sizeof present, "%" PRId64, now.unix_us);
    PGresult *result = PQexecParams(
        connection, sql, strstr(sql, "$1") != NULL ? 1 : 0, NULL, binds, NULL, NULL, 1);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    return result;
}

static void dump_postgres_query(
    PGconn *connection, const char *table, const char *sql, ku_time now, buffer *lines)
{
    PGresult *result = execute(connection, sql, now);
    for (int row = 0; row < PQntuples(result); row++) {
        buffer_add_text(lines, table);
        for (int i = 0; i < PQnfields(result); i++) {
            if (strcmp(PQfname(result, i), "ku_revision") == 0)
                continue;
            add_name(lines, PQfname(result, i));
            add_postgres_value(lines, result, row, i);
        }
        buffer_add_char(lines, '\n');
    }
    PQclear(result);
}

static void dump_postgres(const test_database *database, ku_time now, buffer *lines)
{
    char sql[1024];
    PGconn *connection = PQconnectdb(database->url);
    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(connection));
    for (size_t i = 0; i < KU_COUNT(log_tables); i++) {
        const char *query =
            log_tables[i].postgres != NULL ? log_tables[i].postgres : log_tables[i].sqlite;
        dump_postgres_query(connection, log_tables[i].name, query, now, lines);
    }
    PGresult *tables = execute(connection,
        "SELECT tablename::text FROM pg_tables "
        "WHERE schemaname = current_schema() "
        "AND tablename NOT LIKE 'ku!_%' ESCAPE '!'",
        now);
    for (int row = 0; row < PQntuples(tables); row++) {
        const char *name = PQgetvalue(tables, row, 0);
        (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", name);
        dump_postgres_query(connection, name, sql, now, lines);
    }
    PQclear(tables);
    PQfinish(connection);
}

void dump_tables(const test_database *database, ku_time now, buffer *lines)
{
    if (database->schema[0] != '\0')
        dump_postgres(database, now, lines);
    else
        dump_sqlite(database, now, lines);
}
