/*
 * PostgreSQL: what a transaction costs, what it asks ahead, and how it ends.
 */
#include "db/db_fixture.h"

/* ---- helpers --------------------------------------------------------------------------------- */

typedef struct traffic {
    const db *d;
    db_traffic_count before;
} traffic;

static traffic count_from_now(const db *d)
{
    traffic t = {.d = d};

    db_traffic(d, &t.before);
    return t;
}

static void assert_traffic(const traffic *t, int64_t round_trips, int64_t statements)
{
    db_traffic_count now;

    db_traffic(t->d, &now);
    assert_int_equal(now.round_trips - t->before.round_trips, round_trips);
    assert_int_equal(now.statements - t->before.statements, statements);
}

static void begin(db *d)
{
    assert_int_equal(db_begin(d), KU_OK);
}

static ku_status send_pair(const db_fixture *f, int64_t a, int64_t *changes)
{
    const db_value values[] = {db_int(10 * a), db_int(a), db_int(10 * a + 1), db_int(a + 1)};

    return db_send_many(f->writer, f->insert_many, values, 2, 2, changes);
}

/* The b of the first row behind `a`, or -1. */
static int64_t select_after(const db_fixture *f, db *d, int64_t a)
{
    const db_value after = db_int(a);
    db_rows rows = {0};
    bool row;

    assert_int_equal(db_query(d, f->select, &after, 1, &rows), KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    int64_t b = row ? db_column_int(&rows, 1) : -1;
    db_rows_done(&rows);
    return b;
}

static void prefetch_after(const db_fixture *f, db *d, int64_t a)
{
    const db_value after = db_int(a);

    db_prefetch(d, f->select, &after, 1);
}

/* Everything is prepared, and the answers to what came before are read. */
static void warm_up(db_fixture *f)
{
    assert_int_equal(select_after(f, f->reader, 0), -1);
    assert_int_equal(select_after(f, f->writer, 0), -1);
    begin(f->writer);
    assert_int_equal(send_pair(f, 1, NULL), KU_OK);
    assert_int_equal(db_settle(f->writer), KU_OK);
    db_rollback(f->writer);
}

/* ---- cases: what it costs -------------------------------------------------------------------- */

static void a_read_that_was_announced_is_one_round_trip(void **state)
{
    db_fixture *f = *state;

    warm_up(f);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(7)), KU_OK);
    traffic t = count_from_now(f->reader);
    begin(f->reader);
    prefetch_after(f, f->reader, 0);
    prefetch_after(f, f->reader, 5);
    assert_int_equal(select_after(f, f->reader, 0), 7);
    assert_int_equal(select_after(f, f->reader, 5), -1);
    db_rollback(f->reader);
    assert_traffic(&t, 1, 2);
}

static void writes_are_one_round_trip_and_what_follows_goes_with_the_commit(void **state)
{
    db_fixture *f = *state;
    const db_value more[] = {db_int(1), db_int(71), db_int(2), db_int(72)};
    int returning = db_catalog_add(f->catalog,
        KU_STR("INSERT INTO t(a, b) SELECT a, b FROM unnest($2::bigint[], $1::bigint[]) n(a, b) "
               "RETURNING a"));
    db_rows rows = {0};
    bool row;

    db_close(f->writer); /* the catalog has grown */
    f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
    warm_up(f);
    for (int round = 0; round < 2; round++) { /* prepared in the first */
        traffic t = count_from_now(f->writer);
        begin(f->writer);
        for (int64_t i = 0; i < 3; i++)
            assert_int_equal(send_pair(f, 10 * i + 1, NULL), KU_OK);
        assert_int_equal(db_query_many(f->writer, returning, more, 2, 2, &rows), KU_OK);
        assert_int_equal(db_next(&rows, &row), KU_OK);
        assert_int_equal(db_column_int(&rows, 0), 71);
        db_rows_done(&rows);
        assert_int_equal(send_pair(f, 91, NULL), KU_OK);
        if (round == 0) {
            db_rollback(f->writer);
            assert_int_equal(count_rows(f->writer), 0);
        } else {
            assert_int_equal(db_commit(f->writer), KU_OK);
            assert_traffic(&t, 2, 5);
        }
    }
    assert_int_equal(count_rows(f->reader), 10);
}

static void a_transaction_without_statements_costs_nothing(void **state)
{
    db_fixture *f = *state;

    warm_up(f);
    traffic writer = count_from_now(f->writer), reader = count_from_now(f->reader);
    for (int i = 0; i < 3; i++) {
        begin(f->writer);
        assert_int_equal(db_commit(f->writer), KU_OK);
        begin(f->reader);
        assert_int_equal(db_commit(f->reader), KU_OK);
        begin(f->writer);
        assert_int_equal(db_settle(f->writer), KU_OK);
        db_rollback(f->writer);
    }
    assert_traffic(&writer, 0, 0);
    assert_traffic(&reader, 0, 0);
}

static void a_thousand_rows_are_one_statement(void **state)
{
    enum { ROWS = 1000 };
    db_fixture *f = *state;
    db_value values[2 * ROWS];
    int64_t changes = -1, none = -1;

    warm_up(f);
    for (int64_t i = 0; i < ROWS; i++) {
        values[2 * i] = i % 3 == 0 ? db_null() : db_int(i);
        values[2 * i + 1] = db_int(i + 1);
    }
    traffic t = count_from_now(f->writer);
    begin(f->writer);
    assert_int_equal(db_send_many(f->writer, f->insert_many, values, 2, ROWS, &changes), KU_OK);
    assert_int_equal(db_send_many(f->writer, f->insert_many, values, 2, 0, &none), KU_OK);
    assert_int_equal(db_settle(f->writer), KU_OK);
    assert_int_equal(changes, ROWS);
    assert_int_equal(none, 0);
    assert_int_equal(db_commit(f->writer), KU_OK);
    assert_traffic(&t, 2, 1);
    assert_int_equal(count_rows(f->reader), ROWS);
    assert_int_equal(
        db_run_many(f->writer, f->insert_many, values, 2, 1, &changes), KU_UNIQUE_VIOLATION);
    assert_int_equal(db_run_many(f->writer, f->insert_many, values, 2, 0, &changes), KU_OK);
    assert_int_equal(changes, 0);
}

/* ---- cases: asking ahead --------------------------------------------------------------------- */

static void an_answer_that_was_asked_for_is_given_once_and_to_the_same_question(void **state)
{
    db_fixture *f = *state;

    warm_up(f);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    begin(f->writer);
    prefetch_after(f, f->writer, 0);
    assert_int_equal(db_settle(f->writer), KU_OK);
    prefetch_after(f, f->writer, -1);
    prefetch_after(f, f->writer, -2);
    traffic t = count_from_now(f->writer);
    assert_int_equal(select_after(f, f->writer, -2), 1);
    assert_traffic(&t, 1, 0);
    assert_int_equal(select_after(f, f->writer, 0), 1);
    assert_traffic(&t, 1, 0);
    assert_int_equal(select_after(f, f->writer, 0), 1); /* asked anew */
    assert_traffic(&t, 2, 1);
    assert_int_equal(insert(f->writer, f->insert, 0, db_int(5)), KU_OK);
    t = count_from_now(f->writer);
    assert_int_equal(select_after(f, f->writer, -1), 5); /* a write: what was there may not be */
    assert_traffic(&t, 1, 1);
    db_rollback(f->writer);
    t = count_from_now(f->writer);
    begin(f->writer); /* what was not taken is forgotten */
    assert_int_equal(select_after(f, f->writer, -1), 1);
    assert_traffic(&t, 1, 1);
    db_rollback(f->writer);
}

static void a_writer_has_nothing_open_on_the_server_before_it_writes(void **state)
{
    static const char open[] = "SELECT count(*) FROM pg_stat_activity WHERE "
                               "state LIKE 'idle in transaction%' AND pid <> pg_backend_pid() AND "
                               "query LIKE '%a > $1%'";
    db_fixture *f = *state;
    db_rows rows = {0};
    bool row = false;

    begin(f->writer);
    assert_int_equal(select_after(f, f->writer, 0), -1);
    assert_int_equal(db_query_text(f->reader, ku_str_from(open), NULL, 0, &rows), KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_int_equal(db_column_int(&rows, 0), 0);
    db_rows_done(&rows);
    assert_true(db_intact(f->writer));
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    db_rollback(f->writer);
    assert_int_equal(select_after(f, f->reader, 0), -1);
}

static void the_question_that_was_asked_ahead_and_fails_fails_the_query(void **state)
{
    db_fixture *f = *state;
    int divide = db_catalog_add(f->catalog, KU_STR("SELECT 12 / $1::bigint"));
    db_rows rows = {0};
    db_value divisor = db_int(0);

    db_close(f->reader);
    f->reader = open_or_fail(f->url, DB_READER, f->catalog);
    divisor = db_int(3);
    assert_int_equal(db_query(f->reader, divide, &divisor, 1, &rows), KU_OK);
    db_rows_done(&rows);
    begin(f->reader);
    divisor = db_int(0);
    db_prefetch(f->reader, divide, &divisor, 1);
    assert_int_equal(db_query(f->reader, divide, &divisor, 1, &rows), KU_INTERNAL);
    assert_non_null(strstr(db_error(f->reader), "division by zero"));
    assert_false(db_intact(f->reader));
    db_rollback(f->reader);
    assert_int_equal(select_after(f, f->reader, 0), -1);
}

static void many_questions_asked_ahead_find_their_answers_in_any_order(void **state)
{
    enum { ROWS = 500 };
    db_fixture *f = *state;

    begin(f->writer);
    for (int64_t a = 1; a <= ROWS; a++)
        assert_int_equal(insert(f->writer, f->insert, a, db_int(a * a)), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_OK);
    assert_int_equal(select_after(f, f->reader, 0), 1);
    traffic t = count_from_now(f->reader);
    begin(f->reader);
    for (int64_t a = 0; a < ROWS; a++)
        prefetch_after(f, f->reader, a);
    for (int64_t i = 0; i < ROWS; i++) {
        int64_t a = i * 7 % ROWS;
        assert_int_equal(select_after(f, f->reader, a), (a + 1) * (a + 1));
    }
    assert_traffic(&t, 1, ROWS);
    db_rollback(f->reader);
}

/* ---- cases: failures ------------------------------------------------------------------------- */

static void after_a_failure_every_call_fails_alike_until_the_rollback(void **state)
{
    db_fixture *f = *state;
    db_rows rows = {0};
    int64_t changes;
    const db_value after = db_int(0);

    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    begin(f->writer);
    assert_true(db_intact(f->writer));
    assert_int_equal(insert(f->writer, f->insert, 2, db_int(1)), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(2)), KU_UNIQUE_VIOLATION);
    assert_non_null(strstr(db_error(f->writer), "t_pkey"));
    assert_false(db_intact(f->writer));
    assert_false(db_may_retry(f->writer));
    traffic t = count_from_now(f->writer);
    assert_int_equal(insert(f->writer, f->insert, 3, db_int(1)), KU_UNIQUE_VIOLATION);
    assert_int_equal(db_query(f->writer, f->select, &after, 1, &rows), KU_UNIQUE_VIOLATION);
    assert_int_equal(send_pair(f, 50, &changes), KU_UNIQUE_VIOLATION);
    assert_int_equal(db_settle(f->writer), KU_UNIQUE_VIOLATION);
    assert_int_equal(db_savepoint(f->writer), KU_UNIQUE_VIOLATION);
    assert_int_equal(db_script(f->writer, KU_STR("SELECT 1")), KU_UNIQUE_VIOLATION);
    assert_int_equal(
        db_query_text(f->writer, KU_STR("SELECT 1"), NULL, 0, &rows), KU_UNIQUE_VIOLATION);
    prefetch_after(f, f->writer, 0);
    assert_traffic(&t, 0, 0);
    assert_non_null(strstr(db_error(f->writer), "t_pkey"));
    db_rollback(f->writer);
    assert_non_null(strstr(db_error(f->writer), "t_pkey"));
    assert_int_equal(count_rows(f->writer), 1);
    assert_int_equal(insert(f->writer, f->insert, 2, db_int(1)), KU_OK);
}

static void what_was_sent_and_fails_fails_whatever_waits_first(void **state)
{
    db_fixture *f = *state;
    int64_t first = -1, second = -1;
    const db_value after = db_int(0);
    db_rows rows = {0};

    warm_up(f);
    assert_int_equal(insert(f->writer, f->insert, 12, db_int(1)), KU_OK);
    for (int waiter = 0; waiter < 3; waiter++) {
        begin(f->writer);
        assert_int_equal(send_pair(f, 21, &first), KU_OK);
        assert_int_equal(send_pair(f, 11, &second), KU_OK); /* 12 is taken */
        if (waiter == 0) {
            assert_int_equal(db_settle(f->writer), KU_UNIQUE_VIOLATION);
            assert_int_equal(first, 2);
        } else if (waiter == 1) {
            assert_int_equal(db_query(f->writer, f->select, &after, 1, &rows), KU_UNIQUE_VIOLATION);
        }
        assert_int_equal(db_commit(f->writer), KU_UNIQUE_VIOLATION);
        assert_false(db_outcome_unknown(f->writer));
        assert_int_equal(count_rows(f->writer), 1);
    }
}

static void a_commit_that_the_server_refuses_is_a_failure(void **state)
{
    db_fixture *f = *state;

    run_script(f->writer, "CREATE TABLE u(a bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    begin(f->writer);
    run_script(f->writer, "INSERT INTO u VALUES (1), (1)");
    assert_int_equal(db_commit(f->writer), KU_UNIQUE_VIOLATION);
    assert_false(db_outcome_unknown(f->writer));
    assert_false(db_intact(f->writer));
    assert_int_equal(db_commit(f->writer), KU_INTERNAL); /* there is no transaction any more */
    begin(f->writer);
    assert_int_equal(db_begin(f->writer), KU_INTERNAL);
    run_script(f->writer, "INSERT INTO u VALUES (1)");
    assert_int_equal(db_commit(f->writer), KU_OK);
}

static void rows_that_wait_for_each_other_fail_one_of_the_two_which_may_try_again(void **state)
{
    db_fixture *f = *state;
    db *other = open_or_fail(f->url, DB_WRITER, f->catalog);

    begin(f->writer);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    begin(other);
    run_script(other, "SET LOCAL lock_timeout = '100ms'");
    assert_int_equal(insert(other, f->insert, 1, db_int(1)), KU_UNAVAILABLE);
    assert_true(db_may_retry(other));
    assert_false(db_outcome_unknown(other));
    db_rollback(other);
    assert_true(db_may_retry(other));
    assert_int_equal(db_commit(f->writer), KU_OK);
    db_close(other);
}

/* ---- cases: savepoints ----------------------------------------------------------------------- */

static void a_savepoint_brings_a_failed_transaction_back(void **state)
{
    db_fixture *f = *state;

    begin(f->writer);
    assert_int_equal(db_savepoint(f->writer), KU_OK); /* the first thing of all */
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    assert_int_equal(db_savepoint(f->writer), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_UNIQUE_VIOLATION);
    db_rollback_to(f->writer);
    assert_true(db_intact(f->writer));
    assert_int_equal(insert(f->writer, f->insert, 2, db_int(1)), KU_OK);
    assert_int_equal(db_savepoint(f->writer), KU_OK);
    assert_int_equal(send_pair(f, 2, NULL), KU_OK); /* fails later, and is undone before */
    db_rollback_to(f->writer);
    assert_true(db_intact(f->writer));
    assert_int_equal(db_release(f->writer), KU_OK);
    assert_int_equal(db_release(f->writer), KU_INTERNAL); /* there is none left */
    assert_int_equal(db_commit(f->writer), KU_OK);
    assert_int_equal(count_rows(f->reader), 2);
}

static void a_savepoint_behind_a_failure_saves_nothing(void **state)
{
    db_fixture *f = *state;

    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    begin(f->writer);
    assert_int_equal(db_savepoint(f->writer), KU_OK);
    assert_int_equal(send_pair(f, 1, NULL), KU_OK); /* fails, but that is not known yet */
    assert_int_equal(db_savepoint(f->writer), KU_OK);
    db_rollback_to(f->writer);
    assert_false(db_intact(f->writer));
    assert_int_not_equal(db_release(f->writer), KU_OK);
    db_rollback_to(f->writer); /* this one was before it */
    assert_true(db_intact(f->writer));
    assert_int_equal(insert(f->writer, f->insert, 2, db_int(1)), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_OK);
    assert_int_equal(count_rows(f->reader), 2);
}

/* ---- cases: scripts -------------------------------------------------------------------------- */

static void a_script_belongs_to_the_transaction_it_runs_in(void **state)
{
    db_fixture *f = *state;

    begin(f->writer);
    assert_int_equal(send_pair(f, 1, NULL), KU_OK);
    run_script(f->writer, "CREATE TABLE v(a bigint); INSERT INTO v SELECT a FROM t");
    db_rollback(f->writer);
    assert_int_equal(db_script(f->writer, KU_STR("SELECT * FROM v")), KU_INTERNAL);
    /* Outside of one it is a transaction of its own. */
    assert_int_equal(
        db_script(f->writer, KU_STR("CREATE TABLE v(a bigint); SELECT 1/0")), KU_INTERNAL);
    assert_int_equal(db_script(f->writer, KU_STR("SELECT * FROM v")), KU_INTERNAL);
    assert_int_equal(db_script(f->writer, KU_STR("COPY t TO STDOUT")), KU_INTERNAL);
    assert_int_equal(db_script(f->writer, KU_STR("CREATE TABLE v(a bigint)")), KU_OK);
    assert_int_equal(count_rows(f->writer), 0);
}

static bool has_setting(db *d, const char *sql, const char *value)
{
    db_rows rows = {0};
    bool row, same;

    assert_int_equal(db_query_text(d, ku_str_from(sql), NULL, 0, &rows), KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    same = ku_str_is(db_column_text(&rows, 0), value);
    db_rows_done(&rows);
    return same;
}

static void the_servers_limit_does_not_bind_a_script_and_holds_again_behind_it(void **state)
{
    db_fixture *f = *state;
    static const char limit[] = "SELECT current_setting('statement_timeout')";

    run_script(f->writer, "DO $$ BEGIN "
                          "ASSERT current_setting('statement_timeout') = '0'; END $$");
    assert_true(has_setting(f->writer, limit, "10s"));
    assert_int_equal(db_script(f->writer, KU_STR("SELECT 1/0")), KU_INTERNAL);
    assert_true(has_setting(f->writer, limit, "10s"));
    begin(f->writer);
    assert_int_equal(db_script(f->writer, KU_STR("SELECT 1/0")), KU_INTERNAL);
    db_rollback(f->writer);
    assert_true(has_setting(f->writer, limit, "10s"));
}

static void end_session_of(db *victim, db *by)
{
    static const char own[] = "SELECT format('SELECT pg_terminate_backend(%s, 10000)', "
                              "pg_backend_pid())";
    char end[128];
    db_rows rows = {0};
    bool row;

    assert_int_equal(db_query_text(victim, ku_str_from(own), NULL, 0, &rows), KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    snprintf(end, sizeof(end), "%" KU_PRI, KU_FMT(db_column_text(&rows, 0)));
    db_rows_done(&rows);
    run_script(by, end);
}

static void a_patient_connection_has_no_limit_and_neither_has_the_next(void **state)
{
    static const char limit[] = "SELECT current_setting('statement_timeout')";
    db_fixture *f = *state;

    assert_true(has_setting(f->reader, limit, "10s"));
    assert_int_equal(db_be_patient(f->reader), KU_OK);
    assert_true(has_setting(f->reader, limit, "0"));
    end_session_of(f->reader, f->writer);
    (void)db_script(f->reader, KU_STR("SELECT 1")); /* finds that the connection is lost */
    assert_true(has_setting(f->reader, limit, "0"));
}

static void the_session_is_set_for_its_role(void **state)
{
    db_fixture *f = *state;

    assert_true(has_setting(f->writer, "SELECT current_setting('synchronous_commit')", "on"));
    assert_true(has_setting(f->writer, "SELECT current_setting('enable_seqscan')", "off"));
    assert_true(has_setting(f->reader, "SELECT current_setting('enable_seqscan')", "on"));
    assert_true(has_setting(f->reader, "SELECT current_setting('jit')", "off"));
    begin(f->writer);
    assert_true(has_setting(
        f->writer, "SELECT current_setting('transaction_isolation')", "read committed"));
    db_rollback(f->writer);
    begin(f->reader);
    assert_true(has_setting(
        f->reader, "SELECT current_setting('transaction_isolation')", "repeatable read"));
    assert_true(has_setting(f->reader, "SELECT current_setting('transaction_read_only')", "on"));
    db_rollback(f->reader);
    assert_int_equal(db_script(f->reader, KU_STR("INSERT INTO t VALUES (1, 1)")), KU_INTERNAL);
    assert_int_equal(count_rows(f->reader), 0); /* it is still there */
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_read_that_was_announced_is_one_round_trip),
        CASE(writes_are_one_round_trip_and_what_follows_goes_with_the_commit),
        CASE(a_transaction_without_statements_costs_nothing),
        CASE(a_thousand_rows_are_one_statement),
        CASE(a_writer_has_nothing_open_on_the_server_before_it_writes),
        CASE(an_answer_that_was_asked_for_is_given_once_and_to_the_same_question),
        CASE(the_question_that_was_asked_ahead_and_fails_fails_the_query),
        CASE(many_questions_asked_ahead_find_their_answers_in_any_order),
        CASE(after_a_failure_every_call_fails_alike_until_the_rollback),
        CASE(what_was_sent_and_fails_fails_whatever_waits_first),
        CASE(a_commit_that_the_server_refuses_is_a_failure),
        CASE(rows_that_wait_for_each_other_fail_one_of_the_two_which_may_try_again),
        CASE(a_savepoint_brings_a_failed_transaction_back),
        CASE(a_savepoint_behind_a_failure_saves_nothing),
        CASE(a_script_belongs_to_the_transaction_it_runs_in),
        CASE(the_servers_limit_does_not_bind_a_script_and_holds_again_behind_it),
        CASE(a_patient_connection_has_no_limit_and_neither_has_the_next),
        CASE(the_session_is_set_for_its_role),
    };
    return test_engine_is_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
