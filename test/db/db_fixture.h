/*
 * What the tests of the database layer share: a database of its own on the engine that the test
 * runs on, a table of numbers, a writer and a reader.
 */
#ifndef TEST_DB_DB_FIXTURE_H
#define TEST_DB_DB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/engine.h"
#include "support/database.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct db_fixture {
    test_database *database;
    const char *folder, *path, *url; /* of the database */
    db_catalog *catalog;
    int insert, insert_many, select; /* statements of the catalog */
    db *writer, *reader;
} db_fixture;

static db *open_or_fail(const char *url, db_role role, const db_catalog *catalog)
{
    ku_error error = {.status = KU_OK};
    db *d = NULL;

    if (db_open(url, role, catalog, &d, &error) != KU_OK)
        fail_msg("%s", error.message);
    return d;
}

/* A statement that the two engines have in their own words. */
static inline int add_by_engine(db_catalog *catalog, const char *sqlite, const char *postgres)
{
    const ku_str texts[DB_DIALECTS_] = {ku_str_from(sqlite), ku_str_from(postgres)};

    return db_catalog_add_dialects(catalog, texts);
}

static inline void run_script(db *d, const char *sql)
{
    if (db_script(d, ku_str_from(sql)) != KU_OK)
        fail_msg("%s: %s", sql, db_error(d));
}

static inline int set_up(void **state)
{
    db_fixture *f = mem_zero(1, sizeof(*f));
    const char *insert_one = "INSERT INTO t(a, b) VALUES ($2, $1)";

    f->database = test_database_new();
    f->folder = f->database->folder;
    f->path = f->database->path;
    f->url = f->database->url;
    f->catalog = db_catalog_new();
    f->insert = db_catalog_add(f->catalog, ku_str_from(insert_one));
    f->insert_many = add_by_engine(f->catalog, insert_one,
        "INSERT INTO t(a, b) SELECT a, b FROM unnest($2::bigint[], $1::bigint[]) n(a, b)");
    f->select = db_catalog_add(f->catalog, KU_STR("SELECT a, b FROM t WHERE a > $1 ORDER BY a"));
    f->writer = open_or_fail(f->url, DB_WRITER, f->catalog);
    run_script(f->writer, test_by_engine("CREATE TABLE t(a INTEGER PRIMARY KEY, b)",
                              "CREATE TABLE t(a bigint PRIMARY KEY, b bigint)"));
    f->reader = open_or_fail(f->url, DB_READER, f->catalog);
    *state = f;
    return 0;
}

static inline void remove_folder(const char *folder)
{
    struct dirent *entry;
    DIR *directory = opendir(folder);

    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            (void)(unlinkat(dirfd(directory), entry->d_name, 0) == 0 ||
                   unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR) == 0);
    closedir(directory);
    assert_int_equal(rmdir(folder), 0);
}

static inline int tear_down(void **state)
{
    db_fixture *f = *state;

    db_close(f->reader);
    db_close(f->writer);
    db_catalog_free(f->catalog);
    test_database_free(f->database);
    free(f);
    return 0;
}

static inline ku_status insert(db *d, int sql, int64_t a, db_value b)
{
    const db_value binds[] = {b, db_int(a)};

    return db_run(d, sql, binds, 2, NULL);
}

static inline int64_t count_rows(db *d)
{
    db_rows rows = {0};
    bool row = false;
    int64_t count = -1;

    assert_int_equal(db_query_text(d, KU_STR("SELECT count(*) FROM t"), NULL, 0, &rows), KU_OK);
    assert_int_equal(db_next(&rows, &row), KU_OK);
    if (row)
        count = db_column_int(&rows, 0);
    db_rows_done(&rows);
    return count;
}

static inline int64_t size_of(const db_fixture *f, const char *suffix)
{
    char path[128];
    struct stat info;

    snprintf(path, sizeof(path), "%s%s", f->path, suffix);
    return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

#define assert_text(actual, expected)                                                              \
    do {                                                                                           \
        ku_str text_ = (actual);                                                                   \
        if (!ku_str_is(text_, (expected)))                                                         \
            fail_msg("\"%.*s\" is not \"%s\"", (int)text_.len, text_.len > 0 ? text_.ptr : "",     \
                (expected));                                                                       \
    } while (0)

#endif
