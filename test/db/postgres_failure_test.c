/*
 * PostgreSQL: servers that go away, networks that swallow, statements that are told to stop.
 *
 * The server is the test's own: it is killed, frozen and started again.  Between it and the
 * connection under test is a network that can be cut.
 */
#include "db/db_fixture.h"
#include "support/pg_proxy.h"
#include "support/pg_server.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

/* ---- fixture --------------------------------------------------------------------------------- */

static pg_server *server; /* one for all tests */
static pg_proxy *network;

typedef struct lab {
    db_catalog *catalog;
    int insert, insert_many, select;
    db *writer, *side; /* through the network, and beside it */
} lab;

static int open_server(void **state)
{
    (void)state;
    server = pg_server_open();
    network = pg_proxy_open(pg_proxy_port_of(pg_server_url(server)));
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    pg_proxy_close(network);
    pg_server_close(server);
    return 0;
}

static int set_up_lab(void **state)
{
    lab *l = mem_zero(1, sizeof(*l));
    char url[512];

    pg_proxy_url(network, pg_server_url(server), sizeof(url), url);
    l->catalog = db_catalog_new();
    l->insert = db_catalog_add(l->catalog, KU_STR("INSERT INTO t(a, b) VALUES ($2, $1)"));
    l->insert_many = db_catalog_add(l->catalog,
        KU_STR("INSERT INTO t(a, b) SELECT a, b FROM unnest($2::bigint[], $1::bigint[]) n(a, b)"));
    l->select = db_catalog_add(l->catalog, KU_STR("SELECT a, b FROM t WHERE a > $1 ORDER BY a"));
    l->side = open_or_fail(pg_server_url(server), DB_WRITER, l->catalog);
    run_script(l->side, "DROP TABLE IF EXISTS t; CREATE TABLE t(a bigint PRIMARY KEY, b bigint)");
    l->writer = open_or_fail(url, DB_WRITER, l->catalog);
    *state = l;
    return 0;
}

static int tear_down_lab(void **state)
{
    lab *l = *state;

    db_close(l->writer);
    db_close(l->side);
    db_catalog_free(l->catalog);
    free(l);
    return 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static int64_t number_of(db *d, const char *sql)
{
    db_rows rows = {0};
    bool row;

    if (db_query_text(d, ku_str_from(sql), NULL, 0, &rows) != KU_OK)
        fail_msg("%s", db_error(d));
    assert_int_equal(db_next(&rows, &row), KU_OK);
    int64_t number = db_column_int(&rows, 0);
    db_rows_done(&rows);
    return number;
}

/* Ends the writer's session from the side, and waits until it has ended. */
static void terminate_writer(lab *l, int64_t pid)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 10000)", (int)pid);
    assert_int_equal(number_of(l->side, sql), 1);
}

static void assert_lost_and_repeatable(const lab *l, ku_status status)
{
    assert_int_equal(status, KU_UNAVAILABLE);
    assert_true(db_may_retry(l->writer));
    assert_false(db_outcome_unknown(l->writer));
    assert_false(db_intact(l->writer));
}

/* ---- cases: sessions that end ---------------------------------------------------------------- */

static void a_session_that_ends_while_it_is_idle_is_not_noticed(void **state)
{
    lab *l = *state;

    int64_t pid = number_of(l->writer, "SELECT pg_backend_pid()");
    terminate_writer(l, pid);
    usleep(50000); /* longer than a connection may be silent without being looked at */
    assert_int_equal(db_begin(l->writer), KU_OK);
    assert_int_equal(insert(l->writer, l->insert, 1, db_int(1)), KU_OK);
    assert_int_equal(db_commit(l->writer), KU_OK);
    assert_true(number_of(l->writer, "SELECT pg_backend_pid()") != pid);
    assert_int_equal(count_rows(l->side), 1);
}

static void a_session_that_ends_inside_a_transaction_takes_it_along(void **state)
{
    lab *l = *state;

    for (int at = 0; at < 3; at++) {
        assert_int_equal(db_begin(l->writer), KU_OK);
        int64_t pid = number_of(l->writer, "SELECT pg_backend_pid()");
        if (at > 0)
            assert_int_equal(insert(l->writer, l->insert, 1, db_int(1)), KU_OK);
        terminate_writer(l, pid);
        if (at < 2) {
            assert_lost_and_repeatable(l, insert(l->writer, l->insert, 2, db_int(1)));
            assert_non_null(strstr(db_error(l->writer), "terminating connection"));
            assert_int_equal(insert(l->writer, l->insert, 3, db_int(1)), KU_UNAVAILABLE);
            db_rollback(l->writer);
        } else { /* the end of the connection is found before COMMIT leaves */
            assert_lost_and_repeatable(l, db_commit(l->writer));
        }
        assert_true(db_may_retry(l->writer));
        assert_int_equal(db_begin(l->writer), KU_OK);
        assert_int_equal(insert(l->writer, l->insert, 4 + at, db_int(1)), KU_OK);
        assert_int_equal(db_commit(l->writer), KU_OK);
        assert_int_equal(count_rows(l->side), at + 1);
    }
}

static void what_was_sent_with_a_commit_that_did_not_arrive_may_be_there_or_not(void **state)
{
    lab *l = *state;
    const db_value values[] = {db_int(1), db_int(11), db_int(2), db_int(12)};
    static const pg_cut cuts[] = {PG_CUT_BEFORE_COMMIT, PG_CUT_AFTER_COMMIT};

    for (size_t i = 0; i < KU_COUNT(cuts); i++) {
        assert_int_equal(db_begin(l->writer), KU_OK);
        assert_int_equal(db_send_many(l->writer, l->insert_many, values, 2, 2, NULL), KU_OK);
        pg_proxy_arm(network, cuts[i], 1);
        assert_int_equal(db_commit(l->writer), KU_UNAVAILABLE);
        assert_true(db_outcome_unknown(l->writer));
        assert_false(db_may_retry(l->writer)); /* not blindly */
        assert_false(db_intact(l->writer));
        assert_int_equal(count_rows(l->side), i == 0 ? 0 : 2);
        assert_int_equal(db_begin(l->writer), KU_OK);
        assert_false(db_outcome_unknown(l->writer));
        db_rollback(l->writer);
    }
}

static void a_connection_that_is_cut_at_any_message_is_lost_or_has_committed(void **state)
{
    lab *l = *state;
    int64_t committed = 0, cut = 0, unknown = 0;
    pg_proxy_seen seen = {.cut = true};

    assert_int_equal(insert(l->writer, l->insert, -1, db_int(1)), KU_OK); /* prepared */
    for (int64_t n = 1; seen.cut; n++) {
        const db_value values[] = {db_int(1), db_int(n)};
        int64_t changes = 0;
        pg_proxy_arm(network, PG_CUT_AT_MESSAGE, n);
        ku_status status = db_begin(l->writer);
        if (status == KU_OK)
            status = db_send_many(l->writer, l->insert_many, values, 2, 1, &changes);
        if (status == KU_OK)
            status = db_settle(l->writer);
        if (status == KU_OK)
            status = db_commit(l->writer);
        else
            db_rollback(l->writer);
        pg_proxy_look(network, &seen);
        cut += seen.cut;
        int64_t now = count_rows(l->side) - 1;
        if (status == KU_OK) {
            assert_int_equal(now, committed + 1);
            committed++;
        } else {
            assert_int_equal(status, KU_UNAVAILABLE);
            assert_true(db_may_retry(l->writer) != db_outcome_unknown(l->writer));
            unknown += db_outcome_unknown(l->writer);
            if (!db_outcome_unknown(l->writer))
                assert_int_equal(now, committed);
            committed = now;
        }
    }
    assert_true(cut > 10);
    assert_true(unknown > 0);
}

static void a_server_that_was_killed_and_comes_back_is_found_again(void **state)
{
    lab *l = *state;

    assert_int_equal(db_begin(l->writer), KU_OK);
    assert_int_equal(insert(l->writer, l->insert, 1, db_int(1)), KU_OK);
    pg_server_kill(server);
    assert_lost_and_repeatable(l, insert(l->writer, l->insert, 2, db_int(1)));
    db_rollback(l->writer);
    pg_proxy_refuse(network, true);
    int64_t before_us = clock_monotonic_us();
    assert_lost_and_repeatable(l, db_begin(l->writer)); /* it tries for a while */
    assert_true(clock_monotonic_us() - before_us > 2000000);
    assert_int_equal(db_commit(l->writer), KU_INTERNAL); /* nothing was begun */
    pg_proxy_refuse(network, false);
    pg_server_start(server);
    assert_int_equal(db_begin(l->writer), KU_OK);
    assert_int_equal(insert(l->writer, l->insert, 3, db_int(1)), KU_OK);
    assert_int_equal(db_commit(l->writer), KU_OK);
    assert_int_equal(count_rows(l->writer), 1); /* outside of a transaction, too */
}

static void *start_server_soon(void *context)
{
    (void)context;
    usleep(500000);
    pg_server_start(server);
    return NULL;
}

static void a_begin_waits_for_a_server_that_is_about_to_come(void **state)
{
    lab *l = *state;
    pthread_t thread;

    pg_server_kill(server);
    assert_int_equal(pthread_create(&thread, NULL, start_server_soon, NULL), 0);
    usleep(50000);
    assert_int_equal(db_begin(l->writer), KU_OK);
    assert_int_equal(insert(l->writer, l->insert, 3, db_int(1)), KU_OK);
    assert_int_equal(db_commit(l->writer), KU_OK);
    pthread_join(thread, NULL);
}

static void an_old_primary_is_left_so_that_the_new_one_can_be_found(void **state)
{
    lab *l = *state;

    int64_t pid = number_of(l->writer, "SELECT pg_backend_pid()");
    assert_int_equal(db_begin(l->writer), KU_OK);
    run_script(l->writer, "SET TRANSACTION READ ONLY");
    assert_lost_and_repeatable(l, insert(l->writer, l->insert, 1, db_int(1)));
    assert_non_null(strstr(db_error(l->writer), "read-only"));
    db_rollback(l->writer);
    assert_int_equal(db_begin(l->writer), KU_OK);
    assert_true(number_of(l->writer, "SELECT pg_backend_pid()") != pid);
    db_rollback(l->writer);
}

/* ---- cases: silence -------------------------------------------------------------------------- */

static void signal_session(int64_t pid, int signal)
{
    assert_int_equal(kill((pid_t)pid, signal), 0);
}

static void a_frozen_session_is_given_up_and_its_commit_is_in_doubt(void **state)
{
    lab *l = *state;

    assert_int_equal(db_begin(l->writer), KU_OK);
    int64_t pid = number_of(l->writer, "SELECT pg_backend_pid()");
    assert_int_equal(insert(l->writer, l->insert, 1, db_int(1)), KU_OK);
    signal_session(pid, SIGSTOP);
    assert_int_equal(db_commit(l->writer), KU_UNAVAILABLE);
    assert_true(db_outcome_unknown(l->writer));
    assert_non_null(strstr(db_error(l->writer), "does not answer"));
    signal_session(pid, SIGCONT);
    assert_int_equal(db_begin(l->writer), KU_OK); /* by another one */
    assert_true(number_of(l->writer, "SELECT pg_backend_pid()") != pid);
    db_rollback(l->writer);
}

static bool stop_at_once(void *context)
{
    (void)context;
    return true;
}

static void a_frozen_session_that_is_told_to_stop_is_given_up_soon(void **state)
{
    lab *l = *state;
    db_rows rows = {0};

    int64_t pid = number_of(l->writer, "SELECT pg_backend_pid()");
    signal_session(pid, SIGSTOP);
    db_watch(l->writer, stop_at_once, NULL);
    assert_int_equal(db_query_text(l->writer, KU_STR("SELECT 1"), NULL, 0, &rows), KU_CANCELLED);
    db_watch(l->writer, NULL, NULL);
    signal_session(pid, SIGCONT);
    assert_int_equal(count_rows(l->writer), 0);
}

static void a_statement_that_is_stopped_ends_its_transaction_and_harms_no_other(void **state)
{
    lab *l = *state;
    db_rows rows = {0};

    for (int i = 0; i < 10; i++) {
        assert_int_equal(db_begin(l->writer), KU_OK);
        assert_int_equal(insert(l->writer, l->insert, i, db_int(1)), KU_OK);
        db_watch(l->writer, stop_at_once, NULL);
        assert_int_equal(
            db_query_text(l->writer, KU_STR("SELECT pg_sleep(9)::text"), NULL, 0, &rows),
            KU_CANCELLED);
        db_watch(l->writer, NULL, NULL);
        assert_false(db_may_retry(l->writer));
        assert_false(db_intact(l->writer));
        assert_int_equal(insert(l->writer, l->insert, 100, db_int(1)), KU_CANCELLED);
        db_rollback(l->writer);
        assert_int_equal(count_rows(l->writer), 0);
    }
}

static void a_statement_that_takes_too_long_is_not_worth_another_attempt(void **state)
{
    lab *l = *state;
    db_rows rows = {0};

    assert_int_equal(db_begin(l->writer), KU_OK);
    assert_int_equal(
        number_of(l->writer, "SELECT length(set_config('statement_timeout', '200ms', true))"), 5);
    assert_int_equal(db_query_text(l->writer, KU_STR("SELECT pg_sleep(30)::text"), NULL, 0, &rows),
        KU_UNAVAILABLE);
    assert_non_null(strstr(db_error(l->writer), "statement timeout"));
    assert_false(db_may_retry(l->writer));
    db_rollback(l->writer);
}

/* ---- cases: what cannot be opened ------------------------------------------------------------ */

static void assert_not_opened(const lab *l, const char *url, ku_status status, const char *part)
{
    ku_error error = {.status = KU_OK};
    db *d = NULL;

    assert_int_equal(db_open(url, DB_WRITER, l->catalog, &d, &error), status);
    assert_null(d);
    assert_int_equal(error.status, status);
    if (strstr(error.message, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, error.message);
    if (strstr(error.message, "s3cret") != NULL)
        fail_msg("the password is in \"%s\"", error.message);
    assert_null(strchr(error.message, '\n'));
}

/* A server that accepts and never says a word. */
static int listen_in_silence(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    *ret_port = ntohs(address.sin_port);
    return listener;
}

/* A script is a transaction, and this is refused in one; a statement by itself is not. */
static void create_latin_database(db *d)
{
    db_rows rows = {0};

    if (db_query_text(d,
            KU_STR("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' "
                   "TEMPLATE template0"),
            NULL, 0, &rows) != KU_OK)
        fail_msg("%s", db_error(d));
    db_rows_done(&rows);
}

static void what_cannot_be_opened_is_named_and_the_password_is_not(void **state)
{
    lab *l = *state;
    const char *base = pg_server_url(server);
    char url[640];
    int port = pg_proxy_port_of(base), silent_port;
    int silent = listen_in_silence(&silent_port);

    snprintf(url, sizeof(url), "postgresql://kumiko:s3cret@127.0.0.1:%d/nowhere", port);
    assert_not_opened(l, url, KU_UNAVAILABLE, "database \"nowhere\" does not exist");
    create_latin_database(l->side);
    snprintf(url, sizeof(url), "postgresql://kumiko:s3cret@127.0.0.1:%d/latin", port);
    assert_not_opened(l, url, KU_INVALID, "database 'latin': its encoding is LATIN1, not UTF8");
    snprintf(url, sizeof(url), "postgresql://nobody:s3cret@127.0.0.1:%d/postgres", port);
    assert_not_opened(l, url, KU_UNAVAILABLE, "role \"nobody\" does not exist");
    assert_not_opened(l, "postgresql://kumiko:s3cret@127.0.0.1:1/x", KU_UNAVAILABLE,
        "\"127.0.0.1\", port 1 failed: Connection refused");
    snprintf(url, sizeof(url), "postgresql://kumiko:s3cret@127.0.0.1:%d/x", silent_port);
    assert_not_opened(l, url, KU_UNAVAILABLE, "timeout expired");
    assert_not_opened(l, "postgresql://kumiko:s3cret@127.0.0.1:port/x", KU_UNAVAILABLE, "\"port\"");
    assert_not_opened(
        l, "postgresql://kumiko:s3cret%zz@127.0.0.1/x", KU_INVALID, "percent-encoded");
    assert_not_opened(l, "postgresql://kumiko:s3cret@[::1/x", KU_INVALID, "cannot be read");
    assert_not_opened(l, "postgresql://h/x?passwort=s3cret", KU_INVALID, "\"passwort\"");
    assert_not_opened(l, "postgresl://kumiko:s3cret@h/x", KU_INVALID, "'postgresl' is no database");
    snprintf(url, sizeof(url), "%s?options=-csearch_path%%3Dnowhere", base);
    assert_not_opened(l, url, KU_NOT_FOUND, "no schema that its search_path names");
    close(silent);
}

static void of_several_hosts_the_one_that_takes_writes_is_found(void **state)
{
    lab *l = *state;
    char url[640];
    int silent_port;
    int silent = listen_in_silence(&silent_port);

    snprintf(url, sizeof(url),
        "postgresql://kumiko@127.0.0.1:1,127.0.0.1:%d,127.0.0.1:%d/postgres"
        "?target_session_attrs=read-write&connect_timeout=2",
        silent_port, pg_proxy_port_of(pg_server_url(server)));
    db *d = open_or_fail(url, DB_WRITER, l->catalog);
    assert_int_equal(insert(d, l->insert, 1, db_int(1)), KU_OK);
    db_close(d);
    close(silent);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_lab, tear_down_lab)
    const struct CMUnitTest tests[] = {
        CASE(a_session_that_ends_while_it_is_idle_is_not_noticed),
        CASE(a_session_that_ends_inside_a_transaction_takes_it_along),
        CASE(what_was_sent_with_a_commit_that_did_not_arrive_may_be_there_or_not),
        CASE(a_connection_that_is_cut_at_any_message_is_lost_or_has_committed),
        CASE(a_server_that_was_killed_and_comes_back_is_found_again),
        CASE(a_begin_waits_for_a_server_that_is_about_to_come),
        CASE(an_old_primary_is_left_so_that_the_new_one_can_be_found),
        CASE(a_frozen_session_is_given_up_and_its_commit_is_in_doubt),
        CASE(a_frozen_session_that_is_told_to_stop_is_given_up_soon),
        CASE(a_statement_that_is_stopped_ends_its_transaction_and_harms_no_other),
        CASE(a_statement_that_takes_too_long_is_not_worth_another_attempt),
        CASE(what_cannot_be_opened_is_named_and_the_password_is_not),
        CASE(of_several_hosts_the_one_that_takes_writes_is_found),
    };
    return test_engine_is_postgres() ? cmocka_run_group_tests(tests, open_server, close_server) : 0;
}
