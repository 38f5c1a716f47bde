/*
 * Databases for tests, the implementation.
 *
 * Look-ups open a connection and close it again: nothing of them stays open while the application
 * is closed, killed or forked.
 *
 * A database that is still there when the process exits belongs to a test that has failed; it goes
 * in an exit handler.  Only in the process that has made it: a forked child shares the list, not
 * the databases.  Connections of the failed test's application may hold locks; the drop does not
 * wait for them long, and what it has to leave goes when the server is stopped.
 */
#include "support/database.h"

#include <assert.h>
#include <ftw.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

bool test_engine_is_postgres(void)
{
    const char *engine = getenv("KUMIKO_TEST_ENGINE");
    return engine != NULL && strcmp(engine, "postgres") == 0;
}

const char *test_by_engine(const char *sqlite, const char *postgres)
{
    return test_engine_is_postgres() ? postgres : sqlite;
}

const char *test_id_literal(ku_id id, char ret_text[40])
{
    char *end = ret_text + sprintf(ret_text, "%s", test_by_engine("x'", "'"));
    for (size_t i = 0; i < sizeof id.bytes; i++)
        end += sprintf(end, "%02x", id.bytes[i]);
    (void)strcpy(end, "'");
    return ret_text;
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

static void read_url_file(const char *folder, char ret_url[512])
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/url", folder);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(ret_url, 512, file) == NULL) {
        perror(path);
        abort();
    }
    ret_url[strcspn(ret_url, "\n")] = '\0';
    (void)fclose(file);
}

static void server_url(char ret_url[512])
{
    const char *url = getenv("KUMIKO_TEST_POSTGRES");
    const char *folder = getenv("KUMIKO_TEST_POSTGRES_DIR");
    if (url != NULL && *url != '\0') {
        (void)snprintf(ret_url, 512, "%s", url);
    } else if (folder != NULL && *folder != '\0') {
        read_url_file(folder, ret_url);
    } else {
        fprintf(stderr, "KUMIKO_TEST_ENGINE=postgres wants a server: KUMIKO_TEST_POSTGRES=URL, or "
                        "KUMIKO_TEST_POSTGRES_DIR=the folder of `tools/test-postgres start`\n");
        abort();
    }
}

static PGconn *connect_to(const char *url)
{
    PGconn *connection = PQconnectdb(url);
    if (PQstatus(connection) != CONNECTION_OK) {
        fprintf(stderr, "%s: %s", url, PQerrorMessage(connection));
        abort();
    }
    PGresult *result = PQexec(connection, "SET client_min_messages = warning");
    PQclear(result);
    return connection;
}

/* NULL: it failed, and that was printed. */
static PGresult *execute(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return result;
    print_error("%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
    return NULL;
}

/* False: the statement failed, and that was printed. */
static bool postgres_text(const char *url, const char *sql, char **ret_text)
{
    PGconn *connection = connect_to(url);
    PGresult *result = execute(connection, sql);
    const bool done = result != NULL;
    if (done && PQntuples(result) > 0)
        *ret_text = strdup(PQgetisnull(result, 0, 0) ? "(null)" : PQgetvalue(result, 0, 0));
    else if (done)
        *ret_text = NULL;
    PQclear(result);
    PQfinish(connection);
    return done;
}

static void postgres_new(test_database *d)
{
    char url[512], sql[128];
    uint64_t number = 0;
    ssize_t got = getrandom(&number, sizeof number, 0);
    assert(got == sizeof number);
    server_url(url);
    (void)snprintf(d->schema, sizeof d->schema, "test_%016" PRIx64, number);
    (void)snprintf(d->url, sizeof d->url, "%s%soptions=-csearch_path%%3D%s", url,
        strchr(url, '?') != NULL ? "&" : "?", d->schema);
    (void)snprintf(sql, sizeof sql, "CREATE SCHEMA %s", d->schema);
    char *text = NULL;
    if (!postgres_text(url, sql, &text))
        abort();
    free(text);
}

static void postgres_free(const test_database *d)
{
    char sql[160];
    char *text = NULL;
    (void)snprintf(sql, sizeof sql, "SET lock_timeout = '5s'; DROP SCHEMA %s CASCADE", d->schema);
    (void)postgres_text(d->url, sql, &text);
    free(text);
}

/* ---- SQLite ---------------------------------------------------------------------------------- */

static bool sqlite_text(const char *path, bool write, const char *sql, char **ret_text)
{
    sqlite3 *file = NULL;
    sqlite3_stmt *statement = NULL;
    const int flags = write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(path, &file, flags, NULL);
    (void)sqlite3_busy_timeout(file, 5000);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(file, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    const bool done = code == SQLITE_ROW || code == SQLITE_DONE;
    if (!done)
        print_error("%s: %s\n", sql, sqlite3_errmsg(file));
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        *ret_text = strdup(text != NULL ? text : "(null)");
    } else if (done) {
        *ret_text = NULL;
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(file);
    return done;
}

/* ---- either ---------------------------------------------------------------------------------- */

enum { LIVE_MAX = 64 };
static test_database *live[LIVE_MAX];
static pid_t live_owner;

static void free_what_is_left(void)
{
    for (size_t i = 0; live_owner == getpid() && i < LIVE_MAX; i++)
        test_database_free(live[i]);
}

static void remember(test_database *d)
{
    if (live_owner == 0) {
        live_owner = getpid();
        (void)atexit(free_what_is_left);
    }
    size_t i = 0;
    while (i < LIVE_MAX && live[i] != NULL)
        i++;
    assert(i < LIVE_MAX);
    live[i] = d;
}

static void forget(const test_database *d)
{
    for (size_t i = 0; i < LIVE_MAX; i++) {
        if (live[i] == d)
            live[i] = NULL;
    }
}

test_database *test_database_new(void)
{
    return test_database_new_on(test_engine_is_postgres());
}

test_database *test_database_new_on(bool postgres)
{
    test_database *d = calloc(1, sizeof *d);
    assert(d != NULL);
    const char *parent = getenv("TMPDIR");
    (void)snprintf(
        d->folder, sizeof d->folder, "%s/kumiko-test-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(d->folder) == NULL) {
        perror(d->folder);
        abort();
    }
    if (postgres) {
        postgres_new(d);
    } else {
        (void)snprintf(d->path, sizeof d->path, "%s/kumiko.db", d->folder);
        (void)snprintf(d->url, sizeof d->url, "sqlite:%s", d->path);
    }
    remember(d);
    return d;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void test_database_free(test_database *d)
{
    if (d == NULL)
        return;
    forget(d);
    if (d->schema[0] != '\0')
        postgres_free(d);
    (void)nftw(d->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(d);
}

static char *text_of(const test_database *d, bool write, const char *sql)
{
    char *text = NULL;
    const bool done = d->schema[0] != '\0' ? postgres_text(d->url, sql, &text)
                                           : sqlite_text(d->path, write, sql, &text);
    if (!done)
        fail();
    return text;
}

char *test_database_text(const test_database *d, const char *sql)
{
    return text_of(d, false, sql);
}

int64_t test_database_int(const test_database *d, const char *sql)
{
    char *text = text_of(d, false, sql);
    int64_t value = INT64_MIN;
    if (text != NULL && (strcmp(text, "t") == 0 || strcmp(text, "f") == 0))
        value = *text == 't';
    else if (text != NULL)
        value = strtoll(text, NULL, 10);
    free(text);
    return value;
}

void test_database_run(const test_database *d, const char *sql)
{
    free(text_of(d, true, sql));
}
