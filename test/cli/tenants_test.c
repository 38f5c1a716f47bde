/*
 * tenants: which there are, their lanes, and the roles that may see one.
 */
#include "cli/world.h"

#include "support/http_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TENANT_UNKNOWN "00000000-0000-4000-8000-00000000ffff"

/* Where one process owns the file, a change waits until the server is gone. */
static void make_room(world *w)
{
    if (!test_engine_is_postgres())
        assert_int_equal(world_stop(w), 0);
}

static const ku_json *tenant_of(world *w, const char *id)
{
    return item_with(JSON_OF(w, "tenants", "list"), "tenantId", id);
}

/* ---- cases: lanes ---------------------------------------------------------------------------- */

static void tenants_are_listed_with_lanes_and_events(void **state)
{
    world *w = *state;

    const ku_json *all = JSON_OF(w, "tenants");
    assert_int_equal(ku_json_count(all), 2);
    assert_text(w, item_with(all, "tenantId", TEST_TENANT), "events", "3");
    assert_text(w, item_with(all, "tenantId", TEST_TENANT), "lanes", "1");
    assert_text(w, item_with(all, "tenantId", TEST_TENANT_OTHER), "events", "1");

    ran r = SHOWCASE(w, "tenants", "list");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "TENANT");
    ASSERT_SAYS(&r, TEST_TENANT_OTHER);
    ran_done(&r);
}

static void more_lanes_are_for_streams_that_begin_from_then_on(void **state)
{
    world *w = *state;

    make_room(w);
    ran r = SHOWCASE(w, "tenants", "set-lanes", TEST_TENANT, "8");
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, "8 lanes");
    ran_done(&r);
    assert_text(w, tenant_of(w, TEST_TENANT), "lanes", "8");
    assert_text(w, tenant_of(w, TEST_TENANT_OTHER), "lanes", "1");

    if (w->running)
        assert_int_equal(world_stop(w), 0);
    world_start(w, "showcase", NULL, NULL);
    for (int i = 0; i < 60; i++)
        (void)create_invoice(w, TEST_TENANT, "Acme");
    assert_int_equal(test_database_int(w->database, "SELECT max(lane) > 0 FROM ku_lanes"), 1);
    assert_int_equal(
        test_database_int(w->database, "SELECT count(*) FROM ku_lanes WHERE lane > 7"), 0);
    char sql[128];
    char id[40];
    ku_id paid;
    assert_true(ku_id_parse(ku_str_from(w->paid), &paid));
    (void)snprintf(sql, sizeof(sql), "SELECT lane FROM ku_streams WHERE stream_id = %s",
        test_id_literal(paid, id));
    assert_int_equal(test_database_int(w->database, sql), 0);
    r = SHOWCASE(w, "check");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
}

static void a_running_server_hears_of_more_lanes(void **state)
{
    world *w = *state;
    bool spread = false;

    if (!test_engine_is_postgres())
        skip(); /* a running server has the file for itself */
    ran r = SHOWCASE(w, "tenants", "set-lanes", TEST_TENANT, "8");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    for (int i = 0; i < 600 && !spread; i++) {
        (void)usleep(100000);
        (void)create_invoice(w, TEST_TENANT, "Acme");
        spread = test_database_int(w->database, "SELECT max(lane) FROM ku_lanes") > 0;
    }
    assert_true(spread);
}

static void lanes_are_never_taken_away(void **state)
{
    static const char *const wrong[] = {"0", "65", "four", "-1"};
    world *w = *state;

    make_room(w);
    const ku_json *set = JSON_OF(w, "tenants", "set-lanes", TENANT_UNKNOWN, "4");
    assert_text(w, set, "tenantId", TENANT_UNKNOWN);
    assert_text(w, set, "lanes", "4");
    ran r = SHOWCASE(w, "tenants", "set-lanes", TENANT_UNKNOWN, "2");
    ASSERT_CODE(&r, 2);
    ASSERT_SAYS(&r, "only be raised");
    ran_done(&r);
    assert_text(w, tenant_of(w, TENANT_UNKNOWN), "lanes", "4");
    assert_text(w, tenant_of(w, TENANT_UNKNOWN), "events", "0");
    for (size_t i = 0; i < KU_COUNT(wrong); i++) {
        r = SHOWCASE(w, "tenants", "set-lanes", TENANT_UNKNOWN, "--", wrong[i]);
        ASSERT_CODE(&r, 2);
        ran_done(&r);
    }
}

static void a_file_is_changed_by_one_process(void **state)
{
    world *w = *state;

    SKIP_ON_POSTGRES("servers share it");
    ran r = SHOWCASE(w, "tenants", "set-lanes", TEST_TENANT, "2");
    ASSERT_CODE(&r, 5);
    ran_done(&r);
    assert_text(w, tenant_of(w, TEST_TENANT), "lanes", "1");
}

static void wrong_usage_is_told(void **state)
{
    world *w = *state;
    static const char *const wrong[][4] = {
        {"destroy",     NULL,        NULL, NULL},
        {"list",        "x",         NULL, NULL},
        {"set-lanes",   NULL,        NULL, NULL},
        {"set-lanes",   TEST_TENANT, NULL, NULL},
        {"set-lanes",   "no-uuid",   "2",  NULL},
        {"set-lanes",   TEST_TENANT, "2",  "3" },
        {"allow-role",  TEST_TENANT, NULL, NULL},
        {"revoke-role", NULL,        NULL, NULL},
    };

    for (size_t i = 0; i < KU_COUNT(wrong); i++) {
        const char *const arguments[] = {
            "showcase", "tenants", wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], NULL};
        ran r = run_program(w->folder, NULL, arguments);
        ASSERT_CODE(&r, 2);
        ran_done(&r);
    }
}

/* ---- cases: roles ---------------------------------------------------------------------------- */

/* What a role counts when it asks for all invoices; INT64_MIN if it may not ask. */
static int64_t invoices_seen_by(world *w, const char *role)
{
    char sql[512];
    test_database as_role = *w->database;

    (void)snprintf(
        as_role.url, sizeof(as_role.url), "%.900s%%20-crole%%3D%s", w->database->url, role);
    (void)snprintf(sql, sizeof(sql),
        "SELECT CASE WHEN has_table_privilege('%s', "
        "'%s.read_showcase_invoices', 'SELECT') THEN (SELECT count(*) FROM "
        "%s.read_showcase_invoices) ELSE -1 END",
        role, w->database->schema, w->database->schema);
    return test_database_int(&as_role, sql);
}

static void a_role_is_let_in_and_sent_away(void **state)
{
    world *w = *state;
    char role[80], sql[256];

    if (!test_engine_is_postgres())
        skip(); /* see sqlite_knows_no_roles */
    (void)snprintf(role, sizeof(role), "role_%s", w->database->schema);
    (void)snprintf(sql, sizeof(sql), "CREATE ROLE %s", role);
    damage(w, sql);

    ran r = SHOWCASE(w, "tenants", "allow-role", TEST_TENANT, role);
    ASSERT_CODE(&r, 0);
    ASSERT_SAYS(&r, role);
    ran_done(&r);
    assert_int_equal(
        test_database_int(w->database, "SELECT count(*) FROM read_showcase_invoices"), 2);
    assert_int_equal(invoices_seen_by(w, role), 1);
    const ku_json *allowed = JSON_OF(w, "tenants", "allow-role", TEST_TENANT_OTHER, role);
    assert_text(w, allowed, "allowed", "true");
    assert_text(w, allowed, "role", role);
    assert_int_equal(invoices_seen_by(w, role), 2);

    /* what it lacks is granted again when the schema is applied */
    (void)snprintf(sql, sizeof(sql), "REVOKE ALL ON read_showcase_invoices FROM %s", role);
    damage(w, sql);
    r = SHOWCASE(w, "schema", "apply");
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    assert_int_equal(invoices_seen_by(w, role), 2);

    const ku_json *sent = JSON_OF(w, "tenants", "revoke-role", TEST_TENANT, role);
    assert_text(w, sent, "allowed", "false");
    assert_int_equal(invoices_seen_by(w, role), 1);
    r = SHOWCASE(w, "tenants", "revoke-role", TEST_TENANT, role);
    ASSERT_CODE(&r, 4);
    ran_done(&r);
    r = SHOWCASE(w, "tenants", "revoke-role", TEST_TENANT_OTHER, role);
    ASSERT_CODE(&r, 0);
    ran_done(&r);
    (void)snprintf(sql, sizeof(sql), "SELECT has_schema_privilege('%s', '%s', 'USAGE')", role,
        w->database->schema);
    assert_int_equal(test_database_int(w->database, sql), 0);
    (void)snprintf(sql, sizeof(sql), "DROP ROLE %s", role);
    damage(w, sql); /* nothing depends on it any more */
}

static void only_a_role_that_the_wall_binds_is_let_in(void **state)
{
    world *w = *state;

    if (!test_engine_is_postgres())
        skip(); /* see sqlite_knows_no_roles */
    ran r = SHOWCASE(w, "tenants", "allow-role", TEST_TENANT, "nobody_at_all");
    ASSERT_CODE(&r, 4);
    ASSERT_SAYS(&r, "nobody_at_all");
    ran_done(&r);
    char *owner = test_database_text(w->database, "SELECT current_user");
    r = SHOWCASE(w, "tenants", "allow-role", TEST_TENANT, owner);
    ASSERT_CODE(&r, 6);
    ASSERT_SAYS(&r, "no policy binds");
    ran_done(&r);
    free(owner);
}

static void sqlite_knows_no_roles(void **state)
{
    world *w = *state;

    SKIP_ON_POSTGRES("it has roles");
    make_room(w);
    ran r = SHOWCASE(w, "tenants", "allow-role", TEST_TENANT, "somebody");
    ASSERT_CODE(&r, 6);
    ASSERT_SAYS(&r, "PostgreSQL");
    ran_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHOWCASE_TEST(tenants_are_listed_with_lanes_and_events),
        SHOWCASE_TEST(more_lanes_are_for_streams_that_begin_from_then_on),
        SHOWCASE_TEST(a_running_server_hears_of_more_lanes),
        SHOWCASE_TEST(lanes_are_never_taken_away),
        SHOWCASE_TEST(a_file_is_changed_by_one_process),
        SHOWCASE_TEST(wrong_usage_is_told),
        SHOWCASE_TEST(a_role_is_let_in_and_sent_away),
        SHOWCASE_TEST(only_a_role_that_the_wall_binds_is_let_in),
        SHOWCASE_TEST(sqlite_knows_no_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
