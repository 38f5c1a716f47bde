/*
 * The tables of the log: made once, brought forward, refused when they are newer, printed as they
 * would be made; and that every statement of sql/ fits them.
 */
#include "store/log.h"

#include "db/sql.h"
#include "support/database.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <sqlite3.h>

/* ---- helpers --------------------------------------------------------------------------------- */

typedef struct place {
    test_database *database;
    db_catalog *statements;
    db *writer;
} place;

static int open_place(void **state)
{
    place *p = mem_zero(1, sizeof(*p));
    ku_error error = {0};

    p->database = test_database_new();
    p->statements = db_catalog_new();
    if (db_open(p->database->url, DB_WRITER, p->statements, &p->writer, &error) != KU_OK)
        fail_msg("%s", error.message);
    *state = p;
    return 0;
}

static int close_place(void **state)
{
    place *p = *state;

    db_close(p->writer);
    db_catalog_free(p->statements);
    test_database_free(p->database);
    free(p);
    return 0;
}

#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, open_place, close_place)

static db_dialect dialect(void)
{
    return test_engine_is_postgres() ? DB_POSTGRES : DB_SQLITE;
}

static ku_status apply(db *d, ku_error *ret_error)
{
    ku_status status = log_schema_begin(d, ret_error);

    if (status != KU_OK)
        return status;
    status = log_schema_apply(d, ret_error);
    if (status == KU_OK && (status = db_commit(d)) == KU_OK)
        return KU_OK;
    db_rollback(d);
    return status;
}

static void apply_or_fail(db *d)
{
    ku_error error = {0};

    if (apply(d, &error) != KU_OK)
        fail_msg("%s", error.message);
}

static void run_script(db *d, const char *sql)
{
    if (db_script(d, ku_str_from(sql)) != KU_OK)
        fail_msg("%s: %s", sql, db_error(d));
}

/* A line per column of every table, and per index: what makes two schemas the same. */
static char *shape_of(const test_database *database)
{
    return test_database_text(database,
        test_by_engine("SELECT group_concat(line, char(10)) FROM (SELECT m.name || ' ' || c.name "
                       "|| ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk AS line "
                       "FROM sqlite_master m JOIN pragma_table_info(m.name) c "
                       "UNION ALL SELECT name || ' of ' || tbl_name FROM sqlite_master "
                       "ORDER BY 1)",
            "SELECT string_agg(line, chr(10) ORDER BY line) FROM (SELECT table_name || ' ' || "
            "column_name || ' ' || data_type || ' ' || is_nullable || ' ' || "
            "coalesce(collation_name, '') AS line FROM information_schema.columns "
            "WHERE table_schema = current_schema() "
            "UNION ALL SELECT replace(indexdef, schemaname, '') FROM pg_indexes "
            "WHERE schemaname = current_schema() "
            "UNION ALL SELECT tablename || replace(qual, schemaname, '') FROM pg_policies "
            "WHERE schemaname = current_schema()) AS lines"));
}

/* ---- cases: making them ---------------------------------------------------------------------- */

static void an_empty_database_gets_the_tables(void **state)
{
    place *p = *state;
    ku_error error = {0};

    assert_int_equal(log_schema_check(p->writer, &error), KU_NOT_FOUND);
    assert_non_null(strstr(error.message, "no tables"));
    apply_or_fail(p->writer);
    assert_int_equal(log_schema_check(p->writer, &error), KU_OK);
    assert_int_equal(
        test_database_int(p->database, "SELECT count(*) FROM ku_schema"), log_schema_newest());
    assert_int_equal(test_database_int(p->database, "SELECT count(*) FROM ku_tenants"), 0);
}

static void applying_twice_is_applying_once(void **state)
{
    place *p = *state;

    apply_or_fail(p->writer);
    test_database_run(p->database, test_by_engine("INSERT INTO ku_consumers VALUES ('a', 0)",
                                       "INSERT INTO ku_consumers VALUES ('a', now())"));
    char *before = shape_of(p->database);
    apply_or_fail(p->writer);
    char *after = shape_of(p->database);
    assert_string_equal(before, after);
    free(before);
    free(after);
    assert_int_equal(test_database_int(p->database, "SELECT count(*) FROM ku_consumers"), 1);
    assert_int_equal(
        test_database_int(p->database, "SELECT count(*) FROM ku_schema"), log_schema_newest());
}

static void nothing_is_left_of_tables_that_were_not_committed(void **state)
{
    place *p = *state;
    ku_error error = {0};

    assert_int_equal(log_schema_begin(p->writer, &error), KU_OK);
    assert_int_equal(log_schema_apply(p->writer, &error), KU_OK);
    db_rollback(p->writer);
    assert_int_equal(log_schema_check(p->writer, &error), KU_NOT_FOUND);
    apply_or_fail(p->writer);
}

static void each_step_of_making_them_may_fail(void **state)
{
    place *p = *state;
    ku_error error = {0};
    bool made = false;

    for (int64_t call = 1; !made; call++) {
        assert_in_range(call, 1, 100);
        db_fail_after(p->writer, call, KU_UNAVAILABLE);
        made = apply(p->writer, &error) == KU_OK;
        db_fail_after(p->writer, 0, KU_OK);
        assert_int_equal(log_schema_check(p->writer, &error), made ? KU_OK : KU_NOT_FOUND);
        if (made)
            assert_in_range(call, 7, 100); /* begin, look, twice a script and its row, commit */
    }
}

/* ---- cases: older and newer ------------------------------------------------------------------ */

/* As the first version of the program left it, with something in it. */
static void make_version_1(place *p)
{
    run_script(p->writer, db_dialect_text(dialect(), SQL_SCHEMA_1).ptr);
    run_script(p->writer,
        test_by_engine("INSERT INTO ku_schema VALUES (1, 1, '0.1.0');"
                       "INSERT INTO ku_lanes VALUES (1, x'00000000000000000000000000000001', 0, 7)",
            "INSERT INTO ku_schema VALUES (1, now(), '0.1.0');"
            "INSERT INTO ku_lanes VALUES ('00000000-0000-0000-0000-000000000001', 7, 0)"));
}

static void tables_of_version_1_are_brought_forward(void **state)
{
    place *p = *state;
    ku_error error = {0};

    make_version_1(p);
    assert_int_equal(log_schema_check(p->writer, &error), KU_NOT_FOUND);
    assert_non_null(strstr(error.message, "version 1"));
    assert_non_null(strstr(error.message, "needs version 2"));
    apply_or_fail(p->writer);
    assert_int_equal(log_schema_check(p->writer, &error), KU_OK);
    assert_int_equal(test_database_int(p->database, "SELECT head FROM ku_lanes"), 7);
    assert_int_equal(test_database_int(p->database, "SELECT count(*) FROM ku_schema"), 2);

    test_database *fresh = test_database_new();
    db *d;
    assert_int_equal(db_open(fresh->url, DB_WRITER, p->statements, &d, &error), KU_OK);
    apply_or_fail(d);
    db_close(d);
    char *migrated = shape_of(p->database), *made = shape_of(fresh);
    assert_string_equal(migrated, made);
    free(migrated);
    free(made);
    test_database_free(fresh);
}

static void tables_of_a_newer_program_are_refused(void **state)
{
    place *p = *state;
    ku_error error = {0};

    apply_or_fail(p->writer);
    test_database_run(p->database, test_by_engine("INSERT INTO ku_schema VALUES (99, 0, '9.9.9')",
                                       "INSERT INTO ku_schema VALUES (99, now(), '9.9.9')"));
    assert_int_equal(apply(p->writer, &error), KU_CONFLICT);
    assert_non_null(strstr(error.message, "version 99"));
    assert_non_null(strstr(error.message, "9.9.9"));
    assert_int_equal(log_schema_check(p->writer, &error), KU_CONFLICT);
    assert_non_null(strstr(error.message, "version 99"));
}

/* ---- cases: printed -------------------------------------------------------------------------- */

static void what_is_printed_makes_the_same_tables(void **state)
{
    place *p = *state;
    test_database *other = test_database_new();
    buffer script = {0};
    ku_error error = {0};
    db *d;

    log_schema_print(dialect(), &script);
    assert_int_equal(db_open(other->url, DB_WRITER, p->statements, &d, &error), KU_OK);
    if (db_script(d, buffer_str(&script)) != KU_OK)
        fail_msg("%s", db_error(d));
    buffer_done(&script);
    assert_int_equal(log_schema_check(d, &error), KU_OK);
    db_close(d);
    apply_or_fail(p->writer);
    char *printed = shape_of(other), *applied = shape_of(p->database);
    assert_non_null(strstr(applied, "ku_events"));
    assert_string_equal(printed, applied);
    free(printed);
    free(applied);
    test_database_free(other);
}

/* ---- cases: two at once ---------------------------------------------------------------------- */

enum { PROCESSES = 2, ROUNDS = 5 };

/* In a process of its own: waits until all have connected, and makes the tables. */
static int start_up(const char *url, int gate)
{
    db_catalog *statements = db_catalog_new();
    ku_error error = {0};
    char byte;
    db *d;

    ku_status status = db_open(url, DB_WRITER, statements, &d, &error);
    if (status == KU_OK && read(gate, &byte, 1) == 0) { /* closed: go */
        status = apply(d, &error);
        if (status == KU_OK)
            status = log_schema_check(d, &error);
        db_close(d);
    }
    db_catalog_free(statements);
    if (status != KU_OK)
        (void)fprintf(stderr, "%s\n", error.message);
    return status == KU_OK ? 0 : 1;
}

static void start_together(const char *url)
{
    int gate[2];
    pid_t pids[PROCESSES];

    assert_int_equal(pipe(gate), 0);
    for (size_t i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            (void)close(gate[1]);
            _exit(start_up(url, gate[0]));
        }
    }
    (void)close(gate[0]);
    (void)usleep(50000); /* most have connected by now; whoever has not comes second */
    (void)close(gate[1]);
    for (size_t i = 0; i < PROCESSES; i++) {
        int how;
        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
}

static void two_processes_that_start_at_once_both_find_the_tables(void **state)
{
    (void)state;
    if (!test_engine_is_postgres())
        skip(); /* an SQLite file has one owner */
    for (int round = 0; round < ROUNDS; round++) {
        test_database *database = test_database_new();
        start_together(database->url);
        assert_int_equal(
            test_database_int(database, "SELECT count(*) FROM ku_schema"), log_schema_newest());
        test_database_free(database);
    }
}

/* Whoever comes second waits as long as it takes, not only as long as other locks may last. */
static void who_comes_second_waits_for_the_first(void **state)
{
    place *p = *state;
    ku_error error = {0};

    if (!test_engine_is_postgres())
        skip();
    assert_int_equal(log_schema_begin(p->writer, &error), KU_OK);
    assert_int_equal(log_schema_apply(p->writer, &error), KU_OK);
    pid_t second = fork();
    assert_true(second >= 0);
    if (second == 0)
        _exit(start_up(p->database->url, open("/dev/null", O_RDONLY)));
    for (int i = 0; i < 30; i++) { /* longer than lock_timeout; the first is not idle */
        (void)usleep(100000);
        assert_int_equal(waitpid(second, NULL, WNOHANG), 0);
        assert_int_equal(log_schema_check(p->writer, &error), KU_OK);
    }
    assert_int_equal(db_commit(p->writer), KU_OK);
    int how;
    assert_int_equal(waitpid(second, &how, 0), second);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

/* ---- cases: statements ----------------------------------------------------------------------- */

static void check_on_sqlite(const char *path)
{
    sqlite3 *connection;

    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    for (int i = 0; i < SQL_COUNT_; i++) {
        sqlite3_stmt *statement = NULL;
        if (sql_sqlite_texts[i] == NULL || strncmp(sql_sqlite_texts[i], "CREATE", 6) == 0)
            continue;
        if (sqlite3_prepare_v2(connection, sql_sqlite_texts[i], -1, &statement, NULL) != SQLITE_OK)
            fail_msg("%s: %s", sql_sqlite_texts[i], sqlite3_errmsg(connection));
        sqlite3_finalize(statement);
    }
    sqlite3_close(connection);
}

static void check_on_postgres(const char *url)
{
    PGconn *connection = PQconnectdb(url);
    int checked = 0;

    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    for (int i = 0; i < SQL_COUNT_; i++) {
        const char *sql = sql_postgres_texts[i];
        char name[16];
        if (sql == NULL || strncmp(sql, "CREATE", 6) == 0)
            continue;
        (void)snprintf(name, sizeof(name), "s%d", i);
        PGresult *result = PQprepare(connection, name, sql, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            fail_msg("%s: %s", sql, PQerrorMessage(connection));
        PQclear(result);
        checked++;
    }
    assert_in_range(checked, 50, SQL_COUNT_);
    PQfinish(connection);
}

static void every_statement_is_understood(void **state)
{
    place *p = *state;

    apply_or_fail(p->writer);
    if (test_engine_is_postgres())
        check_on_postgres(p->database->url);
    else
        check_on_sqlite(p->database->path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(an_empty_database_gets_the_tables),
        PLACE_TEST(applying_twice_is_applying_once),
        PLACE_TEST(nothing_is_left_of_tables_that_were_not_committed),
        PLACE_TEST(each_step_of_making_them_may_fail),
        PLACE_TEST(tables_of_version_1_are_brought_forward),
        PLACE_TEST(tables_of_a_newer_program_are_refused),
        PLACE_TEST(what_is_printed_makes_the_same_tables),
        cmocka_unit_test(two_processes_that_start_at_once_both_find_the_tables),
        PLACE_TEST(who_comes_second_waits_for_the_first),
        PLACE_TEST(every_statement_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
