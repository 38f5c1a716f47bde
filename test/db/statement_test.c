/*
 * Statements, rows, transactions.
 */
#include "db/db_fixture.h"

#include "base/clock.h"
#include "db/sql.h"

#include <pthread.h>

/* ---- cases: values --------------------------------------------------------------------------- */

/* SQLite's columns take whatever comes; PostgreSQL's are in postgres_value_test. */
static void values_come_back_as_they_went_in(void **state)
{
    SKIP_ON_POSTGRES("a column has a type there");
    db_fixture *f = *state;
    const ku_id id = id_new((ku_time){1});
    const db_value none = db_int(0);
    db_rows rows = {0};
    bool row = false;

    assert_int_equal(insert(f->writer, f->insert, 1, db_int(INT64_MIN)), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 2, db_text(KU_STR("Söhne\0x"))), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 3, db_id(id)), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 4, db_null()), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 5, db_text_or_null((ku_str){0})), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 6, db_text((ku_str){0})), KU_OK);
    const db_value third = {.kind = DB_DOUBLE, .number = 0.1};
    assert_int_equal(insert(f->writer, f->insert, 7, third), KU_OK);

    assert_int_equal(db_query(f->reader, f->select, &none, 1, &rows), KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_true(db_column_int(&rows, 1) == INT64_MIN);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_int_equal(db_column_text(&rows, 1).len, 8);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_true(ku_id_equal(db_column_id(&rows, 1), id));
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_true(db_is_null(&rows, 1));
    assert_true(ku_id_is_nil(db_column_id(&rows, 1)));
    assert_int_equal(db_column_text(&rows, 1).len, 0);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_true(db_is_null(&rows, 1));
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_false(db_is_null(&rows, 1));
    assert_int_equal(db_column_text(&rows, 1).len, 0);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_true(db_column_double(&rows, 1) == 0.1);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_false(row);
    assert_int_equal(db_next(&rows, &row), KU_OK); /* it does not begin again */
    assert_false(row);
    db_rows_done(&rows);
    db_rows_done(&rows);
}

static void binds_are_numbered_and_not_named(void **state)
{
    db_fixture *f = *state;
    const db_value binds[] = {db_int(1), db_text(KU_STR("x")), db_int(3)};
    db_rows rows = {0};
    bool row = false;

    assert_int_equal(db_query_text(f->reader,
                         KU_STR("SELECT $3 + 0, $2, $1 + 0, $3 + 0, '$1', \"$2\" "
                                "FROM (SELECT 7 AS \"$2\") AS q"),
                         binds, 3, &rows),
        KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_int_equal(db_column_int(&rows, 0), 3);
    assert_text(db_column_text(&rows, 1), "x");
    assert_int_equal(db_column_int(&rows, 2), 1);
    assert_int_equal(db_column_int(&rows, 3), 3);
    assert_text(db_column_text(&rows, 4), "$1");
    assert_int_equal(db_column_int(&rows, 5), 7);
    db_rows_done(&rows);
}

static void names_are_quoted(void **state)
{
    buffer b = {0};

    (void)state;
    db_quote_name(&b, KU_STR("a \"name\""));
    assert_text(buffer_str(&b), "\"a \"\"name\"\"\"");
    buffer_done(&b);
}

/* ---- cases: running -------------------------------------------------------------------------- */

static void changes_are_counted_over_all_rows(void **state)
{
    db_fixture *f = *state;
    const db_value values[] = {db_int(10), db_int(1), db_int(20), db_int(2), db_int(30), db_int(3)};
    int64_t changes = -1;

    assert_int_equal(db_run_many(f->writer, f->insert_many, values, 2, 3, &changes), KU_OK);
    assert_int_equal(changes, 3);
    assert_int_equal(db_run_many(f->writer, f->insert_many, values, 2, 0, &changes), KU_OK);
    assert_int_equal(changes, 0);
    const db_value none = db_int(0);
    assert_int_equal(db_run(f->writer, f->select, &none, 1, &changes), KU_OK);
    assert_int_equal(changes, 0); /* reading changes nothing */
    assert_int_equal(count_rows(f->reader), 3);
}

static void a_second_key_is_a_unique_violation_and_the_transaction_goes_on(void **state)
{
    SKIP_ON_POSTGRES("the transaction is over there: postgres_transaction_test");
    db_fixture *f = *state;

    assert_int_equal(db_script(f->writer, KU_STR("CREATE UNIQUE INDEX u ON t(b)")), KU_OK);
    assert_int_equal(db_begin(f->writer), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(2)), KU_UNIQUE_VIOLATION);
    assert_non_null(strstr(db_error(f->writer), "UNIQUE"));
    assert_int_equal(insert(f->writer, f->insert, 2, db_int(1)), KU_UNIQUE_VIOLATION);
    assert_int_equal(insert(f->writer, f->insert, 2, db_int(2)), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_OK);
    assert_int_equal(count_rows(f->reader), 2);
}

static void what_is_not_sql_is_an_internal_error(void **state)
{
    db_fixture *f = *state;
    db_rows rows = {0};

    assert_int_equal(db_script(f->writer, KU_STR("CREATE NONSENSE")), KU_INTERNAL);
    assert_int_equal(
        db_query_text(f->reader, KU_STR("SELECT * FROM nobody"), NULL, 0, &rows), KU_INTERNAL);
    assert_non_null(strstr(db_error(f->reader), "nobody"));
    db_rows_done(&rows);
    assert_int_equal(db_script(f->reader, KU_STR("DELETE FROM t")), KU_INTERNAL); /* reads only */
}

/* ---- cases: rows ----------------------------------------------------------------------------- */

static void fill(db_fixture *f, int64_t n)
{
    assert_int_equal(db_begin(f->writer), KU_OK);
    for (int64_t a = 1; a <= n; a++)
        assert_int_equal(insert(f->writer, f->insert, a, db_int(a * a)), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_OK);
}

static void a_statement_may_be_open_twice(void **state)
{
    db_fixture *f = *state;
    int64_t pairs = 0;
    db_rows outer = {0}, inner = {0};
    bool row;

    fill(f, 5);
    db_value after = db_int(0);
    assert_int_equal(db_query(f->reader, f->select, &after, 1, &outer), KU_OK);
    after = db_int(99); /* the bind was copied */
    while (db_next(&outer, &row) == KU_OK && row) {
        const db_value from = db_int(db_column_int(&outer, 0));
        assert_int_equal(db_query(f->reader, f->select, &from, 1, &inner), KU_OK);
        while (db_next(&inner, &row) == KU_OK && row) {
            assert_true(db_column_int(&inner, 0) > db_column_int(&outer, 0));
            pairs++;
        }
        db_rows_done(&inner);
    }
    db_rows_done(&outer);
    assert_int_equal(pairs, 10);
}

static void a_text_may_be_open_twice(void **state)
{
    db_fixture *f = *state;
    const ku_str sql = KU_STR("SELECT a FROM t WHERE b > $1 ORDER BY a");
    const db_value text = db_int(3);
    db_rows outer = {0}, inner = {0};
    bool row;

    fill(f, 3);
    assert_int_equal(db_query_text(f->reader, sql, &text, 1, &outer), KU_OK);
    assert_int_equal(db_next(&outer, &row), KU_OK);
    assert_int_equal(db_query_text(f->reader, sql, &text, 1, &inner), KU_OK);
    assert_int_equal(db_next(&inner, &row), KU_OK);
    assert_int_equal(db_next(&inner, &row), KU_OK);
    assert_int_equal(db_column_int(&inner, 0), 3);
    assert_int_equal(db_column_int(&outer, 0), 2);
    db_rows_done(&inner);
    db_rows_done(&outer);
}

static void many_texts_make_room_for_each_other(void **state)
{
    db_fixture *f = *state;
    db_rows open[40] = {{0}};
    bool row;

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40; i++) { /* more than are kept, all open at once in round 1 */
            char sql[64];
            snprintf(sql, sizeof(sql), "SELECT %d", i);
            assert_int_equal(db_query_text(f->reader, ku_str_from(sql), NULL, 0, &open[i]), KU_OK);
            assert_int_equal(db_next(&open[i], &row), KU_OK);
            assert_int_equal(db_column_int(&open[i], 0), i);
            if (round == 0)
                db_rows_done(&open[i]);
        }
    }
    for (int i = 0; i < 40; i++) {
        assert_int_equal(db_column_int(&open[i], 0), i);
        db_rows_done(&open[i]);
    }
}

static void rows_that_end_half_way_leave_no_transaction_open(void **state)
{
    db_fixture *f = *state;
    const db_value none = db_int(0);
    db_rows rows = {0};
    bool row;

    fill(f, 3);
    assert_int_equal(db_query(f->reader, f->select, &none, 1, &rows), KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 9, db_int(9)), KU_OK);
    db_rows_done(&rows);
    assert_int_equal(count_rows(f->reader), 4);
}

/* ---- cases: transactions --------------------------------------------------------------------- */

static void savepoints_undo_what_came_after_them(void **state)
{
    db_fixture *f = *state;

    assert_int_equal(db_begin(f->writer), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    assert_int_equal(db_savepoint(f->writer), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 2, db_int(1)), KU_OK);
    db_rollback_to(f->writer);
    assert_int_equal(db_savepoint(f->writer), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 3, db_int(1)), KU_OK);
    assert_int_equal(db_release(f->writer), KU_OK);
    assert_int_equal(count_rows(f->writer), 2);
    assert_int_equal(count_rows(f->reader), 0);
    assert_int_equal(db_commit(f->writer), KU_OK);
    assert_int_equal(count_rows(f->reader), 2);
    db_rollback(f->writer); /* nothing to roll back */
    assert_int_equal(count_rows(f->reader), 2);
}

static void a_readers_transaction_is_one_snapshot(void **state)
{
    db_fixture *f = *state;

    assert_int_equal(db_begin(f->reader), KU_OK);
    assert_int_equal(count_rows(f->reader), 0);
    fill(f, 3);
    assert_int_equal(count_rows(f->reader), 0);
    assert_int_equal(db_commit(f->reader), KU_OK);
    assert_int_equal(count_rows(f->reader), 3);
}

/* ---- cases: stopping ------------------------------------------------------------------------- */

static const char endless[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/* Where a query is run when it is begun, and where it is run when its rows are read. */
static ku_status run_endless(db *d)
{
    db_rows rows = {0};
    bool row = true;

    ku_status status = db_query_text(d, ku_str_from(endless), NULL, 0, &rows);
    if (status == KU_OK) {
        status = db_next(&rows, &row);
        assert_false(row);
    }
    db_rows_done(&rows);
    return status;
}

static bool stop_soon(void *context)
{
    return ++*(int *)context > 3;
}

static void a_watched_statement_can_be_stopped(void **state)
{
    db_fixture *f = *state;
    int asked = 0;

    db_watch(f->reader, stop_soon, &asked);
    assert_int_equal(run_endless(f->reader), KU_CANCELLED);
    assert_int_equal(asked, 4);
    db_watch(f->reader, NULL, NULL);
    assert_int_equal(count_rows(f->reader), 0); /* it works on */
}

static void *interrupt_until_told(void *context)
{
    struct {
        db *d;
        atomic_bool stopped;
    } *job = context;

    while (!atomic_load(&job->stopped)) {
        db_interrupt(job->d);
        usleep(1000);
    }
    return NULL;
}

static void a_statement_is_interrupted_from_another_thread(void **state)
{
    db_fixture *f = *state;
    struct {
        db *d;
        atomic_bool stopped;
    } job = {.d = f->reader};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, interrupt_until_told, &job), 0);
    assert_int_equal(run_endless(f->reader), KU_CANCELLED);
    atomic_store(&job.stopped, true);
    pthread_join(thread, NULL);
}

/* ---- cases: planned faults ------------------------------------------------------------------- */

static void the_planned_call_fails_and_no_other(void **state)
{
    db_fixture *f = *state;

    db_fail_after(f->writer, 3, KU_UNAVAILABLE);
    assert_int_equal(db_begin(f->writer), KU_OK);
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    assert_int_equal(db_commit(f->writer), KU_UNAVAILABLE);
    assert_non_null(strstr(db_error(f->writer), "told to fail"));
    assert_int_equal(count_rows(f->reader), 0); /* a commit that fails has rolled back */
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK);
    assert_int_equal(count_rows(f->reader), 1);
}

static void statements_have_texts(void **state)
{
    db_fixture *f = *state;

    assert_text(db_statement_text(f->writer, f->insert), "INSERT INTO t(a, b) VALUES ($2, $1)");
    ku_str schema = db_statement_text(f->writer, SQL_SCHEMA_1);
    assert_non_null(strstr(schema.ptr, "CREATE TABLE ku_events"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(values_come_back_as_they_went_in),
        CASE(binds_are_numbered_and_not_named),
        CASE(names_are_quoted),
        CASE(changes_are_counted_over_all_rows),
        CASE(a_second_key_is_a_unique_violation_and_the_transaction_goes_on),
        CASE(what_is_not_sql_is_an_internal_error),
        CASE(a_statement_may_be_open_twice),
        CASE(a_text_may_be_open_twice),
        CASE(many_texts_make_room_for_each_other),
        CASE(rows_that_end_half_way_leave_no_transaction_open),
        CASE(savepoints_undo_what_came_after_them),
        CASE(a_readers_transaction_is_one_snapshot),
        CASE(a_watched_statement_can_be_stopped),
        CASE(a_statement_is_interrupted_from_another_thread),
        CASE(the_planned_call_fails_and_no_other),
        CASE(statements_have_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
