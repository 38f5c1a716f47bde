/*
 * The statements on a table's rows: what they write, what they count, and what they compare.
 */
#include "db/db_fixture.h"

#include "base/clock.h"

/* ---- fixture --------------------------------------------------------------------------------- */

static const db_column columns[] = {
    {.name = KU_STR_INIT("tenant_id"), .kind = KU_KIND_ID                     },
    {.name = KU_STR_INIT("key"),       .kind = KU_KIND_TEXT                   },
    {.name = KU_STR_INIT("n"),         .kind = KU_KIND_INT,                     .sum = true},
    {.name = KU_STR_INIT("money"),                                .kind = KU_KIND_DECIMAL,                                            .scale = 2, .sum = true},
    {.name = KU_STR_INIT("ratio"),                      .kind = KU_KIND_DOUBLE,       .nullable = true},
    {.name = KU_STR_INIT("on"),     .kind = KU_KIND_BOOL},
    {.name = KU_STR_INIT("at"),                                .kind = KU_KIND_TIME,                                               .nullable = true},
    {.name = KU_STR_INIT("owner"),                                .kind = KU_KIND_ID,                                               .nullable = true},
    {.name = KU_STR_INIT("list"),                .kind = KU_KIND_LIST        },
};
enum { COLUMNS = KU_COUNT(columns), KEY = 2, WIDTH = COLUMNS + 1 };

static const db_table things = {
    .name = KU_STR_INIT("read_things"), .columns = columns, .n_columns = COLUMNS, .n_key = KEY};
static const db_table marks = {
    .name = KU_STR_INIT("read_marks"), .columns = columns, .n_columns = KEY, .n_key = KEY};

static db_table_statements sql, sql_marks; /* the same in every test */
static const ku_id tenant = {{1}}, other = {{2}};

static int set_up_rows(void **state)
{
    int result = set_up(state);
    db_fixture *f = *state;
    ku_error error;

    db_close(f->writer);
    db_close(f->reader);
    sql = db_catalog_add_table(f->catalog, &things);
    sql_marks = db_catalog_add_table(f->catalog, &marks);
    f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
    if (test_engine_is_postgres())
        run_script(f->writer, "CREATE TABLE ku_tenant_roles(tenant_id uuid, role_name text)");
    if (db_ensure_table(f->writer, &things, &error) != KU_OK ||
        db_ensure_table(f->writer, &marks, &error) != KU_OK)
        fail_msg("%s", error.message);
    f->reader = open_or_fail(f->url, DB_READER, f->catalog);
    return result;
}

/* ---- helpers --------------------------------------------------------------------------------- */

/* A row's values; behind them is room for its revision. */
static void fill_row(db_value *row, ku_id of_tenant, const char *key, int64_t n)
{
    row[0] = db_id(of_tenant);
    row[1] = db_text(ku_str_from(key));
    row[2] = db_int(n);
    row[3] = db_int(100 * n);
    row[4] = n % 2 == 0 ? db_null() : (db_value){.kind = DB_DOUBLE, .number = 0.1 * (double)n};
    row[5] = db_int(n % 2);
    row[6] = n % 2 == 0 ? db_null() : db_int(1000000 * n + 1);
    row[7] = n % 2 == 0 ? db_null()
                        : db_id((ku_id){
                              {9, (unsigned char)n}
    });
    row[8] = db_text(KU_STR("[1, \"ä\"]"));
    row[COLUMNS] = db_int(DB_REVISION_ANY);
}

/* Rows of `width` values each, with keys k1, k2 … and n, 2n, 3n … */
static void fill_rows(db_value *rows, size_t width, size_t n_rows, int64_t n)
{
    static const char *const keys[] = {"k1", "k2", "k3", "k4"};

    for (size_t i = 0; i < n_rows; i++) {
        db_value row[WIDTH];
        fill_row(row, tenant, keys[i], n * (int64_t)(i + 1));
        memcpy(rows + i * width, row, width * sizeof(*row));
    }
}

static int64_t run_many(db *d, int statement, const db_value *values, size_t width, size_t n_rows)
{
    int64_t changes = -1;

    if (db_run_many(d, statement, values, width, n_rows, &changes) != KU_OK)
        fail_msg("%s", db_error(d));
    return changes;
}

typedef struct found {
    bool there;
    int64_t n, money, revision;
} found;

/* Reads a row, and checks that the rest of it is what fill_row makes of its n. */
static found get_row(db *d, ku_id of_tenant, const char *key, int64_t made_with)
{
    const db_value binds[] = {db_id(of_tenant), db_text(ku_str_from(key))};
    found result = {.there = false};
    db_rows rows = {0};
    db_value made[WIDTH];
    bool row;

    fill_row(made, of_tenant, key, made_with);
    if (db_query(d, sql.get, binds, KEY, &rows) != KU_OK)
        fail_msg("%s", db_error(d));
    assert_int_equal(db_next(&rows, &row), KU_OK);
    if (row) {
        result = (found){true, db_column_int(&rows, 1), db_column_int(&rows, 2),
            db_column_int(&rows, COLUMNS - 1)};
        assert_text(db_column_text(&rows, 0), key);
        assert_int_equal(db_is_null(&rows, 3), made[4].kind == DB_NULL);
        if (made[4].kind != DB_NULL) {
            assert_true(db_column_double(&rows, 3) == made[4].number);
            assert_true(db_column_int(&rows, 5) == made[6].integer);
            assert_true(ku_id_equal(db_column_id(&rows, 6), made[7].id));
        }
        assert_int_equal(db_column_int(&rows, 4), made[5].integer);
        assert_text(db_column_text(&rows, 7), "[1, \"ä\"]");
    }
    db_rows_done(&rows);
    return result;
}

static void assert_row(db *d, const char *key, int64_t made_with, int64_t n, int64_t revision)
{
    found row = get_row(d, tenant, key, made_with);

    assert_true(row.there);
    assert_int_equal(row.n, n);
    assert_int_equal(row.money, 100 * n);
    assert_int_equal(row.revision, test_engine_is_postgres() ? revision : DB_REVISION_ANY);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void an_insert_leaves_alone_what_is_there(void **state)
{
    db_fixture *f = *state;
    db_value rows[4 * COLUMNS];

    fill_rows(rows, COLUMNS, 2, 1);
    assert_int_equal(run_many(f->writer, sql.insert, rows, COLUMNS, 2), 2);
    fill_rows(rows, COLUMNS, 4, 5);
    assert_int_equal(run_many(f->writer, sql.insert, rows, COLUMNS, 4), 2);
    assert_row(f->reader, "k1", 1, 1, 1);
    assert_row(f->reader, "k2", 2, 2, 1);
    assert_row(f->reader, "k3", 15, 15, 1);
    assert_row(f->reader, "k4", 20, 20, 1);
    fill_row(rows, other, "k1", 3); /* another tenant's is another row */
    assert_int_equal(run_many(f->writer, sql.insert, rows, COLUMNS, 1), 1);
    assert_int_equal(get_row(f->reader, other, "k1", 3).n, 3);
    assert_false(get_row(f->reader, other, "k2", 3).there);
}

static void a_put_replaces_and_raises_the_revision(void **state)
{
    db_fixture *f = *state;
    db_value rows[3 * COLUMNS];

    fill_rows(rows, COLUMNS, 2, 1);
    assert_int_equal(run_many(f->writer, sql.put, rows, COLUMNS, 2), 2);
    fill_rows(rows, COLUMNS, 3, 2);
    assert_int_equal(run_many(f->writer, sql.put, rows, COLUMNS, 3), 3);
    assert_row(f->reader, "k1", 2, 2, 2);
    assert_row(f->reader, "k2", 4, 4, 2);
    assert_row(f->reader, "k3", 6, 6, 1);
}

static void an_add_adds_the_sums_and_replaces_the_rest(void **state)
{
    db_fixture *f = *state;
    db_value rows[3 * COLUMNS];

    fill_rows(rows, COLUMNS, 2, 1);
    assert_int_equal(run_many(f->writer, sql.add, rows, COLUMNS, 2), 2);
    fill_rows(rows, COLUMNS, 3, 3);
    assert_int_equal(run_many(f->writer, sql.add, rows, COLUMNS, 3), 3);
    assert_row(f->reader, "k1", 3, 4, 2);
    assert_row(f->reader, "k2", 6, 8, 2);
    assert_row(f->reader, "k3", 9, 9, 1);
}

static void an_update_writes_rows_that_are_there(void **state)
{
    db_fixture *f = *state;
    db_value rows[3 * WIDTH];

    fill_rows(rows, COLUMNS, 3, 1);
    assert_int_equal(run_many(f->writer, sql.insert, rows, COLUMNS, 3), 3);
    fill_rows(rows, WIDTH, 3, 2);
    for (size_t i = 0; i < 3; i++)
        rows[i * WIDTH + COLUMNS] = db_int(get_row(f->writer, tenant,
            i == 0   ? "k1"
            : i == 1 ? "k2"
                     : "k3",
            (int64_t)i + 1)
                                               .revision);
    assert_int_equal(run_many(f->writer, sql.update, rows, WIDTH, 3), 3);
    assert_row(f->reader, "k1", 2, 2, 2);
    assert_row(f->reader, "k2", 4, 4, 2);
    assert_row(f->reader, "k3", 6, 6, 2);
}

static void an_update_of_what_somebody_else_has_changed_counts_less(void **state)
{
    if (!test_engine_is_postgres())
        skip(); /* one process owns the file: nobody else is there */
    db_fixture *f = *state;
    db_value rows[3 * WIDTH];
    db *another = open_or_fail(f->url, DB_WRITER, f->catalog);

    fill_rows(rows, COLUMNS, 2, 1);
    assert_int_equal(run_many(f->writer, sql.insert, rows, COLUMNS, 2), 2);
    int64_t seen = get_row(f->writer, tenant, "k1", 1).revision;
    fill_row(rows, tenant, "k1", 7);
    assert_int_equal(run_many(another, sql.put, rows, COLUMNS, 1), 1);
    fill_rows(rows, WIDTH, 3, 2); /* changed meanwhile; as it was; not there */
    for (size_t i = 0; i < 3; i++)
        rows[i * WIDTH + COLUMNS] = db_int(seen);
    assert_int_equal(run_many(f->writer, sql.update, rows, WIDTH, 3), 1);
    assert_row(f->reader, "k1", 7, 7, 2);
    assert_row(f->reader, "k2", 4, 4, 2);
    assert_false(get_row(f->reader, tenant, "k3", 1).there);
    db_close(another);
}

static void removing_at_a_revision_compares_and_removing_does_not(void **state)
{
    db_fixture *f = *state;
    db_value rows[3 * COLUMNS];
    db_value keys[2 * (KEY + 1)] = {db_id(tenant), db_text(KU_STR("k1")), db_int(0), db_id(tenant),
        db_text(KU_STR("k2")), db_int(0)};

    fill_rows(rows, COLUMNS, 3, 1);
    assert_int_equal(run_many(f->writer, sql.put, rows, COLUMNS, 3), 3);
    assert_int_equal(run_many(f->writer, sql.put, rows, COLUMNS, 1), 1); /* k1 again */
    keys[2] = keys[5] = db_int(get_row(f->writer, tenant, "k2", 2).revision);
    int64_t removed = run_many(f->writer, sql.remove_at, keys, KEY + 1, 2);
    assert_int_equal(removed, test_engine_is_postgres() ? 1 : 2);
    assert_false(get_row(f->reader, tenant, "k2", 2).there);
    keys[2] = db_int(get_row(f->writer, tenant, "k1", 1).revision);
    removed = run_many(f->writer, sql.remove_at, keys, KEY + 1, 1);
    assert_int_equal(removed, test_engine_is_postgres() ? 1 : 0);
    const db_value plain[] = {db_id(tenant), db_text(KU_STR("k3")), db_id(tenant),
        db_text(KU_STR("k4")), db_id(other), db_text(KU_STR("k3"))};
    assert_int_equal(run_many(f->writer, sql.remove, plain, KEY, 3), 1);
    assert_false(get_row(f->reader, tenant, "k3", 3).there);
}

static void a_table_that_is_all_key_can_be_written_too(void **state)
{
    db_fixture *f = *state;
    const db_value rows[] = {
        db_id(tenant), db_text(KU_STR("a")), db_id(tenant), db_text(KU_STR("b"))};
    db_value with_revision[] = {db_id(tenant), db_text(KU_STR("a")), db_int(DB_REVISION_ANY)};
    db_rows found_rows = {0};
    bool row;

    assert_int_equal(run_many(f->writer, sql_marks.insert, rows, KEY, 1), 1);
    assert_int_equal(run_many(f->writer, sql_marks.insert, rows, KEY, 2), 1);
    (void)run_many(f->writer, sql_marks.put, rows, KEY, 2);
    (void)run_many(f->writer, sql_marks.add, rows, KEY, 2);
    assert_int_equal(db_query(f->reader, sql_marks.get, rows, KEY, &found_rows), KU_OK);
    assert_int_equal(db_next(&found_rows, &row), KU_OK);
    assert_true(row);
    assert_text(db_column_text(&found_rows, 0), "a");
    with_revision[2] = db_int(db_column_int(&found_rows, 1));
    db_rows_done(&found_rows);
    if (test_engine_is_postgres())
        assert_int_equal(with_revision[2].integer, 3);
    (void)run_many(f->writer, sql_marks.update, with_revision, KEY + 1, 1);
    assert_int_equal(run_many(f->writer, sql_marks.remove, rows, KEY, 2), 2);
}

static void rows_are_sorted_by_their_bytes(void **state)
{
    db_fixture *f = *state;
    static const char *const keys[] = {"B", "a", "a b", "a-b", "ab", "Ä", "ä", "a_", "_"};
    db_value rows[KU_COUNT(keys) * KEY];
    db_rows sorted = {0};
    bool row;
    char last[16] = "";

    for (size_t i = 0; i < KU_COUNT(keys); i++) {
        rows[2 * i] = db_id(tenant);
        rows[2 * i + 1] = db_text(ku_str_from(keys[i]));
    }
    (void)run_many(f->writer, sql_marks.insert, rows, KEY, KU_COUNT(keys));
    assert_int_equal(db_query_text(f->reader, KU_STR("SELECT key FROM read_marks ORDER BY key"),
                         NULL, 0, &sorted),
        KU_OK);
    while (db_next(&sorted, &row) == KU_OK && row) {
        ku_str key = db_column_text(&sorted, 0);
        char text[16] = "";
        memcpy(text, key.ptr, key.len);
        assert_true(strcmp(last, text) < 0);
        strcpy(last, text);
    }
    db_rows_done(&sorted);
    assert_text(ku_str_from(last), "ä");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_rows, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_insert_leaves_alone_what_is_there),
        CASE(a_put_replaces_and_raises_the_revision),
        CASE(an_add_adds_the_sums_and_replaces_the_rest),
        CASE(an_update_writes_rows_that_are_there),
        CASE(an_update_of_what_somebody_else_has_changed_counts_less),
        CASE(removing_at_a_revision_compares_and_removing_does_not),
        CASE(a_table_that_is_all_key_can_be_written_too),
        CASE(rows_are_sorted_by_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
