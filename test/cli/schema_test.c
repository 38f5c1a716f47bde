/*
 * schema: tables made before the first start, printed, and compared.
 */
#include "cli/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- fixture: a database without tables, and no server --------------------------------------- */

static int open_empty(void **state)
{
    world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->database = test_database_new();
    w->folder = w->database->folder;
    process_set_database(w->database->url);
    *state = w;
    return 0;
}

#define EMPTY_TEST(f) cmocka_unit_test_setup_teardown(f, open_empty, close_world)

/* Of the log, or of the showcase. */
static int64_t count_rows(world *w, const char *table)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    return test_database_int(w->database, sql);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void apply_makes_the_tables_of_log_and_features(void **state)
{
    world *w = *state;

    ran r = SHOWCASE(w, "schema", "apply");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "version 2");
    ran_done(&r);
    assert_int_equal(count_rows(w, "ku_events"), 0);
    assert_int_equal(count_rows(w, "read_showcase_customer_revenue"), 0);

    const ku_json *again = JSON_OF(w, "schema", "apply");
    assert_text(w, again, "version", "2");
    assert_text(w, again, "featureTables.0", "read_showcase_invoices");
    assert_int_equal(count_rows(w, "ku_schema"), 2);
}

static void check_says_what_is_missing(void **state)
{
    world *w = *state;

    ran r = SHOWCASE(w, "schema", "check");
    ASSERT_CODE(&r, 4);
    ran_done(&r);
    r = RUN(w->folder, NULL, "kumiko", "schema", "apply");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    r = RUN(w->folder, NULL, "kumiko", "schema", "check");
    ASSERT_CODE(&r, 0);
    ran_done(&r);

    /* the log is there, the showcase is not */
    r = SHOWCASE(w, "schema", "check");
    ASSERT_CODE(&r, 4);
    ASSERT_SAYS(&r, "read_showcase_");
    ASSERT_SAYS(&r, "kumiko schema apply");
    ran_done(&r);
    r = SHOWCASE(w, "schema", "apply");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    const ku_json *checked = JSON_OF(w, "schema", "check");
    assert_int_equal(ku_json_count(node_at(checked, "featureTables")), 5);
}

static void check_changes_nothing(void **state)
{
    world *w = *state;

    ran r = RUN(w->folder, NULL, "kumiko", "schema", "apply");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    r = SHOWCASE(w, "schema", "check");
    ASSERT_CODE(&r, 4);
    ran_done(&r);
    assert_int_equal(
        test_database_int(w->database,
            test_by_engine("SELECT count(*) FROM sqlite_master WHERE name LIKE 'read_%'",
                "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'read_%' AND "
                "schemaname = current_schema()")),
        0);
}

static void a_newer_schema_is_refused(void **state)
{
    world *w = *state;

    ran r = SHOWCASE(w, "schema", "apply");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    damage(w, test_by_engine("INSERT INTO ku_schema VALUES (99, 0, '9.9.9')",
                  "INSERT INTO ku_schema VALUES (99, now(), '9.9.9')"));
    static const char *const verbs[] = {"apply", "check"};
    for (size_t i = 0; i < KU_COUNT(verbs); i++) {
        r = SHOWCASE(w, "schema", verbs[i]);
        ASSERT_CODE(&r, 5);
        ASSERT_SAYS(&r, "version 99");
        ASSERT_SAYS(&r, "use a newer program");
        ran_done(&r);
    }
}

static void a_server_finds_what_was_applied(void **state)
{
    world *w = *state;

    ran r = SHOWCASE(w, "schema", "apply");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    world_start(w, "showcase", NULL, NULL);
    (void)create_invoice(w, "00000000-0000-4000-8000-000000000001", "Acme");
    assert_int_equal(world_stop(w), 0);
    assert_int_equal(count_rows(w, "ku_events"), 1);
}

static void print_shows_the_sql_of_the_engine_without_a_database(void **state)
{
    static const struct {
        const char *url, *type;
    } engines[] = {
        {"sqlite:/nowhere/at/all.db",                  "BLOB NOT NULL"},
        {"postgresql://nobody@nowhere.invalid:1/none", "uuid NOT NULL"},
    };
    world *w = *state;

    for (size_t i = 0; i < KU_COUNT(engines); i++) {
        ran r = SHOWCASE(w, "schema", "print", "--database", engines[i].url);
        ASSERT_CODE(&r, 0);
        ASSERT_SAYS(&r, "CREATE TABLE ku_events");
        ASSERT_SAYS(&r, "CREATE TABLE \"read_showcase_invoices\"");
        ASSERT_SAYS(&r, "INSERT INTO ku_schema(version, applied_at, program) VALUES (2, ");
        ASSERT_SAYS(&r, engines[i].type);
        ran_done(&r);
    }
    ran r = RUN(w->folder, NULL, "kumiko", "schema", "print", "--database", "mysql:x");
    ASSERT_CODE(&r, 2);
    ran_done(&r);
}

static void what_is_not_a_verb_is_wrong_usage(void **state)
{
    world *w = *state;
    static const char *const wrong[][3] = {
        {"schema", NULL,    NULL   },
        {"schema", "drop",  NULL   },
        {"schema", "apply", "print"},
    };

    for (size_t i = 0; i < KU_COUNT(wrong); i++) {
        const char *const arguments[] = {"kumiko", wrong[i][0], wrong[i][1], wrong[i][2], NULL};
        ran r = run_program(w->folder, NULL, arguments);
        ASSERT_CODE(&r, 2);
        ran_done(&r);
    }
    ran r = RUN(w->folder, NULL, "kumiko", "schema", "print", "--json");
    ASSERT_CODE(&r, 2);
    ran_done(&r);
}

static void a_file_that_a_server_owns_is_left_to_it(void **state)
{
    world *w = *state;

    SKIP_ON_POSTGRES("servers share it");
    world_start(w, "showcase", NULL, NULL);
    ran r = SHOWCASE(w, "schema", "apply");
    ASSERT_CODE(&r, 5);
    ran_done(&r);
    const ku_json *checked = JSON_OF(w, "schema", "check");
    assert_text(w, checked, "version", "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY_TEST(apply_makes_the_tables_of_log_and_features),
        EMPTY_TEST(check_says_what_is_missing),
        EMPTY_TEST(check_changes_nothing),
        EMPTY_TEST(a_newer_schema_is_refused),
        EMPTY_TEST(a_server_finds_what_was_applied),
        EMPTY_TEST(print_shows_the_sql_of_the_engine_without_a_database),
        EMPTY_TEST(what_is_not_a_verb_is_wrong_usage),
        EMPTY_TEST(a_file_that_a_server_owns_is_left_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
