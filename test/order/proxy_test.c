/*
 * The proxy of the other tests, by plain libpq: it forwards what it should, and cuts where it says.
 */
#include "support/database.h"
#include "support/pg_proxy.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct fixture {
    test_database *database;
    pg_proxy *proxy;
    PGconn *connection;
} fixture;

static void connect_again(fixture *f)
{
    char url[1024];

    PQfinish(f->connection);
    pg_proxy_url(f->proxy, f->database->url, sizeof url, url);
    f->connection = PQconnectdb(url);
    if (PQstatus(f->connection) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(f->connection));
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->database = test_database_new();
    test_database_run(f->database, "CREATE TABLE notes (text text)");
    f->proxy = pg_proxy_open(pg_proxy_port_of(f->database->url));
    connect_again(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    PQfinish(f->connection);
    pg_proxy_close(f->proxy);
    test_database_free(f->database);
    free(f);
    return 0;
}

static bool run(const fixture *f, const char *sql)
{
    PGresult *result = PQexec(f->connection, sql);
    const ExecStatusType status = PQresultStatus(result);

    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* A prepared statement, by the extended protocol. */
static bool run_prepared(const fixture *f, const char *name, const char *sql)
{
    PGresult *result = sql != NULL ? PQprepare(f->connection, name, sql, 0, NULL)
                                   : PQexecPrepared(f->connection, name, 0, NULL, NULL, NULL, 0);
    const ExecStatusType status = PQresultStatus(result);

    PQclear(result);
    return status == PGRES_COMMAND_OK;
}

static int64_t notes(const fixture *f)
{
    return test_database_int(f->database, "SELECT count(*) FROM notes");
}

static pg_proxy_seen look(const fixture *f)
{
    pg_proxy_seen seen;

    pg_proxy_look(f->proxy, &seen);
    return seen;
}

static void large_answers_and_requests_go_by(void **state)
{
    fixture *f = *state;
    const size_t size = 4 << 20;
    char *sql = malloc(size + 100);
    PGresult *result;

    assert_non_null(sql);
    char *end = sql + sprintf(sql, "INSERT INTO notes VALUES ('");
    memset(end, 'x', size);
    strcpy(end + size, "')");
    assert_true(run(f, sql));
    free(sql);
    result = PQexec(f->connection, "SELECT text FROM notes");
    assert_int_equal(PQgetlength(result, 0, 0), size);
    PQclear(result);
}

static void a_message_that_is_cut_is_not_delivered(void **state)
{
    fixture *f = *state;
    int n = 0;
    bool done = false;

    while (!done) {
        assert_true(++n < 20);
        connect_again(f);
        pg_proxy_arm(f->proxy, PG_CUT_AT_MESSAGE, n);
        done = run(f, "INSERT INTO notes VALUES ('a')");
        assert_int_equal(look(f).cut, !done);
        assert_int_equal(look(f).messages, done ? 3 : n);
        assert_int_equal(notes(f), n > 1 ? n - 1 : 0); /* the first message was the query itself */
    }
    assert_int_equal(n, 4); /* Query; CommandComplete, ReadyForQuery */
}

static void commit_is_cut_on_either_side_of_the_server(void **state)
{
    fixture *f = *state;

    for (int prepared = 0; prepared < 2; prepared++) {
        const int64_t before = notes(f);
        for (pg_cut cut = PG_CUT_BEFORE_COMMIT; cut <= PG_CUT_AFTER_COMMIT; cut++) {
            connect_again(f);
            assert_true(run_prepared(f, "c", "COMMIT") &&
                        run_prepared(f, "i", "INSERT INTO notes VALUES ('a')"));
            pg_proxy_arm(f->proxy, cut, 1);
            assert_true(run(f, "BEGIN") && run(f, "SELECT 1") && run(f, "COMMIT"));
            assert_int_equal(look(f).commits, 0); /* nothing was written */
            assert_true(run(f, "BEGIN") && run_prepared(f, "i", NULL));
            assert_false(look(f).cut);
            assert_false(prepared ? run_prepared(f, "c", NULL) : run(f, "COMMIT"));
            assert_true(look(f).cut && look(f).in_doubt && look(f).wrote);
            assert_int_equal(notes(f), before + (cut == PG_CUT_AFTER_COMMIT));
        }
    }
}

static void what_was_sent_behind_the_cut_is_seen(void **state)
{
    fixture *f = *state;

    assert_true(run(f, "BEGIN"));
    assert_int_equal(PQenterPipelineMode(f->connection), 1);
    pg_proxy_arm(f->proxy, PG_CUT_AT_MESSAGE, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            PQsendQueryParams(f->connection, i == 0 ? "INSERT INTO notes VALUES ('a')" : "COMMIT",
                0, NULL, NULL, NULL, NULL, 0),
            1);
    assert_int_equal(PQpipelineSync(f->connection), 1);
    assert_true(look(f).cut && look(f).in_doubt);
    assert_int_equal(notes(f), 0);
}

static void a_server_that_is_away_refuses_connections(void **state)
{
    fixture *f = *state;

    assert_true(run(f, "SELECT 1"));
    pg_proxy_refuse(f->proxy, true);
    pg_proxy_cut_all(f->proxy);
    assert_false(run(f, "SELECT 1"));
    PQreset(f->connection);
    assert_int_equal(PQstatus(f->connection), CONNECTION_BAD);
    pg_proxy_refuse(f->proxy, false);
    PQreset(f->connection);
    assert_true(run(f, "SELECT 1"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(large_answers_and_requests_go_by),
        CASE(a_message_that_is_cut_is_not_delivered),
        CASE(commit_is_cut_on_either_side_of_the_server),
        CASE(what_was_sent_behind_the_cut_is_seen),
        CASE(a_server_that_is_away_refuses_connections),
    };

    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
