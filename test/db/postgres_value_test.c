/*
 * PostgreSQL: every kind of value, in and out, one by one and as arrays.
 */
#include "db/db_fixture.h"

#include <inttypes.h>
#include <math.h>

/* ---- fixture: a table with a column of each type --------------------------------------------- */

enum { COLUMNS = 11 };
static int insert_row, insert_rows;

static int set_up_values(void **state)
{
    int result = set_up(state);
    db_fixture *f = *state;

    db_close(f->writer);
    db_close(f->reader);
    insert_row = db_catalog_add(
        f->catalog, KU_STR("INSERT INTO v VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)"));
    insert_rows = db_catalog_add(f->catalog,
        KU_STR("INSERT INTO v SELECT * FROM unnest($1::bigint[], $2::boolean[], $3::int2[], "
               "$4::int4[], $5::bigint[], $6::float8[], $7::text[], $8::varchar[], $9::uuid[], "
               "$10::timestamptz[], $11::json[])"));
    f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
    run_script(f->writer,
        "CREATE TABLE v(no bigint PRIMARY KEY, b boolean, s int2, i int4, l bigint, f float8, "
        "t text COLLATE \"C\", c varchar(100000), u uuid, at timestamptz, j json)");
    f->reader = open_or_fail(f->url, DB_READER, f->catalog);
    return result;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static db_value real(double number)
{
    return (db_value){.kind = DB_DOUBLE, .number = number};
}

/* Inserted one by one or at once, they come back as they went in. */
static void assert_returned(db_fixture *f, const db_value *values, size_t n_rows)
{
    db_rows rows = {0};
    bool row = false;

    assert_int_equal(
        db_query_text(f->reader, KU_STR("SELECT * FROM v ORDER BY no"), NULL, 0, &rows), KU_OK);
    for (size_t i = 0; i < n_rows; i++) {
        assert_int_equal(db_next(&rows, &row), KU_OK);
        assert_true(row);
        for (int column = 0; column < COLUMNS; column++) {
            const db_value *value = &values[i * COLUMNS + (size_t)column];
            ku_str text;
            assert_int_equal(db_is_null(&rows, column), value->kind == DB_NULL);
            switch (value->kind) {
            case DB_NULL:
                assert_true(db_column_int(&rows, column) == 0);
                assert_true(db_column_double(&rows, column) == 0.0);
                assert_int_equal(db_column_text(&rows, column).len, 0);
                assert_true(ku_id_is_nil(db_column_id(&rows, column)));
                break;
            case DB_INT:
                assert_true(db_column_int(&rows, column) == value->integer);
                break;
            case DB_DOUBLE:
                assert_memory_equal(
                    &(double){db_column_double(&rows, column)}, &value->number, sizeof(double));
                break;
            case DB_TEXT:
                text = db_column_text(&rows, column);
                assert_true(ku_str_equal(text, value->text));
                break;
            case DB_ID:
                assert_true(ku_id_equal(db_column_id(&rows, column), value->id));
                break;
            }
        }
    }
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_false(row);
    db_rows_done(&rows);
}

static void assert_round_trip(db_fixture *f, const db_value *values, size_t n_rows)
{
    int64_t changes = -1;

    for (size_t i = 0; i < n_rows; i++)
        if (db_run(f->writer, insert_row, values + i * COLUMNS, COLUMNS, &changes) != KU_OK)
            fail_msg("%s", db_error(f->writer));
    assert_int_equal(changes, 1);
    assert_returned(f, values, n_rows);
    run_script(f->writer, "TRUNCATE v");
    if (db_run_many(f->writer, insert_rows, values, COLUMNS, n_rows, &changes) != KU_OK)
        fail_msg("%s", db_error(f->writer));
    assert_int_equal(changes, n_rows);
    assert_returned(f, values, n_rows);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void extremes_come_back(void **state)
{
    enum { LONG = 100000 };
    static char bytes[LONG];
    for (size_t i = 0; i < LONG; i++)
        bytes[i] = (char)('a' + i % 26);
    const ku_str long_text = {bytes, LONG};
    ku_id ones;
    memset(&ones, 0xff, sizeof(ones));
    const db_value values[][COLUMNS] = {
        {db_int(1), db_int(0), db_int(INT16_MIN), db_int(INT32_MIN), db_int(INT64_MIN),
         real(-INFINITY),                                                                             db_text(KU_STR("")),  db_text(KU_STR("")),     db_id((ku_id){{0}}),
         db_int(INT64_MIN),                                                                                                                                                              db_text(KU_STR("{}"))       },
        {db_int(2), db_int(1), db_int(INT16_MAX), db_int(INT32_MAX), db_int(INT64_MAX),
         real(1.7976931348623157e308),                                                                db_text(long_text),   db_text(long_text),      db_id(ones),
         db_int(INT64_MAX),                                                                                                                                                              db_text(KU_STR("[1, 2.50]"))},
        {db_int(3), db_int(1), db_int(-1),        db_int(-1),        db_int(-1),        real(5e-324),
         db_text(KU_STR("Söhne 日本 😀 \\ ' \" \n")),                                                                  db_text(KU_STR("NULL")),
         db_id((ku_id){{1}}),                                                                                                                                                db_int(-1), db_text(KU_STR("\"x\""))    },
        {db_int(4), db_null(), db_null(),         db_null(),         db_null(),         db_null(),    db_null(),            db_null(),
         db_null(),                                                                                                                                                          db_null(),  db_null()                   },
        {db_int(5), db_int(0), db_int(0),         db_int(0),         db_int(0),         real(-0.0),   db_text((ku_str){0}),
         db_text(KU_STR("{a,b}")),                                                                                                                   db_id((ku_id){{0, 1}}), db_int(0),  db_text(KU_STR("null"))     },
    };

    assert_round_trip(*state, values[0], KU_COUNT(values));
}

static void instants_are_the_servers_instants(void **state)
{
    db_fixture *f = *state;
    static const struct {
        int64_t unix_us;
        const char *text;
    } instants[] = {
        {0,                        "1970-01-01 00:00:00+00"       },
        {INT64_C(946684800000000), "2000-01-01 00:00:00+00"       },
        {-1,                       "1969-12-31 23:59:59.999999+00"},
        {1700000000123456,         "2023-11-14 22:13:20.123456+00"},
        {INT64_MAX,                "infinity"                     },
        {INT64_MIN,                "-infinity"                    },
    };
    db_rows rows = {0};
    bool row;

    run_script(f->reader, "SET timezone = 'UTC'");
    for (size_t i = 0; i < KU_COUNT(instants); i++) {
        const db_value at = db_int(instants[i].unix_us);
        assert_int_equal(
            db_query_text(f->reader, KU_STR("SELECT $1::timestamptz::text"), &at, 1, &rows), KU_OK);
        assert_int_equal(db_next(&rows, &row), KU_OK);
        assert_text(db_column_text(&rows, 0), instants[i].text);
        db_rows_done(&rows);
    }
}

static void a_thousand_rows_come_back(void **state)
{
    enum { ROWS = 1000 };
    static db_value values[ROWS * COLUMNS];
    static char texts[ROWS][64];

    for (int64_t i = 0; i < ROWS; i++) {
        db_value *row = values + i * COLUMNS;
        ku_id id = {{0}};
        memcpy(id.bytes, &i, sizeof(i));
        snprintf(texts[i], sizeof(texts[i]), "%0*" PRId64, (int)(i % 40) + 1, i);
        row[0] = db_int(i);
        for (size_t k = 1; k < COLUMNS; k++)
            row[k] = db_null();
        if (i % 4 == 1)
            continue;
        row[1] = db_int(i % 2);
        row[2] = db_int(i);
        row[3] = db_int(-i * 1000);
        row[4] = db_int(i << 50);
        row[5] = i % 5 == 0 ? db_null() : real((double)i / 7.0);
        row[6] = db_text(ku_str_from(texts[i]));
        row[7] = i % 3 == 0 ? db_null() : db_text(ku_str_from(texts[i]));
        row[8] = db_id(id);
        row[9] = db_int(i * 86400000000);
        row[10] = db_text(KU_STR("{\"a\": [true]}"));
    }
    assert_round_trip(*state, values, ROWS);
}

static void other_types_that_the_server_counts_in_are_read(void **state)
{
    db_fixture *f = *state;
    const db_value fives[] = {db_int(5), db_int(5)};
    db_rows rows = {0};
    bool row;

    assert_int_equal(
        db_query_text(f->reader,
            KU_STR("SELECT count(*), 1.5::float4, 'v'::regclass::oid > 0, 'n'::name, "
                   "'{\"a\": 1}'::jsonb, $1::oid, 7::int4, $2::float8, 3::int2 FROM v"),
            fives, 2, &rows),
        KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    assert_int_equal(db_column_int(&rows, 0), 0);
    assert_true(db_column_double(&rows, 1) == 1.5);
    assert_int_equal(db_column_int(&rows, 2), 1);
    assert_text(db_column_text(&rows, 3), "n");
    assert_text(db_column_text(&rows, 4), "{\"a\": 1}");
    assert_int_equal(db_column_int(&rows, 5), 5);
    assert_true(db_column_double(&rows, 6) == 7.0);
    assert_true(db_column_double(&rows, 7) == 5.0);
    assert_int_equal(db_column_int(&rows, 8), 3);
    db_rows_done(&rows);
}

static void assert_refused(db_fixture *f, const char *sql, db_value value, const char *part)
{
    db_rows rows = {0};

    assert_int_equal(db_query_text(f->reader, ku_str_from(sql), &value, 1, &rows), KU_INTERNAL);
    if (strstr(db_error(f->reader), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, db_error(f->reader));
}

static void a_value_that_does_not_fit_is_refused_and_not_cut(void **state)
{
    db_fixture *f = *state;

    assert_refused(f, "SELECT $1::int4", db_int(INT64_C(1) << 31), "bind $1");
    assert_refused(f, "SELECT $1::int2", db_int(-32769), "an integer does not fit");
    assert_refused(f, "SELECT $1::oid", db_int(-1), "an integer does not fit");
    assert_refused(f, "SELECT $1::bigint", db_text(KU_STR("1")), "a text does not fit");
    assert_refused(f, "SELECT $1::text", db_int(1), "an integer does not fit");
    assert_refused(f, "SELECT $1::uuid", db_text(KU_STR("x")), "a text does not fit");
    assert_refused(f, "SELECT $1::text", db_id((ku_id){{1}}), "an id does not fit");
    assert_refused(f, "SELECT $1::bigint", real(1.0), "a double does not fit");
    assert_refused(f, "SELECT $1::text", db_text(KU_STR("a\0b")), "0x00");
    assert_refused(f, "SELECT $1::text", db_text(KU_STR("\xff")), "0xff");
    const db_value wrong[] = {db_int(1), db_text(KU_STR("1"))};
    assert_int_equal(db_run_many(f->writer, f->insert_many, wrong, 2, 1, NULL), KU_INTERNAL);
    assert_int_equal(db_run_many(f->writer, f->insert, wrong, 2, 1, NULL), KU_INTERNAL);
    assert_non_null(strstr(db_error(f->writer), "no array"));
    assert_int_equal(insert(f->writer, f->insert, 1, db_int(1)), KU_OK); /* it works on */
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_values, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(extremes_come_back),
        CASE(instants_are_the_servers_instants),
        CASE(a_thousand_rows_come_back),
        CASE(other_types_that_the_server_counts_in_are_read),
        CASE(a_value_that_does_not_fit_is_refused_and_not_cut),
    };
    return test_engine_is_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
