/*
 * The databases that tests get: each has its own, and nothing is left of it.
 */
#include "support/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* SQLite makes the file when somebody first writes into it. */
static test_database *new_with_table(void)
{
    test_database *d = test_database_new();
    if (!test_engine_is_postgres())
        (void)fclose(fopen(d->path, "w"));
    test_database_run(d, "CREATE TABLE things(id bigint, name text, done boolean)");
    return d;
}

/* As another database sees it. */
static bool is_there(const test_database *witness, const test_database *d)
{
    char sql[160];
    if (!test_engine_is_postgres())
        return access(d->path, F_OK) == 0;
    (void)snprintf(
        sql, sizeof sql, "SELECT count(*) FROM pg_namespace WHERE nspname = '%s'", d->schema);
    return test_database_int(witness, sql) == 1;
}

static void each_database_has_its_own_tables(void **state)
{
    (void)state;
    test_database *a = new_with_table(), *b = new_with_table();
    test_database_run(a, "INSERT INTO things VALUES (7, 'a', true), (8, NULL, false)");
    assert_int_equal(test_database_int(a, "SELECT count(*) FROM things"), 2);
    assert_int_equal(test_database_int(b, "SELECT count(*) FROM things"), 0);
    test_database_free(a);
    test_database_free(b);
}

static void look_ups_give_numbers_texts_and_nothing(void **state)
{
    static const struct {
        const char *sql, *text;
        int64_t number;
    } cases[] = {
        {"SELECT id FROM things WHERE id = 7",             "7",      7        },
        {"SELECT name FROM things WHERE id = 7",           "a",      0        },
        {"SELECT name FROM things WHERE id = 8",           "(null)", 0        },
        {"SELECT sum(id) FROM things",                     "15",     15       },
        {"SELECT count(*) = 2 FROM things",                NULL,     1        },
        {"SELECT id FROM things WHERE id = 9",             NULL,     INT64_MIN},
        {"SELECT count(*) FROM things WHERE NOT done",     "1",      1        },
        {"SELECT id FROM things ORDER BY id DESC LIMIT 1", "8",      8        },
    };
    (void)state;
    test_database *d = new_with_table();
    test_database_run(d, "INSERT INTO things VALUES (7, 'a', true), (8, NULL, false)");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(test_database_int(d, cases[i].sql), cases[i].number);
        char *text = test_database_text(d, cases[i].sql);
        if (cases[i].text != NULL)
            assert_string_equal(text, cases[i].text);
        else if (cases[i].number == INT64_MIN)
            assert_null(text);
        free(text);
    }
    test_database_free(d);
}

static void an_id_is_found_by_its_literal(void **state)
{
    const ku_id id = {
        {1, 0x9a, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0xff}
    };
    char literal[40], sql[160];
    (void)state;
    test_database *d = new_with_table();
    test_database_run(d, test_by_engine("CREATE TABLE ids(id blob)", "CREATE TABLE ids(id uuid)"));
    (void)snprintf(sql, sizeof sql, "INSERT INTO ids VALUES (%s)", test_id_literal(id, literal));
    test_database_run(d, sql);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM ids WHERE id = %s", literal);
    assert_int_equal(test_database_int(d, sql), 1);
    test_database_free(d);
}

static void nothing_is_left_of_a_database_that_is_freed(void **state)
{
    (void)state;
    test_database *witness = new_with_table(), *d = new_with_table();
    const test_database copy = *d;
    assert_true(is_there(witness, &copy));
    test_database_free(d);
    assert_false(is_there(witness, &copy));
    assert_int_not_equal(access(copy.folder, F_OK), 0);
    test_database_free(witness);
}

static void nothing_is_left_when_a_test_fails_and_nobody_frees(void **state)
{
    int ends[2], status;
    test_database made;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const test_database *d = new_with_table();
        if (write(ends[1], d, sizeof *d) != sizeof *d)
            _exit(1);
        exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &made, sizeof made), sizeof made);
    (void)close(ends[0]);
    (void)close(ends[1]);
    test_database *witness = new_with_table();
    assert_false(is_there(witness, &made));
    assert_int_not_equal(access(made.folder, F_OK), 0);
    test_database_free(witness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: a child that forks before this process has made a database makes its own list. */
        cmocka_unit_test(nothing_is_left_when_a_test_fails_and_nobody_frees),
        cmocka_unit_test(each_database_has_its_own_tables),
        cmocka_unit_test(look_ups_give_numbers_texts_and_nothing),
        cmocka_unit_test(an_id_is_found_by_its_literal),
        cmocka_unit_test(nothing_is_left_of_a_database_that_is_freed),
    };
    return cmocka_run_group_tests_name("test databases", tests, NULL, NULL);
}
