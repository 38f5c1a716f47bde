/*
 * The wall between tenants: a role of the database that may look at one tenant tries everything.
 */
#include "store/log_fixture.h"

#include <libpq-fe.h>

/* Every table that has a tenant_id: of the log, and a read model. */
static const char *const tables[] = {"ku_lanes", "ku_streams", "ku_events", "ku_event_keys",
    "ku_snapshots", "ku_cursors", "ku_requests", "ku_tenants", "ku_tenant_roles", "ku_rate_buckets",
    "read_things"};

/* SQLite has neither roles nor policies; sqlite_has_no_roles says what happens there. */
#define SKIP_ON_SQLITE()                                                                           \
    do {                                                                                           \
        if (!test_engine_is_postgres())                                                            \
            skip();                                                                                \
    } while (0)

/* ---- helpers --------------------------------------------------------------------------------- */

typedef struct roles {
    log_fixture *log;
    char role[80]; /* roles belong to the server, so its name has the schema's in it */
    PGconn *owner, *as_role;
} roles;

static void run_as_owner(roles *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void run_as_owner(roles *r, const char *format, ...)
{
    char sql[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    PGresult *result = PQexec(r->owner, sql);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(r->owner));
    PQclear(result);
}

/* What the role gets: a number, or the SQLSTATE of the refusal (0: none). */
static int64_t count_as_role(roles *r, const char *sql, char ret_state[6])
{
    PGresult *result = PQexec(r->as_role, sql);
    const ExecStatusType status = PQresultStatus(result);
    int64_t count = -1;

    ret_state[0] = '\0';
    if (status == PGRES_TUPLES_OK)
        count = PQntuples(result) == 1 ? atoll(PQgetvalue(result, 0, 0)) : PQntuples(result);
    else if (status == PGRES_COMMAND_OK)
        count = atoll(PQcmdTuples(result));
    else
        (void)snprintf(ret_state, 6, "%s", PQresultErrorField(result, PG_DIAG_SQLSTATE));
    PQclear(result);
    return count;
}

static void assert_sees(roles *r, const char *sql, int64_t expected)
{
    char state[6];
    const int64_t count = count_as_role(r, sql, state);

    if (count != expected)
        fail_msg("%s: %lld (%s), not %lld", sql, (long long)count, PQerrorMessage(r->as_role),
            (long long)expected);
}

static void assert_forbidden(roles *r, const char *sql)
{
    char state[6];

    (void)count_as_role(r, sql, state);
    if (strcmp(state, "42501") != 0)
        fail_msg("%s: it was not forbidden (%s)", sql, state);
}

/* The same server and schema as somebody else. */
static PGconn *connect_as(const char *url, const char *user)
{
    const char *at = strchr(url, '@'), *slashes = strstr(url, "://");
    char changed[1200];

    assert_non_null(at);
    (void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(slashes + 3 - url), url, user, at);
    PGconn *connection = PQconnectdb(changed);
    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(connection));
    return connection;
}

/* ---- the fixture ----------------------------------------------------------------------------- */

/* A row in every table for each of two tenants. */
static void fill(roles *r)
{
    const ku_id tenants[] = {r->log->tenant, r->log->other_tenant};

    run_as_owner(r, "CREATE TABLE public_facts(fact text)");
    for (size_t i = 0; i < KU_COUNT(tenants); i++) {
        char id[40];
        (void)test_id_literal(tenants[i], id);
        run_as_owner(r, "INSERT INTO ku_lanes(tenant_id, lane, head) VALUES (%s, 0, 1)", id);
        run_as_owner(r, "INSERT INTO ku_streams VALUES (%s, %s, 1, now(), NULL, 0, 'x')", id, id);
        run_as_owner(r,
            "INSERT INTO ku_events VALUES (%s, %s, 1, 1, now(), 0, 1, 'x', 'x', 'x', '{}', '{}')",
            id, id);
        run_as_owner(r, "INSERT INTO ku_event_keys VALUES (%s, 1, 0, 'k')", id);
        run_as_owner(r, "INSERT INTO ku_snapshots VALUES (%s, %s, 1, now(), 1, 'x', '{}')", id, id);
        run_as_owner(r,
            "INSERT INTO ku_cursors VALUES (%s, 1, 0, NULL, NULL, '-infinity', now(), now(), 0, 0, "
            "'c', "
            "'idle', '')",
            id);
        run_as_owner(
            r, "INSERT INTO ku_requests VALUES (%s, %s, now(), 200, 'u', 'r', '{}')", id, id);
        run_as_owner(r, "INSERT INTO ku_tenants VALUES (%s, now(), 2)", id);
        run_as_owner(r, "INSERT INTO ku_rate_buckets VALUES (%s, 1, now(), now(), true, 'b')", id);
        run_as_owner(r, "INSERT INTO read_things(tenant_id, name) VALUES (%s, 'n')", id);
    }
}

static void make_read_model(roles *r)
{
    static const db_column columns[] = {
        {.name = KU_STR_INIT("tenant_id"), .kind = KU_KIND_ID  },
        {.name = KU_STR_INIT("name"),      .kind = KU_KIND_TEXT},
    };
    const db_table table = {.name = KU_STR("read_things"),
        .columns = columns,
        .n_columns = KU_COUNT(columns),
        .n_key = 2};
    ku_error error;

    assert_int_equal(db_begin(r->log->writer), KU_OK);
    if (db_ensure_table(r->log->writer, &table, &error) != KU_OK)
        fail_msg("%s", error.message);
    assert_int_equal(db_commit(r->log->writer), KU_OK);
}

static int open_roles(void **state)
{
    roles *r = mem_zero(1, sizeof(*r));

    assert_int_equal(set_up((void **)&r->log), 0);
    if (test_engine_is_postgres()) {
        const test_database *database = r->log->database;
        (void)snprintf(r->role, sizeof(r->role), "role_%s", database->schema);
        r->owner = PQconnectdb(database->url);
        run_as_owner(r, "CREATE ROLE %s LOGIN", r->role);
        r->as_role = connect_as(database->url, r->role);
        make_read_model(r);
        fill(r);
    }
    *state = r;
    return 0;
}

static int close_roles(void **state)
{
    roles *r = *state;

    if (test_engine_is_postgres()) {
        PQfinish(r->as_role);
        run_as_owner(r, "DROP OWNED BY %s", r->role);
        run_as_owner(r, "DROP ROLE %s", r->role);
        PQfinish(r->owner);
    }
    (void)tear_down((void **)&r->log);
    free(r);
    return 0;
}

#define ROLE_TEST(f) cmocka_unit_test_setup_teardown(f, open_roles, close_roles)

typedef ku_status change(ku_scope *scope, ku_id tenant, ku_str role);

static ku_status grant_all(ku_scope *scope, ku_id tenant, ku_str role)
{
    (void)tenant;
    (void)role;
    return log_grant_roles(scope);
}

static ku_status try_change(roles *r, change *call, ku_id tenant, const char *role)
{
    ku_scope scope = {0};
    ku_error error = {0};

    scope_init(&scope);
    scope.db = r->log->writer;
    assert_int_equal(log_schema_begin(scope.db, &error), KU_OK);
    const ku_status status = call(&scope, tenant, ku_str_from(role));
    if (status == KU_OK)
        assert_int_equal(db_commit(scope.db), KU_OK);
    else
        db_rollback(scope.db);
    scope_done(&scope);
    return status;
}

static void allow(roles *r, ku_id tenant)
{
    assert_int_equal(try_change(r, log_allow_role, tenant, r->role), KU_OK);
}

static void take_back(roles *r, ku_id tenant)
{
    assert_int_equal(try_change(r, log_revoke_role, tenant, r->role), KU_OK);
}

static const char *about_table(const char *format, const char *table)
{
    static char sql[512];

    (void)snprintf(sql, sizeof(sql), format, table);
    return sql;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void the_owner_sees_everything(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    allow(r, r->log->tenant);
    allow(r, r->log->other_tenant);
    for (size_t i = 0; i < KU_COUNT(tables); i++)
        assert_int_equal(
            test_database_int(r->log->database, about_table("SELECT count(*) FROM %s", tables[i])),
            2);
}

static void a_role_sees_the_rows_of_its_tenant_and_no_others(void **state)
{
    roles *r = *state;
    char id[40], sql[256];

    SKIP_ON_SQLITE();
    allow(r, r->log->tenant);
    (void)test_id_literal(r->log->tenant, id);
    for (size_t i = 0; i < KU_COUNT(tables); i++) {
        assert_sees(r, about_table("SELECT count(*) FROM %s", tables[i]), 1);
        (void)snprintf(
            sql, sizeof(sql), "SELECT count(*) FROM %s WHERE tenant_id = %s", tables[i], id);
        assert_sees(r, sql, 1);
        (void)snprintf(
            sql, sizeof(sql), "SELECT count(*) FROM %s WHERE tenant_id <> %s", tables[i], id);
        assert_sees(r, sql, 0);
    }
}

/* Errors of a function in a filter must not tell what the filter was shown. */
static void a_function_in_a_filter_is_shown_no_other_rows(void **state)
{
    roles *r = *state;
    char id[40], sql[256];

    SKIP_ON_SQLITE();
    allow(r, r->log->tenant);
    (void)test_id_literal(r->log->other_tenant, id);
    (void)snprintf(sql, sizeof(sql),
        "SELECT count(*) FROM ku_events WHERE 1 / (CASE WHEN tenant_id = %s THEN 0 ELSE 1 END) = 1",
        id);
    assert_sees(r, sql, 1);
}

static void a_role_of_two_tenants_sees_both(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    allow(r, r->log->tenant);
    allow(r, r->log->other_tenant);
    allow(r, r->log->other_tenant); /* twice is once */
    for (size_t i = 0; i < KU_COUNT(tables); i++)
        assert_sees(r, about_table("SELECT count(*) FROM %s", tables[i]), 2);
    take_back(r, r->log->tenant);
    for (size_t i = 0; i < KU_COUNT(tables); i++)
        assert_sees(r, about_table("SELECT count(*) FROM %s", tables[i]), 1);
}

static void a_role_that_was_not_let_in_may_not_read(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    for (size_t i = 0; i < KU_COUNT(tables); i++) {
        char state_there[6];
        (void)count_as_role(r, about_table("SELECT count(*) FROM %s", tables[i]), state_there);
        /* without USAGE the schema is not even looked into */
        assert_true(strcmp(state_there, "42501") == 0 || strcmp(state_there, "42P01") == 0);
    }
    run_as_owner(r, "GRANT USAGE ON SCHEMA %s TO %s", r->log->database->schema, r->role);
    for (size_t i = 0; i < KU_COUNT(tables); i++)
        assert_forbidden(r, about_table("SELECT count(*) FROM %s", tables[i]));
}

static void rights_without_a_tenant_show_nothing(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    run_as_owner(r, "GRANT USAGE ON SCHEMA %s TO %s", r->log->database->schema, r->role);
    run_as_owner(
        r, "GRANT ALL ON ALL TABLES IN SCHEMA %s TO %s", r->log->database->schema, r->role);
    for (size_t i = 0; i < KU_COUNT(tables); i++)
        assert_sees(r, about_table("SELECT count(*) FROM %s", tables[i]), 0);
}

static void a_role_changes_nothing_whatever_it_is_granted(void **state)
{
    roles *r = *state;
    char id[40], sql[256];

    SKIP_ON_SQLITE();
    allow(r, r->log->tenant);
    assert_forbidden(r, "UPDATE ku_events SET payload = ''");
    run_as_owner(
        r, "GRANT ALL ON ALL TABLES IN SCHEMA %s TO %s", r->log->database->schema, r->role);
    for (size_t i = 0; i < KU_COUNT(tables); i++) {
        assert_sees(r, about_table("UPDATE %s SET tenant_id = tenant_id", tables[i]), 0);
        assert_sees(r, about_table("DELETE FROM %s", tables[i]), 0);
    }
    (void)test_id_literal(r->log->tenant, id);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO ku_lanes VALUES (%s, 1, 7)", id);
    assert_forbidden(r, sql);
    /* least of all its own rights */
    (void)test_id_literal(r->log->other_tenant, id);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO ku_tenant_roles VALUES (%s, '%s')", id, r->role);
    assert_forbidden(r, sql);
    assert_sees(r, "SELECT count(*) FROM ku_events", 1);
    assert_int_equal(test_database_int(r->log->database, "SELECT count(*) FROM ku_events"), 2);
}

static void a_role_gets_no_right_to_other_tables(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    allow(r, r->log->tenant);
    assert_forbidden(r, "SELECT count(*) FROM public_facts");
    assert_forbidden(r, "SELECT count(*) FROM ku_schema");
    assert_forbidden(r, "SELECT count(*) FROM ku_consumers");
}

static void what_was_allowed_can_be_taken_back(void **state)
{
    roles *r = *state;
    char state_there[6];

    SKIP_ON_SQLITE();
    allow(r, r->log->tenant);
    take_back(r, r->log->tenant);
    (void)count_as_role(r, "SELECT count(*) FROM ku_events", state_there);
    assert_true(strcmp(state_there, "42501") == 0 || strcmp(state_there, "42P01") == 0);
    assert_int_equal(try_change(r, log_revoke_role, r->log->tenant, r->role), KU_NOT_FOUND);
}

static void tables_that_come_later_are_granted_behind_the_same_wall(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    run_as_owner(r, "DROP TABLE read_things");
    allow(r, r->log->tenant);
    make_read_model(r);
    for (int i = 0; i < 2; i++) {
        char id[40];
        (void)test_id_literal(i == 0 ? r->log->tenant : r->log->other_tenant, id);
        run_as_owner(r, "INSERT INTO read_things(tenant_id, name) VALUES (%s, 'n')", id);
    }
    assert_forbidden(r, "SELECT count(*) FROM read_things");
    assert_int_equal(try_change(r, grant_all, r->log->tenant, ""), KU_OK);
    assert_sees(r, "SELECT count(*) FROM read_things", 1);
}

static void only_roles_that_policies_bind_are_let_in(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    assert_int_equal(try_change(r, log_allow_role, r->log->tenant, "nobody_at_all"), KU_NOT_FOUND);
    assert_int_equal(try_change(r, log_allow_role, r->log->tenant, PQuser(r->owner)), KU_REFUSED);
    run_as_owner(r, "ALTER ROLE %s BYPASSRLS", r->role);
    assert_int_equal(try_change(r, log_allow_role, r->log->tenant, r->role), KU_REFUSED);
    run_as_owner(r, "ALTER ROLE %s NOBYPASSRLS", r->role);
    run_as_owner(r, "GRANT \"%s\" TO %s", PQuser(r->owner), r->role);
    assert_int_equal(try_change(r, log_allow_role, r->log->tenant, r->role), KU_REFUSED);
    run_as_owner(r, "REVOKE \"%s\" FROM %s", PQuser(r->owner), r->role);
    allow(r, r->log->tenant);
}

static void a_name_that_needs_quotes_is_a_name(void **state)
{
    roles *r = *state;
    char plain_name[80];

    SKIP_ON_SQLITE();
    (void)snprintf(plain_name, sizeof(plain_name), "%s", r->role);
    run_as_owner(r, "ALTER ROLE %s RENAME TO \"O'Brien; \"\"%s\"\"\"", r->role, plain_name);
    (void)snprintf(r->role, sizeof(r->role), "O'Brien; \"%.60s\"", plain_name);
    allow(r, r->log->tenant);
    (void)snprintf(r->role, sizeof(r->role), "%s", plain_name);
    run_as_owner(r, "ALTER ROLE \"O'Brien; \"\"%s\"\"\" RENAME TO %s", plain_name, plain_name);
}

static void a_role_that_is_gone_hinders_nobody(void **state)
{
    roles *r = *state;

    SKIP_ON_SQLITE();
    run_as_owner(r, "INSERT INTO ku_tenant_roles VALUES ('%032d', 'long_gone')", 1);
    allow(r, r->log->tenant);
    assert_int_equal(try_change(r, grant_all, r->log->tenant, ""), KU_OK);
    assert_int_equal(
        try_change(r, log_revoke_role, (ku_id){.bytes = {[15] = 1}}, "long_gone"), KU_OK);
}

static void sqlite_has_no_roles(void **state)
{
    roles *r = *state;

    SKIP_ON_POSTGRES("it has roles");
    assert_int_equal(try_change(r, log_allow_role, r->log->tenant, "somebody"), KU_REFUSED);
    assert_int_equal(try_change(r, log_revoke_role, r->log->tenant, "somebody"), KU_REFUSED);
    assert_int_equal(try_change(r, grant_all, r->log->tenant, ""), KU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROLE_TEST(the_owner_sees_everything),
        ROLE_TEST(a_role_sees_the_rows_of_its_tenant_and_no_others),
        ROLE_TEST(a_function_in_a_filter_is_shown_no_other_rows),
        ROLE_TEST(a_role_of_two_tenants_sees_both),
        ROLE_TEST(a_role_that_was_not_let_in_may_not_read),
        ROLE_TEST(rights_without_a_tenant_show_nothing),
        ROLE_TEST(a_role_changes_nothing_whatever_it_is_granted),
        ROLE_TEST(a_role_gets_no_right_to_other_tables),
        ROLE_TEST(what_was_allowed_can_be_taken_back),
        ROLE_TEST(tables_that_come_later_are_granted_behind_the_same_wall),
        ROLE_TEST(only_roles_that_policies_bind_are_let_in),
        ROLE_TEST(a_name_that_needs_quotes_is_a_name),
        ROLE_TEST(a_role_that_is_gone_hinders_nobody),
        ROLE_TEST(sqlite_has_no_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
