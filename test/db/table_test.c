/*
 * Tables of features: made, completed, and refused when they have become something else.
 */
#include "db/db_fixture.h"

/* ---- helpers --------------------------------------------------------------------------------- */

static const db_column columns[] = {
    {.name = KU_STR_INIT("tenant_id"), .kind = KU_KIND_ID,      .nullable = false, .scale = 0},
    {.name = KU_STR_INIT("key"),       .kind = KU_KIND_TEXT,    .nullable = false, .scale = 0},
    {.name = KU_STR_INIT("n"),         .kind = KU_KIND_INT,     .nullable = false, .scale = 0},
    {.name = KU_STR_INIT("money"),     .kind = KU_KIND_DECIMAL, .nullable = false, .scale = 2},
    {.name = KU_STR_INIT("ratio"),     .kind = KU_KIND_DOUBLE,  .nullable = true,  .scale = 0},
    {.name = KU_STR_INIT("on"),        .kind = KU_KIND_BOOL,    .nullable = false, .scale = 0},
    {.name = KU_STR_INIT("at"),        .kind = KU_KIND_TIME,    .nullable = true,  .scale = 0},
    {.name = KU_STR_INIT("state"),     .kind = KU_KIND_ENUM,    .nullable = false, .scale = 0},
    {.name = KU_STR_INIT("raw"),       .kind = KU_KIND_RAW,     .nullable = false, .scale = 0},
    {.name = KU_STR_INIT("list"),      .kind = KU_KIND_LIST,    .nullable = false, .scale = 0},
    {.name = KU_STR_INIT("inner"),     .kind = KU_KIND_NESTED,  .nullable = false, .scale = 0},
};
static const ku_str by_n[] = {KU_STR_INIT("tenant_id"), KU_STR_INIT("n")};
static const ku_str by_state[] = {KU_STR_INIT("tenant_id"), KU_STR_INIT("state")};

/* The wall around a tenant's rows asks a table of the log. */
static int set_up_table(void **state)
{
    int result = set_up(state);
    const db_fixture *f = *state;

    if (test_engine_is_postgres())
        run_script(f->writer, "CREATE TABLE ku_tenant_roles(tenant_id uuid, role_name text)");
    return result;
}

/* The table with its first `n_columns` columns. */
static db_table table_of(size_t n_columns)
{
    return (db_table){
        .name = KU_STR("read_things"), .columns = columns, .n_columns = n_columns, .n_key = 2};
}

static void ensure(db *d, const db_table *table)
{
    ku_error error = {.status = KU_OK};

    if (db_ensure_table(d, table, &error) != KU_OK)
        fail_msg("%s", error.message);
}

static void assert_conflict(db *d, const db_table *table, const char *part)
{
    ku_error error = {.status = KU_OK};

    assert_int_equal(db_ensure_table(d, table, &error), KU_CONFLICT);
    assert_int_equal(error.status, KU_CONFLICT);
    if (strstr(error.message, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, error.message);
}

static void run(db *d, const char *sql)
{
    if (db_script(d, ku_str_from(sql)) != KU_OK)
        fail_msg("%s: %s", sql, db_error(d));
}

static ku_status try_run(db *d, const char *sql)
{
    return db_script(d, ku_str_from(sql));
}

/* Ids of two tenants. */
#define ONE "'01010101-0101-0101-0101-010101010101'"
#define TWO "'02020202-0202-0202-0202-020202020202'"

/* ---- cases ----------------------------------------------------------------------------------- */

static void a_table_is_made_and_stays_as_it_is(void **state)
{
    db_fixture *f = *state;
    const db_table table = table_of(KU_COUNT(columns));

    ensure(f->writer, &table);
    ensure(f->writer, &table);
    run(f->writer, "INSERT INTO read_things(tenant_id, key, n) VALUES (" ONE ", 'a', 1)");
    assert_int_equal(
        try_run(f->writer, "INSERT INTO read_things(tenant_id, key) VALUES (" ONE ", 'a')"),
        KU_UNIQUE_VIOLATION);
    assert_int_equal(
        try_run(f->writer, "INSERT INTO read_things(tenant_id) VALUES (" ONE ")"), KU_INTERNAL);
    run(f->writer, "INSERT INTO read_things(tenant_id, key) VALUES (" TWO ", 'a')");
}

static void missing_columns_are_added_with_their_kinds_zero(void **state)
{
    db_fixture *f = *state;
    const db_table before = table_of(3), after = table_of(KU_COUNT(columns));
    db_rows rows = {0};
    bool row;

    ensure(f->writer, &before);
    run(f->writer, "INSERT INTO read_things VALUES (" ONE ", 'a', 1)");
    ensure(f->writer, &after);
    assert_int_equal(db_query_text(f->writer,
                         KU_STR("SELECT money, ratio, \"on\", at, state, raw, list, \"inner\" "
                                "FROM read_things"),
                         NULL, 0, &rows),
        KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_int_equal(db_column_int(&rows, 0), 0);
    assert_true(db_is_null(&rows, 1));
    assert_int_equal(db_column_int(&rows, 2), 0);
    assert_true(db_is_null(&rows, 3));
    assert_text(db_column_text(&rows, 4), "");
    assert_text(db_column_text(&rows, 5), "null");
    assert_text(db_column_text(&rows, 6), "[]");
    assert_text(db_column_text(&rows, 7), "{}");
    db_rows_done(&rows);
}

static void a_column_that_the_program_has_dropped_is_left_alone(void **state)
{
    db_fixture *f = *state;
    const db_table before = table_of(KU_COUNT(columns)), after = table_of(3);

    ensure(f->writer, &before);
    ensure(f->writer, &after);
    run(f->writer, "INSERT INTO read_things(tenant_id, key, n) VALUES (" ONE ", 'a', 1)");
}

static void a_column_of_another_kind_is_refused(void **state)
{
    db_fixture *f = *state;
    db_column changed[KU_COUNT(columns)];
    db_table table = table_of(KU_COUNT(columns));

    ensure(f->writer, &table);
    table.columns = changed;
    memcpy(changed, columns, sizeof(columns));
    changed[3].scale = 4; /* the same digits would mean another amount */
    assert_conflict(f->writer, &table,
        test_by_engine("table read_things, column money: it is DECIMAL_INT(2) there, "
                       "the program has DECIMAL_INT(4)",
            "table read_things, column money: it is bigint decimal(2) there, "
            "the program has bigint decimal(4)"));
    memcpy(changed, columns, sizeof(columns));
    changed[2].kind = KU_KIND_TEXT;
    assert_conflict(f->writer, &table,
        test_by_engine("column n: it is INTEGER there, the program has TEXT",
            "column n: it is bigint there, the program has text"));
    memcpy(changed, columns, sizeof(columns));
    changed[3].kind = KU_KIND_INT;
    assert_conflict(f->writer, &table, "column money: it is ");
    memcpy(changed, columns, sizeof(columns));
    changed[9].kind = KU_KIND_TEXT;
    assert_conflict(f->writer, &table, "column list: it is ");
    memcpy(changed, columns, sizeof(columns));
    changed[6].kind = KU_KIND_INT;
    assert_conflict(f->writer, &table,
        test_by_engine("column at: it is TIME_INT there", "column at: it is timestamptz there"));
    memcpy(changed, columns, sizeof(columns));
    changed[2].nullable = true;
    assert_conflict(f->writer, &table, "column n: it must not be null there");
    memcpy(changed, columns, sizeof(columns));
    changed[7].kind = KU_KIND_TEXT; /* an enum is stored as its name */
    changed[6].nullable = false;    /* what is null reads as zero */
    ensure(f->writer, &table);
}

static void another_key_is_refused(void **state)
{
    db_fixture *f = *state;
    db_column changed[4];
    db_table table = table_of(4);

    ensure(f->writer, &table);
    table.n_key = 3;
    assert_conflict(f->writer, &table, "column n: the primary key there is another one");
    table.n_key = 1;
    assert_conflict(f->writer, &table, "column key: the primary key there is another one");
    table.n_key = 2;
    memcpy(changed, columns, sizeof(changed));
    changed[0] = columns[1];
    changed[1] = columns[0];
    table.columns = changed;
    assert_conflict(f->writer, &table, "the primary key there is another one");
    memcpy(changed, columns, sizeof(changed));
    changed[1].name = KU_STR("other");
    assert_conflict(f->writer, &table, "column key: it is part of the primary key there");
    run(f->writer, test_by_engine("CREATE TABLE one(tenant_id BLOB PRIMARY KEY)",
                       "CREATE TABLE one(tenant_id uuid PRIMARY KEY)"));
    table.name = KU_STR("one");
    assert_conflict(f->writer, &table, "column other: the primary key there lacks it");
}

static void a_foreign_column_that_must_be_set_is_refused(void **state)
{
    db_fixture *f = *state;
    const db_table table = table_of(3);

    run(f->writer,
        test_by_engine("CREATE TABLE read_things(tenant_id BLOB NOT NULL, key TEXT NOT NULL, "
                       "n INTEGER NOT NULL, x TEXT NOT NULL, PRIMARY KEY(tenant_id, key))",
            "CREATE TABLE read_things(tenant_id uuid NOT NULL, key TEXT NOT NULL, "
            "n bigint NOT NULL, x TEXT NOT NULL, PRIMARY KEY(tenant_id, key))"));
    assert_conflict(
        f->writer, &table, "column x: it must not be null there, the program does not have it");
}

static void indexes_are_made_changed_and_kept(void **state)
{
    db_fixture *f = *state;
    const db_index plain[] = {
        {KU_STR_INIT("things_n"), by_n, 2, false}
    };
    const db_index unique[] = {
        {KU_STR_INIT("things_n"), by_n, 2, true}
    };
    const db_index moved[] = {
        {KU_STR_INIT("things_n"), by_state, 2, true}
    };
    db_table table = table_of(KU_COUNT(columns));

    table.indexes = plain;
    table.n_indexes = 1;
    ensure(f->writer, &table);
    ensure(f->writer, &table);
    run(f->writer, "INSERT INTO read_things(tenant_id, key, n) VALUES (" ONE ", 'a', 1), "
                   "(" ONE ", 'b', 1)");
    table.indexes = unique;
    assert_conflict(f->writer, &table, "break a new unique index");
    run(f->writer, "UPDATE read_things SET n = 2, state = 's' WHERE key = 'b'");
    ensure(f->writer, &table);
    assert_int_equal(try_run(f->writer, "UPDATE read_things SET n = 7"), KU_UNIQUE_VIOLATION);
    table.indexes = moved;
    ensure(f->writer, &table);
    run(f->writer, "UPDATE read_things SET n = 7");
    assert_int_equal(try_run(f->writer, "UPDATE read_things SET state = 'x'"), KU_UNIQUE_VIOLATION);
}

static void odd_names_are_quoted(void **state)
{
    db_fixture *f = *state;
    const db_column odd[] = {
        {.name = KU_STR_INIT("order"),   .kind = KU_KIND_ID,  .nullable = false, .scale = 0},
        {.name = KU_STR_INIT("a \"b\""), .kind = KU_KIND_INT, .nullable = false, .scale = 0},
    };
    const ku_str by_odd[] = {KU_STR("order"), KU_STR("a \"b\"")};
    const db_index index = {KU_STR("an index"), by_odd, 2, true};
    const db_table table = {.name = KU_STR("group by"),
        .columns = odd,
        .n_columns = 2,
        .n_key = 1,
        .indexes = &index,
        .n_indexes = 1};

    ensure(f->writer, &table);
    ensure(f->writer, &table);
}

static void assert_missing(db *d, const db_table *table, const char *part)
{
    ku_error error = {.status = KU_OK};

    assert_int_equal(db_check_table(d, table, &error), KU_NOT_FOUND);
    assert_int_equal(error.status, KU_NOT_FOUND);
    assert_text(ku_str_from(error.message), part);
}

static void a_check_names_what_is_missing_and_makes_nothing(void **state)
{
    db_fixture *f = *state;
    const db_index plain[] = {
        {KU_STR_INIT("things_n"), by_n, 2, false}
    };
    db_table before = table_of(3), after = table_of(4);
    ku_error error;

    for (int round = 0; round < 2; round++)
        assert_missing(f->writer, &before, "table read_things is missing");
    ensure(f->writer, &before);
    assert_int_equal(db_check_table(f->writer, &before, &error), KU_OK);
    for (int round = 0; round < 2; round++)
        assert_missing(f->writer, &after, "table read_things: money is missing");
    ensure(f->writer, &after);
    after.indexes = plain;
    after.n_indexes = 1;
    for (int round = 0; round < 2; round++)
        assert_missing(f->writer, &after, "table read_things: things_n is missing");
    ensure(f->writer, &after);
    assert_int_equal(db_check_table(f->reader, &after, &error), KU_OK); /* it only reads */
    before.n_key = 1;
    assert_int_equal(db_check_table(f->writer, &before, &error), KU_CONFLICT);
}

static void the_script_that_is_printed_makes_the_same_table(void **state)
{
    db_fixture *f = *state;
    const db_index both[] = {
        {KU_STR_INIT("things_n"),     by_n,     2, false},
        {KU_STR_INIT("things_state"), by_state, 2, true }
    };
    db_table table = table_of(KU_COUNT(columns));
    buffer b = {0};
    ku_error error;

    table.indexes = both;
    table.n_indexes = 2;
    db_table_ddl(test_engine_is_postgres() ? DB_POSTGRES : DB_SQLITE, &table, &b);
    run(f->writer, buffer_str(&b).ptr);
    buffer_done(&b);
    if (db_check_table(f->writer, &table, &error) != KU_OK)
        fail_msg("%s", error.message);
    ensure(f->writer, &table);
}

static void names_that_postgresql_would_cut_are_shortened_or_refused(void **state)
{
    if (!test_engine_is_postgres())
        skip(); /* SQLite takes names of any length */
    db_fixture *f = *state;
    static const char stem[] =
        "things_with_a_name_that_is_longer_than_sixty_three_by\303\244 or so";
    char names[2][96];
    db_index both[2];
    db_table table = table_of(KU_COUNT(columns));
    ku_error error;

    for (size_t i = 0; i < 2; i++) {
        snprintf(names[i], sizeof(names[i]), "%s_%zu_idx", stem, i);
        both[i] = (db_index){ku_str_from(names[i]), i == 0 ? by_n : by_state, 2, false};
    }
    table.indexes = both;
    table.n_indexes = 2;
    ensure(f->writer, &table);
    ensure(f->writer, &table);
    assert_int_equal(db_check_table(f->writer, &table, &error), KU_OK);
    assert_int_equal(test_database_int(f->database,
                         "SELECT count(*) FROM pg_indexes WHERE schemaname = current_schema() "
                         "AND tablename = 'read_things'"),
        3);
    table.name = ku_str_from(names[0]);
    assert_int_equal(db_ensure_table(f->writer, &table, &error), KU_INVALID);
    assert_non_null(strstr(error.message, "at most 63 bytes"));
}

static void what_people_write_behind_a_kind_does_not_change_it(void **state)
{
    if (!test_engine_is_postgres())
        skip(); /* SQLite has no comments */
    db_fixture *f = *state;
    const db_table table = table_of(KU_COUNT(columns));

    ensure(f->writer, &table);
    run(f->writer, "COMMENT ON COLUMN read_things.money IS 'kumiko decimal(2) in euros'; "
                   "COMMENT ON COLUMN read_things.n IS 'how many'");
    ensure(f->writer, &table);
    run(f->writer, "COMMENT ON COLUMN read_things.money IS 'in euros'");
    assert_conflict(f->writer, &table, "it is bigint there, the program has bigint decimal(2)");
}

static void each_call_may_fail(void **state)
{
    db_fixture *f = *state;
    const db_index plain[] = {
        {KU_STR_INIT("things_n"), by_n, 2, false}
    };
    db_table table = table_of(3);
    ku_error error = {.status = KU_OK};
    ku_status status = KU_UNAVAILABLE;
    int64_t call = 0;

    table.indexes = plain;
    table.n_indexes = 1;
    while (status != KU_OK) {
        assert_int_equal(status, KU_UNAVAILABLE);
        assert_int_equal(db_begin(f->writer), KU_OK);
        db_fail_after(f->writer, ++call, KU_UNAVAILABLE);
        status = db_ensure_table(f->writer, &table, &error);
        db_fail_after(f->writer, 0, KU_OK);
        if (status != KU_OK)
            assert_non_null(strstr(error.message, "table read_things: this call was told to fail"));
        db_rollback(f->writer);
    }
    assert_true(call > 5);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_table, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_table_is_made_and_stays_as_it_is),
        CASE(missing_columns_are_added_with_their_kinds_zero),
        CASE(a_column_that_the_program_has_dropped_is_left_alone),
        CASE(a_column_of_another_kind_is_refused),
        CASE(another_key_is_refused),
        CASE(a_foreign_column_that_must_be_set_is_refused),
        CASE(indexes_are_made_changed_and_kept),
        CASE(odd_names_are_quoted),
        CASE(a_check_names_what_is_missing_and_makes_nothing),
        CASE(the_script_that_is_printed_makes_the_same_table),
        CASE(names_that_postgresql_would_cut_are_shortened_or_refused),
        CASE(what_people_write_behind_a_kind_does_not_change_it),
        CASE(each_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
