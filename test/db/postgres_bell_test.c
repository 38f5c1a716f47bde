/*
 * PostgreSQL: the bell that processes with the same database hear.
 */
#include "db/db_fixture.h"

#include <sys/eventfd.h>

/* ---- helpers --------------------------------------------------------------------------------- */

static bool hears(db *d, int timeout_ms)
{
    bool rung = false;

    if (db_bell_wait(d, -1, timeout_ms, &rung) != KU_OK)
        fail_msg("%s", db_error(d));
    return rung;
}

static void ring(db *d)
{
    if (db_bell_ring(d) != KU_OK)
        fail_msg("%s", db_error(d));
}

static void listen_to_bell(db *d)
{
    if (db_bell_listen(d) != KU_OK)
        fail_msg("%s", db_error(d));
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void a_ring_is_heard_by_others_and_not_by_oneself(void **state)
{
    db_fixture *f = *state;
    db *another = open_or_fail(f->url, DB_WRITER, f->catalog);

    listen_to_bell(f->writer);
    listen_to_bell(another);
    assert_false(hears(f->writer, 0));
    ring(another);
    assert_true(hears(f->writer, 30000));
    assert_false(hears(another, 50));
    assert_false(hears(f->writer, 50)); /* once */
    ring(f->writer);
    ring(f->writer);
    assert_true(hears(another, 30000));
    ring(another);
    assert_true(hears(f->writer, -1));
    db_close(another);
}

static void a_ring_in_another_schema_is_not_heard(void **state)
{
    db_fixture *f = *state;
    test_database *elsewhere = test_database_new();
    db *another = open_or_fail(elsewhere->url, DB_WRITER, f->catalog);

    listen_to_bell(f->writer);
    ring(another);
    ring(another);
    assert_false(hears(f->writer, 100));
    db_close(another);
    test_database_free(elsewhere);
}

static void a_wait_ends_when_the_descriptor_is_readable(void **state)
{
    db_fixture *f = *state;
    int wake = eventfd(1, EFD_NONBLOCK);
    bool rung = true;

    listen_to_bell(f->writer);
    assert_int_equal(db_bell_wait(f->writer, wake, -1, &rung), KU_OK);
    assert_false(rung);
    close(wake);
}

static void a_lost_bell_is_told_and_can_be_listened_to_again(void **state)
{
    db_fixture *f = *state;
    bool rung = true;

    db_rows rows = {0};
    bool row;
    assert_int_equal(db_query_text(f->writer,
                         KU_STR("SELECT format('SELECT pg_terminate_backend(%s, 10000)', "
                                "pg_backend_pid())"),
                         NULL, 0, &rows),
        KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    ku_str terminate = db_column_text(&rows, 0);
    listen_to_bell(f->writer);
    db *another = open_or_fail(f->url, DB_WRITER, f->catalog);
    assert_int_equal(db_script(another, terminate), KU_OK);
    db_rows_done(&rows);
    assert_int_equal(db_bell_wait(f->writer, -1, -1, &rung), KU_UNAVAILABLE);
    assert_false(rung);
    assert_true(db_may_retry(f->writer));
    assert_int_equal(db_bell_wait(f->writer, -1, -1, &rung), KU_UNAVAILABLE);
    listen_to_bell(f->writer);
    ring(another);
    assert_true(hears(f->writer, 30000));
    db_close(another);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_ring_is_heard_by_others_and_not_by_oneself),
        CASE(a_ring_in_another_schema_is_not_heard),
        CASE(a_wait_ends_when_the_descriptor_is_readable),
        CASE(a_lost_bell_is_told_and_can_be_listened_to_again),
    };
    return test_engine_is_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
