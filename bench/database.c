/*
 * Where the scenarios' databases are: files in the run's folder, or schemas of a PostgreSQL.
 *
 * Every scenario gets a schema of its own, named in the URL by its search path, and all of them are
 * dropped when the program ends, also by a signal.  A PostgreSQL that is started for the run is
 * Debian's, with its defaults, below the run's folder: the disk that is measured.
 */
#include "bench.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *base_url;
static int n_schemas;
static char *server_dir;

/* ---- libpq ----------------------------------------------------------------------------------- */

PGconn *postgres_open(const char *url)
{
    PGconn *connection = PQconnectdb(url);

    if (PQstatus(connection) != CONNECTION_OK)
        die("%s: %s", url, PQerrorMessage(connection));
    return connection;
}

void postgres_ask(PGconn *connection, const char *sql, char *ret_text, size_t size)
{
    PGresult *answer = PQexec(connection, sql);
    const ExecStatusType status = PQresultStatus(answer);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die("%s: %s", sql, PQerrorMessage(connection));
    if (ret_text != NULL)
        (void)snprintf(ret_text, size, "%s", PQntuples(answer) > 0 ? PQgetvalue(answer, 0, 0) : "");
    PQclear(answer);
}

/* ---- the end of the run ---------------------------------------------------------------------- */

static void wait_for_end(const sigset_t *signals)
{
    int signal_number = 0;

    (void)sigwait(signals, &signal_number);
    leave(128 + signal_number);
}

static void *end_on_signal(void *context)
{
    wait_for_end(context);
    return NULL;
}

/* What is left on a server, or a server itself, does not go with the run's folder. */
static void watch_signals(void)
{
    static sigset_t signals;
    pthread_t thread;

    if (sigismember(&signals, SIGTERM) == 1)
        return;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    int failed = pthread_create(&thread, NULL, end_on_signal, &signals);
    assert(failed == 0);
    (void)pthread_detach(thread);
}

void database_child_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void drop_schemas(void)
{
    if (server_dir != NULL)
        return; /* the server goes as a whole */
    PGconn *connection = PQconnectdb(base_url);
    for (int i = 1; i <= n_schemas; i++) {
        char sql[120];
        (void)snprintf(sql, sizeof sql,
            "SET client_min_messages = error; DROP SCHEMA IF EXISTS kumiko_bench_%d_%d CASCADE",
            (int)getpid(), i);
        PGresult *answer = PQexec(connection, sql);
        if (PQresultStatus(answer) != PGRES_COMMAND_OK)
            (void)fprintf(stderr, "kumiko-bench: %s: %s", sql, PQerrorMessage(connection));
        PQclear(answer);
    }
    PQfinish(connection);
}

/* ---- a server for the run -------------------------------------------------------------------- */

/* Undisturbed by what ends this program: a server that is being started has to be stopped, too. */
static void run_tool(const bench *b, const char *verb)
{
    static const char tool[] = BENCH_TOOLS "/test-postgres";
    static const int ends[] = {SIGINT, SIGTERM};
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    static bool stopped;
    int status = 0;

    pthread_mutex_lock(&one_at_a_time);
    while (stopped)
        (void)pause(); /* the program is about to end: nothing is started any more */
    stopped = strcmp(verb, "stop") == 0;
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0) {
        (void)setsid();
        for (size_t i = 0; i < KU_COUNT(ends); i++) { /* forgets one that has come already */
            (void)signal(ends[i], SIG_IGN);
            (void)signal(ends[i], SIG_DFL);
        }
        database_child_signals();
        (void)setenv("TMPDIR", b->dir, 1);
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        (void)execl(tool, tool, verb, server_dir, (char *)NULL);
        (void)fprintf(stderr, "kumiko-bench: %s: %s\n", tool, strerror(errno));
        _exit(127);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        (void)fprintf(stderr, "kumiko-bench: %s %s: wait status %d\n", tool, verb, status);
    pthread_mutex_unlock(&one_at_a_time);
}

static const bench *bench_of_server;

static void stop_server(void)
{
    run_tool(bench_of_server, "stop");
}

const char *database_start_server(const bench *b)
{
    static char url[256];

    server_dir = bench_path(b, "server");
    bench_of_server = b;
    if (chmod(b->dir, 0711) != 0) /* PostgreSQL does not run as root, and has to come in */
        die("%s: %s", b->dir, strerror(errno));
    watch_signals();
    at_end(stop_server);
    run_tool(b, "start");
    char *path = bench_path(b, "server/url");
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(url, sizeof url, file) == NULL)
        die("there is no PostgreSQL to measure");
    url[strcspn(url, "\n")] = '\0';
    (void)fclose(file);
    free(path);
    return url;
}

/* ---- databases ------------------------------------------------------------------------------- */

void database_use(bench *b, const char *url)
{
    if (strncmp(url, "postgresql://", 13) != 0 && strncmp(url, "postgres://", 11) != 0)
        die("%s: write postgresql://HOST/DATABASE", url);
    if (strstr(url, "options=") != NULL)
        die("%s: without `options`: the schemas are the bench's own", url);
    PQfinish(postgres_open(url));
    b->url = url;
    base_url = url;
    watch_signals();
    at_end(drop_schemas);
}

char *bench_database(const bench *b, const char *name)
{
    char *url = NULL;
    char sql[80];
    int made;

    if (b->url == NULL) {
        made = asprintf(&url, "sqlite:%s/%s", b->dir, name);
    } else {
        PGconn *connection = postgres_open(b->url);
        n_schemas++;
        (void)snprintf(
            sql, sizeof sql, "CREATE SCHEMA kumiko_bench_%d_%d", (int)getpid(), n_schemas);
        postgres_ask(connection, sql, NULL, 0);
        PQfinish(connection);
        made = asprintf(&url, "%s%coptions=-csearch_path%%3Dkumiko_bench_%d_%d", b->url,
            strchr(b->url, '?') != NULL ? '&' : '?', (int)getpid(), n_schemas);
    }
    if (made < 0)
        die("out of memory");
    return url;
}
