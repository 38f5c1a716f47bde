/*
 * A fresh database for a test, on the engine that the test program runs on, and look-ups in it
 * beside the application.
 *
 * KUMIKO_TEST_ENGINE chooses: `postgres`, or SQLite without it.  On SQLite a database is a file in
 * a folder of its own.  On PostgreSQL it is a schema of its own on the server whose URL is in
 * KUMIKO_TEST_POSTGRES, or in the file `url` of the folder that KUMIKO_TEST_POSTGRES_DIR names (as
 * tools/test-postgres leaves it); the schema is dropped at the end, also when the test has failed
 * and nobody frees anything.
 *
 * The SQL of look-ups is a test's own and names tables as the engines have them.  Where the two
 * spell something differently, test_by_engine takes both.
 */
#ifndef TEST_SUPPORT_DATABASE_H
#define TEST_SUPPORT_DATABASE_H

#include "kumiko/value.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct test_database {
    char folder[256]; /* its own, on either engine; programs under test may work in it */
    char path[288];   /* SQLite's file; on PostgreSQL empty */
    char schema[64];  /* on SQLite empty */
    char url[1024];
} test_database;

/* Free with test_database_free: the file and its folder, or the schema, are gone then. */
test_database *test_database_new(void);
/* The same on an engine of the caller's choice; PostgreSQL wants its server as above. */
test_database *test_database_new_on(bool postgres);
void test_database_free(test_database *d);

bool test_engine_is_postgres(void);
/* The one of the two that is the engine's. */
const char *test_by_engine(const char *sqlite, const char *postgres);
/* An id as a literal of the engine's SQL, quotes included. */
const char *test_id_literal(ku_id id, char ret_text[40]);

/* The first column of the first row, a truth value as 0 or 1; INT64_MIN: there is no row. */
int64_t test_database_int(const test_database *d, const char *sql);
/* The same as text, `(null)` for a NULL; NULL: there is no row.  The caller frees it. */
char *test_database_text(const test_database *d, const char *sql);
/* Changes the database behind everybody's back. */
void test_database_run(const test_database *d, const char *sql);

/*
 * Ends a test that is about SQLite's file as skipped where there is none, and prints why.  A macro
 * because cmocka's skip names the caller's line.
 */
#define SKIP_ON_POSTGRES(why)                                                                      \
    do {                                                                                           \
        if (test_engine_is_postgres()) {                                                           \
            print_message("%s: skipped on PostgreSQL: %s\n", __func__, (why));                     \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#endif
